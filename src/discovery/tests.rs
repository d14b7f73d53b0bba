use super::*;
use crate::config::Bindings;
use proptest::prelude::*;

fn config(routes: &Value) -> Config {
    resolved(&json!({ "ROUTES": routes })).unwrap()
}

fn resolved(more: &Value) -> Option<Config> {
    let mut vars = json!({
        "ORIGIN": "https://api.example.com/v1",
        "PAY_TO": "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
        "NETWORKS": ["eip155:84532"],
        "FACILITATORS": ["https://x402.org/facilitator"],
    });
    for (name, value) in more.as_object().unwrap() {
        vars[name] = value.clone();
    }
    let bindings: Bindings = vars.as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    Config::resolve(&bindings).ok()
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
fn a_route_is_found_where_others_have_taken_a_single_segment_below_it() {
    let support = Support::default();
    for (routes, path, sample) in [
        (json!({ "GET /f/*": "$0.05", "GET /f/:n": "$0.001" }), "/f/{path_1}/{path}", "/f/path_1/path"),
        (json!({ "GET /f/*": "$0.05", "GET /f/:n/*": "$0.001" }), "/f", "/f"),
        (json!({ "GET /f/*": "$0.05", "GET /f/:n/*": "$0.001", "GET /f": "$2" }), "", ""),
    ] {
        let config = config(&routes);
        let catalogue = Catalogue::new(&config, &support, "https://host");
        let dear = catalogue.calls.iter().find(|call| amount(call.terms.price) == "0.05");
        assert_eq!(dear.map_or("", |call| call.path()), path);
        assert_eq!(dear.map_or("", |call| call.sample.as_str()), sample);
        let document = openapi::document(&catalogue);
        let price = &document["paths"][path]["get"]["x-payment-info"]["price"]["amount"];
        assert_eq!(price.as_str(), dear.map(|_| "0.05"), "{document}");
    }
}

#[test]
fn a_route_without_a_method_is_documented_by_each_that_costs_the_same() {
    let config = config(&json!({
        "/a/*": { "price": "$0.003", "name": "a", "input": { "body": { "type": "string" } } }, "GET /a/:x": "$0.001", "PUT /a/*": "free", "/b": "$1",
    }));
    let support = Support::default();
    let catalogue = Catalogue::new(&config, &support, "https://host");
    let document = openapi::document(&catalogue);
    let operation = |path: &str, method: &str| &document["paths"][path][method];
    let mut ids = Vec::new();
    for (path, method, price, id) in [
        ("/a/{path}", "post", "0.003", "a"),
        ("/a/{path}", "delete", "0.003", "a_delete"),
        ("/a/{path_1}/{path}", "get", "0.003", "a_get"),
        ("/a/{path}", "get", "0.001", "get_a_x"),
        ("/b", "get", "1", "get_b"),
        ("/b", "patch", "1", "patch_b"),
    ] {
        assert_eq!(operation(path, method)["x-payment-info"]["price"]["amount"], price, "{method} {path}");
        ids.push((operation(path, method)["operationId"].as_str().unwrap(), id));
    }
    assert!(ids.iter().all(|(found, wanted)| found == wanted), "{ids:?}");
    assert!(operation("/a/{path}", "put").is_null() && operation("/b", "options").is_null());
    assert!(operation("/a/{path}", "post")["requestBody"].is_object());
    assert!(operation("/a/{path_1}/{path}", "get")["requestBody"].is_null());
    let manifest = index::manifest(&catalogue);
    assert_eq!(manifest["resources"][0]["methods"], json!(["POST", "PATCH", "DELETE"]));
    assert_eq!(wellknown::api_catalog(&catalogue)["linkset"][0]["item"][1]["method"].as_array().unwrap().len(), 5);
    assert!(llms::text(&catalogue).contains("[GET /b](https://host/b): $1, by POST, PUT, PATCH, DELETE too."));
}

#[test]
fn the_manifest_says_where_each_argument_goes() {
    let config = config(&json!({ "POST /a/:x": { "price": "$1", "input": {
        "query": { "q": "?" }, "headers": { "X-Loud": "!" }, "body": { "type": "object" }, "body_type": "form",
    } } }));
    let support = Support::default();
    let resource = index::manifest(&Catalogue::new(&config, &support, "https://host"))["resources"][0].clone();
    assert_eq!(resource["in"], json!({ "x": "path", "q": "query", "X-Loud": "header", "body": "body" }));
    assert_eq!(resource["bodyType"], "application/x-www-form-urlencoded");
}

#[test]
fn what_points_at_tools_is_named_only_where_they_are() {
    let support = Support::default();
    let tool = json!({ "GET /a": { "price": "$1", "input": {} } });
    for (discovery, there) in [(json!({}), true), (json!({ "mcp": false }), false)] {
        let config = resolved(&json!({ "ROUTES": tool, "DISCOVERY": discovery })).unwrap();
        let catalogue = Catalogue::new(&config, &support, "https://host");
        let documents = index::manifest(&catalogue)["documents"].clone();
        for name in ["mcp", "mcp_json", "server_card"] {
            assert_eq!(documents.get(name).is_some(), there, "{name} in {documents}");
        }
        assert_eq!(wellknown::mcp_json(&catalogue).is_some(), there);
        assert_eq!(wellknown::server_card(&catalogue).is_some(), there);
    }
}

#[test]
fn what_is_said_stays_in_its_line() {
    let said = |end: char| format!("Weather.{end}- [GET /a](https://host/a): $0.000001.");
    let config = resolved(&json!({
        "ROUTES": { "GET /a": { "price": "$1", "description": said('\u{2028}') } }, "SERVICE": { "description": said('\u{2029}') },
    }));
    let config = config.unwrap();
    let support = Support::default();
    let text = llms::text(&Catalogue::new(&config, &support, "https://host"));
    let lines = text.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']);
    assert_eq!(lines.filter(|line| line.starts_with("- [GET")).count(), 1, "{text}");
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

/// Of these no two overlap without one being within the other.
fn any_routes() -> impl Strategy<Value = Config> {
    let segment = prop_oneof![Just("a"), Just("b"), Just(":x"), Just("any-x-2"), Just("a-x"), Just("path")];
    let path = proptest::collection::vec(segment, 0..4);
    let pattern = ("(GET |POST |)", path, any::<bool>()).prop_map(|(method, path, rest)| {
        let path = path.iter().map(|segment| format!("/{segment}")).collect::<String>();
        let path = if rest { format!("{path}/*") } else { path };
        format!("{method}{}", if path.is_empty() { "/" } else { &path })
    });
    let routes = proptest::collection::vec((pattern, 0..9_u8), 1..9);
    routes.prop_map(|routes| {
        let mut kept = json!({});
        let mut config = None;
        for (number, (pattern, price)) in routes.into_iter().enumerate() {
            let before = kept.clone();
            // Each has a price of its own, by which it is known again.
            kept[&pattern] = if price == 0 { json!("free") } else { json!(format!("$0.00{}", number + 1)) };
            match resolved(&json!({ "ROUTES": kept })) {
                Some(resolved) => config = Some(resolved),
                None => kept = before,
            }
        }
        config.unwrap()
    })
}

proptest! {
    // What costs something is in the catalogue, and what the catalogue says is what the gate asks.
    #[test]
    fn whatever_a_request_may_cost_is_documented(
        config in any_routes(),
        method in "(GET|POST|PUT|DELETE)",
        path in "(/(a|b|c|path|any-x-2|a-x)){0,5}",
    ) {
        let support = Support::default();
        let catalogue = Catalogue::new(&config, &support, "https://host");
        let path = CanonicalPath::new(if path.is_empty() { "/" } else { &path }).unwrap();
        let document = openapi::document(&catalogue);
        if let Some(terms) = config.route(&method, &path).unwrap().and_then(|route| route.terms.as_ref()) {
            let call = catalogue.calls.iter().find(|call| std::ptr::eq(call.terms, terms));
            prop_assert!(call.is_some_and(|call| call.ways().any(|way| way.method == method)), "{method} {path:?}");
        }
        for call in &catalogue.calls {
            let sample = CanonicalPath::new(&call.sample).unwrap();
            prop_assert!(config.route(call.method, &sample).unwrap().is_some_and(|found| std::ptr::eq(found, call.route)));
            for way in call.ways() {
                let filled = CanonicalPath::new(&way.path.replace(['{', '}'], "~")).unwrap();
                prop_assert!(config.route(way.method, &filled).unwrap().is_some_and(|found| std::ptr::eq(found, call.route)));
                let operation = &document["paths"][&way.path][way.method.to_lowercase()];
                let operation = if operation.is_null() {
                    // Under another route's names for the same parameters.
                    let items = document["paths"].as_object().unwrap().values();
                    items.filter_map(|item| item.get(way.method.to_lowercase())).find(|found| found["operationId"] == way.id).unwrap()
                } else {
                    operation
                };
                prop_assert_eq!(&operation["x-payment-info"]["price"]["amount"], &amount(call.terms.price));
            }
        }
    }
}

#[test]
fn only_what_can_be_called_is_a_resource_and_the_rest_is_a_template() {
    let config = config(&json!({
        "GET /articles/:id": "$0.01", "GET /paid/:id": { "price": "$0.01", "settle": "before" }, "GET /files/*": "$0.01",
        "GET /known/:id": { "price": "$0.01", "input": { "path": { "id": { "type": "string", "example": "a7" } } } }, "GET /plain": "$0.01",
    }));
    let support = Support::default();
    let catalogue = Catalogue::new(&config, &support, "https://host");
    let x402 = wellknown::x402(&catalogue);
    assert_eq!(x402["resources"], json!(["https://host/known/a7", "https://host/plain"]));
    let urls = |list: &Value| list.as_array().unwrap().iter().map(|item| item["url"].clone()).collect::<Value>();
    assert_eq!(urls(&x402["items"]), x402["resources"]);
    let templates = json!(["https://host/articles/{id}", "https://host/files/{path}", "https://host/paid/{id}"]);
    assert_eq!(urls(&x402["templates"]), templates);
    // Where a document has a place for a URL only, what was made up says so.
    let (manifest, catalog) = (index::manifest(&catalogue), wellknown::api_catalog(&catalogue));
    let marks = |list: &Value, name: &str| {
        list.as_array().unwrap().iter().map(|item| item.get(name).is_some()).collect::<Vec<_>>()
    };
    assert_eq!(marks(&manifest["resources"], "sampleMadeUp"), [true, true, false, false, false]);
    assert_eq!(marks(&manifest["resources"], "sample"), [true, true, true, false, true]);
    assert_eq!(marks(&catalog["linkset"][0]["item"], "template"), [true, true, false, true, false]);
}

#[test]
fn the_origins_mcp_server_is_told_from_ours() {
    let with = |mcp: &str| {
        resolved(&json!({
            "ROUTES": { "GET /a": { "price": "$1", "name": "alpha", "input": {} } }, "MCP": mcp,
            "TOOLS": { "search": { "price": "$0.01", "settle": "before", "description": "Finds." }, "*": "$0.02" },
        }))
        .unwrap()
    };
    let support = Support::default();
    let config = with("origin:/server");
    let catalogue = Catalogue::new(&config, &support, "https://host");
    let text = llms::text(&catalogue);
    assert!(text.contains("has an MCP server of its own (streamable HTTP): https://host/server\n"), "{text}");
    assert!(
        text.contains("- MCP tool every other tool: $0.02.\n- MCP tool search: $0.01, paid first. Finds.\n"),
        "{text}"
    );
    assert!(text.contains("- [the calls above as tools, over MCP (streamable HTTP)](https://host/mcp)\n"), "{text}");
    let json = wellknown::mcp_json(&catalogue).unwrap();
    let endpoint = |number: usize| {
        (json["endpoints"][number]["url"].clone(), json["endpoints"][number]["tools"][0]["name"].clone())
    };
    assert_eq!(endpoint(0), (json!("https://host/server"), json!("search")));
    assert_eq!(endpoint(1), (json!("https://host/mcp"), json!("alpha")));
    assert_eq!(json["tools"][0]["name"], "search");
    assert_eq!(wellknown::server_card(&catalogue).unwrap()["transport"]["endpoint"], "/server");
    let documents = &index::manifest(&catalogue)["documents"];
    assert_eq!(
        (&documents["mcp"], &documents["mcp_routes"]),
        (&json!("https://host/server"), &json!("https://host/mcp"))
    );
    assert_eq!(wellknown::x402(&catalogue)["tools"][0]["endpoint"], "https://host/server");
    // Where both would be at one path, the origin's is there, and ours is nowhere.
    let config = with("origin:/mcp");
    let catalogue = Catalogue::new(&config, &support, "https://host");
    assert!(!llms::text(&catalogue).contains("the calls above as tools"));
    assert_eq!(wellknown::mcp_json(&catalogue).unwrap()["endpoints"].as_array().unwrap().len(), 1);
    assert_eq!(index::manifest(&catalogue)["documents"].get("mcp_routes"), None);
}

#[test]
fn what_is_not_listed_is_priced_and_told_nowhere() {
    let secret = json!({ "price": "$1", "listed": false, "name": "hush", "description": "Hush.", "input": {} });
    let config = config(&json!({ "GET /open": "$0.5", "GET /hush": secret }));
    let support = Support(vec![None]);
    let catalogue = Catalogue::new(&config, &support, "https://host");
    for document in [
        openapi::document(&catalogue).to_string(),
        llms::text(&catalogue),
        index::index(&catalogue).to_string(),
        index::manifest(&catalogue).to_string(),
        wellknown::x402(&catalogue).to_string(),
        wellknown::api_catalog(&catalogue).to_string(),
        crate::pages::landing(&index::manifest(&catalogue)).html.into_owned(),
    ] {
        assert!(!document.to_lowercase().contains("hush"), "{document}");
        assert!(document.contains("/open") && !document.contains("0.5 "), "{document}");
    }
    assert_eq!(catalogue.tools().count(), 0);
    let path = CanonicalPath::new("/hush").unwrap();
    assert!(config.route("GET", &path).unwrap().is_some_and(|route| route.terms.is_some()), "it costs what it costs");
}

mod origins;
