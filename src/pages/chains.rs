//! What a person, and a wallet that does not know a network yet, is told about it.

use crate::evm::network::Network;
use serde_json::{Map, Value, json};

/// What the pages know of a network: what is not known, or false, is not said.
#[must_use]
pub fn described(network: Network) -> Map<String, Value> {
    let chain = network.chain();
    let known = [
        ("chainId", Some(json!(network.chain_id()))),
        ("chain", Some(json!(name(network)))),
        ("coin", chain.and_then(|chain| Some(json!(chain.coin?)))),
        ("rpc", chain.and_then(|chain| Some(json!(chain.rpc?)))),
        ("explorer", network.explorer().map(Value::from)),
        ("test", network.is_test().then_some(Value::Bool(true))),
    ];
    known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// As people call it.
#[must_use]
pub fn name(network: Network) -> String {
    let name = network.chain().and_then(|chain| chain.name);
    name.map_or_else(|| format!("chain {}", network.chain_id()), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_networks_of_base_are_described() {
        for (chain, name, test, explorer) in [
            (8453, "Base", false, "https://basescan.org/tx/"),
            (84532, "Base Sepolia", true, "https://sepolia.basescan.org/tx/"),
        ] {
            let known = described(Network::new(chain));
            assert_eq!((&known["chain"], known.contains_key("test")), (&json!(name), test));
            assert_eq!(known["explorer"], explorer);
            assert!(known["rpc"].as_str().unwrap().starts_with("https://"));
        }
        let unknown = described(Network::new(36_900));
        assert_eq!(Value::from(unknown), json!({ "chainId": 36_900, "chain": "chain 36900" }));
    }
}
