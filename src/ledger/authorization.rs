//! The life of an authorization: every state, every event, and from where to where it leads.
//!
//! ```text
//! claimed ──► settling ──► settled ──► (owed until) answered
//!    │            ├──────► refused           a definite no
//!    │            ├──────► spent             used elsewhere before it came here
//!    │            └──────► unknown ──► settled | refused | spent | lapsed
//!    ├──► released ──► claimed               the same payment for the same request, again
//!    └──► due (answered) ──► settling ──► settled | unknown
//!                                  └────► failed ──► settling, and at the end made good
//! ```
//!
//! Two kinds of event move it. What somebody *wants* (claim, release, answer) holds only from the states named here. What
//! *happened to money* (settled) is a fact: it is recorded from wherever the authorization stands, or the books would miss
//! money that moved.

use serde::{Deserialize, Serialize};

/// Where an authorization stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Bound to a request that is being worked on; no money can have moved.
    Claimed,
    /// A settlement is under way: after a crash, money may have moved.
    Settling,
    /// Money moved.
    Settled,
    /// Money did not move, and this authorization will not move it.
    Refused,
    /// Nobody knows yet. An alarm asks again until somebody does.
    Unknown,
    /// The request came to nothing; no money moved. The same payment may claim the same request again.
    Released,
    /// It was used before it came here: whatever it bought, it was not bought here.
    Spent,
    /// Its time is over without anybody having known what became of it. It cannot move money any more.
    Lapsed,
    /// Deferred: answered, and its settlement stands out.
    Due,
    /// Deferred: answered, and its settlement was refused. It is tried again while it is valid; then it is a debt.
    Failed,
    /// Deferred: what it failed to pay was paid by another payment.
    MadeGood,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Claimed,
        Self::Settling,
        Self::Settled,
        Self::Refused,
        Self::Unknown,
        Self::Released,
        Self::Spent,
        Self::Lapsed,
        Self::Due,
        Self::Failed,
        Self::MadeGood,
    ];

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
            Self::Spent => "spent",
            Self::Lapsed => "lapsed",
            Self::Due => "due",
            Self::Failed => "failed",
            Self::MadeGood => "made_good",
        }
    }

    /// Reads what [`State::as_str`] wrote.
    #[must_use]
    pub fn from_stored(stored: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == stored)
    }
}

/// How it is known that money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The facilitator said so, with a transaction.
    Told,
    /// The chain showed the transfer.
    Proved,
    /// After an attempt of ours the facilitator said that the authorization is used, and nobody could look at the chain.
    Unproven,
}

impl Evidence {
    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Proved => "proved",
            Self::Unproven => "unproven",
        }
    }

    /// Reads what [`Evidence::as_str`] wrote.
    #[must_use]
    pub fn from_stored(stored: &str) -> Option<Self> {
        [Self::Told, Self::Proved, Self::Unproven].into_iter().find(|evidence| evidence.as_str() == stored)
    }
}

/// What is known of money that moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// In which transaction, where that is known.
    pub transaction: Option<String>,
    /// How it is known.
    pub evidence: Evidence,
}

