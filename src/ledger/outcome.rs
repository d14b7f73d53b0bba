//! What an attempt to settle, or a look at the chain, means for an authorization whose outcome is open.
//!
//! The same words mean different things the second time. "Insufficient balance" from a facilitator that was never asked
//! before proves that nothing moved; after an attempt whose answer was lost it may be that very attempt that emptied the
//! wallet. "Nonce already used" is a stranger's doing the first time, and most likely our own after that.

use super::authorization::{Event, Evidence, Movement, State};
use crate::x402::facilitator::Outcome;
use crate::x402::reason::{says_spent, stays_definite};

/// What is known of an open settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Where it stands.
    pub state: State,
    /// Whether its answer is released (deferred settlement).
    pub answered: bool,
    /// Whether an attempt ended without a verdict.
    pub lost: bool,
    /// How many attempts were sent.
    pub tries: u64,
    /// Of the authorization, in Unix seconds.
    pub valid_before: u64,
}

/// What the answer of another facilitator than the one that was asked before means: it knows nothing of that one's
/// attempts, so only its "settled" is news.
#[must_use]
pub fn after_attempt_elsewhere(open: &Open, outcome: &Outcome, provable: bool, now: u64) -> Event {
    match outcome {
        Outcome::Refused(reason) => after_attempt(open, &Outcome::unknown(reason.clone()), provable, now),
        outcome => after_attempt(open, outcome, provable, now),
    }
}

/// Whether `/verify` is asked before the settlement is sent: not the first time, and not while an earlier attempt may have
/// moved the money, since then its "no" may be that attempt's doing. What failed on chain would most likely fail again, at
/// the facilitator's expense.
#[must_use]
pub const fn asks_first(open: &Open) -> bool {
    open.tries > 1 && !open.lost
}

/// Whether an earlier attempt's end is still unknown, once a transaction was seen to fail. Not where there was only one, and
/// it is this very transaction that it left pending.
#[must_use]
pub const fn still_lost(open: &Open, pending: Option<&str>, failed: Option<&str>) -> bool {
    let ended = match (pending, failed) {
        (Some(pending), Some(failed)) => open.tries == 2 && pending.eq_ignore_ascii_case(failed),
        _ => false,
    };
    open.lost && !ended
}

/// How far a block's clock, or ours, may be off: so long after `validBefore` nothing is taken for over, in seconds.
pub const CLOCK_SECONDS: u64 = 60;
/// For how long after that the chain is asked, if it does not answer, in seconds.
pub const PROVE_SECONDS: u64 = 86_400;
/// The longest wait between two tries, in seconds.
const LONGEST_WAIT: u64 = 3_600;

/// How long the chain is left alone where it could not be asked and nothing can land any more, in seconds.
const CHAIN_WAIT: u64 = 600;
/// So long before an authorization expires a debt is tried for the last time, in seconds.
const LAST_TRY_SECONDS: u64 = 10;

/// Seconds until the next try after so many: 2, 4, 8, … an hour, or what the facilitator asks for if that is longer.
#[must_use]
pub fn wait(tries: u64, asked_for: Option<u64>) -> u64 {
    let exponent = u32::try_from(tries).unwrap_or(u32::MAX).clamp(1, 12);
    2_u64.saturating_pow(exponent).min(LONGEST_WAIT).max(asked_for.unwrap_or_default().min(600))
}

/// What the answer to an attempt means. `provable`: the chain can be asked, so nobody's word is taken for "used".
#[must_use]
pub fn after_attempt(open: &Open, outcome: &Outcome, provable: bool, now: u64) -> Event {
    // What ends by itself is looked at when it does.
    let over = open.valid_before.saturating_add(CLOCK_SECONDS).saturating_add(1);
    let again = |asked_for: Option<u64>| {
        let at = now.saturating_add(wait(open.tries, asked_for));
        if now < over { at.min(over) } else { at }
    };
    match outcome {
        Outcome::Settled(transaction) => {
            Event::Settled(Movement { transaction: Some(transaction.clone()), evidence: Evidence::Told })
        }
        Outcome::Refused(reason) if !open.lost || stays_definite(reason) => {
            if open.answered {
                // While it is valid, funds may come.
                let last = open.valid_before.saturating_sub(LAST_TRY_SECONDS);
                let again_at = Some(again(None).min(last)).filter(|at| *at > now && !stays_definite(reason));
                Event::Fail { reason: reason.clone(), again_at }
            } else {
                Event::Refused { reason: reason.clone() }
            }
        }
        Outcome::Refused(reason) => {
            Event::LostTrack { reason: reason.clone(), transaction: None, again_at: again(None), lost: false }
        }
        Outcome::Unknown { reason, transaction, .. } if says_spent(reason) && !provable => {
            if open.lost {
                Event::Settled(Movement { transaction: transaction.clone(), evidence: Evidence::Unproven })
            } else if open.answered {
                // It was good when it was verified, so it was used since: by our own call, seen twice, by somebody who ran
                // ahead of it, or by a payer who cancelled it. Asking for it again might take it twice; it goes on counting
                // towards what this payer may owe.
                Event::Lapse
            } else {
                Event::FoundSpent { reason: reason.clone() }
            }
        }
        Outcome::Unknown { reason, transaction, retry_after, lost } => Event::LostTrack {
            reason: reason.clone(),
            transaction: transaction.clone(),
            again_at: again(*retry_after),
            // A use that was there before the first attempt is nobody's attempt of ours.
            lost: *lost && !says_spent(reason),
        },
    }
}

