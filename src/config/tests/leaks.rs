//! Secrets in the wrong place are recognised, and shown to nobody.

use super::*;
use crate::config::wrangler;

const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const PHRASE: &str = "test test test test test test test test test test test junk";

fn said(value: &Value) -> String {
    let in_a_file = Config::resolve_file(&bindings(value)).err().map(|m| m.to_string()).unwrap_or_default();
    let in_a_worker = Config::deployed(&bindings(value)).err().map(|m| m.to_string()).unwrap_or_default();
    format!("{in_a_file}\n{in_a_worker}")
}

#[test]
fn a_private_key_in_the_place_of_an_address_is_recognised_and_never_shown() {
    for (written, what) in [
        (format!("0x{KEY}"), "a private key"),
        (KEY.to_owned(), "a private key"),
        (format!(" 0X{}\n", KEY.to_uppercase()), "a private key"),
        (PHRASE.to_owned(), "recovery phrase"),
        // A part of a key, a key and more: of no kind that is known, and longer than an address.
        (format!("0x{}", &KEY[..63]), "not shown"),
        (format!("{KEY}{KEY}"), "not shown"),
    ] {
        for value in [
            with("PAY_TO", json!(written)),
            with("ROUTES", json!({ "GET /a": { "price": "$1", "pay_to": written } })),
            with(
                "ASSETS",
                json!([{ "network": "eip155:84532", "address": written, "name": "a", "version": "1", "decimals": 6, "symbol": "A" }]),
            ),
        ] {
            let said = said(&value);
            assert!(said.contains(what), "{said}");
            let lower = said.to_lowercase();
            assert!(!lower.contains(&KEY[..20]) && !lower.contains("test test"), "{said}");
        }
    }
}

#[test]
fn no_mistake_quotes_a_text_that_may_be_a_key() {
    for key in [format!("0x{KEY}"), PHRASE.to_owned()] {
        for value in [
            with("NETWORKS", json!([key])),
            with("NETWORKS", json!(key)),
            with("FACILITATORS", json!(key)),
            with("ORIGIN", json!(key)),
            with("ORIGIN", json!(format!("ftp://x/{KEY}"))),
            with("KEY_PREFIX", json!(key)),
            with("DEFAULT", json!(key)),
            with("ROUTES", json!({ "GET /a": key })),
            with("ROUTES", json!({ "GET /a": { "price": "$1", "settle": key } })),
            with("ADMIN_TOKEN", json!(format!("{key} "))),
        ] {
            let said = said(&value);
            assert!(said.len() > 2 && !said.contains(KEY) && !said.contains(PHRASE), "{value}: {said}");
        }
    }
}

fn wiring(vars: &str) -> (Vec<String>, Vec<String>, String) {
    let file: toml::Table = include_str!("../../../wrangler.toml").parse().unwrap();
    let mut file = file;
    let more: toml::Table = vars.parse().unwrap();
    file["vars"].as_table_mut().unwrap().extend(more);
    let (_, found) = wrangler::read(&toml::to_string(&file).unwrap(), None).unwrap();
    let of = |all: Vec<&Mistake>| all.iter().map(|mistake| mistake.path.clone()).collect();
    let text = found.iter().chain(found.warnings()).map(ToString::to_string).collect::<Vec<_>>().join("\n");
    (of(found.iter().collect()), of(found.warnings().collect()), text)
}

#[test]
fn secrets_in_a_file_are_mistakes() {
    for name in
        ["KEY_SECRET", "KEY_SECRET_PREVIOUS", "ADMIN_TOKEN", "ORIGIN_SECRET", "CDP_API_KEY_SECRET", "PRIVATE_KEY"]
    {
        let (mistakes, _, text) = wiring(&format!("{name} = \"{KEY}\""));
        assert_eq!(mistakes, [name]);
        assert!(!text.contains(KEY), "{text}");
    }
    for (rpc, held) in [
        (format!("\"https://base-mainnet.g.alchemy.com/v2/{}\"", &KEY[..32]), Some("RPC")),
        (format!("{{ \"eip155:84532\" = \"https://x.example.com/{KEY}/\" }}"), Some("RPC.\"eip155:84532\"")),
        (
            format!("'{{\"eip155:84532\": \"https://x.example.com/?dkey={}\"}}'", &KEY[..8]),
            Some("RPC.\"eip155:84532\""),
        ),
        ("\"https://user:word@x.example.com/\"".to_owned(), Some("RPC")),
        ("\"https://mainnet.base.org\"".to_owned(), None),
        ("\"https://base-sepolia-rpc.publicnode.com/\"".to_owned(), None),
    ] {
        let (mistakes, _, text) = wiring(&format!("RPC = {rpc}"));
        assert_eq!(mistakes, held.into_iter().collect::<Vec<_>>(), "{rpc}");
        assert!(!text.contains(&KEY[..8]), "{text}");
    }
    let (mistakes, warnings, text) = wiring(&format!(
        "FACILITATORS = [{{ url = \"https://x.example.com\", headers = {{ \"X-Api-Key\" = \"{KEY}\" }} }}]"
    ));
    assert_eq!((mistakes, warnings), (Vec::new(), vec!["FACILITATORS[0].headers.\"X-Api-Key\"".to_owned()]));
    assert!(!text.contains(KEY), "{text}");
}

#[test]
fn the_object_that_counts_credits_is_missed_where_credits_are_sold() {
    let sold = include_str!("../../../wrangler.toml")
        .replace("[vars]\n", "[vars]\nPACKAGES = { a = { price = \"$1\", credits = 1 } }\n");
    let missed = |text: &str| wrangler::read(text, None).unwrap().1.iter().map(|m| m.path.clone()).collect::<Vec<_>>();
    assert_eq!(missed(&sold), Vec::<String>::new());
    let unbound = sold.replace("{ name = \"ACCOUNT\", class_name = \"Account\" },", "");
    assert_eq!(missed(&unbound), ["durable_objects.bindings"]);
    let uncreated = sold.replace("new_sqlite_classes = [\"Account\"]", "new_sqlite_classes = []");
    assert_eq!(missed(&uncreated), ["migrations"]);
    let free =
        include_str!("../../../wrangler.toml").replace("new_sqlite_classes = [\"Account\"]", "new_sqlite_classes = []");
    assert_eq!(missed(&free), ["migrations"], "what is bound must be created");
}
