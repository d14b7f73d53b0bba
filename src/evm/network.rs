//! Networks: CAIP-2 (`eip155:84532`) on v2 wires, short names (`base-sepolia`) on v1 ones.

use std::fmt;
use std::str::FromStr;

/// An EVM network by its chain id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(u64);

/// The v1 names that the official v1 clients know (`protocol.md` 2); a name outside this list makes the strict v1 client
/// throw before it chooses, so a network without one is offered in v2 only.
const V1_NAMES: [(&str, u64); 23] = [
    ("ethereum", 1),
    ("sepolia", 11_155_111),
    ("base", 8453),
    ("base-sepolia", 84532),
    ("polygon", 137),
    ("polygon-amoy", 80002),
    ("avalanche", 43114),
    ("avalanche-fuji", 43113),
    ("iotex", 4689),
    ("sei", 1329),
    ("sei-testnet", 1328),
    ("abstract", 2741),
    ("abstract-testnet", 11124),
    ("peaq", 3338),
    ("story", 1514),
    ("educhain", 41923),
    ("skale-base-sepolia", 324_705_682),
    ("megaeth", 4326),
    ("monad", 143),
    ("stable", 988),
    ("stable-testnet", 2201),
    ("celo", 42220),
    ("flare", 14),
];

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

    /// Whether its dollars are known to be worth something. What is not known counts as a test network: then the worst that
    /// happens is that a key for real money is called `_test_`.
    #[must_use]
    pub fn is_live(self) -> bool {
        const LIVE: [u64; 13] = [1, 10, 14, 50, 56, 137, 143, 988, 1329, 8453, 42161, 42220, 43114];
        LIVE.contains(&self.0)
    }

    /// Whether its dollars are known to be worth nothing.
    #[must_use]
    pub fn is_test(self) -> bool {
        const TEST: [u64; 15] = [
            51,
            1328,
            1337,
            2201,
            11124,
            31337,
            43113,
            80002,
            84532,
            421_614,
            11_142_220,
            11_155_111,
            11_155_420,
            46_630,
            324_705_682,
        ];
        TEST.contains(&self.0)
    }

    /// Its v1 name, where it has one.
    #[must_use]
    pub fn v1_name(self) -> Option<&'static str> {
        V1_NAMES.iter().find(|(_, id)| *id == self.0).map(|(name, _)| *name)
    }

    /// Reads a v1 name.
    #[must_use]
    pub fn from_v1_name(name: &str) -> Option<Self> {
        V1_NAMES.iter().find(|(known, _)| *known == name).map(|(_, id)| Self(*id))
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
}
