use super::annotate::annotated;
use super::*;
use crate::config::Bindings;
use proptest::prelude::*;

fn config(routes: &Value) -> Config {
    let vars = json!({
        "ORIGIN": "https://api.example.com/v1",
        "PAY_TO": "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
        "NETWORKS": ["eip155:84532"],
        "FACILITATORS": ["https://x402.org/facilitator"],
        "ROUTES": routes,
    });
    let bindings: Bindings = vars.as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    Config::resolve(&bindings).unwrap()
}

fn calls_of(config: &Config) -> Vec<(String, String)> {
    let support = Support::default();
    let catalogue = Catalogue::new(config, &support, "https://host");
    catalogue.calls.iter().map(|call| (call.id.clone(), format!("{} {}", call.method, call.sample))).collect()
}

#[test]
fn a_sample_is_one_that_the_gate_prices_by_that_very_route() {
    let config = config(&json!({
        "GET /a/:x": "$0.001",
        "GET /a/x": "$1",
        "GET /a/a-x": "$2",
        "/b/*": "$0.003",
        "GET /b/*": "$0.004",
        "/c": { "price": "$1", "input": { "body": {} } },
        "OPTIONS /d": "$1",
    }));
    let found: Vec<String> = calls_of(&config).into_iter().map(|(_, call)| call).collect();
    for wanted in ["GET /a/any-x-2", "GET /a/x", "GET /a/a-x", "POST /b/path", "GET /b/path", "POST /c", "OPTIONS /d"] {
        assert!(found.iter().any(|call| call == wanted), "{wanted} in {found:?}");
    }
    assert_eq!(found.len(), 7);
}

#[test]
fn what_more_specific_routes_have_taken_whole_is_in_no_document() {
    let taken = json!({
        "/a": "$1", "GET /a": "$2", "POST /a": "$2", "PUT /a": "$2", "PATCH /a": "$2", "DELETE /a": "$2", "OPTIONS /a": "free",
    });
    assert_eq!(calls_of(&config(&taken)).len(), 5);
}

#[test]
fn names_are_words_and_differ() {
    let config = config(&json!({
        "GET /caf%C3%A9/:id": "$1", "GET /caf_C3_A9/id": "$2", "POST /x": { "price": "$1", "name": "get_y" }, "GET /y": "$1",
        "GET /": "$1",
    }));
    let mut names: Vec<String> = calls_of(&config).into_iter().map(|(id, _)| id).collect();
    names.sort();
    assert_eq!(names, ["get", "get_caf_c3_a9_id", "get_caf_c3_a9_id_2", "get_y", "get_y_2"]);
}

#[test]
fn documents_say_only_what_somebody_settles() {
    let config = config(&json!({ "GET /a": "$0.001" }));
    let nobody = Support(vec![Some(Vec::new())]);
    let catalogue = Catalogue::new(&config, &nobody, "https://host");
    assert_eq!(index::manifest(&catalogue)["resources"][0]["accepts"], json!([]));
    assert_eq!(wellknown::x402(&catalogue)["assets"], json!([]));
    assert_eq!(wellknown::mcp_json(&catalogue), None, "nothing is described: there are no tools");
}

#[test]
fn no_server_of_an_origins_document_lengthens_our_host() {
    let config = config(&json!({ "GET /a": "$0.001" }));
    let support = Support::default();
    let catalogue = Catalogue::new(&config, &support, "https://host");
    for (server, ours) in [
        ("/v1.evil.example/x", "https://host/v1.evil.example/x"),
        ("https://api.example.com/v1beta", "https://host/v1beta"),
        ("https://api.example.com/v1/deep/", "https://host/deep"),
        ("https://elsewhere.example/v1", "https://host"),
        ("", "https://host"),
    ] {
        let theirs = json!({ "openapi": "3.1.0", "info": {}, "paths": {}, "servers": [{ "url": server }] });
        assert_eq!(annotated(&catalogue, theirs).unwrap()["servers"][0]["url"], ours, "{server}");
    }
}

#[test]
fn what_an_origins_document_refers_to_is_priced_where_it_is_referred_from() {
    let config = config(&json!({ "GET /a/:x": "$0.001", "GET /b": "$0.002", "GET /c/7": "$0.003" }));
    let support = Support::default();
    let catalogue = Catalogue::new(&config, &support, "https://host");
    let get = |amount: &str| json!({ "get": { "x-payment-info": { "price": { "amount": amount } }, "responses": {} } });
    let theirs = json!({
        "openapi": "3.1.0", "info": {},
        "paths": {
            "/a/{x}": { "$ref": "#/components/pathItems/shared" },
            "/b": { "$ref": "#/paths/~1a~1%7Bx%7D" },
            "/free": { "$ref": "#/components/pathItems/shared" },
            "/c/{id}": { "parameters": [{ "$ref": "#/components/parameters/id" }], "get": {} },
            "/round": { "$ref": "#/paths/~1round" },
            "/out": { "$ref": "https://elsewhere.example/out.json" },
        },
        "components": {
            "pathItems": { "shared": get("99") },
            "parameters": { "id": { "name": "id", "in": "path", "required": true, "example": 7 } },
        },
    });
    let ours = annotated(&catalogue, theirs).unwrap();
    let price = |path: &str| ours["paths"][path]["get"]["x-payment-info"]["price"]["amount"].clone();
    assert_eq!((price("/a/{x}"), price("/b"), price("/c/{id}")), (json!("0.001"), json!("0.002"), json!("0.003")));
    assert_eq!(price("/free"), Value::Null, "its author's price is nobody's");
    assert!(ours["paths"]["/a/{x}"].get("$ref").is_none());
    assert!(ours["paths"]["/round"].get("$ref").is_some() && ours["paths"]["/out"].get("$ref").is_some());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        "[a-z/{}$.3]{0,8}".prop_map(Value::from),
        Just(Value::from("#/paths/~1a")),
    ];
    let key = prop_oneof![
        Just("paths".to_owned()),
        Just("/a".to_owned()),
        Just("/{x}".to_owned()),
        Just("get".to_owned()),
        Just("servers".to_owned()),
        Just("url".to_owned()),
        Just("parameters".to_owned()),
        Just("schema".to_owned()),
        Just("components".to_owned()),
        Just("responses".to_owned()),
        Just("$ref".to_owned()),
        "[a-z]{1,4}",
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    // An origin's document may be anything: it is annotated or refused, never a panic.
    #[test]
    fn any_document_of_an_origins_is_annotated_or_refused(paths in any_json(), servers in any_json(), components in any_json()) {
        let config = config(&json!({ "GET /a": "$0.001", "GET /:x": "$1" }));
        let support = Support::default();
        let catalogue = Catalogue::new(&config, &support, "https://host");
        let theirs = json!({ "openapi": "3.1.0", "info": {}, "paths": paths, "servers": servers, "components": components });
        if let Some(ours) = annotated(&catalogue, theirs) {
            prop_assert!(ours["paths"].is_object());
            prop_assert!(ours["servers"][0]["url"].as_str().unwrap().starts_with("https://host"));
            prop_assert!(ours["components"]["responses"]["PaymentRequired"].is_object());
        }
    }
}
