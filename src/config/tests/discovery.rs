use super::*;
use crate::config::{Document, Place, ToolPrice};

fn resolved(value: &Value) -> Config {
    Config::resolve(&bindings(value)).unwrap()
}

fn route(terms: &Value) -> Value {
    with("ROUTES", json!({ "GET /weather/:city": terms }))
}

#[test]
fn what_a_call_takes_is_read_whole() {
    let config = resolved(&route(&json!({
        "price": "$0.001", "name": "weather",
        "input": { "path": { "city": "A city" }, "query": { "units": { "enum": ["c", "f"] }, "days": "How many" },
                   "headers": { "X-Loud": "Yes" }, "required": ["units"] },
        "output": { "example": { "celsius": 21 } },
    })));
    let about = &config.routes[0].terms.as_ref().unwrap().about;
    let input = about.input.as_ref().unwrap();
    assert_eq!(input.path["city"], json!({ "type": "string", "description": "A city" }));
    assert_eq!(input.all_required(), ["city", "units"]);
    assert_eq!(input.arguments().collect::<Vec<_>>(), ["city", "days", "units", "X-Loud"]);
    assert_eq!(about.name.as_deref(), Some("weather"));
    // Of what is not described it is known that it is a text.
    let bare = resolved(&route(&json!({ "price": "$1", "input": {} })));
    let input = bare.routes[0].terms.as_ref().unwrap().about.input.clone().unwrap();
    assert_eq!(input.path["city"], json!({ "type": "string" }));
}

#[test]
fn a_description_that_promises_what_cannot_be_is_a_mistake() {
    for (input, path) in [
        (json!(7), "input"),
        (json!({ "colour": 1 }), "input.colour"),
        (json!({ "path": { "town": "x" } }), "input.path.\"town\""),
        (json!({ "query": { "a b": "x" } }), "input.query.\"a b\""),
        (json!({ "query": { "city": "twice" } }), "input"),
        (json!({ "query": { "u": { "type": "text" } } }), "input.query.\"u\""),
        (json!({ "query": { "u": { "$ref": "https://x.example" } } }), "input.query.\"u\""),
        (json!({ "query": { "u": { "type": "string", "format": "date" } }, "required": ["u"] }), "input.\"u\""),
        (json!({ "required": ["units"] }), "input.required"),
        (json!({ "body": { "type": "string", "pattern": "^a$" } }), "input.body"),
        (json!({ "body_type": "xml" }), "input.body_type"),
        (json!({ "headers": { "Authorization": "no" } }), "input.headers.\"Authorization\""),
        (json!({ "headers": { "PAYMENT-SIGNATURE": "no" } }), "input.headers.\"PAYMENT-SIGNATURE\""),
        (json!({ "headers": { "X-Edge402-Payer": "no" } }), "input.headers.\"X-Edge402-Payer\""),
        (json!({ "headers": { "X_Payment": "no" } }), "input.headers.\"X_Payment\""),
    ] {
        let wanted = format!("ROUTES.\"GET /weather/:city\".{path}");
        assert_eq!(paths(&route(&json!({ "price": "$1", "input": input }))), [wanted], "{input}");
    }
    let long = "x".repeat(5_000);
    let too_long = route(&json!({ "price": "$1", "input": { "query": { "q": long } } }));
    assert_eq!(paths(&too_long), ["ROUTES.\"GET /weather/:city\".input"]);
    assert_eq!(paths(&route(&json!({ "price": "$1", "name": "a b" }))), ["ROUTES.\"GET /weather/:city\".name"]);
    let twice = json!({ "GET /a": { "price": "$1", "name": "x" }, "GET /b": { "price": "$1", "name": "x" } });
    assert_eq!(paths(&with("ROUTES", twice)), ["ROUTES.\"GET /b\".name"]);
}

