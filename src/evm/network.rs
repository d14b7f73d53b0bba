//! Networks: CAIP-2 (`eip155:84532`) on v2 wires, short names (`base-sepolia`) on v1 ones.

use super::chains::{CHAINS, Chain, Money, chain};
use std::fmt;
use std::str::FromStr;

/// An EVM network by its chain id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(u64);

impl Network {
    /// The network with this chain id.
    #[must_use]
    pub const fn new(chain_id: u64) -> Self {
        Self(chain_id)
    }

    /// The EIP-155 chain id.
    #[must_use]
    pub const fn chain_id(self) -> u64 {
        self.0
    }

    /// What is known of it.
    #[must_use]
    pub fn chain(self) -> Option<&'static Chain> {
        chain(self.0)
    }

    /// Whether its dollars are known to be worth something. What is not known counts as a test network: then the worst that
    /// happens is that a key for real money is called `_test_`.
    #[must_use]
    pub fn is_live(self) -> bool {
        self.chain().is_some_and(|chain| chain.money == Money::Live)
    }

    /// Whether its dollars are known to be worth nothing.
    #[must_use]
    pub fn is_test(self) -> bool {
        self.chain().is_some_and(|chain| chain.money == Money::Test)
    }

    /// Reads a segment of a path: a chain id, or CAIP-2, whose colon may be escaped.
    #[must_use]
    pub fn from_path(segment: &str) -> Option<Self> {
        let id = ["eip155:", "eip155%3A", "eip155%3a"].iter().find_map(|prefix| segment.strip_prefix(prefix));
        format!("eip155:{}", id.unwrap_or(segment)).parse().ok()
    }

    /// Its v1 name, where it has one.
    #[must_use]
    pub fn v1_name(self) -> Option<&'static str> {
        self.chain()?.v1_name
    }

    /// Reads a v1 name.
    #[must_use]
    pub fn from_v1_name(name: &str) -> Option<Self> {
        CHAINS.iter().find(|chain| chain.v1_name == Some(name)).map(|chain| Self(chain.id))
    }

    /// What a transaction's hash is put behind to look it up.
    #[must_use]
    pub fn explorer(self) -> Option<String> {
        Some(format!("https://{}/tx/", self.chain()?.explorer?))
    }

    /// Where a person can look a transaction up.
    #[must_use]
    pub fn explorer_url(self, transaction: &str) -> Option<String> {
        let hash = transaction.strip_prefix("0x")?;
        let whole = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        self.explorer().filter(|_| whole).map(|explorer| format!("{explorer}{transaction}"))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eip155:{}", self.0)
    }
}

/// The text is not `eip155:` and a chain id without sign or leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let id = text.strip_prefix("eip155:").ok_or(NotANetwork)?;
        if id.is_empty() || id.starts_with('0') || !id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotANetwork);
        }
        id.parse().map(Self).map_err(|_| NotANetwork)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caip_2_is_read_and_written() {
        assert_eq!("eip155:84532".parse(), Ok(Network::new(84532)));
        assert_eq!(Network::new(84532).to_string(), "eip155:84532");
        assert_eq!(Network::new(84532).v1_name(), Some("base-sepolia"));
        assert_eq!(Network::from_v1_name("base"), Some(Network::new(8453)));
        for odd in ["", "eip155:", "eip155:08453", "eip155:+1", "eip155:-1", "8453", "base", "EIP155:1", "eip155:1 "] {
            assert_eq!(odd.parse::<Network>(), Err(NotANetwork), "{odd:?}");
        }
    }

    #[test]
    fn a_segment_of_a_path_names_a_network_by_its_number_or_its_id() {
        for segment in ["84532", "eip155:84532", "eip155%3A84532", "eip155%3a84532"] {
            assert_eq!(Network::from_path(segment), Some(Network::new(84532)), "{segment}");
        }
        for none in ["", "eip155:", "base", "084532", "+1", "solana:1", "eip155:eip155:1"] {
            assert_eq!(Network::from_path(none), None, "{none}");
        }
    }
}
