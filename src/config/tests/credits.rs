use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn sold() -> Value {
    let mut value = with(
        "PACKAGES",
        json!({ "small": { "price": "$1", "credits": 5 }, "large": { "price": "$20", "credits": 150 } }),
    );
    value["KEY_SECRET"] = json!(SECRET);
    value["ROUTES"] = json!({
        "GET /a": "$0.001",
        "GET /b": { "price": "$0.3", "description": "one credit and a half" },
        "GET /c": { "price": "$0.3", "credits": 7 },
        "GET /d": { "price": "$0.3", "credits": "none" },
    });
    value
}

fn credits(value: &Value) -> Vec<Option<u64>> {
    let config = Config::resolve(&bindings(value)).unwrap();
    config.routes.iter().map(|route| route.terms.as_ref().and_then(|terms| terms.credits)).collect()
}

#[test]
fn a_route_costs_its_own_credits_or_its_price_over_the_dearest() {
    assert_eq!(credits(&sold()), [Some(1), Some(2), Some(7), None]);
    let mut valued = sold();
    valued["CREDIT_VALUE"] = json!("$0.1");
    assert_eq!(credits(&valued), [Some(1), Some(3), Some(7), None]);
    assert_eq!(credits(&good()), [None], "without packages nothing is taken for a key");
}

#[test]
fn packages_are_priced_settled_first_and_found_by_their_path() {
    let config = Config::resolve(&bindings(&sold())).unwrap();
    let credits = config.credits.as_ref().unwrap();
    let small = credits.package("/api/buy-credits/small").unwrap();
    assert_eq!((small.credits, small.terms.settle, small.terms.replay_seconds), (5, Settle::Before, 0));
    assert_eq!(small.terms.requirements[0].amount.atomic(), 1_000_000);
    for none in
        ["/api/buy-credits/", "/api/buy-credits/Small", "/api/buy-credits/small/", "/api/buy-credits/small/x", "/x"]
    {
        assert!(credits.package(none).is_none(), "{none}");
    }
    let name = |missing| credits.package_for(missing).map(|package| package.name.as_str());
    assert_eq!([name(0), name(5), name(6), name(1_000)], [Some("small"), Some("small"), Some("large"), Some("large")]);
}

#[test]
fn every_mistake_about_credits_is_named() {
    let mut none = good();
    for name in ["CREDIT_VALUE", "KEY_SECRET", "KEY_SECRET_PREVIOUS"] {
        none[name] = json!(SECRET);
    }
    assert_eq!(paths(&none), ["CREDIT_VALUE", "KEY_SECRET", "KEY_SECRET_PREVIOUS"]);
    let mut bare = sold();
    bare.as_object_mut().unwrap().remove("KEY_SECRET");
    assert_eq!(paths(&bare), ["KEY_SECRET"]);
    let (_, unseen) = Config::resolve_file(&bindings(&bare)).unwrap();
    assert_eq!(unseen, ["KEY_SECRET"], "a secret stands in no file");
    bare["KEY_SECRET"] = json!("short");
    assert_eq!(paths(&bare), ["KEY_SECRET"]);
    for (package, path) in [
        (json!({ "price": "$1" }), "credits"),
        (json!({ "credits": 5 }), "price"),
        (json!({ "price": "free", "credits": 5 }), "price"),
        (json!({ "price": 1, "credits": 5 }), "price"),
        (json!({ "price": "$0.0000001", "credits": 5 }), "price"),
        (json!({ "price": "$1", "credits": 0 }), "credits"),
        (json!({ "price": "$1", "credits": 1.5 }), "credits"),
        (json!({ "price": "$1", "credits": 5, "expires_days": 0 }), "expires_days"),
        (json!({ "price": "$1", "credits": 5, "networks": [] }), "networks"),
    ] {
        let mut bad = sold();
        bad["PACKAGES"] = json!({ "small": package });
        assert!(paths(&bad).contains(&format!("PACKAGES.\"small\".{path}")), "{bad}: {:?}", paths(&bad));
    }
    for name in ["", "Small", "a b", "a/b", "ü"] {
        let mut bad = sold();
        bad["PACKAGES"] = json!({ name: { "price": "$1", "credits": 5 } });
        assert_eq!(paths(&bad), [format!("PACKAGES.{name:?}")]);
    }
    let mut route = sold();
    route["ROUTES"] =
        json!({ "GET /a": { "price": "$1", "credits": 0 }, "GET /b": { "price": "$1", "credits": "some" } });
    assert_eq!(paths(&route), ["ROUTES.\"GET /a\".credits", "ROUTES.\"GET /b\".credits"]);
    let mut alone = good();
    alone["ROUTES"] = json!({ "GET /a": { "price": "$1", "credits": 2 } });
    assert_eq!(paths(&alone), ["ROUTES.\"GET /a\".credits"]);
}

#[test]
fn money_of_which_nothing_is_known_is_not_mixed_with_other_money() {
    let asset = json!([{ "network": "eip155:480", "address": "0x79A02482A880bCE3F13e09Da970dC34db4CD24d1", "name": "USDC", "version": "2", "decimals": 6, "symbol": "USDC" }]);
    let mut mixed = sold();
    mixed["ASSETS"] = asset;
    mixed["NETWORKS"] = json!(["eip155:84532", "eip155:480"]);
    assert_eq!(paths(&mixed), ["PACKAGES"]);
    mixed["NETWORKS"] = json!(["eip155:480"]);
    assert_eq!(paths(&mixed), Vec::<String>::new());
    mixed["NETWORKS"] = json!(["eip155:84532", "eip155:8453"]);
    mixed["ASSETS"] = json!([]);
    assert_eq!(paths(&mixed), Vec::<String>::new(), "test and real money are told apart");
}
