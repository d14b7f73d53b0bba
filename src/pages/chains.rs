//! What a person, and a wallet that does not know a network yet, is told about it.

use crate::credits::view::explorer;
use crate::evm::network::Network;
use serde_json::{Map, Value, json};

/// Chain id, name, the coin that gas is paid in, and a public node where one is known.
type Row = (u64, &'static str, &'static str, Option<&'static str>);

const CHAINS: [Row; 22] = [
    (1, "Ethereum", "ETH", None),
    (10, "Optimism", "ETH", Some("https://mainnet.optimism.io")),
    (14, "Flare", "FLR", None),
    (50, "XDC", "XDC", None),
    (51, "XDC Apothem", "TXDC", None),
    (56, "BNB Smart Chain", "BNB", None),
    (137, "Polygon", "POL", Some("https://polygon-rpc.com")),
    (143, "Monad", "MON", None),
    (988, "Stable", "USDT0", None),
    (1328, "Sei Testnet", "SEI", None),
    (1329, "Sei", "SEI", None),
    (2201, "Stable Testnet", "USDT0", None),
    (8453, "Base", "ETH", Some("https://mainnet.base.org")),
    (42161, "Arbitrum One", "ETH", Some("https://arb1.arbitrum.io/rpc")),
    (42220, "Celo", "CELO", Some("https://forno.celo.org")),
    (43113, "Avalanche Fuji", "AVAX", Some("https://api.avax-test.network/ext/bc/C/rpc")),
    (43114, "Avalanche", "AVAX", Some("https://api.avax.network/ext/bc/C/rpc")),
    (80002, "Polygon Amoy", "POL", Some("https://rpc-amoy.polygon.technology")),
    (84532, "Base Sepolia", "ETH", Some("https://sepolia.base.org")),
    (421_614, "Arbitrum Sepolia", "ETH", Some("https://sepolia-rollup.arbitrum.io/rpc")),
    (11_142_220, "Celo Sepolia", "CELO", None),
    (11_155_111, "Sepolia", "ETH", None),
];

/// What the pages know of a network: what is not known, or false, is not said.
#[must_use]
pub fn described(network: Network) -> Map<String, Value> {
    let row = CHAINS.iter().find(|row| row.0 == network.chain_id());
    let known = [
        ("chainId", Some(json!(network.chain_id()))),
        ("chain", Some(json!(name(network)))),
        ("coin", row.map(|row| json!(row.2))),
        ("rpc", row.and_then(|row| Some(json!(row.3?)))),
        ("explorer", transactions(network).map(Value::from)),
        ("test", network.is_test().then_some(Value::Bool(true))),
    ];
    known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// As people call it.
#[must_use]
pub fn name(network: Network) -> String {
    let row = CHAINS.iter().find(|row| row.0 == network.chain_id());
    row.map_or_else(|| format!("chain {}", network.chain_id()), |row| row.1.to_owned())
}

/// What a transaction's hash is put behind to look it up.
fn transactions(network: Network) -> Option<String> {
    let any = format!("0x{:064}", 0);
    explorer(network, &any)?.strip_suffix(&any).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn one_row_a_chain_and_both_of_base() {
        assert_eq!(CHAINS.iter().map(|row| row.0).collect::<BTreeSet<_>>().len(), CHAINS.len());
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
