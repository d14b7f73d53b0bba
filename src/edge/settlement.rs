//! A sale's dealings with facilitators: verify, settle, and what the buyer is told of the money.

use super::claims::Granted;
use super::facilitator::{self, Attempt};
use super::sale::{LEASE_SLACK_SECONDS, Sale};
use super::{log, now, respond};
use crate::config::Facilitator;
use crate::http::problem::{Code, Problem};
use crate::ledger::authorization::{Event, Movement, State};
use crate::ledger::outcome::{Open, after_attempt};
use crate::x402::facilitator::{Expected, Verification};
use crate::x402::reason::{PENDING, says_forbidden, says_used};
use crate::x402::receipt::{Receipt, Settlement};
use serde_json::json;
use web_sys::Response;
use worker::Result;

impl<'a> Sale<'a> {
    /// Asks each in turn; who has verified it settles it.
    pub(super) async fn verify(&self, request: &str) -> std::result::Result<Option<&'a Facilitator>, Problem> {
        match facilitator::verify(&self.facilitators, request, self.expected()).await {
            (Verification::Valid, facilitator) => Ok(facilitator),
            (Verification::Invalid(reason), _) if says_used(&reason) => {
                Err(Problem::new(Code::PaymentAlreadyUsed, reason))
            }
            (Verification::Invalid(reason), _) if says_forbidden(&reason) => {
                Err(Problem::new(Code::PayerForbidden, reason))
            }
            (Verification::Invalid(reason), _) => Err(Problem::new(Code::PaymentInvalid, reason)),
            (Verification::Unavailable(_), _) => Err(Code::VerificationUnavailable.into()),
        }
    }

    /// Writes down that the settlement is under way, sends it, and writes down what came of it, unless money moved: that is
    /// written by whoever knows what becomes of the answer.
    pub(super) async fn settle(
        &self,
        claim: &Granted,
        request: &str,
        chosen: Option<&Facilitator>,
    ) -> std::result::Result<Movement, Unpaid> {
        let facilitator = match chosen {
            Some(facilitator) => Some(facilitator),
            None => facilitator::reachable(&self.facilitators).await,
        };
        let Some(facilitator) = facilitator else { return Err(Unpaid::NotBegun) };
        let longest = facilitator::longest_settlement(facilitator).saturating_add(u64::from(LEASE_SLACK_SECONDS));
        let until = now().saturating_add(longest);
        // If this cannot be written, nobody would know of the money: nothing is sent.
        if !claim.record(Event::StartSettling { until, facilitator: facilitator.url.clone() }).await {
            claim.record(Event::NeverSent).await;
            return Err(Unpaid::NotBegun);
        }
        let Attempt { outcome, lost, .. } = facilitator::settle(facilitator, request, self.expected()).await;
        let valid_before = self.charge.payment.authorization.valid_before.saturating_to();
        let open = Open { state: State::Settling, answered: false, lost, tries: 1, valid_before };
        let provable = self.config.rpc(self.charge.identity.network).is_some();
        match after_attempt(&open, &outcome, provable, now()) {
            Event::Settled(movement) => {
                self.note(
                    "settled",
                    &json!({ "transaction": movement.transaction, "evidence": movement.evidence.as_str() }),
                );
                Ok(movement)
            }
            Event::Refused { reason } => {
                // Where the alarm has taken over, its attempt may settle what this one could not.
                match claim.record(Event::Refused { reason: reason.clone() }).await {
                    true => Err(Unpaid::Refused { reason }),
                    false => Err(Unpaid::Unknown { reason, transaction: None }),
                }
            }
            Event::FoundSpent { reason } => match claim.record(Event::FoundSpent { reason: reason.clone() }).await {
                true => Err(Unpaid::Spent),
                false => Err(Unpaid::Unknown { reason, transaction: None }),
            },
            event => {
                let (reason, transaction) = match &event {
                    Event::LostTrack { reason, transaction, .. } => {
                        log::failure("settle", reason);
                        (reason.clone(), transaction.clone())
                    }
                    _ => (String::new(), None),
                };
                claim.record(event).await;
                Err(Unpaid::Unknown { reason, transaction })
            }
        }
    }

    /// Only a definite no is answered with a fresh challenge; anything else would have an honest client pay twice.
    pub(super) fn refuse_unpaid(&self, unpaid: Unpaid) -> Result<Response> {
        let dialect = self.charge.payment.dialect;
        match unpaid {
            Unpaid::NotBegun => self.refuse(Code::StorageUnavailable.into(), Vec::new()),
            Unpaid::Spent => self.refuse(Code::PaymentAlreadyUsed.into(), Vec::new()),
            Unpaid::Refused { reason } => {
                let failed = Settlement::Failed { reason: reason.clone(), transaction: String::new() };
                let code = if says_forbidden(&reason) { Code::PayerForbidden } else { Code::PaymentRefused };
                self.refuse(Problem::new(code, reason), self.receipt(failed).headers(dialect))
            }
            Unpaid::Unknown { reason, transaction } => {
                // Said only of what may land yet. The standard wants a transaction beside it; without one nothing is claimed.
                let lines = transaction.map_or_else(Vec::new, |transaction| {
                    self.receipt(Settlement::Failed { reason: PENDING.to_owned(), transaction }).headers(dialect)
                });
                self.refuse(last_heard(Code::SettlementUnknown, &reason), lines)
            }
        }
    }

    /// The receipt of money that moved, in the payment's own dialect.
    pub(super) fn settled(&self, movement: Movement) -> respond::Lines {
        self.receipt(Settlement::Settled(movement)).headers(self.charge.payment.dialect)
    }

    const fn receipt(&self, result: Settlement) -> Receipt {
        let expected = self.expected();
        Receipt { network: expected.network, payer: expected.payer, result }
    }

    const fn expected(&self) -> Expected {
        Expected { payer: self.charge.payment.authorization.from, network: self.charge.requirement.asset.network }
    }
}

/// Why there is no money.
pub(super) enum Unpaid {
    NotBegun,
    Refused { reason: String },
    Spent,
    Unknown { reason: String, transaction: Option<String> },
}

/// Of a settlement without a known outcome, with the last that was heard of it.
pub(super) fn last_heard(code: Code, reason: &str) -> Problem {
    match reason {
        "" => code.into(),
        reason => Problem::new(code, format!("the last that was heard of it: {reason}")),
    }
}
