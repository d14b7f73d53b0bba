#![allow(clippy::type_complexity)]

use super::*;
use crate::config::Bindings;
use crate::evm::eip3009::Authorization;
use crate::evm::{Address, B256, U256};
use crate::x402::encode_header;
use k256::ecdsa::SigningKey;
use proptest::prelude::*;
use serde_json::{Value, json};

mod discovery;
mod spending;
mod spoofed;

const NOW: u64 = 1_800_000_000;
const SELLER: &str = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C";

pub(super) fn config(more: &[(&str, Value)]) -> Config {
    let mut bindings = Bindings::from_iter([
        ("ORIGIN".to_owned(), json!("https://api.example.com")),
        ("PAY_TO".to_owned(), json!(SELLER)),
        ("NETWORKS".to_owned(), json!(["eip155:84532", "eip155:8453"])),
        ("FACILITATORS".to_owned(), json!(["https://x402.org/facilitator"])),
        (
            "ROUTES".to_owned(),
            json!({ "GET /paid/*": "$0.001", "POST /before": { "price": "$0.01", "settle": "before" } }),
        ),
    ]);
    bindings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Config::resolve(&bindings).unwrap()
}

/// The gate as a whole, before any facilitator was asked what it settles.
fn decide<'a>(config: &'a Config, facts: &Facts) -> Decision<'a> {
    static UNKNOWN: Support = Support(Vec::new());
    match triage(config, facts) {
        Triage::Decided(decision) => decision,
        Triage::Priced(terms, path) => price(config, &UNKNOWN, terms, facts, &path),
    }
}

fn request(method: &str, path: &str) -> Facts {
    Facts { method: method.into(), base: "https://gate".into(), path: path.into(), now: NOW, ..Facts::default() }
}

fn key(byte: u8) -> (SigningKey, Address) {
    let key = SigningKey::from_slice(&[byte; 32]).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    (key, Address::from_raw_public_key(&point.as_bytes()[1..]))
}

fn sign(authorization: &Authorization, requirement: &Requirement, byte: u8) -> Vec<u8> {
    let digest = authorization.digest(&requirement.asset.domain());
    let (signature, id) = key(byte).0.sign_prehash_recoverable(digest.as_slice());
    let mut bytes = signature.to_bytes().to_vec();
    bytes.push(27 + u8::from(id.is_y_odd()));
    bytes
}

fn authorization(value: u64) -> Authorization {
    Authorization {
        from: key(7).1,
        to: SELLER.parse().unwrap(),
        value: U256::from(value),
        valid_after: U256::ZERO,
        valid_before: U256::from(NOW + 300),
        nonce: B256::repeat_byte(9),
    }
}

fn payment(requirement: &Requirement, authorization: &Authorization, signature: &[u8]) -> Value {
    json!({
        "x402Version": 2,
        "accepted": requirement.to_v2(),
        "payload": {
            "signature": alloy_primitives::hex::encode_prefixed(signature),
            "authorization": {
                "from": authorization.from.to_string(), "to": authorization.to.to_string(), "value": authorization.value.to_string(),
                "validAfter": authorization.valid_after.to_string(), "validBefore": authorization.valid_before.to_string(),
                "nonce": authorization.nonce.to_string(),
            },
        },
    })
}

fn requirement_of(config: &Config, route: usize) -> &Requirement {
    &config.routes[route].terms.as_ref().unwrap().requirements[0]
}

fn paying(config: &Config, change: impl FnOnce(&mut Authorization)) -> Facts {
    let requirement = requirement_of(config, 0);
    let mut signed = authorization(1_000);
    change(&mut signed);
    let signature = sign(&signed, requirement, 7);
    let header = encode_header(&payment(requirement, &signed, &signature));
    Facts { payment_signature: Some(header), ..request("GET", "/paid/x") }
}

fn outcome(config: &Config, facts: &Facts) -> String {
    match decide(config, facts) {
        Decision::PassThrough => "pass".into(),
        Decision::Preflight => "preflight".into(),
        Decision::Challenge(challenge) => challenge.problem.code.as_str().into(),
        Decision::Doubt(challenge, _) => format!("{}?", challenge.problem.code.as_str()),
        Decision::Refuse(problem) => problem.code.as_str().into(),
        Decision::Charge(charge) => format!("charge {:?}", charge.standing),
        Decision::Spend(spend) => format!("spend {}", spend.credits),
    }
}

