//! What a "no" from `/settle` is worth once the same facilitator's `/verify` was asked about it.
//!
//! What `/verify` says then counts only where our own attempt cannot have caused it. An attempt that ended in a reason of
//! which nothing is known may have moved the money all the same: then the nonce is used and the wallet may be empty, by our
//! own doing, and the time may have run out since.
//!
//! | `/verify` says, about | after a transaction that failed | after an unknown reason |
//! | --- | --- | --- |
//! | what was sent, or the signature | refused | refused: it was the same a moment before, and was not sent |
//! | the balance, or the facilitator's rules | refused | refused if `/settle` said the same, else open |
//! | the time | open: another's transaction may have come first | refused if `/settle` said the same, else open |
//! | the nonce, "used" | used by another's transaction ([`Outcome::Unknown::lost`] is false) | open: perhaps ours |
//! | yes, anything else, or nothing | open | open |

use super::facilitator::{Outcome, Verification};
use super::reason::{Family, says_spent};

/// A no from `/settle` that proves nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// What it said.
    pub reason: String,
    /// The transaction that failed, so that nothing of this attempt can land.
    pub failed: Option<String>,
    /// Seconds that the facilitator asks to be left alone for.
    pub retry_after: Option<u64>,
}

impl Denied {
    /// Whether it is about this transaction.
    #[must_use]
    pub fn is_of(&self, transaction: &str) -> bool {
        self.failed.as_deref().is_some_and(|failed| failed.eq_ignore_ascii_case(transaction))
    }

    /// What it means once `/verify` was asked; see the table of this module.
    #[must_use]
    pub fn given(self, verdict: Verification) -> Outcome {
        let Self { reason, failed, retry_after } = self;
        let lost = failed.is_none();
        let open = |reason| Outcome::Unknown { reason, transaction: None, retry_after, lost };
        let Verification::Invalid(no) = verdict else { return open(reason) };
        let family = Family::of(&no);
        let proved = match family {
            Family::Body | Family::Signature => true,
            Family::Balance | Family::Policy => !lost || family == Family::of(&reason),
            Family::Time => family == Family::of(&reason),
            _ => false,
        };
        match () {
            () if proved => Outcome::Refused(no),
            () if !lost && says_spent(&no) => open(no),
            () => open(reason),
        }
    }
}

/// What `/verify` means where nothing that was sent before can land any more, and nothing has been sent since; `None` where
/// the settlement may be sent (again).
#[must_use]
pub fn before_sending(verdict: Verification) -> Option<Outcome> {
    let reason = match &verdict {
        Verification::Valid => return None,
        Verification::Invalid(reason) | Verification::Unavailable(reason) => reason.clone(),
    };
    // As after a transaction that failed: nothing of ours can land.
    let denied = Denied { reason, failed: Some(String::new()), retry_after: None };
    Some(denied.given(verdict))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "0xcaf048016dfba6f2bdb88337a23231651aa102d0a8c5d20e3030cb5ab9a24693";
    const POOR: &str = "invalid_exact_evm_insufficient_balance";
    const USED: &str = "invalid_exact_evm_nonce_already_used";
    const LATE: &str = "invalid_exact_evm_payload_authorization_valid_before";
    const FORGED: &str = "invalid_exact_evm_payload_signature";
    const ELSEWHERE: &str = "network_mismatch";
    const SIMULATED: &str = "invalid_exact_evm_transaction_simulation_failed";

    fn denied(reason: &str, failed: Option<&str>) -> Denied {
        Denied { reason: reason.to_owned(), failed: failed.map(ToOwned::to_owned), retry_after: None }
    }

    fn no(reason: &str) -> Verification {
        Verification::Invalid(reason.to_owned())
    }

    fn open(reason: &str, lost: bool) -> Outcome {
        Outcome::Unknown { reason: reason.to_owned(), transaction: None, retry_after: None, lost }
    }

    #[test]
    fn after_a_transaction_that_failed_a_no_is_the_reason_and_used_is_by_another() {
        for reason in ["transaction_failed", "invalid_transaction_state", "invalid_exact_evm_transaction_failed"] {
            let failed = || denied(reason, Some(HASH));
            for verdict in [POOR, FORGED, ELSEWHERE, "kyt_risk_detected"] {
                assert_eq!(failed().given(no(verdict)), Outcome::Refused(verdict.to_owned()));
            }
            assert_eq!(failed().given(no(USED)), open(USED, false));
            for verdict in [LATE, SIMULATED, "a_reason_of_tomorrow"] {
                assert_eq!(failed().given(no(verdict)), open(reason, false), "{verdict}");
            }
            assert_eq!(failed().given(Verification::Valid), open(reason, false));
            assert_eq!(failed().given(Verification::Unavailable("x".to_owned())), open(reason, false));
        }
    }

    #[test]
    fn an_unknown_refusal_is_confirmed_only_by_what_our_own_attempt_cannot_have_caused() {
        let unknown = |reason: &str, verdict: &str| denied(reason, None).given(no(verdict));
        for verdict in [FORGED, ELSEWHERE, "missing_eip712_domain"] {
            assert_eq!(unknown("settle_failed", verdict), Outcome::Refused(verdict.to_owned()));
        }
        for verdict in [POOR, USED, LATE, SIMULATED, "kyt_risk_detected"] {
            assert_eq!(unknown("settle_failed", verdict), open("settle_failed", true), "{verdict}");
            assert_eq!(unknown("transaction_failed", verdict), open("transaction_failed", true), "{verdict}");
        }
        for (reason, verdict) in [
            ("insufficient_balance", POOR),
            ("INSUFFICIENT_FUNDS", "insufficient_funds"),
            ("expired", LATE),
            ("sanctioned_address", "kyt_risk_detected"),
        ] {
            assert_eq!(unknown(reason, verdict), Outcome::Refused(verdict.to_owned()));
        }
        assert_eq!(denied("expired", None).given(Verification::Valid), open("expired", true));
    }

    #[test]
    fn before_it_is_sent_again_only_a_yes_lets_it_be_sent() {
        assert_eq!(before_sending(Verification::Valid), None);
        for verdict in [POOR, FORGED, LATE] {
            assert_eq!(before_sending(no(verdict)), Some(Outcome::Refused(verdict.to_owned())));
        }
        assert_eq!(before_sending(no(USED)), Some(open(USED, false)));
        assert_eq!(before_sending(no(SIMULATED)), Some(open(SIMULATED, false)));
        assert_eq!(before_sending(Verification::Unavailable("down".to_owned())), Some(open("down", false)));
    }

    proptest! {
        #[test]
        fn no_verdict_frees_a_nonce_that_our_own_attempt_may_have_used(
            reason in "[a-z_ ]{0,40}", verdict in prop_oneof![
                Just(USED.to_owned()), Just(SIMULATED.to_owned()), "[a-z_]{0,20}(nonce_used|already_used)[a-z_]{0,20}", "[a-z]{0,20}",
            ],
            failed in any::<bool>(),
        ) {
            let family = Family::of(&verdict);
            let outcome = denied(&reason, failed.then_some(HASH)).given(no(&verdict));
            let given_away = matches!(outcome, Outcome::Refused(_));
            prop_assert!(!given_away || !matches!(family, Family::Used | Family::Other | Family::Trouble | Family::Pending));
            let Outcome::Unknown { lost, transaction, .. } = outcome else { return Ok(()) };
            prop_assert_eq!((lost, transaction), (!failed, None));
        }
    }
}
