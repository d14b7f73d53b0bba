//! The one table of EVM networks: what is known of each. To add a network, add a row.

mod table;

pub use table::CHAINS;

use alloy_primitives::Address;

/// A network and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    /// The EIP-155 chain id.
    pub id: u64,
    /// Its name on v1 wires, where the official v1 clients know one. A name that they do not know makes the strict v1 client
    /// throw before it chooses, so a network without one is offered in v2 only.
    pub v1_name: Option<&'static str>,
    /// What its dollars are worth.
    pub money: Money,
    /// As people call it.
    pub name: Option<&'static str>,
    /// The coin that gas is paid in.
    pub coin: Option<&'static str>,
    /// A public node, for wallets that do not know the network yet.
    pub rpc: Option<&'static str>,
    /// The host of a block explorer, which shows a transaction at `/tx/<hash>`.
    pub explorer: Option<&'static str>,
    /// Its dollar token.
    pub token: Option<Token>,
}

/// What a network's dollars are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Money {
    /// Something.
    Live,
    /// Nothing: a test network.
    Test,
    /// Not known.
    Unknown,
}

/// A dollar token that speaks EIP-3009, with six decimals. Tokens that only take Permit2 are left out: an exact payment in
/// them is not EIP-3009.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// Its contract.
    pub address: Address,
    /// EIP-712 domain name. A wrong one is the classic failure: every signature then recovers to another address.
    pub name: &'static str,
    /// EIP-712 domain version.
    pub version: &'static str,
    /// What people call it.
    pub symbol: &'static str,
}

const fn token(address: Address, name: &'static str, version: &'static str, symbol: &'static str) -> Token {
    Token { address, name, version, symbol }
}

/// The row of a chain id.
#[must_use]
pub fn chain(id: u64) -> Option<&'static Chain> {
    CHAINS.iter().find(|chain| chain.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_chain_and_each_v1_name_has_one_row() {
        let ids: BTreeSet<u64> = CHAINS.iter().map(|chain| chain.id).collect();
        assert_eq!(ids.len(), CHAINS.len());
        let names: Vec<&str> = CHAINS.iter().filter_map(|chain| chain.v1_name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        // What the official v1 clients know.
        assert_eq!(names.len(), 23);
    }

    #[test]
    fn what_is_shown_to_people_is_whole() {
        for chain in CHAINS {
            assert_eq!(chain.name.is_some(), chain.coin.is_some(), "{}", chain.id);
            assert!(chain.rpc.is_none_or(|rpc| rpc.starts_with("https://") && chain.name.is_some()), "{}", chain.id);
            assert!(chain.explorer.is_none_or(|host| !host.contains('/')), "{}", chain.id);
        }
    }
}