/// What the chain shows of an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It moved the money, in this transaction, after it was claimed here.
    Settled(String),
    /// It moved the money before it was claimed here.
    SpentBefore,
    /// It was cancelled, or moved something else.
    Void(String),
    /// It is unused, and can land no more.
    Expired,
    /// It is unused, and may land yet.
    Unused,
    /// The chain could not be asked, or its answer proves nothing.
    Nothing,
}

/// What to do about an open settlement once the chain was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is decided.
    Record(Event),
    /// Send the settlement (again).
    Send,
    /// Look again at this time, in Unix seconds.
    Wait(u64),
}

/// What a look at the chain means; [`Shown::Nothing`] where there is no chain to look at.
#[must_use]
pub fn after_look(open: &Open, shown: Shown, provable: bool, now: u64) -> Step {
    let unpaid = |reason: String| {
        Step::Record(if open.answered { Event::Fail { reason, again_at: None } } else { Event::Refused { reason } })
    };
    let over = now > open.valid_before.saturating_add(CLOCK_SECONDS);
    match shown {
        Shown::Settled(transaction) => {
            Step::Record(Event::Settled(Movement { transaction: Some(transaction), evidence: Evidence::Proved }))
        }
        Shown::SpentBefore if !open.answered => {
            Step::Record(Event::FoundSpent { reason: "used before it came here".to_owned() })
        }
        Shown::SpentBefore => unpaid("used before it came here".to_owned()),
        Shown::Void(reason) => unpaid(reason),
        Shown::Expired => unpaid("expired without having settled".to_owned()),
        Shown::Unused | Shown::Nothing if !over => Step::Send,
        // Attempts that were all refused before anything was broadcast: nothing can have landed.
        _ if !open.lost && (open.answered || !provable) => unpaid("expired without having settled".to_owned()),
        _ if provable && now <= open.valid_before.saturating_add(CLOCK_SECONDS).saturating_add(PROVE_SECONDS) => {
            Step::Wait(now.saturating_add(CHAIN_WAIT))
        }
        _ => Step::Record(Event::Lapse),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Open {
        Open { state: State::Unknown, answered: false, lost: true, tries: 1, valid_before: 1_000 }
    }

    fn refused(reason: &str) -> Outcome {
        Outcome::Refused(reason.to_owned())
    }

    fn unknown(reason: &str) -> Outcome {
        Outcome::unknown(reason)
    }

    const USED: &str = "invalid_exact_evm_nonce_already_used";
    const POOR: &str = "invalid_exact_evm_insufficient_balance";
    const FORGED: &str = "invalid_exact_evm_recipient_mismatch";

    #[test]
    fn a_no_that_our_own_attempt_may_have_caused_proves_nothing() {
        let fresh = Open { lost: false, ..open() };
        assert!(matches!(after_attempt(&fresh, &refused(POOR), false, 1), Event::Refused { .. }));
        assert!(matches!(after_attempt(&open(), &refused(POOR), false, 1), Event::LostTrack { .. }));
        assert!(matches!(after_attempt(&open(), &refused(FORGED), false, 1), Event::Refused { .. }));
        for policy in ["kyt_risk_detected", "invalid_network", "amount_too_low", "invalid_exact_evm_signature"] {
            assert!(matches!(after_attempt(&open(), &refused(policy), true, 1), Event::LostTrack { .. }), "{policy}");
        }
    }

    #[test]
    fn used_is_ours_only_after_an_attempt_of_ours() {
        let fresh = Open { lost: false, ..open() };
        assert!(matches!(after_attempt(&fresh, &unknown(USED), false, 1), Event::FoundSpent { .. }));
        assert!(matches!(
            after_attempt(&open(), &unknown(USED), false, 1),
            Event::Settled(Movement { evidence: Evidence::Unproven, .. })
        ));
        for open in [fresh, open()] {
            assert!(
                matches!(after_attempt(&open, &unknown(USED), true, 1), Event::LostTrack { .. }),
                "where the chain can be asked, nobody's word is taken"
            );
        }
    }

    #[test]
    fn verify_is_asked_before_a_second_attempt_unless_the_first_may_have_moved_the_money() {
        let open = |tries, lost| Open { tries, lost, ..open() };
        assert!(asks_first(&open(2, false)));
        assert!(!asks_first(&open(1, false)) && !asks_first(&open(2, true)));
    }

    #[test]
    fn the_only_attempt_is_no_longer_lost_once_its_own_transaction_was_seen_to_fail() {
        let open = |tries, lost| Open { tries, lost, ..open() };
        assert!(!still_lost(&open(2, true), Some("0xAB"), Some("0xab")));
        assert!(still_lost(&open(3, true), Some("0xab"), Some("0xab")), "another attempt may have landed");
        assert!(still_lost(&open(2, true), Some("0xab"), Some("0xcd")));
        assert!(still_lost(&open(2, true), None, Some("0xab")) && still_lost(&open(2, true), Some("0xab"), None));
        assert!(!still_lost(&open(2, false), None, None));
    }

    #[test]
    fn a_debt_is_tried_again_while_it_is_valid() {
        let due = Open { state: State::Settling, answered: true, lost: false, ..open() };
        assert_eq!(
            after_attempt(&due, &refused(POOR), false, 10),
            Event::Fail { reason: POOR.into(), again_at: Some(12) }
        );
        assert_eq!(
            after_attempt(&due, &refused(POOR), false, 999),
            Event::Fail { reason: POOR.into(), again_at: None }
        );
        assert_eq!(
            after_attempt(&due, &refused(FORGED), false, 10),
            Event::Fail { reason: FORGED.into(), again_at: None }
        );
    }

    #[test]
    fn what_nobody_can_tell_ends_as_lapsed_and_not_before_its_time() {
        assert_eq!(after_look(&open(), Shown::Nothing, false, 1_060), Step::Send);
        assert_eq!(after_look(&open(), Shown::Nothing, false, 1_061), Step::Record(Event::Lapse));
        assert!(matches!(after_look(&open(), Shown::Nothing, true, 1_061), Step::Wait(_)));
        assert_eq!(after_look(&open(), Shown::Nothing, true, 90_000), Step::Record(Event::Lapse));
        assert!(matches!(after_look(&open(), Shown::Expired, true, 1_061), Step::Record(Event::Refused { .. })));
    }

    #[test]
    fn the_chain_decides_where_it_can_be_asked() {
        assert!(matches!(
            after_look(&open(), Shown::Settled("0x1".into()), true, 1),
            Step::Record(Event::Settled(Movement { evidence: Evidence::Proved, .. }))
        ));
        assert!(matches!(after_look(&open(), Shown::SpentBefore, true, 1), Step::Record(Event::FoundSpent { .. })));
        let served = Open { answered: true, ..open() };
        for shown in [Shown::SpentBefore, Shown::Void("x".into()), Shown::Expired] {
            assert!(matches!(after_look(&served, shown, true, 1), Step::Record(Event::Fail { again_at: None, .. })));
        }
    }

    #[test]
    fn waits_grow_to_an_hour_and_heed_the_facilitator() {
        assert_eq!([1, 2, 3, 6, 11, 12, 60].map(|tries| wait(tries, None)), [2, 4, 8, 64, 2_048, 3_600, 3_600]);
        assert_eq!((wait(1, Some(30)), wait(6, Some(3)), wait(1, Some(100_000))), (30, 64, 600));
    }

    #[test]
    fn no_wait_outlasts_the_authorization() {
        let late = Open { tries: 20, ..open() };
        assert!(matches!(
            after_attempt(&late, &unknown("silence"), false, 900),
            Event::LostTrack { again_at: 1_061, .. }
        ));
        let due = Open { state: State::Settling, answered: true, lost: false, ..late };
        for (now, again_at) in [(900, Some(990)), (990, None)] {
            assert_eq!(after_attempt(&due, &refused(POOR), false, now), Event::Fail { reason: POOR.into(), again_at });
        }
    }
}