#[test]
fn what_is_priced_is_gated_however_it_is_asked_for() {
    let config = config(&[]);
    for (method, path) in
        [("GET", "/paid/x"), ("HEAD", "/PAID/x"), ("GET", "/paid"), ("GET", "/paid/"), ("POST", "/Before/")]
    {
        assert_eq!(outcome(&config, &request(method, path)), "payment_required", "{method} {path}");
    }
    assert_eq!(outcome(&config, &request("GET", "/free")), "pass");
    assert_eq!(outcome(&config, &request("GET", "/paid%2fx")), "path_not_canonical");
    let preflight = Facts { preflight_for: Some("GET".into()), ..request("OPTIONS", "/paid/x") };
    assert_eq!(outcome(&config, &preflight), "preflight");
    let deny = self::config(&[("DEFAULT", json!("deny"))]);
    assert_eq!(outcome(&deny, &request("GET", "/free")), "no_such_route");
}

#[test]
fn a_good_payment_is_charged_for_our_requirement() {
    let config = config(&[]);
    let facts = paying(&config, |_| {});
    let Decision::Charge(charge) = decide(&config, &facts) else { panic!("not charged") };
    assert_eq!(charge.standing, Standing::Good);
    assert_eq!(charge.requirement, requirement_of(&config, 0));
    assert_eq!(charge.offer.resource.url, "https://gate/paid/x");
}

#[test]
fn the_claim_is_bound_to_method_path_and_query() {
    let config = config(&[]);
    let binding = |change: &dyn Fn(&mut Facts)| {
        let mut facts = paying(&config, |_| {});
        change(&mut facts);
        let Decision::Charge(charge) = decide(&config, &facts) else { panic!("not charged") };
        charge.identity.binding
    };
    let plain = binding(&|_| {});
    assert_eq!(plain, binding(&|_| {}));
    assert_ne!(plain, binding(&|f| f.path = "/paid/y".into()));
    assert_ne!(plain, binding(&|f| f.method = "HEAD".into()));
    assert_ne!(plain, binding(&|f| f.query = Some(String::new())));
    assert_ne!(binding(&|f| f.query = Some("a".into())), binding(&|f| f.query = Some("b".into())));
}

#[test]
fn the_signed_fields_are_held_against_the_route_not_against_the_echo() {
    let config = config(&[]);
    let cases: [(fn(&mut Authorization), &str); 8] = [
        (|a| a.to = Address::repeat_byte(1), "wrong_recipient?"),
        (|a| a.value = U256::from(999), "wrong_amount?"),
        (|a| a.value = U256::from(1_001), "wrong_amount?"),
        (|a| a.valid_before = U256::from(NOW), "authorization_expired?"),
        (|a| a.valid_before = U256::from(NOW + 59), "authorization_expires_too_soon?"),
        (|a| a.valid_before = U256::from(NOW + 60), "charge Good"),
        (|a| a.valid_after = U256::from(NOW + 1), "authorization_not_yet_valid?"),
        (|a| a.valid_before = U256::MAX, "authorization_valid_too_long?"),
    ];
    for (change, expected) in cases {
        assert_eq!(outcome(&config, &paying(&config, change)), expected);
    }
}

#[test]
fn what_is_settled_after_the_answer_may_not_be_valid_for_a_day() {
    let deferred = json!({ "price": "$0.001", "settle": "deferred", "max_exposure": "$1" });
    for (route, hours, expected) in [
        (json!("$0.001"), 20, "charge Good"),
        (deferred.clone(), 1, "charge Good"),
        (deferred, 2, "authorization_valid_too_long?"),
    ] {
        let config = config(&[("ROUTES", json!({ "GET /paid/*": route }))]);
        let facts = paying(&config, |a| a.valid_before = U256::from(NOW + hours * 3_600));
        assert_eq!(outcome(&config, &facts), expected, "{hours}");
    }
}

