//! Tokens that can be paid in. Those of [`super::chains`] are known; a token outside that table must be configured whole,
//! and nothing is guessed.

use super::chains::CHAINS;
use super::eip3009::TokenDomain;
use super::network::Network;
use alloy_primitives::Address;
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

/// The default asset of a network, where the table has one.
#[must_use]
pub fn default_asset(network: Network) -> Option<Asset> {
    network.chain()?.token.map(|token| Asset {
        network,
        address: token.address,
        name: Cow::Borrowed(token.name),
        version: Cow::Borrowed(token.version),
        decimals: 6,
        symbol: Cow::Borrowed(token.symbol),
    })
}

/// The networks that the table has an asset for.
pub fn known_networks() -> impl Iterator<Item = Network> {
    CHAINS.iter().filter(|chain| chain.token.is_some()).map(|chain| Network::new(chain.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_those_of_the_chain() {
        let separator = |id| default_asset(Network::new(id)).unwrap().domain().separator().to_string();
        assert_eq!(separator(84532), "0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818");
        assert_eq!(separator(8453), "0x02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f");
    }
}