/// What moves an authorization on, once it is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The settlement is about to be sent; it is sent only once this is written.
    StartSettling {
        /// Until when its sender may take, in Unix seconds. Afterwards the alarm takes over.
        until: u64,
        /// To whom.
        facilitator: String,
    },
    /// Money moved, and whoever moved it is about to ask the origin.
    Paid {
        /// What is known of it.
        movement: Movement,
        /// How long its answer may take, in Unix seconds. Afterwards it is owed.
        until: u64,
    },
    /// Money moved.
    Settled(Movement),
    /// Money moved, and its answer is about to be released; it is released only once this is written.
    Answered(Movement),
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
        /// When to ask again, in Unix seconds.
        again_at: u64,
        /// Whether money may have moved by the attempt.
        lost: bool,
    },
    /// It was used before it came here.
    FoundSpent {
        /// Who says so.
        reason: String,
    },
    /// It cannot land any more, and nobody knows whether it did.
    Lapse,
    /// The request came to nothing before any settlement was begun.
    Release,
    /// The origin was asked and its answer cannot be relayed: nothing is settled, and the same payment may ask so often
    /// and no more.
    RanInVain,
    /// The request came to a redirect to another one, that is for sale on the same terms: the same payment may claim either.
    LedOn {
        /// The other request's binding.
        to: String,
    },
    /// The same, of what is paid: it is owed to either.
    OwedThere {
        /// The other request's binding.
        to: String,
    },
    /// A settlement was begun in the books and never sent: whoever says so is the one who would have sent it.
    NeverSent,
    /// Deferred: its answer is about to be released; it is released only once this is written.
    Serve,
    /// The alarm is about to settle what is due, or failed before.
    StartCollecting {
        /// When to look again if nothing more is heard of the attempt.
        until: u64,
    },
    /// Deferred: the settlement was refused after the answer.
    Fail {
        /// Why.
        reason: String,
        /// When it is tried again; `None` once it is not valid any more.
        again_at: Option<u64>,
    },
    /// Whoever was settling is gone.
    Abandon,
    /// A paid answer could not be had, or was not released after all, says the one who alone could: it is owed.
    StillOwed,
    /// The same, and the origin never got the request, or has said that it failed: this time does not count.
    NothingRan,
    /// Deferred: the answer was not released after all, says the one who alone could. Nothing is collected for it; where
    /// that has begun already, it is [`Event::StillOwed`].
    TakeBack,
    /// Deferred: another payment is about to pay for it, and no third one may meanwhile.
    Reserve {
        /// Which payment: it may say so again, and only it can let go.
        by: String,
        /// Until when, in Unix seconds.
        until: u64,
    },
    /// Deferred: the other payment did not pay for it, and will not.
    LetGo {
        /// Which payment.
        by: String,
    },
    /// Deferred: another payment has paid for it.
    MakeGood {
        /// In this transaction.
        transaction: String,
    },
}

/// How an event applies: from which states, to which, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Elsewhere the event changes nothing.
    pub from: &'static [State],
    /// Where it leads; `None` leaves it where it stands.
    pub to: Option<State>,
    /// Whether a later claim of the same authorization makes it stale.
    pub own_attempt_only: bool,
    /// Whether it applies only to what is answered (`true`) or only to what is not (`false`).
    pub answered: Option<bool>,
    /// Whether it applies only once the lease is over.
    pub lease_over: bool,
}

impl Event {
    /// The rule where the alarm has found it out. A Worker's "no" is about its own attempt, and holds only until the alarm
    /// has taken over: said later, it would end what another attempt may still settle. The alarm knows of all of them.
    #[must_use]
    pub const fn rule_of_alarm(&self) -> Rule {
        match self {
            Self::Refused { .. } | Self::FoundSpent { .. } => Rule { from: &[State::Unknown], ..self.rule() },
            _ => self.rule(),
        }
    }

