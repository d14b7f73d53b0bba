//! The built-in registry of dollar tokens that speak EIP-3009 (`protocol.md` 3.5).
//!
//! A wrong EIP-712 `name` is the classic failure: every signature then recovers to somebody else. So an asset outside
//! this table must be configured whole, and nothing is guessed.

use super::eip3009::TokenDomain;
use super::network::Network;
use alloy_primitives::{Address, address};
use std::borrow::Cow;

/// A token that can be paid in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Where it lives.
    pub network: Network,
    /// Its contract.
    pub address: Address,
    /// EIP-712 domain name.
    pub name: Cow<'static, str>,
    /// EIP-712 domain version.
    pub version: Cow<'static, str>,
    /// Atomic units per dollar, as a power of ten.
    pub decimals: u8,
    /// What people call it.
    pub symbol: Cow<'static, str>,
}

impl Asset {
    /// The EIP-712 domain that its authorizations are signed under.
    #[must_use]
    pub fn domain(&self) -> TokenDomain<'_> {
        TokenDomain {
            name: &self.name,
            version: &self.version,
            chain_id: self.network.chain_id(),
            contract: self.address,
        }
    }
}

/// The default asset of a network, where the registry has one.
#[must_use]
pub fn default_asset(network: Network) -> Option<Asset> {
    REGISTRY.iter().find(|row| row.0 == network.chain_id()).map(|(chain_id, address, name, version, symbol)| Asset {
        network: Network::new(*chain_id),
        address: *address,
        name: Cow::Borrowed(name),
        version: Cow::Borrowed(version),
        decimals: 6,
        symbol: Cow::Borrowed(symbol),
    })
}

/// The networks that the registry has an asset for.
pub fn known_networks() -> impl Iterator<Item = Network> {
    REGISTRY.iter().map(|row| Network::new(row.0))
}

type Row = (u64, Address, &'static str, &'static str, &'static str);

// All of these have six decimals. Those that only take Permit2 are left out: an exact payment in them is not EIP-3009.
const REGISTRY: [Row; 22] = [
    (8453, address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"), "USD Coin", "2", "USDC"),
    (84532, address!("036CbD53842c5426634e7929541eC2318f3dCF7e"), "USDC", "2", "USDC"),
    (1, address!("A0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"), "USD Coin", "2", "USDC"),
    (137, address!("3c499c542cEF5E3811e1192ce70d8cC03d5c3359"), "USD Coin", "2", "USDC"),
    (43114, address!("B97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E"), "USD Coin", "2", "USDC"),
    (42161, address!("af88d065e77c8cC2239327C5EDb3A432268e5831"), "USD Coin", "2", "USDC"),
    (421_614, address!("75faf114eafb1BDbe2F0316DF893fd58CE46AA4d"), "USD Coin", "2", "USDC"),
    (143, address!("754704Bc059F8C67012fEd69BC8A327a5aafb603"), "USDC", "2", "USDC"),
    (1329, address!("e15fC38F6D8c56aF07bbCBe3BAf5708A2Bf42392"), "USDC", "2", "USDC"),
    (1328, address!("4fCF1784B31630811181f670Aea7A7bEF803eaED"), "USDC", "2", "USDC"),
    (42220, address!("cebA9300f2b948710d2653dD7B07f33A8B32118C"), "USDC", "2", "USDC"),
    (11_142_220, address!("01C5C0122039549AD1493B8220cABEdD739BC44E"), "USDC", "2", "USDC"),
    (50, address!("fA2958CB79b0491CC627c1557F441eF849Ca8eb1"), "USDC", "2", "USDC"),
    (51, address!("b5AB69F7bBada22B28e79C8FFAECe55eF1c771D4"), "USDC", "2", "USDC"),
    (988, address!("779Ded0c9e1022225f8E0630b35a9b54bE713736"), "USDT0", "1", "USDT0"),
    (2201, address!("78Cf24370174180738C5B8E352B6D14c83a6c9A9"), "USDT0", "1", "USDT0"),
    (14, address!("e7cd86e13AC4309349F30B3435a9d337750fC82D"), "USD\u{20ae}0", "1", "USDT0"),
    (36900, address!("9cb8142aEBBcdc60AF7c97Af897A67A8f3CA71C2"), "USDC.e", "2", "USDC.e"),
    (190_415, address!("401eCb1D350407f13ba348573E5630B83638E30D"), "Bridged USDC", "2", "USDC"),
    (181_228, address!("401eCb1D350407f13ba348573E5630B83638E30D"), "Bridged USDC", "2", "USDC"),
    (43113, address!("5425890298aed601595a70AB815c96711a31Bc65"), "USD Coin", "2", "USDC"),
    (80002, address!("41E94Eb019C0762f9Bfcf9Fb1E58725BfB0e7582"), "USDC", "2", "USDC"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn one_row_a_network() {
        let networks: BTreeSet<_> = known_networks().collect();
        assert_eq!(networks.len(), REGISTRY.len());
    }

    #[test]
    fn separators_are_those_of_the_chain() {
        let separator = |id| default_asset(Network::new(id)).unwrap().domain().separator().to_string();
        assert_eq!(separator(84532), "0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818");
        assert_eq!(separator(8453), "0x02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f");
    }
}