#[test]
fn documents_can_be_moved_and_switched_off() {
    let all = resolved(&good()).discovery;
    assert_eq!(all.path_of(Document::OpenApi), Some("/openapi.json"));
    assert_eq!(all.path_of(Document::Landing), None, "a page at the root is nobody's expectation");
    assert!(all.placements.iter().all(|placement| !placement.asked) && all.paywall && all.links);
    let moved =
        resolved(&with("DISCOVERY", json!({ "llms": "/about.txt", "x402": false, "landing": true, "paywall": false })));
    assert_eq!(moved.discovery.path_of(Document::Llms), Some("/about.txt"));
    assert_eq!(moved.discovery.path_of(Document::X402), None);
    assert!(moved.discovery.at("/").is_some_and(|placement| placement.asked) && !moved.discovery.paywall);
    assert!(resolved(&with("DISCOVERY", json!(false))).discovery.placements.is_empty());
    // Unasked it gives way to a route that names its very path.
    let named = resolved(&with("ROUTES", json!({ "GET /llms.txt": "$1", "/api/*": "free" }))).discovery;
    assert_eq!((named.path_of(Document::Llms), named.path_of(Document::Index)), (None, Some("/api/v1")));
}

#[test]
fn documents_in_each_others_way_are_mistakes() {
    for (value, path) in [
        (json!({ "llms": 7 }), "DISCOVERY.llms"),
        (json!({ "llms": "about" }), "DISCOVERY.llms"),
        (json!({ "llms": "/a//b" }), "DISCOVERY.llms"),
        (json!({ "llms": [] }), "DISCOVERY.llms"),
        (json!({ "llms": "/openapi.json" }), "DISCOVERY.llms"),
        (json!({ "llms": "/dashboard" }), "DISCOVERY.llms"),
        (json!({ "llms": "/api/admin/x" }), "DISCOVERY.llms"),
        (json!({ "llms": "/a>b" }), "DISCOVERY.llms"),
        (json!({ "llms": "/a\"b" }), "DISCOVERY.llms"),
        (json!({ "llms": "/a,b" }), "DISCOVERY.llms"),
        (json!({ "llms": "/a)b" }), "DISCOVERY.llms"),
        (json!({ "llms": "/{a}" }), "DISCOVERY.llms"),
        (json!({ "paywall": "no" }), "DISCOVERY.paywall"),
        (json!({ "robots": true }), "DISCOVERY.robots"),
        (json!("all"), "DISCOVERY"),
    ] {
        assert_eq!(paths(&with("DISCOVERY", value.clone())), [path], "{value}");
    }
    let mut taken = with("DISCOVERY", json!({ "llms": "/prices" }));
    taken["ROUTES"] = json!({ "GET /prices": "$1" });
    assert_eq!(paths(&taken), ["DISCOVERY.llms"]);
    let mut root = with("DISCOVERY", json!({ "landing": true }));
    for (routes, mistakes) in [
        (json!({ "POST /": "$1", "/*": "$2" }), vec![]),
        (json!({ "GET /": "$1" }), vec!["DISCOVERY.landing"]),
        (json!({ "/": "$1" }), vec!["DISCOVERY.landing"]),
    ] {
        root["ROUTES"] = routes;
        assert_eq!(paths(&root), mistakes, "{root}");
    }
    assert_eq!(paths(&with("OPENAPI", json!("/openapi.json"))), ["OPENAPI"]);
    let service = json!({ "name": "x".repeat(33), "tags": ["a", "b", "c", "d", "e", "f"], "icon_url": "http://x/y", "contact": "me" });
    assert_eq!(
        paths(&with("SERVICE", service)),
        ["SERVICE.name", "SERVICE.tags", "SERVICE.icon_url", "SERVICE.contact"]
    );
}

#[test]
fn an_openapi_document_of_the_origins_is_taken_over_at_one_path_and_not_at_two() {
    let asked = |openapi: &str| {
        let discovery = resolved(&with("OPENAPI", json!(openapi))).discovery;
        ["/openapi.json", "/api/openapi.json"].map(|path| discovery.at(path).is_some_and(|placement| placement.asked))
    };
    assert_eq!(asked("origin:/internal/spec.json"), [true, false]);
    assert_eq!(asked("origin:/openapi.json"), [true, false]);
    assert_eq!(asked("origin:/api/openapi.json"), [true, true], "the very document that is annotated");
    let mut both = with("OPENAPI", json!("origin:/openapi.json"));
    both["DISCOVERY"] = json!({ "openapi": true });
    assert!(resolved(&both).discovery.at("/api/openapi.json").is_some_and(|placement| placement.asked));
}

fn gated(tools: &Value) -> Value {
    let mut value = with("MCP", json!("origin:/mcp"));
    value["TOOLS"] = tools.clone();
    value
}

