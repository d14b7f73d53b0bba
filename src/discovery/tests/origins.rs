//! The origin's own OpenAPI document with our prices in it.

use super::super::annotate::annotated;
use super::*;

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

/// An annotated document, and its prices by path.
fn annotated_with(routes: &Value, theirs: &Value) -> Value {
    let config = config(routes);
    let support = Support::default();
    annotated(&Catalogue::new(&config, &support, "https://host"), theirs.clone()).unwrap()
}

fn price_of<'a>(document: &'a Value, path: &str, method: &str) -> Option<&'a str> {
    document["paths"][path][method]["x-payment-info"]["price"]["amount"].as_str()
}

#[test]
fn an_operation_of_the_origins_costs_what_any_value_costs_and_not_what_its_example_does() {
    let of = |example: &str| json!({ "parameters": [{ "name": "x", "in": "path", "required": true, "example": example }], "get": {} });
    let theirs = json!({
        "openapi": "3.1.0", "info": {}, "servers": [{ "url": "/v1/v2" }],
        "paths": { "/weather/{x}": of("lisbon"), "/dear/{x}": of("lisbon"), "/open/{x}": of("shut"), "/only/{x}": of("7"), "/f/{x}.json": of("a") },
    });
    let ours = annotated_with(
        &json!({
            "GET /v2/weather/:city": "$0.001", "GET /v2/weather/lisbon": "free", "GET /v2/dear/:x": "$0.002", "GET /v2/dear/lisbon": "$9",
            "GET /v2/open/*": "free", "GET /v2/open/shut": "$3", "GET /v2/only/7": "$4", "GET /v2/f/:x": "$5", "GET /v2/f/a.json": "$6",
        }),
        &theirs,
    );
    for (path, price) in [
        ("/weather/{x}", Some("0.001")),
        ("/dear/{x}", Some("0.002")),
        ("/dear/lisbon", Some("9")),
        ("/open/{x}", None),
        ("/open/shut", Some("3")),
        ("/only/{x}", Some("4")),
        ("/f/{x}.json", Some("5")),
        ("/f/a.json", Some("6")),
    ] {
        assert_eq!(price_of(&ours, path, "get"), price, "{path}");
    }
}

#[test]
fn what_is_priced_beside_the_origins_server_is_documented_under_a_server_of_its_own() {
    let theirs = json!({
        "openapi": "3.1.0", "info": {}, "servers": [{ "url": "https://api.example.com/v1/v2" }],
        "paths": { "/v1/old": { "get": { "operationId": "get_v2_new" } } },
    });
    let ours = annotated_with(
        &json!({ "GET /v1/old": "$1", "POST /v1/old": "$2", "GET /v2/new": "$3", "GET /V2": "$4" }),
        &theirs,
    );
    assert_eq!(ours["servers"], json!([{ "url": "https://host/v2" }]));
    let server = |path: &str, method: &str| ours["paths"][path][method]["servers"][0]["url"].as_str();
    // Their path of this name is another, below their server: it stays what it is.
    assert_eq!(price_of(&ours, "/v1/old", "get"), None);
    assert_eq!((price_of(&ours, "/old", "get"), server("/old", "get")), (Some("1"), Some("https://host/v1")));
    assert_eq!((price_of(&ours, "/v1/old", "post"), server("/v1/old", "post")), (Some("2"), Some("https://host")));
    assert_eq!((price_of(&ours, "/new", "get"), server("/new", "get")), (Some("3"), None));
    assert_eq!(ours["paths"]["/new"]["get"]["operationId"], "get_v2_new_2", "ids are unique, theirs among them");
    assert_eq!((price_of(&ours, "/V2", "get"), server("/V2", "get")), (Some("4"), Some("https://host")));
}

#[test]
fn a_servers_variables_have_their_defaults() {
    for (server, url, path) in [
        (
            json!({ "url": "https://{region}.example/{version}", "variables": { "version": { "default": "v2" }, "region": { "default": "eu" } } }),
            "https://host/v2",
            "/a",
        ),
        (json!({ "url": "/{version}" }), "https://host", "/v2/a"),
        (json!({ "url": "/{version}", "variables": { "version": 7 } }), "https://host", "/v2/a"),
    ] {
        let theirs = json!({ "openapi": "3.1.0", "info": {}, "paths": {}, "servers": [server] });
        let ours = annotated_with(&json!({ "GET /v2/a": "$1" }), &theirs);
        assert_eq!((ours["servers"][0]["url"].as_str(), price_of(&ours, path, "get")), (Some(url), Some("1")));
    }
}