    /// The rule for this event.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        use State::{Claimed, Due, Failed, Lapsed, MadeGood, Refused, Released, Settled, Settling, Spent, Unknown};
        const fn rule(from: &'static [State], to: State, own_attempt_only: bool, answered: Option<bool>) -> Rule {
            Rule { from, to: Some(to), own_attempt_only, answered, lease_over: false }
        }
        match self {
            Self::StartSettling { .. } => rule(&[Claimed], Settling, true, Some(false)),
            Self::Paid { .. } => rule(&[Settling, Unknown], Settled, true, Some(false)),
            Self::NeverSent => rule(&[Claimed, Settling], Released, true, Some(false)),
            Self::Settled(_) => rule(&State::ALL, Settled, false, None),
            // Only by the claim that stands, and only once: two who both hold an answer must not both release it.
            Self::Answered(_) => rule(&[Settling, Unknown, Settled], Settled, true, Some(false)),
            Self::Refused { .. } => rule(&[Settling], Refused, true, Some(false)),
            Self::LostTrack { .. } => rule(&[Settling, Unknown], Unknown, false, None),
            Self::FoundSpent { .. } => rule(&[Settling], Spent, true, Some(false)),
            Self::Lapse => rule(&[Settling, Unknown], Lapsed, false, None),
            Self::Release | Self::RanInVain | Self::LedOn { .. } => rule(&[Claimed], Released, true, Some(false)),
            Self::Serve => rule(&[Claimed], Due, true, Some(false)),
            Self::StartCollecting { .. } => rule(&[Due, Failed], Settling, false, Some(true)),
            Self::Fail { .. } => rule(&[Settling, Unknown, Failed], Failed, false, Some(true)),
            Self::Abandon => rule(&[Settling], Unknown, false, None),
            Self::StillOwed | Self::NothingRan | Self::OwedThere { .. } => {
                Rule { to: None, ..rule(&[Settling, Unknown, Settled], Settled, true, None) }
            }
            Self::TakeBack => rule(&[Claimed, Due, Failed], Released, true, None),
            Self::LetGo { .. } => rule(&[Failed], Failed, false, Some(true)),
            Self::Reserve { .. } => Rule { lease_over: true, ..rule(&[Failed], Failed, false, Some(true)) },
            Self::MakeGood { .. } => rule(&[Failed], MadeGood, false, Some(true)),
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
    /// It has bought something, belongs to another request, or was used elsewhere.
    Used,
    /// A definite no was given for it before.
    Refused,
    /// Its settlement has no known outcome yet: neither paid nor unpaid.
    Unknown,
    /// Its settlement never had a known outcome, and its time is over.
    Lapsed,
    /// It settled, and its answer is owed.
    Owed,
    /// Its answer is owed, to another body or to other arguments.
    OtherContent,
    /// Its `payment-identifier` belongs to another payment or another request.
    IdentifierTaken,
    /// It settled, and what it bought goes only to who proves to be the buyer.
    Guarded,
    /// Deferred: with this one, more than `max_exposure` of the payer's would be unsettled.
    Exposed,
    /// Deferred: a settlement of the payer's has failed and is not made good.
    InDebt,
}

/// A claim is taken over from here at any time.
pub const FREE: State = State::Released;
/// And from here once the lease has run out. A settling one never is, however old: money may have moved.
pub const FREE_AFTER_LEASE: State = State::Claimed;
/// What is answered and not known to be settled, or may become so: it counts towards `max_exposure`. What lapsed may never
/// have been paid: it goes on counting, or one lost answer of a facilitator would forgive it.
pub const EXPOSED: [State; 5] = [State::Claimed, State::Due, State::Settling, State::Unknown, State::Lapsed];
/// From here another payment may take over a `payment-identifier`: no money moved under it.
pub const IDENTIFIER_FREE: [State; 2] = [State::Released, State::Refused];

/// Whether a claim for the same request may be taken over. The claiming statement is written from the same constants.
#[must_use]
pub fn may_claim_again(standing: &Standing, now: u64) -> bool {
    standing.same_request
        && (standing.state == FREE || (standing.state == FREE_AFTER_LEASE && standing.lease_until <= now))
}

/// Whether what settled may be served now, once, for nothing.
#[must_use]
pub fn may_serve_owed(standing: &Standing, now: u64) -> bool {
    standing.same_request && standing.state == State::Settled && !standing.answered && standing.lease_until <= now
}

/// Why no fresh challenge may be sent for an authorization that stands so: money may have moved by it, or may yet. `None`
/// where a challenge is right.
#[must_use]
pub const fn forbids_challenge(standing: &Standing, now: u64) -> Option<Denial> {
    match standing.state {
        State::Released | State::Refused => None,
        State::Claimed if standing.lease_until <= now => None,
        _ => Some(denial(standing, now)),
    }
}

/// Why an authorization that stands so cannot be claimed at `now`.
#[must_use]
pub const fn denial(standing: &Standing, now: u64) -> Denial {
    match standing.state {
        State::Claimed if standing.lease_until > now => Denial::InFlight,
        _ if standing.answered => Denial::Used,
        State::Settling if standing.lease_until > now => Denial::InFlight,
        State::Claimed | State::Released | State::Spent => Denial::Used,
        State::Settled if standing.same_request && standing.lease_until > now => Denial::InFlight,
        State::Settled if standing.same_request => Denial::Owed,
        State::Settling | State::Unknown if standing.same_request => Denial::Unknown,
        State::Lapsed if standing.same_request => Denial::Lapsed,
        State::Refused => Denial::Refused,
        _ => Denial::Used,
    }
}

#[cfg(test)]
mod tests;