#[test]
fn tools_are_priced_by_their_names() {
    let mut value = gated(&json!({ "search": "$0.01", "slow": { "price": "$1", "settle": "before" }, "ping": "free" }));
    let price = |value: &Value, name: &str| {
        let config = resolved(value);
        match config.tools.as_ref().unwrap().price(name, config.unrouted) {
            ToolPrice::Free => "free".to_owned(),
            ToolPrice::Priced(terms) => terms.price.to_string(),
            ToolPrice::Unknown => "unknown".to_owned(),
        }
    };
    assert_eq!(
        ["search", "slow", "ping", "Se.arch", "other"].map(|name| price(&value, name)),
        ["$0.01", "$1", "free", "$0.01", "free"]
    );
    assert_eq!([" search", "ſearch", "s\u{200b}earch"].map(|name| price(&value, name)), ["unknown"; 3]);
    value["DEFAULT"] = json!("deny");
    assert_eq!(price(&value, "other"), "unknown");
    value["TOOLS"]["*"] = json!("$0.002");
    assert_eq!(["other", "ping"].map(|name| price(&value, name)), ["$0.002", "free"]);
    assert_eq!([" search", "ſearch"].map(|name| price(&value, name)), ["unknown"; 2]);
    // Ours gives way to the origin's.
    assert_eq!(resolved(&value).discovery.path_of(Document::Mcp), None);
}

#[test]
fn a_path_that_may_be_the_servers_is_nobodys() {
    let config = resolved(&gated(&json!({ "search": "$0.01" })));
    let tools = config.tools.as_ref().unwrap();
    let place = |path: &str| tools.place(&CanonicalPath::new(path).unwrap());
    for (path, wanted) in [
        ("/mcp", Place::Here),
        ("/MCP/", Place::Here),
        ("/mcp/x", Place::Below),
        ("/mcpx", Place::Elsewhere),
        ("/x/mcp", Place::Elsewhere),
        ("/x;v=1/y", Place::Elsewhere),
        ("/mcp;x", Place::Doubtful),
        ("/mcp.", Place::Doubtful),
        ("/mcp%3Fx/report", Place::Doubtful),
        ("/mcp/report;x", Place::Below),
        ("/mcp;x/report", Place::Doubtful),
    ] {
        assert_eq!(place(path), wanted, "{path}");
    }
}

#[test]
fn tools_without_a_server_or_in_its_way_are_mistakes() {
    assert_eq!(paths(&with("TOOLS", json!({ "a": "$1" }))), ["TOOLS"]);
    assert_eq!(paths(&gated(&json!({}))), ["TOOLS"]);
    assert_eq!(paths(&gated(&json!({ "a": 0.1 }))), ["TOOLS.\"a\""]);
    assert_eq!(
        warned(&gated(&json!({ "a": { "price": "$1", "input": {} } }))),
        ["TOOLS.\"a\""],
        "its server describes it"
    );
    let mut routed = gated(&json!({ "a": "$1" }));
    routed["ROUTES"] = json!({ "POST /MCP": "$1" });
    assert_eq!(paths(&routed), ["ROUTES.\"POST /MCP\""]);
    let mut asked = gated(&json!({ "a": "$1" }));
    asked["DISCOVERY"] = json!({ "mcp": "/mcp" });
    assert_eq!(paths(&asked), ["DISCOVERY.mcp"]);
}

#[test]
fn a_price_for_everything_is_no_price_of_a_tool() {
    let with_tools = |routes: Value, tools: Value| {
        let mut edited = with("MCP", json!("origin:/mcp"));
        edited["TOOLS"] = tools;
        edited["ROUTES"] = routes;
        paths(&edited)
    };
    let dear = json!({ "search": "$0.50" });
    assert_eq!(with_tools(json!({ "/*": "$0.001" }), dear.clone()), [r#"ROUTES."/*""#]);
    assert_eq!(with_tools(json!({ "POST /:any/*": "$0.001" }), dear.clone()), [r#"ROUTES."POST /:any/*""#]);
    assert_eq!(with_tools(json!({ "/*": "free", "/a/*": "$0.001" }), dear), Vec::<String>::new());
    assert_eq!(with_tools(json!({ "/*": "$0.001" }), json!({ "search": "free" })), Vec::<String>::new());
}
