use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

mod cdp;
mod closing;
mod credits;
mod cures;
mod discovery;
mod file;
mod leaks;
mod recipients;
mod rpc;
mod spelled;

fn bindings(value: &Value) -> Bindings {
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn good() -> Value {
    json!({
        "ORIGIN": "https://api.example.com/v1/",
        "PAY_TO": "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
        "NETWORKS": ["eip155:84532"],
        "FACILITATORS": ["https://x402.org/facilitator"],
        "ROUTES": { "GET /weather/*": "$0.001" },
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut edited = good();
    edited[name] = value;
    edited
}

fn paths(value: &Value) -> Vec<String> {
    match Config::resolve(&bindings(value)) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(|mistake| mistake.path.clone()).collect(),
    }
}

/// What is worth a warning in a configuration that is in order.
fn warned(value: &Value) -> Vec<String> {
    let config = Config::resolve(&bindings(value)).unwrap();
    config.findings.warnings().map(|warning| warning.path.clone()).collect()
}

#[test]
fn a_plain_configuration_resolves() {
    let config = Config::resolve(&bindings(&good())).unwrap();
    assert_eq!(config.origin, Origin::Url("https://api.example.com/v1".into()));
    assert_eq!(
        (config.unrouted, config.challenge_body, config.smart_wallets),
        (Unrouted::Pass, ChallengeBody::V1, true)
    );
    let terms = config.routes[0].terms.as_ref().unwrap();
    assert_eq!(terms.requirements[0].amount.atomic(), 1_000);
    assert_eq!(terms.requirements[0].max_timeout_seconds, 300);
    assert_eq!((terms.verify_for("HEAD"), terms.verify_for("POST")), (Verify::Local, Verify::Facilitator));
}

#[test]
fn the_committed_configuration_is_in_order() {
    let text = include_str!("../../wrangler.toml");
    let (bindings, mistakes) = wrangler::read(text, None).unwrap();
    assert!(mistakes.is_empty(), "{mistakes}");
    assert_eq!(Config::resolve(&bindings).map(|config| config.routes.len()).map_err(|m| m.to_string()), Ok(2));
}

#[test]
fn structured_variables_may_be_json_text_and_split() {
    let mut split = with("ROUTES", json!(r#"{"GET /a":"$0.001"}"#));
    split["ROUTES_1"] = json!({ "GET /b": "$0.002" });
    split["ROUTES_10"] = json!({ "GET /c": "free" });
    split["NETWORKS"] = json!(r#"["eip155:84532","eip155:8453"]"#);
    let config = Config::resolve(&bindings(&split)).unwrap();
    assert_eq!(config.routes.iter().map(|r| r.pattern.as_str()).collect::<Vec<_>>(), ["GET /a", "GET /b", "GET /c"]);
    assert_eq!(config.routes[0].terms.as_ref().unwrap().requirements.len(), 2, "both networks are offered");
    assert!(config.routes[2].terms.is_none());
    assert_eq!(paths(&with("ROUTES", json!(r#"{"GET /a":"$1","GET /a":"$0.001"}"#))).len(), 2, "a key twice in JSON");
}

#[test]
fn every_mistake_is_named_at_once() {
    let bad = json!({
        "ORIGIN": "http://api.example.com",
        "PAY_TO": "0x209693Bc6afc0C5328bA36FaF03C514EF312287c",
        "NETWORKS": ["base", "eip155:999999"],
        "FACILITATORS": [{ "url": "https://user@x402.org", "auth": "oauth" }],
        "DEFAULT": "allow",
        "ROUTES": { "GET /a": "$0.0000001", "GET /b": 0.001, "/c*": "$1", "GET /d": { "price": "-1", "settle": "deferred", "colour": 1 } },
        "ROUTE": {},
    });
    let found = paths(&bad);
    for path in [
        "ROUTE",
        "ORIGIN",
        "FACILITATORS[0].auth",
        "FACILITATORS[0].url",
        "DEFAULT",
        "NETWORKS[0]",
        "NETWORKS[1]",
        "PAY_TO",
        "ROUTES.\"GET /b\"",
        "ROUTES.\"/c*\"",
        "ROUTES.\"GET /d\".price",
        "ROUTES.\"GET /d\".max_exposure",
        "ROUTES.\"GET /d\".colour",
    ] {
        assert!(found.iter().any(|p| p == path), "{path} is not in {found:#?}");
    }
}

#[test]
fn prices_that_are_not_exact_are_refused() {
    for price in [
        json!("$0.0000001"),
        json!("-1"),
        json!("0"),
        json!("$0.00"),
        json!(0.001),
        json!(1),
        json!(true),
        json!(null),
        json!("1e-3"),
        json!(""),
        json!({}),
        json!({ "price": 0.5 }),
        json!(["$1"]),
    ] {
        let found = paths(&with("ROUTES", json!({ "GET /a": price.clone() })));
        assert!(found.iter().any(|path| path.starts_with("ROUTES.\"GET /a\"")), "{price} gave {found:?}");
    }
}

#[test]
fn overlapping_patterns_are_refused_with_both_names() {
    let overlapping = with("ROUTES", json!({ "GET /a/:x": "$1", "GET /:y/b": "$0.001" }));
    let mistakes = Config::resolve(&bindings(&overlapping)).unwrap_err().to_string();
    assert!(mistakes.contains("GET /a/:x") && mistakes.contains("GET /:y/b"), "{mistakes}");
    let nested = with("ROUTES", json!({ "GET /a/*": "$1", "GET /a/b": "$0.001", "/*": "$2", "GET /a/:x/c": "free" }));
    assert_eq!(paths(&nested), Vec::<String>::new());
    let twice = with("ROUTES", json!({ "GET /a/:x": "$1", "GET /a/:y": "$0.001" }));
    assert_eq!(paths(&twice).len(), 1);
}

#[test]
fn the_most_specific_route_wins() {
    let nested = with("ROUTES", json!({ "/*": "$3", "GET /a/*": "$2", "GET /a/b": "$1", "GET /a/free": "free" }));
    let config = Config::resolve(&bindings(&nested)).unwrap();
    let pattern = |method: &str, path: &str| {
        let path = CanonicalPath::new(path).unwrap();
        config.route(method, &path).map(|route| route.map(|r| r.pattern.as_str().to_owned()).unwrap_or_default())
    };
    assert_eq!(pattern("GET", "/A/B/"), Ok("GET /a/b".into()));
    assert_eq!(pattern("HEAD", "/a/b/c"), Ok("GET /a/*".into()));
    assert_eq!(pattern("POST", "/a/b"), Ok("/*".into()));
    assert_eq!(pattern("GET", "/"), Ok("/*".into()));
    assert_eq!(pattern("GET", "/a/free;x=1"), Err(AmbiguousRoute), "free to one origin, priced to another");
    assert_eq!(pattern("GET", "/a/b%20"), Err(AmbiguousRoute), "the cheaper one to Windows");
    assert_eq!(pattern("GET", "/a/b%3Fx/y"), Err(AmbiguousRoute), "the cheaper one to who unescapes before it cuts");
    assert_eq!(pattern("GET", "/a/c;x=1"), Ok("GET /a/*".into()));
}

#[test]
fn tokens_beyond_the_registry_are_complete_or_refused() {
    let token = json!({
        "network": "eip155:31337", "address": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
        "name": "Test Dollar", "version": "1", "decimals": 2, "symbol": "TUSD",
    });
    let mut own = with("ASSETS", json!([&token]));
    own["NETWORKS"] = json!(["eip155:31337"]);
    own["ROUTES"] = json!({ "GET /a": "$0.01" });
    let config = Config::resolve(&bindings(&own)).unwrap();
    assert_eq!(config.routes[0].terms.as_ref().unwrap().requirements[0].amount.atomic(), 1);
    own["ROUTES"] = json!({ "GET /a": "$0.001" });
    assert_eq!(paths(&own), ["ROUTES.\"GET /a\""], "finer than the token");
    for missing in ["network", "address", "name", "version", "decimals", "symbol"] {
        let mut partial = token.clone();
        partial.as_object_mut().unwrap().remove(missing);
        let found = paths(&with("ASSETS", json!([partial])));
        assert!(found.contains(&format!("ASSETS[0].{missing}")), "{missing}: {found:?}");
    }
}

#[test]
fn money_goes_only_where_the_checksum_says() {
    for odd in [
        "0x209693Bc6afc0C5328bA36FaF03C514EF312287c",
        "0x2096",
        "209693Bc6afc0C5328bA36FaF03C514EF312287C",
        "0x0000000000000000000000000000000000000000",
        "vitalik.eth",
    ] {
        assert_eq!(paths(&with("PAY_TO", json!(odd))), ["PAY_TO"], "{odd}");
    }
    assert_eq!(paths(&with("PAY_TO", json!("0x209693bc6afc0c5328ba36faf03c514ef312287c"))), Vec::<String>::new());
}

#[test]
fn requests_go_only_where_nobody_listens() {
    for odd in [
        "http://api.example.com",
        "ftp://x",
        "api.example.com",
        "https://1.2.3.4",
        "https://a:b@x.com",
        "https://x.com?q",
        "",
    ] {
        assert_eq!(paths(&with("ORIGIN", json!(odd))), ["ORIGIN"], "{odd}");
        assert_eq!(paths(&with("FACILITATORS", json!([odd]))), ["FACILITATORS[0]"], "{odd}");
    }
    for fine in ["http://127.0.0.1:4021", "http://localhost", "http://[::1]:80", "https://x.com/base"] {
        assert_eq!(paths(&with("ORIGIN", json!(fine))), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn nothing_missing_is_free() {
    for name in ["ORIGIN", "PAY_TO", "NETWORKS", "FACILITATORS", "ROUTES"] {
        let mut partial = good();
        partial.as_object_mut().unwrap().remove(name);
        assert!(paths(&partial).iter().any(|path| path.starts_with(name)), "{name}");
    }
    for (name, value) in [
        ("ROUTES", json!({})),
        ("ROUTES", json!([])),
        ("NETWORKS", json!([])),
        ("FACILITATORS", json!([])),
        ("PACKAGES", json!({})),
        ("ROUTES_A", json!({})),
        ("ROUTES_POST", json!({})),
        ("ORIGIN_SERVICE", json!("x")),
    ] {
        assert!(!paths(&with(name, value.clone())).is_empty(), "{name} = {value}");
    }
}

#[test]
fn bindings_of_the_runtime_are_no_mistakes() {
    let mut env = good();
    for name in ["PAYER", "ACCOUNT", "JOURNAL", "METRICS", "LIMITER", "CACHE", "CF_VERSION_METADATA"] {
        env[name] = json!({});
    }
    assert_eq!(paths(&env), Vec::<String>::new());
    env.as_object_mut().unwrap().remove("ORIGIN");
    env["ORIGIN_SERVICE"] = json!({});
    assert_eq!(Config::resolve(&bindings(&env)).unwrap().origin, Origin::Service);
}

#[test]
fn secrets_are_not_shown() {
    let secret = "0123456789abcdef0123456789abcdef";
    let mut keyed = with("ORIGIN_SECRET", json!(secret));
    keyed["FACILITATORS"] = json!([{ "url": "https://x402.org", "headers": { "X-Api-Key": secret } }]);
    keyed["RPC"] = json!(format!("https://x.example.com/{secret}"));
    let config = Config::resolve(&bindings(&keyed)).unwrap();
    assert!(!format!("{config:?}").contains(secret));
    assert_eq!(config.origin_secret.unwrap().expose(), secret);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "(\\$?[0-9.]{0,6}|(GET |)/[a-z*:;%]{0,5}|eip155:[0-9]{0,6})".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("(price|url|auth|settle|GET /[a-c:*/]{0,4}|[a-z]{1,4})", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    // Whatever an operator writes is refused with a place and a cure, or every route has a price or says that it is free.
    #[test]
    fn no_configuration_panics_or_gives_away(name in "(ORIGIN|PAY_TO|NETWORKS|FACILITATORS|ROUTES|ROUTES_1|ASSETS|DEFAULT|SMART_WALLETS|CDP_API_KEY_ID|RPC)", value in any_json()) {
        if let Ok(config) = Config::resolve(&bindings(&with(&name, value.clone()))) {
            for route in &config.routes {
                prop_assert!(route.terms.is_some() || value.to_string().contains("free"));
            }
        }
    }
}

#[test]
fn more_ways_to_pay_than_a_header_holds_are_a_mistake() {
    let coin = |n: u8| {
        json!({
            "network": "eip155:84532", "address": format!("0x{n:040}"), "name": "Coin", "version": "1", "decimals": 6,
            "symbol": "COIN",
        })
    };
    let mut many = with("ASSETS", (1..=60_u8).map(coin).collect());
    assert_eq!(paths(&many), ["NETWORKS"], "once, however many routes and packages there are");
    many["PACKAGES"] = json!({ "small": { "price": "$1", "credits": 5 } });
    many["KEY_SECRET"] = json!("a-secret-of-32-characters-or-so-");
    many["ROUTES"] = json!({ "GET /a": "$1", "GET /b": { "price": "$1", "networks": ["eip155:84532"] } });
    assert_eq!(paths(&many), ["NETWORKS", "ROUTES.\"GET /b\".networks"]);
    many["ASSETS"] = (1..=15_u8).map(coin).collect();
    assert_eq!(paths(&many), [""; 0]);
}