#[test]
fn nothing_that_the_origins_document_names_is_taken_from_it() {
    let own = json!({ "description": "theirs" });
    let mut theirs = json!({ "openapi": "3.0.3", "info": {}, "paths": {}, "components": {
        "schemas": { "Problem": own, "Challenge": own }, "responses": { "PaymentRequired": own, "Refused": own },
        "securitySchemes": { "credits": own, "wallet": own },
    } });
    let ours = annotated_with(
        &json!({ "GET /a": { "price": "$1", "input": { "query": { "n": { "type": "integer", "exclusiveMinimum": 0, "example": 1 } } } } }),
        &theirs,
    );
    let components = theirs["components"].take();
    for (kind, members) in components.as_object().unwrap() {
        for (name, member) in members.as_object().unwrap() {
            assert_eq!(&ours["components"][kind][name], member, "{kind}.{name}");
        }
    }
    // And what is added to it is written as its version of OpenAPI has it.
    assert_eq!(ours["paths"]["/a"]["get"]["parameters"][0]["schema"]["exclusiveMinimum"], true);
    assert_eq!(ours["openapi"], "3.0.3");
}

#[test]
fn what_the_origin_wants_of_its_own_is_wanted_beside_the_payment() {
    let key = json!([{ "acmeKey": [] }]);
    let theirs = json!({
        "openapi": "3.1.0", "info": {}, "security": [{ "global": [] }],
        "paths": { "/a": { "get": { "security": key } }, "/b": { "get": {} }, "/c": { "get": { "security": [] } }, "/free": { "get": {} } },
        "components": { "securitySchemes": { "acmeKey": { "type": "apiKey", "in": "header", "name": "X-Key" }, "edge402Credits": { "type": "mutualTLS" } } },
    });
    let routes = json!({ "GET /a": "$1", "GET /b": "$1", "GET /c": "$1", "GET /new": "$1" });
    let ours = annotated_with(&routes, &theirs);
    let of = |document: &Value, path: &str| document["paths"][path]["get"]["security"].clone();
    assert_eq!(of(&ours, "/a"), key);
    assert_eq!(of(&ours, "/b"), json!([{ "global": [] }]), "what the document says for all");
    assert_eq!(of(&ours, "/new"), json!([{ "global": [] }]));
    assert_eq!(of(&ours, "/c"), json!([]));
    assert_eq!(of(&ours, "/free"), Value::Null, "what is free is left alone");

    let config = resolved(&json!({
        "ROUTES": routes, "PACKAGES": { "small": { "price": "$1", "credits": 5 } }, "CREDIT_VALUE": "$1",
        "KEY_SECRET": "a-secret-of-32-characters-or-so-",
    }));
    let (config, support) = (config.unwrap(), Support::default());
    let ours = annotated(&Catalogue::new(&config, &support, "https://host"), theirs).unwrap();
    let (credits, wallet) = ("edge402Credits_2", "edge402Wallet");
    assert_eq!(
        of(&ours, "/a"),
        json!([{ "acmeKey": [] }, { "acmeKey": [], credits: [] }, { "acmeKey": [], wallet: [] }])
    );
    assert_eq!(of(&ours, "/c"), json!([{}, { credits: [] }, { wallet: [] }]));
    let schemes = &ours["components"]["securitySchemes"];
    assert_eq!(
        (&schemes["edge402Credits"]["type"], &schemes[credits]["scheme"]),
        (&json!("mutualTLS"), &json!("bearer"))
    );
    assert_eq!(ours["paths"]["/api/buy-credits/small"]["post"]["security"], json!([]), "packages are ours");
    assert_eq!(ours["paths"]["/api/credits"]["get"]["security"], json!([{ credits: [] }, { wallet: [] }]));
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
            prop_assert!(ours["components"]["responses"]["Edge402PaymentRequired"].is_object());
        }
    }
}