// Right when it was signed, wrong now: whoever answers must ask the books before it asks for money.
#[test]
fn a_payment_that_may_have_settled_is_a_doubt_and_garbage_is_not() {
    let config = config(&[]);
    let late = paying(&config, |a| a.valid_before = U256::from(NOW + 1));
    let Decision::Doubt(challenge, charge) = decide(&config, &late) else { panic!("no doubt") };
    assert_eq!(challenge.problem.code, Code::AuthorizationExpiresTooSoon);
    assert_eq!((charge.identity.payer, charge.identity.nonce), (key(7).1, B256::repeat_byte(9)));
    let strict = self::config(&[("SMART_WALLETS", json!("false"))]);
    let requirement = requirement_of(&strict, 0);
    let mut expired = authorization(1_000);
    expired.valid_before = U256::from(NOW);
    let forged = encode_header(&payment(requirement, &expired, &sign(&expired, requirement, 8)));
    let facts = Facts { payment_signature: Some(forged), ..request("GET", "/paid/x") };
    assert_eq!(outcome(&strict, &facts), "authorization_expired", "a stranger's signature is worth no look");
}

#[test]
fn a_doubt_is_looked_up_under_the_asset_that_was_signed_for() {
    let token = json!({
        "network": "eip155:84532", "address": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
        "name": "Test Dollar", "version": "1", "decimals": 6, "symbol": "TUSD",
    });
    let config = config(&[("ASSETS", json!([token]))]);
    let requirements = &config.routes[0].terms.as_ref().unwrap().requirements;
    let second = requirements.iter().find(|r| r.asset.symbol == "TUSD").unwrap();
    let mut late = authorization(1_000);
    late.valid_before = U256::from(NOW + 1);
    let mut sent = payment(second, &late, &sign(&late, second, 7));
    sent["scheme"] = "exact".into();
    sent["network"] = "eip155:84532".into();
    sent.as_object_mut().unwrap().remove("accepted");
    let facts = Facts { x_payment: Some(encode_header(&sent)), ..request("GET", "/paid/x") };
    let Decision::Doubt(_, charge) = decide(&config, &facts) else { panic!("no doubt") };
    assert_eq!(charge.identity.asset, second.asset.address);
}

#[test]
fn methods_that_lead_around_the_gate_are_refused() {
    let config = config(&[("ROUTES", json!({ "/any": "$1", "GET /any": "free" }))]);
    assert_eq!(outcome(&config, &request("TRACE", "/free")), "method_forbidden");
    assert_eq!(outcome(&config, &request("OPTIONS", "/any")), "payment_required");
    let preflight = |path: &str| Facts { preflight_for: Some("GET".into()), ..request("OPTIONS", path) };
    assert_eq!(outcome(&config, &preflight("/any")), "preflight", "answered here: it does not reach the origin");
    assert_eq!(outcome(&config, &preflight("/free")), "pass");
    let options = self::config(&[("ROUTES", json!({ "OPTIONS /echo": "$1" }))]);
    assert_eq!(outcome(&options, &preflight("/echo;x")), "path_not_canonical", "with or without asking for another");
}

#[test]
fn a_challenge_fits_into_a_header() {
    let config = config(&[]);
    let long = Facts { query: Some("q".repeat(12_000)), ..request("GET", "/paid/x") };
    let Decision::Challenge(challenge) = decide(&config, &long) else { panic!("not challenged") };
    assert!(challenge.header.unwrap().len() < 4_096);
    // Everything at once: what the operator may say, and what a caller may ask.
    let networks = ["84532", "8453", "1", "137", "43114", "42161", "421614"].map(|chain| format!("eip155:{chain}"));
    let input = json!({ "query": { "words": { "type": "string", "description": "d".repeat(3_000) } } });
    let config = self::config(&[
        ("NETWORKS", json!(networks)),
        ("PACKAGES", json!({ "small": { "price": "$1", "credits": 5 } })),
        ("KEY_SECRET", json!("a-secret-of-32-characters-or-so-")),
        ("ROUTES", json!({ "/paid/*": { "price": "$1", "description": "\u{1f4b8}".repeat(500), "input": input } })),
        ("DISCOVERY", json!({ "llms": format!("/{}", "l".repeat(2_000)) })),
    ]);
    for (path, query) in [(0, 0), (0, 2_000), (0, 12_000), (12_000, 2_000)] {
        let facts = Facts { query: Some("q".repeat(query)), ..request("GET", &format!("/paid/{}", "p".repeat(path))) };
        let Decision::Challenge(challenge) = decide(&config, &facts) else { panic!("not challenged") };
        assert!(challenge.header.as_ref().unwrap().len() <= crate::x402::challenge::LONGEST_HEADER, "{path} {query}");
        assert_eq!(challenge.links, None, "that would be longer than what it leads to");
    }
}

