//! A cure says what to write, and it is what was meant.

use super::*;
use crate::config::wrangler;

fn only(value: &Value) -> Mistake {
    let mistakes = Config::resolve(&bindings(value)).unwrap_err();
    let all: Vec<_> = mistakes.iter().cloned().collect();
    assert_eq!(all.len(), 1, "{mistakes}");
    all[0].clone()
}

#[test]
fn a_network_by_any_other_name_is_told_its_own_id() {
    for (written, id) in [
        (json!("base"), "eip155:8453"),
        (json!("Base"), "eip155:8453"),
        (json!("base-mainnet"), "eip155:8453"),
        (json!("Base Mainnet"), "eip155:8453"),
        (json!("base-sepolia"), "eip155:84532"),
        (json!("base_sepolia"), "eip155:84532"),
        (json!("8453"), "eip155:8453"),
        (json!(8453), "eip155:8453"),
        (json!("EIP155:8453"), "eip155:8453"),
        (json!("eip155:08453"), "eip155:8453"),
        (json!(" eip155:8453"), "eip155:8453"),
        (json!("polygon"), "eip155:137"),
        (json!("arbitrum-one"), "eip155:42161"),
    ] {
        let found = only(&with("NETWORKS", json!(["eip155:84532", written.clone()])));
        assert_eq!(found.cure, format!("write \"{id}\""), "{written}: {found}");
        let mut route = good();
        route["ROUTES"] = json!({ "GET /a": { "price": "$1", "networks": ["eip155:84532", written] } });
        assert_eq!(only(&route).cure, format!("write \"{id}\""));
    }
    let asset = json!([{ "network": "base", "address": "0x79A02482A880bCE3F13e09Da970dC34db4CD24d1", "name": "USDC", "version": "2", "decimals": 6, "symbol": "USDC" }]);
    assert_eq!(only(&with("ASSETS", asset)).cure, "write \"eip155:8453\"");
    assert_eq!(only(&with("RPC", json!({ "base": "https://mainnet.base.org" }))).cure, "write \"eip155:8453\"");
    let unknown = only(&with("NETWORKS", json!(["eip155:84532", "somewhere"])));
    assert!(unknown.cure.contains("\"eip155:8453\""), "{unknown}");
}

#[test]
fn a_chain_that_is_no_evm_chain_is_said_not_to_be_taken() {
    for id in ["solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "solana", "solana-devnet", "aptos:1", "stellar:pubnet"] {
        let found = only(&with("NETWORKS", json!(["eip155:84532", id])));
        assert!(found.problem.contains("only EVM networks") && !found.cure.contains("CAIP-2"), "{found}");
    }
}

#[test]
fn one_value_of_a_list_is_told_to_be_a_list() {
    for (name, value, cure) in [
        ("NETWORKS", "eip155:8453", "write a list: [\"eip155:8453\"]"),
        ("NETWORKS", "eip155:8453, eip155:84532", "write a list: [\"eip155:8453\", \"eip155:84532\"]"),
        ("FACILITATORS", "https://x402.org/facilitator", "write a list: [\"https://x402.org/facilitator\"]"),
    ] {
        let found = only(&with(name, json!(value)));
        assert_eq!((found.cure.as_str(), found.problem.as_str()), (cure, "is a text, and not a list"));
    }
}

#[test]
fn methods_are_told_how_they_are_written() {
    for (written, cure) in [
        ("GET,POST /x", "write a route for each: \"GET /x\" and \"POST /x\"; or \"/x\", which is for any method"),
        ("GET, POST /x", "write a route for each: \"GET /x\" and \"POST /x\"; or \"/x\", which is for any method"),
        ("GET|HEAD /x", "write a route for each: \"GET /x\"; or \"/x\", which is for any method"),
        ("* /x", "leave it out: \"/x\" is for any method"),
        ("ANY /x", "leave it out: \"/x\" is for any method"),
        ("get /x", "write \"GET /x\""),
        ("GET  /x", "write \"GET /x\""),
    ] {
        assert_eq!(only(&with("ROUTES", json!({ written: "$1" }))).cure, cure, "{written}");
    }
}

