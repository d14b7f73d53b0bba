use super::*;
use crate::credits::key::Key;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn selling() -> Config {
    config(&[
        ("PACKAGES", json!({ "small": { "price": "$1", "credits": 5 } })),
        ("KEY_SECRET", json!(SECRET)),
        (
            "ROUTES",
            json!({
                "GET /paid/*": "$0.001",
                "GET /live/*": { "price": "$0.001", "networks": ["eip155:8453"] },
                "GET /never/*": { "price": "$0.001", "credits": "none" },
            }),
        ),
    ])
}

fn asking(path: &str, key: &str) -> Facts {
    Facts { authorization: Some(format!("Bearer {key}")), ..request("GET", path) }
}

fn key(config: &Config, live: bool) -> String {
    let keys = config.credits.as_ref().unwrap().keys(&config.key_prefix);
    keys.write(&Key { live, account: keys.account_of("p"), generation: 0 })
}

#[test]
fn a_key_spends_what_its_kind_of_money_buys() {
    let config = selling();
    let (live, test) = (key(&config, true), key(&config, false));
    for (path, key, expected) in [
        ("/paid/x", &live, "spend 1"),
        ("/paid/x", &test, "spend 1"),
        ("/live/x", &live, "spend 1"),
        ("/live/x", &test, "key_of_another_kind"),
        ("/never/x", &live, "credential_not_supported"),
        ("/free/x", &live, "pass"),
    ] {
        assert_eq!(outcome(&config, &asking(path, key)), expected, "{path}");
    }
    let changed = format!("{}{}", &live[..live.len() - 1], if live.ends_with('0') { '1' } else { '0' });
    assert_eq!(outcome(&config, &asking("/paid/x", &changed)), "key_unknown");
    assert_eq!(outcome(&config, &asking("/paid/x", "theirs")), "payment_required", "the origin's own");
    let other = self::config(&[]);
    assert_eq!(outcome(&other, &asking("/paid/x", &live)), "credential_not_supported");
}

#[test]
fn a_sign_in_that_proves_nothing_is_told_the_price() {
    let config = selling();
    let facts = Facts { sign_in: Some("nonsense".into()), ..request("GET", "/paid/x") };
    assert_eq!(outcome(&config, &facts), "sign_in_invalid");
    let both = Facts { authorization: Some(format!("Bearer {}", key(&config, true))), ..facts };
    assert_eq!(outcome(&config, &both), "several_credentials");
}

#[test]
fn a_challenge_invites_a_wallet_to_sign_in_where_credits_are_taken() {
    let config = selling();
    let extensions = |path: &str| {
        let Decision::Challenge(challenge) = decide(&config, &request("GET", path)) else { panic!("{path}") };
        let header: Value = serde_json::from_slice(&base64_of(&challenge.header.unwrap())).unwrap();
        header["extensions"].clone()
    };
    assert_eq!(extensions("/paid/x")["sign-in-with-x"]["info"]["uri"], "https://gate/paid/x");
    assert_eq!(extensions("/live/x")["sign-in-with-x"]["supportedChains"][0]["chainId"], "eip155:8453");
    assert_eq!(extensions("/never/x").get("sign-in-with-x"), None);
}

#[test]
fn a_key_is_kept_from_the_origin_in_any_dress() {
    let key = key(&selling(), true);
    for dress in [
        format!("Bearer {key}"),
        format!("Bearer\t{key}"),
        key.clone(),
        format!("Token {key}"),
        format!("Bearer x, Bearer \"{key}\""),
    ] {
        assert!(holds_our_key(&dress, "e402"), "{dress}");
    }
    assert!(!holds_our_key("Bearer theirs", "e402") && !holds_our_key("Basic ZTQwMg==", "e402"));
}

/// The payment is public once it has settled: with another key beside it, it must be another claim.
#[test]
fn a_top_up_is_bound_to_the_account_that_it_fills() {
    let path = CanonicalPath::new("/api/buy-credits/small").unwrap();
    let bound = |account: Option<&str>, tool: Option<&str>| {
        let (tops_up, tool) = (account.map(ToOwned::to_owned), tool.map(ToOwned::to_owned));
        binding(&Facts { method: "POST".into(), tops_up, tool, ..Facts::default() }, &path)
    };
    assert_eq!(bound(Some("a"), None), bound(Some("a"), None));
    assert_ne!(bound(Some("a"), None), bound(Some("b"), None));
    assert_ne!(bound(Some("a"), None), bound(None, None));
    // All tools of a server have one path, and many one price.
    assert_ne!(bound(None, Some("a")), bound(None, Some("b")));
    assert_ne!(bound(None, Some("a")), bound(None, None));
    assert_ne!(bound(None, Some("a")), bound(Some("a"), None));
}

fn base64_of(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
