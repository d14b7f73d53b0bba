//! A mistake closes what it can make wrong, and no more; what is unused is a warning.

use super::*;
use crate::gate::{Decision, Facts, Triage, triage};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const KEY: &str = "EQsBtSzuAjPKHnxtNu1HaFb9Yd/94MoF3zgq042FRju7uRvG0xmPYpVLnaygJkwrjBx6xQYlAuovEcIKXmmcVg==";

/// With all that an operator may have.
fn full() -> Value {
    json!({
        "ORIGIN": "https://api.example.com",
        "PAY_TO": "0x1111111111111111111111111111111111111111",
        "NETWORKS": ["eip155:8453"],
        "FACILITATORS": [{ "url": "https://api.cdp.coinbase.com/platform/v2/x402", "auth": "cdp" }],
        "CDP_API_KEY_ID": "id",
        "CDP_API_KEY_SECRET": KEY,
        "RPC": { "eip155:8453": "https://node.example.com/" },
        "PACKAGES": { "small": { "price": "$1", "credits": 1000 } },
        "KEY_SECRET": SECRET,
        "ADMIN_TOKEN": SECRET,
        "ORIGIN_SECRET": SECRET,
        "SERVICE": { "name": "Weather" },
        "ROUTES": { "GET /weather/*": "$0.001", "GET /about": "free" },
    })
}

fn changed(name: &str, value: Value) -> Value {
    let mut changed = full();
    match value {
        Value::Null => drop(changed.as_object_mut().unwrap().remove(name)),
        value => changed[name] = value,
    }
    changed
}

/// What is closed in a Worker that was deployed so; all of it where nothing runs.
fn closed(value: &Value) -> Vec<Area> {
    match Config::deployed(&bindings(value)) {
        Ok(config) => config.findings.closed(),
        Err(mistakes) => {
            assert!(mistakes.close(Area::Everything));
            vec![Area::Everything]
        }
    }
}

#[test]
fn what_can_make_a_call_free_cheaper_or_wrong_closes_everything() {
    assert_eq!(closed(&full()), []);
    for (name, value) in [
        ("ORIGIN", json!(null)),
        ("ORIGIN", json!("http://api.example.com")),
        ("ORIGIN_SERVICE", json!({})),
        ("ORIGIN_SECRET", json!("short")),
        ("PAY_TO", json!(null)),
        ("PAY_TO", json!("0x00")),
        ("PAY_TO", json!("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913")),
        ("NETWORKS", json!(null)),
        ("NETWORKS", json!(["base"])),
        ("ROUTES", json!({})),
        ("ROUTES", json!({ "GET /a": "$0" })),
        ("ROUTES", json!({ "GET /a": { "price": "$1", "setle": "before" } })),
        ("ROUTE", json!({ "GET /a": "$1" })),
        ("ROUTES_A", json!({ "GET /a": "$1" })),
        ("DEFAULT", json!("denny")),
        ("KEY_PREFIX", json!("E402!")),
        ("TOOLS", json!({ "search": "$1" })),
        ("TOOLS_1", json!({ "search": "$1" })),
        ("MCP", json!("origin:/mcp")),
        ("ASSETS", json!([{ "network": "eip155:8453" }])),
    ] {
        assert_eq!(closed(&changed(name, value.clone())), [Area::Everything], "{name} = {value}");
    }
}

#[test]
fn what_is_missing_for_one_part_closes_that_part() {
    for (name, value) in [
        ("FACILITATORS", json!(null)),
        ("FACILITATORS", json!(["http://facilitator.example"])),
        ("FACILITATORS_A", json!(["https://facilitator.example"])),
        ("CDP_API_KEY_ID", json!(null)),
        ("CDP_API_KEY_SECRET", json!(null)),
        ("CDP_API_KEY_SECRET", json!("no key")),
        ("RPC", json!("http://node.example.com")),
        ("RPC", json!({ "base": "https://node.example.com" })),
        ("SMART_WALLETS", json!("no")),
        ("SMART_WALETS", json!("false")),
        ("CHALLENGE_BODY", json!("v3")),
    ] {
        assert_eq!(closed(&changed(name, value.clone())), [Area::Sales], "{name} = {value}");
    }
    for (name, value) in [
        ("KEY_SECRET", json!(null)),
        ("KEY_SECRET", json!("short")),
        ("KEY_SECRET_PREVIOUS", json!("short")),
        ("PACKAGES", json!({})),
        ("PACKAGES", json!({ "small": { "price": "free", "credits": 1 } })),
        ("PACKAGES", json!({ "small": { "price": "$1" } })),
        ("PACKAGES_A", json!({ "small": { "price": "$1", "credits": 1 } })),
        ("CREDIT_VALUE", json!("nothing")),
        ("ROUTES", json!({ "GET /a": { "price": "$1", "credits": "many" } })),
    ] {
        assert_eq!(closed(&changed(name, value.clone())), [Area::Credits], "{name} = {value}");
    }
    assert_eq!(closed(&changed("ADMIN_TOKEN", json!("short"))), [Area::Admin]);
    for (name, value) in [
        ("SERVICE", json!({ "name": "Wetter für alle" })),
        ("DISCOVERY", json!("off")),
        ("OPENAPI", json!("/openapi.json")),
    ] {
        assert_eq!(closed(&changed(name, value.clone())), [Area::Documents], "{name} = {value}");
    }
}

