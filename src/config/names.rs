//! What was meant by a name that is none, so that the cure can be written down as it stands.

use super::leaks::quoted;
use crate::evm::assets::known_networks;
use crate::evm::network::Network;
use serde_json::Value;

/// The names under which people and other libraries know a network, beside those of the protocol's first version.
const ALSO: [(&str, u64); 12] = [
    ("base mainnet", 8453),
    ("base sepolia", 84532),
    ("mainnet", 1),
    ("ethereum mainnet", 1),
    ("eth", 1),
    ("optimism", 10),
    ("arbitrum", 42161),
    ("arbitrum one", 42161),
    ("arbitrum sepolia", 421_614),
    ("matic", 137),
    ("fuji", 43113),
    ("amoy", 80002),
];

/// What is wrong with a network, and how the one that was meant is written.
pub(super) fn not_a_network(value: &Value) -> (String, String) {
    let text = match value {
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let known: Vec<String> = known_networks().map(|network| format!("\"{network}\"")).collect();
    let shown = quoted(&text);
    if let Some(other) = other_kind(&text) {
        let problem = format!("{shown} is a network of another kind ({other}): only EVM networks, eip155, are taken");
        return (problem, format!("leave it out, or write one of: {}", known.join(", ")));
    }
    let number = text.rsplit(':').next().unwrap_or_default().trim_start_matches('0');
    let by_number =
        number.parse::<u64>().ok().filter(|_| text.split_once(':').is_none_or(|(kind, _)| kind == "eip155"));
    let meant = named(&text).or_else(|| by_number.map(Network::new));
    let problem = match (value, text.is_empty()) {
        (Value::String(_) | Value::Number(_), false) => format!("{shown} is not the id of a network"),
        _ => "is not the id of a network".to_owned(),
    };
    match meant {
        Some(network) => (problem, format!("write \"{network}\"")),
        None => (problem, format!("write its CAIP-2 id, one of: {}", known.join(", "))),
    }
}

/// A network of the protocol's first version, or as people call it.
fn named(text: &str) -> Option<Network> {
    let spaced = text.replace(['-', '_'], " ");
    let also = || ALSO.iter().find(|(name, _)| *name == spaced).map(|(_, id)| Network::new(*id));
    Network::from_v1_name(&text.replace(['_', ' '], "-")).or_else(also)
}

/// The kind of chain of an id that is CAIP-2, or a name that is known, and is not of an EVM chain.
fn other_kind(text: &str) -> Option<&str> {
    let plain =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match text.split_once(':') {
        Some(("eip155", _)) => None,
        Some((kind, reference)) if (3..=8).contains(&kind.len()) && plain(kind) && plain(reference) => Some(kind),
        Some(_) => None,
        None => {
            ["solana", "algorand", "aptos", "stellar", "sui", "near", "cosmos", "bitcoin", "tron", "hedera", "xrpl"]
                .into_iter()
                .find(|kind| text.starts_with(kind))
        }
    }
}

/// What is wrong with a method in a pattern, and how it is written.
pub(super) fn not_a_method(method: &str, path: &str, methods: &[&str]) -> (String, String) {
    let several: Vec<String> = method
        .split([',', '|', '/', '+'])
        .map(|one| one.trim().to_ascii_uppercase())
        .filter(|one| !one.is_empty())
        .collect();
    if several.len() > 1 && several.iter().all(|one| methods.contains(&one.as_str()) || one == "HEAD") {
        let routes: Vec<String> =
            several.iter().filter(|one| *one != "HEAD").map(|one| format!("\"{one} {path}\"")).collect();
        let cure = format!("write a route for each: {}; or \"{path}\", which is for any method", routes.join(" and "));
        return (format!("names several methods: {method:?}"), cure);
    }
    if ["*", "ANY", "ALL", "any", "all"].contains(&method) {
        return (format!("has the method {method:?}"), format!("leave it out: \"{path}\" is for any method"));
    }
    let upper = method.trim().to_ascii_uppercase();
    if methods.contains(&upper.as_str()) {
        return (format!("has the method {method:?}"), format!("write \"{upper} {path}\""));
    }
    (
        format!("has the unknown method {}", quoted(method)),
        format!("use one of: {}, or none for any", methods.join(", ")),
    )
}
