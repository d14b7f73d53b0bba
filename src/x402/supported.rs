//! What facilitators say they settle: `GET /supported` (x402 version 2, section 7.3). It decides what is offered and who
//! is asked.

use super::requirement::EXACT;
use crate::evm::network::Network;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One way in which a facilitator settles the `exact` scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// `x402Version`.
    pub version: u64,
    /// The EIP-155 chain id.
    pub chain_id: u64,
}

/// Reads the answer to `/supported`; nothing when it is no such answer. An empty list is one: it settles nothing here.
#[must_use]
pub fn read_supported(status: u16, body: &[u8]) -> Option<Vec<Kind>> {
    if !(200..300).contains(&status) {
        return None;
    }
    let answer: Value = serde_json::from_slice(body).ok()?;
    let kinds = answer.get("kinds")?.as_array()?;
    Some(kinds.iter().filter_map(kind).collect())
}

fn kind(value: &Value) -> Option<Kind> {
    if value.get("scheme")?.as_str()? != EXACT {
        return None;
    }
    let version = value.get("x402Version")?.as_u64()?;
    let name = value.get("network")?.as_str()?;
    // Version 1 names networks; some facilitators list the CAIP-2 name there too, and mean the same.
    let network = name.parse::<Network>().ok().or_else(|| Network::from_v1_name(name))?;
    Some(Kind { version, chain_id: network.chain_id() })
}

/// What is known of the configured facilitators, in their order. `None` is not known: then what is configured is offered,
/// since a facilitator that cannot be asked for a list may settle all the same, and a payment that it then refuses moves
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Support(pub Vec<Option<Vec<Kind>>>);

impl Support {
    /// Whether this facilitator, by its place in the configuration, may settle payments of this version there.
    #[must_use]
    pub fn may_settle(&self, facilitator: usize, version: u64, network: Network) -> bool {
        match self.0.get(facilitator) {
            Some(Some(kinds)) => {
                kinds.iter().any(|kind| kind.version == version && kind.chain_id == network.chain_id())
            }
            Some(None) | None => true,
        }
    }

    /// Whether anybody may.
    #[must_use]
    pub fn offers(&self, version: u64, network: Network) -> bool {
        self.0.is_empty() || (0..self.0.len()).any(|facilitator| self.may_settle(facilitator, version, network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_official_answer_is_read() {
        let body = br#"{"kinds":[{"x402Version":2,"scheme":"exact","network":"eip155:84532"},
            {"x402Version":1,"scheme":"exact","network":"base-sepolia"},{"x402Version":2,"scheme":"upto","network":"eip155:8453"},
            {"x402Version":2,"scheme":"exact","network":"solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"},7],"extensions":[]}"#;
        let read = read_supported(200, body).unwrap();
        assert_eq!(read, [Kind { version: 2, chain_id: 84532 }, Kind { version: 1, chain_id: 84532 }]);
        for (status, body) in [(500, &body[..]), (200, b"{}"), (200, b""), (200, b"[]")] {
            assert_eq!(read_supported(status, body), None);
        }
        assert_eq!(read_supported(200, br#"{"kinds":[]}"#), Some(Vec::new()));
    }

    #[test]
    fn what_is_not_known_is_offered_and_what_is_known_decides() {
        let (base, sepolia) = (Network::new(8453), Network::new(84532));
        let only_sepolia = Some(vec![Kind { version: 2, chain_id: 84532 }]);
        let known = Support(vec![only_sepolia.clone()]);
        assert!(known.offers(2, sepolia) && !known.offers(1, sepolia) && !known.offers(2, base));
        let half = Support(vec![only_sepolia, None]);
        assert!(half.offers(2, base) && !half.may_settle(0, 2, base) && half.may_settle(1, 2, base));
        assert!(Support::default().offers(1, base));
    }
}