#[test]
fn what_is_unused_is_a_warning_and_closes_nothing() {
    assert_eq!(warned(&full()), Vec::<String>::new());
    for (name, value, warning) in [
        ("PACKAGES", json!(null), "KEY_SECRET"),
        ("FACILITATORS", json!(["https://facilitator.example"]), "CDP_API_KEY_ID"),
        (
            "RPC",
            json!({ "eip155:8453": "https://node.example.com/", "eip155:84532": "https://sepolia.base.org" }),
            "RPC.\"eip155:84532\"",
        ),
        ("NETWORKS", json!(["eip155:8453", "eip155:8453"]), "NETWORKS[1]"),
        ("ORIGIN_SIGNING_KEY", json!("x"), "ORIGIN_SIGNING_KEY"),
        ("ROUTES", json!({ "GET /a": { "price": "$1", "max_exposure": "$2" } }), "ROUTES.\"GET /a\".max_exposure"),
    ] {
        let changed = changed(name, value.clone());
        assert_eq!(closed(&changed), [], "{name} = {value}");
        assert!(warned(&changed).iter().any(|path| path == warning), "{name} = {value}: {:?}", warned(&changed));
    }
    let mut plain = good();
    plain["ROUTES"] = json!({ "GET /a": { "price": "$1", "credits": 2 } });
    plain["CREDIT_VALUE"] = json!("$0.01");
    assert_eq!(warned(&plain), ["CREDIT_VALUE", "ROUTES.\"GET /a\".credits"]);
}

#[test]
fn a_closed_part_gives_nothing_away() {
    // A mistake elsewhere must not hide that a route has no price, nor leave half of what is closed in use.
    for (name, value) in [
        ("FACILITATORS", json!([])),
        ("KEY_SECRET", json!("short")),
        ("ADMIN_TOKEN", json!("short")),
        ("SERVICE", json!(7)),
        ("RPC", json!("http://node.example.com")),
    ] {
        let config = Config::deployed(&bindings(&changed(name, value.clone()))).unwrap();
        let facts = |path: &str| Facts { method: "GET".into(), path: path.into(), ..Facts::default() };
        assert!(matches!(triage(&config, &facts("/weather/lisbon")), Triage::Priced(..)), "{name} = {value}");
        let free = triage(&config, &facts("/about"));
        assert!(matches!(free, Triage::Decided(Decision::PassThrough)), "{name} = {value}");
        assert_eq!(config.facilitators.is_empty(), config.is_closed(Area::Sales), "{name} = {value}");
        assert_eq!(config.credits.is_none(), config.is_closed(Area::Credits), "{name} = {value}");
        assert_eq!(config.admin_token.is_none(), config.is_closed(Area::Admin), "{name} = {value}");
    }
    let nothing_asked = Config::deployed(&bindings(&changed("SERVICE", json!(7)))).unwrap();
    assert_eq!(nothing_asked.discovery, Discovery::default());
}

#[test]
fn the_documented_steps_close_no_free_path_in_either_order() {
    // PACKAGES and KEY_SECRET; auth = "cdp" and its secrets; RPC and NETWORKS; each before the other.
    for (name, value) in [
        ("PACKAGES", json!(null)),
        ("KEY_SECRET", json!(null)),
        ("CDP_API_KEY_ID", json!(null)),
        ("FACILITATORS", json!(["https://facilitator.example"])),
        ("RPC", json!({ "eip155:84532": "https://sepolia.base.org" })),
    ] {
        Config::deployed(&bindings(&changed(name, value))).unwrap();
    }
    let file = Config::resolve_file(&bindings(&changed("KEY_SECRET", json!(null)))).unwrap();
    assert_eq!(file.1, ["KEY_SECRET"]);
}
