//! The life of an authorization (`design.md` sections 3 and 4).
//!
//! ```text
//! claimed ──► settling ──► settled ──► (owed until) answered
//!    │            ├──────► refused          a definite no
//!    │            └──────► unknown ──► settled | refused
//!    └──► released ──► claimed              the same payment for the same request, again
//! ```
//!
//! Two kinds of event move it. What somebody *wants* (claim, release) holds only from the states named here. What
//! *happened to money* (settled, refused, unknown) is a fact: a settlement is recorded even over a lease that ran out, or
//! the books would miss money that moved.

use serde::{Deserialize, Serialize};

/// Where an authorization stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Bound to a request that is being worked on; no money can have moved.
    Claimed,
    /// A settlement is under way: after a crash, money may have moved.
    Settling,
    /// Money moved.
    Settled,
    /// Money did not move, and this authorization will not move it.
    Refused,
    /// Nobody knows.
    Unknown,
    /// The request came to nothing; no money moved. The same payment may claim the same request again.
    Released,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Claimed, Self::Settling, Self::Settled, Self::Refused, Self::Unknown, Self::Released];

    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Settling => "settling",
            Self::Settled => "settled",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Released => "released",
        }
    }
}

/// What moves an authorization on, once it is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The settlement is about to be sent.
    StartSettling,
    /// Money moved.
    Settled {
        /// In this transaction.
        transaction: String,
        /// Whether its answer is released; once true it stays true.
        answered: bool,
    },
    /// Money did not move and will not.
    Refused {
        /// Why.
        reason: String,
    },
    /// The outcome is not known.
    LostTrack {
        /// What is known.
        reason: String,
        /// What was broadcast, where it is known.
        transaction: Option<String>,
    },
    /// The request came to nothing before any settlement was sent.
    Release,
}

/// How an event applies: from which states, to which, and whether only for the claim that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Elsewhere the event changes nothing.
    pub from: &'static [State],
    /// Where it leads.
    pub to: State,
    /// Whether a later claim of the same authorization makes it stale.
    pub own_attempt_only: bool,
}

impl Event {
    /// The rule for this event.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        use State::{Claimed, Refused, Released, Settled, Settling, Unknown};
        match self {
            Self::StartSettling => Rule { from: &[Claimed], to: Settling, own_attempt_only: true },
            // From itself too: it is said once when the money has moved and again when the answer is out, in any order.
            Self::Settled { .. } => Rule { from: &State::ALL, to: Settled, own_attempt_only: false },
            Self::Refused { .. } => Rule { from: &[Claimed, Settling, Unknown], to: Refused, own_attempt_only: true },
            Self::LostTrack { .. } => {
                Rule { from: &[Claimed, Settling, Released], to: Unknown, own_attempt_only: false }
            }
            Self::Release => Rule { from: &[Claimed], to: Released, own_attempt_only: true },
        }
    }
}

/// What is known of an authorization that could not be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands.
    pub state: State,
    /// Whether it is bound to the very request that claims it.
    pub same_request: bool,
    /// Whether its answer has been released.
    pub answered: bool,
    /// When its lease ends, in Unix seconds.
    pub lease_until: u64,
}

/// Why a claim is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denial {
    /// Somebody is working on it.
    InFlight,
    /// It has bought something, or belongs to another request.
    Used,
    /// A definite no was given for it before.
    Refused,
    /// Its settlement has no known outcome: neither paid nor unpaid.
    Unknown,
    /// It settled, and its answer is owed.
    Owed,
}

/// A claim is taken over from here at any time.
pub const FREE: State = State::Released;
/// And from here once the lease has run out. A settling one never is, however old: money may have moved.
pub const FREE_AFTER_LEASE: State = State::Claimed;

/// Whether a claim for the same request may be taken over. The claiming statement is written from the same constants.
#[must_use]
pub fn may_claim_again(standing: &Standing, now: u64) -> bool {
    standing.same_request
        && (standing.state == FREE || (standing.state == FREE_AFTER_LEASE && standing.lease_until <= now))
}

/// Why no fresh challenge may be sent for an authorization that stands so: money may have moved by it, or may yet. `None`
/// where a challenge is right.
#[must_use]
pub const fn forbids_challenge(standing: &Standing, now: u64) -> Option<Denial> {
    match standing.state {
        State::Released | State::Refused => None,
        State::Claimed if standing.lease_until <= now => None,
        State::Claimed | State::Settling | State::Settled | State::Unknown => Some(denial(standing, now)),
    }
}

/// Why an authorization that stands so cannot be claimed at `now`.
#[must_use]
pub const fn denial(standing: &Standing, now: u64) -> Denial {
    match standing.state {
        State::Claimed if standing.lease_until > now => Denial::InFlight,
        State::Settling if standing.lease_until > now => Denial::InFlight,
        State::Claimed | State::Released => Denial::Used,
        State::Settled if standing.same_request && !standing.answered => Denial::Owed,
        State::Settled => Denial::Used,
        State::Settling | State::Unknown if standing.same_request => Denial::Unknown,
        State::Settling | State::Unknown => Denial::Used,
        State::Refused => Denial::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events() -> [Event; 5] {
        [
            Event::StartSettling,
            Event::Settled { transaction: "0x1".into(), answered: false },
            Event::Refused { reason: "x".into() },
            Event::LostTrack { reason: "x".into(), transaction: None },
            Event::Release,
        ]
    }

    #[test]
    fn nothing_leads_away_from_settled() {
        for event in events() {
            let rule = event.rule();
            assert!(!rule.from.contains(&State::Settled) || rule.to == State::Settled, "{event:?}");
        }
    }

    #[test]
    fn money_that_may_have_moved_is_never_released_nor_claimed_again() {
        assert_eq!(Event::Release.rule().from, [State::Claimed]);
        for state in [State::Settling, State::Unknown, State::Settled] {
            let standing = Standing { state, same_request: true, answered: false, lease_until: 0 };
            assert!(!may_claim_again(&standing, u64::MAX), "{state:?}");
        }
    }

    #[test]
    fn a_settlement_is_recorded_whatever_became_of_the_lease() {
        let rule = events()[1].rule();
        for state in State::ALL {
            assert!(rule.from.contains(&state), "{state:?}");
        }
        assert!(!rule.own_attempt_only);
    }

    #[test]
    fn a_challenge_is_sent_only_where_no_money_can_have_moved() {
        for same_request in [true, false] {
            for state in State::ALL {
                let standing = Standing { state, same_request, answered: false, lease_until: 0 };
                let moved = matches!(state, State::Settling | State::Settled | State::Unknown);
                assert_eq!(forbids_challenge(&standing, 1).is_some(), moved, "{state:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn another_request_never_gets_it(state in 0_usize..6, answered in any::<bool>(), lease in 0_u64..100, now in 0_u64..100) {
            let standing = Standing { state: State::ALL[state], same_request: false, answered, lease_until: lease };
            prop_assert!(!may_claim_again(&standing, now));
            prop_assert!(denial(&standing, now) != Denial::Owed);
        }
    }
}
