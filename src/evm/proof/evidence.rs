//! What a token's events say of an authorization.

use super::wire::{Doubt, Log, Receipt};
use super::{Proof, Question, written};
use alloy_primitives::{B256, b256};

/// `AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)`
pub(super) const AUTHORIZATION_USED: B256 = b256!("98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5");
/// `AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce)`
pub(super) const AUTHORIZATION_CANCELED: B256 =
    b256!("1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81");
/// `Transfer(address indexed from, address indexed to, uint256 value)`
pub(super) const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// Why an authorization is void.
pub(super) const CANCELED: &str = "the authorization was canceled";
const UNPAID: &str = "the authorization was used without paying us";

/// What can happen to an authorization, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Used,
    Canceled,
}

impl Question {
    /// What the transaction that used it did with our money.
    pub(super) fn judge(&self, receipt: &Receipt) -> Result<Proof, Doubt> {
        let own: Vec<&Log> = receipt.logs.iter().filter(|log| log.address == self.asset).collect();
        // That no transfer paid us is a verdict as much as that one did: it takes a receipt that is whole.
        if own.iter().any(|log| log.removed) {
            return Err(Doubt::Reorganised);
        }
        if own.iter().any(|log| log.topics.first() == Some(&TRANSFER) && (log.topics.len() != 3 || log.word.is_none()))
        {
            return Err(Doubt::Malformed("Transfer"));
        }
        let Some(at) = own.iter().position(|log| self.fate_of(log) == Some(Fate::Used)) else {
            return Err(Doubt::Malformed("a receipt without the event"));
        };
        if !own.iter().any(|log| self.pays_us(log)) {
            return Ok(Proof::Void { reason: UNPAID });
        }
        // A transfer that paid us need not be this authorization's: a payer's own contract can spend this one on himself
        // beside a payment that he owes us for something else, and must not be credited with both. In EIP-3009's
        // reference, in Circle's tokens and in Tether's, a use is followed by its own transfer; only where none follows
        // may it be the one before.
        let of_use = |log: &&&Log| matches!(log.topics.first(), Some(t) if *t == TRANSFER || *t == AUTHORIZATION_USED);
        let after = own.iter().skip(at.saturating_add(1)).find(of_use);
        let before = at.checked_sub(1).and_then(|before| own.get(before));
        let transfer = after.filter(|log| log.topics.first() == Some(&TRANSFER)).or(before);
        if transfer.is_some_and(|log| self.pays_us(log)) {
            return Ok(Proof::Settled { transaction: written(receipt.place.transaction) });
        }
        Err(Doubt::Ambiguous)
    }

    pub(super) fn fate_in(&self, logs: &[Log]) -> Option<Fate> {
        logs.iter().find_map(|log| self.fate_of(log))
    }

    /// What an event says of our authorization, if it is about it.
    pub(super) fn fate_of(&self, log: &Log) -> Option<Fate> {
        let [event, who, nonce] = log.topics[..] else { return None };
        let ours = log.address == self.asset && !log.removed && who == self.payer.into_word() && nonce == self.nonce;
        match event {
            AUTHORIZATION_USED if ours => Some(Fate::Used),
            AUTHORIZATION_CANCELED if ours => Some(Fate::Canceled),
            _ => None,
        }
    }

    fn pays_us(&self, log: &Log) -> bool {
        log.address == self.asset
            && !log.removed
            && log.topics[..] == [TRANSFER, self.payer.into_word(), self.pay_to.into_word()]
            && log.word == Some(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;

    #[test]
    fn the_topics_are_those_of_the_events() {
        for (topic, event) in [
            (AUTHORIZATION_USED, "AuthorizationUsed(address,bytes32)"),
            (AUTHORIZATION_CANCELED, "AuthorizationCanceled(address,bytes32)"),
            (TRANSFER, "Transfer(address,address,uint256)"),
        ] {
            assert_eq!(topic, keccak256(event), "{event}");
        }
        assert_eq!(super::super::AUTHORIZATION_STATE, keccak256("authorizationState(address,bytes32)")[..4]);
    }
}