#[test]
fn what_is_missing_is_told_beside_whatever_else_is_wrong() {
    let mut bare = good();
    for name in ["PAY_TO", "ROUTES"] {
        bare.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(paths(&bare), ["ROUTES", "PAY_TO"]);
    bare["ROUTES"] = json!({ "HEAD /x": "$1" });
    assert_eq!(paths(&bare), ["ROUTES.\"HEAD /x\"", "PAY_TO"]);
    bare["ROUTES"] = json!({ "GET /x": "$0.0000001" });
    assert_eq!(paths(&bare), ["PAY_TO", "ROUTES.\"GET /x\""], "a price is judged without anyone to pay it to");
    let mut own = good();
    own["ROUTES"] = json!({ "GET /x": { "price": "$1", "pay_to": "0x1111111111111111111111111111111111111111" } });
    own.as_object_mut().unwrap().remove("PAY_TO");
    assert_eq!(paths(&own), Vec::<String>::new());
}

#[test]
fn real_money_that_no_facilitator_settles_is_a_mistake_before_the_deployment() {
    let mut real = with("NETWORKS", json!(["eip155:84532", "eip155:8453"]));
    real["PAY_TO"] = json!("0x1111111111111111111111111111111111111111");
    let in_a_file = |value: &Value| Config::resolve_file(&bindings(value)).map(|_| ()).map_err(|m| m.to_string());
    let problem = in_a_file(&real).unwrap_err();
    assert!(problem.contains("FACILITATORS: x402.org settles test networks only, and eip155:8453"), "{problem}");
    assert_eq!(warned(&real), ["FACILITATORS"], "a Worker offers what is settled");
    real["FACILITATORS"] = json!(["https://x402.org/facilitator", "https://facilitator.example"]);
    assert_eq!(in_a_file(&real), Ok(()));
    assert_eq!(in_a_file(&good()), Ok(()));
}

#[test]
fn an_environment_without_variables_of_its_own_is_told_so() {
    let file = format!("{}\n[env.live]\nname = \"x\"\n", include_str!("../../../wrangler.toml"));
    let (_, mistakes) = wrangler::read(&file, Some("live")).unwrap();
    let found: Vec<_> = mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    assert_eq!(found, ["env.live.vars", "env.live.durable_objects.bindings"], "{mistakes}");
    assert!(mistakes.to_string().contains("does not inherit"));
}

#[test]
fn a_route_that_a_path_of_ours_hides_is_a_mistake_in_a_file_and_a_warning_in_a_worker() {
    let mut value = good();
    value["PACKAGES"] = json!({ "small": { "price": "$1", "credits": 5 } });
    value["KEY_SECRET"] = json!("0123456789abcdef0123456789abcdef");
    for (pattern, hidden) in [
        ("GET /dashboard", true),
        ("/dashboard/:key", true),
        ("GET /api/credits", true),
        ("POST /api/credits/rotate", true),
        ("/api/buy-credits/*", false),
        ("/api/buy-credits/large", true),
        ("/api/*", false),
        ("/api/credits/report", false),
    ] {
        value["ROUTES"] = json!({ pattern: "$1" });
        let path = format!("ROUTES.{pattern:?}");
        let in_a_file = Config::resolve_file(&bindings(&value));
        assert_eq!(in_a_file.is_err_and(|m| m.iter().any(|m| m.path == path)), hidden, "{pattern}");
        assert_eq!(warned(&value).contains(&path), hidden, "{pattern}");
    }
    let mut alone = good();
    alone["ROUTES"] = json!({ "GET /dashboard": "$1" });
    assert_eq!(warned(&alone), Vec::<String>::new(), "without credits it is the API's");
    alone["ADMIN_TOKEN"] = json!("0123456789abcdef");
    alone["ROUTES"] = json!({ "GET /api/admin/users": "$1" });
    assert_eq!(warned(&alone), ["ROUTES.\"GET /api/admin/users\""]);
}