#[test]
fn another_price_does_not_come_from_the_client() {
    let config = config(&[]);
    // A payment that is right for the cheap route, presented to the dear one.
    let facts = Facts { method: "POST".into(), path: "/before".into(), ..paying(&config, |_| {}) };
    assert_eq!(outcome(&config, &facts), "wrong_amount?");
    // The echo of the dear requirement around a signature for less.
    let dear = requirement_of(&config, 1);
    let cheap = authorization(1);
    let header = encode_header(&payment(dear, &cheap, &sign(&cheap, dear, 7)));
    let facts = Facts { payment_signature: Some(header), ..request("POST", "/before") };
    assert_eq!(outcome(&config, &facts), "wrong_amount?");
}

#[test]
fn signatures_that_are_not_the_payers() {
    let config = config(&[]);
    let strict = self::config(&[("SMART_WALLETS", json!("false"))]);
    let requirement = requirement_of(&config, 0);
    let signed = authorization(1_000);
    let facts = |signature: &[u8]| Facts {
        payment_signature: Some(encode_header(&payment(requirement, &signed, signature))),
        ..request("GET", "/paid/x")
    };
    let stranger = facts(&sign(&signed, requirement, 8));
    assert_eq!(
        (outcome(&config, &stranger), outcome(&strict, &stranger)),
        ("charge Undecided".into(), "invalid_signature".into())
    );
    let wrapped = facts(&[1; 300]);
    assert_eq!(
        (outcome(&config, &wrapped), outcome(&strict, &wrapped)),
        ("charge Undecided".into(), "invalid_signature".into())
    );
    let mut odd = sign(&signed, requirement, 7);
    odd[64] -= 27;
    assert_eq!(outcome(&config, &facts(&odd)), "invalid_signature", "v of 0 or 1 reverts on chain");
}

#[test]
fn one_way_to_pay() {
    let config = config(&[]);
    let sent = |v2: bool, v1: bool, sign_in: bool, authorization: Option<&str>| {
        let facts = Facts {
            payment_signature: v2.then(|| "x".into()),
            x_payment: v1.then(|| "x".into()),
            sign_in: sign_in.then(|| "x".into()),
            authorization: authorization.map(ToOwned::to_owned),
            ..request("GET", "/paid/x")
        };
        outcome(&config, &facts)
    };
    let key = Some("Bearer e402_live_x");
    for (v2, v1, sign_in, authorization) in [
        (true, true, false, None),
        (true, false, true, None),
        (true, false, false, key),
        (false, true, false, key),
        (false, false, true, key),
    ] {
        assert_eq!(sent(v2, v1, sign_in, authorization), "several_credentials");
    }
    assert_eq!(sent(false, false, true, None), "credential_not_supported");
    assert_eq!(sent(false, false, false, Some("bearer  e402_live_x")), "credential_not_supported");
    for origins in ["Bearer e402", "Bearer sk_e402_x", "Basic e402_x", "e402_x", ""] {
        assert_eq!(sent(false, false, false, Some(origins)), "payment_required", "{origins:?} is the origin's");
    }
}

proptest! {
    #[test]
    fn no_request_panics_or_passes_for_free(
        method in "(GET|HEAD|POST|OPTIONS|[A-Z]{1,5})", path in "/(paid|PAID|before|[a-z%;./\\\\]{0,6})/?[a-zA-Z0-9%;./]{0,8}",
        header in proptest::option::of(".{0,40}"), query in proptest::option::of(".{0,8}"),
    ) {
        let config = config(&[]);
        let facts = Facts { payment_signature: header, query, ..request(&method, &path) };
        let outcome = outcome(&config, &facts);
        prop_assert!(!outcome.starts_with("charge"));
        if matches!(method.as_str(), "GET" | "HEAD") && path.to_lowercase().starts_with("/paid/") {
            prop_assert!(outcome != "pass");
        }
    }
}
