//! Keys, sign-ins and payments together, through the gate: never a panic, and nothing is ever spent by what nobody signed.
#![no_main]

use edge402::config::{Bindings, Config};
use edge402::gate::{Decision, Facts, Triage, price, triage};
use edge402::x402::supported::Support;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use std::sync::OnceLock;

fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let bindings = Bindings::from_iter([
            ("ORIGIN".to_owned(), json!("https://api.example.com")),
            ("PAY_TO".to_owned(), json!("0x209693Bc6afc0C5328bA36FaF03C514EF312287C")),
            ("NETWORKS".to_owned(), json!(["eip155:84532"])),
            ("FACILITATORS".to_owned(), json!(["https://x402.org/facilitator"])),
            ("ROUTES".to_owned(), json!({ "/paid/*": "$0.001" })),
            ("PACKAGES".to_owned(), json!({ "small": { "price": "$1", "credits": 5 } })),
            ("KEY_SECRET".to_owned(), json!("0123456789abcdef0123456789abcdef")),
        ]);
        Config::resolve(&bindings).expect("it is in order")
    })
}

fuzz_target!(|input: (Option<&str>, Option<&str>, &str)| {
    let (token, sign_in, query) = input;
    let facts = Facts {
        method: "GET".to_owned(),
        base: "https://gate".to_owned(),
        path: "/paid/x".to_owned(),
        query: Some(query.to_owned()),
        authorization: token.map(|token| format!("Bearer e402_test_{token}")),
        sign_in: sign_in.map(ToOwned::to_owned),
        now: 1_800_000_000,
        ..Facts::default()
    };
    let support = Support(Vec::new());
    if let Triage::Priced(terms, path) = triage(config(), &facts) {
        assert!(!matches!(price(config(), &support, terms, &facts, &path), Decision::Spend(_) | Decision::PassThrough));
    }
});
