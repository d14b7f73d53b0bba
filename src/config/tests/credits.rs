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
    let mut on_sale = sold();
    on_sale["PACKAGES"]["small"]["on_sale"] = json!("no");
    assert_eq!(paths(&on_sale), ["PACKAGES.\"small\".on_sale"]);
}

#[test]
fn what_was_sold_is_honoured_without_packages() {
    let mut before = sold();
    before.as_object_mut().unwrap().remove("PACKAGES");
    let config = Config::resolve(&bindings(&before)).unwrap();
    assert!(config.credits.as_ref().is_some_and(|credits| credits.packages.is_empty()));
    assert_eq!(credits(&before), [None, None, Some(7), None], "what a credit is worth is not known");
    let warnings: Vec<_> = config.findings.warnings().map(ToString::to_string).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("CREDIT_VALUE"), "{warnings:?}");
    before["CREDIT_VALUE"] = json!("$0.2");
    assert_eq!(credits(&before), [Some(1), Some(2), Some(7), None]);
    assert_eq!(warned(&before), ["KEY_SECRET"]);
}

#[test]
fn a_package_that_is_not_on_sale_counts_and_is_not_offered() {
    let mut off = sold();
    off["PACKAGES"]["small"]["on_sale"] = json!(false);
    let config = Config::resolve(&bindings(&off)).unwrap();
    let known = config.credits.as_ref().unwrap();
    assert_eq!(known.on_sale().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["large"]);
    assert!(known.package("/api/buy-credits/small").is_some_and(|package| !package.on_sale));
    assert_eq!(known.package_for(1).map(|package| package.name.as_str()), Some("large"));
    // Its credits were sold for this much: calls must not become cheaper or dearer in them.
    assert_eq!(credits(&off), credits(&sold()));
    off["PACKAGES"]["large"]["on_sale"] = json!(false);
    let config = Config::resolve(&bindings(&off)).unwrap();
    assert!(config.credits.as_ref().is_some_and(|known| known.package_for(1).is_none()));
}

#[test]
fn packages_stand_in_the_order_of_their_prices() {
    let mut value = sold();
    value["PACKAGES"] = json!({
        "a": { "price": "$20", "credits": 150 }, "b": { "price": "$0.05", "credits": 1 }, "c": { "price": "$1", "credits": 5 },
    });
    let config = Config::resolve(&bindings(&value)).unwrap();
    let names: Vec<_> = config.credits.as_ref().unwrap().packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["b", "c", "a"]);
}

#[test]
fn that_credits_expire_is_said_before_they_are_bought() {
    let described = |package: Value| {
        let mut value = sold();
        value["PACKAGES"] = json!({ "small": package });
        Config::resolve(&bindings(&value)).map(|config| config.credits.unwrap().packages[0].terms.description.clone())
    };
    let plain = described(json!({ "price": "$1", "credits": 5 })).unwrap();
    assert_eq!(plain, "5 prepaid credits, and the key to spend them with.");
    let expiring = described(json!({ "price": "$1", "credits": 5, "expires_days": 31 })).unwrap();
    assert_eq!(expiring, format!("{plain} The credits expire 31 days after the purchase."));
    let own = described(json!({ "price": "$1", "credits": 5, "expires_days": 1, "description": "For a try" })).unwrap();
    assert_eq!(own, "For a try. The credits expire 1 day after the purchase.");
    let long = described(json!({ "price": "$1", "credits": 5, "expires_days": 1, "description": "x".repeat(500) }));
    assert_eq!(
        long.unwrap_err().iter().map(|m| m.path.as_str()).collect::<Vec<_>>(),
        ["PACKAGES.\"small\".description"]
    );
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
