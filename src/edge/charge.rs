//! A paid call, step by step (`design.md` sections 2 and 3). Each step names what is true of the money once it is done.

use super::claims::{Granted, Ledger, key};
use super::origin::{Call, NoAnswer, Outgoing, discard, paid_answer};
use super::{facilitator, log, now, respond};
use crate::config::{Facilitator, Settle, Verify};
use crate::gate::{Charge, Standing};
use crate::http::headers::Passage;
use crate::http::problem::{Code, Problem};
use crate::ledger::authorization::Event;
use crate::ledger::messages::Claim;
use crate::x402::facilitator::{Expected, Outcome, Verification, says_forbidden, says_used};
use crate::x402::receipt::{Receipt, Settlement};
use futures_channel::oneshot::{Sender, channel};
use serde_json::json;
use web_sys::Response;
use worker::{Context, Env, Result};

/// Seconds that a claim outlives the origin's time-out by (`design.md` section 4).
const LEASE_SLACK_SECONDS: u32 = 10;

/// Everything a paid call needs.
pub(super) struct Sale<'a> {
    pub(super) charge: &'a Charge<'a>,
    pub(super) call: &'a Call<'a>,
    pub(super) facilitator: &'a Facilitator,
    pub(super) env: &'a Env,
    pub(super) context: &'a Context,
    pub(super) route: &'a str,
}

impl Sale<'_> {
    /// Carries it out.
    pub(super) async fn run(&self) -> Result<Response> {
        let request =
            self.charge.payment.facilitator_request(self.charge.requirement, &self.charge.offer.resource).to_string();
        let undecided = self.charge.standing == Standing::Undecided;
        // Only a signature that is known good may claim: a stranger could else burn somebody's nonce. The books are asked
        // before the facilitator: of what we settled ourselves it can only say that it is spent.
        if undecided {
            let identity = &self.charge.identity;
            if let Err(known) = Ledger::of(self.env, identity).look(identity).await {
                return self.refuse(known.into(), Vec::new());
            }
            if let Err(problem) = self.verify(&request).await {
                // Another copy may have settled while the facilitator looked: then its "no" is about that.
                let known = Ledger::of(self.env, identity).look(identity).await;
                return self.refuse(known.map_or_else(Problem::from, |()| problem), Vec::new());
            }
        }
        let claim = match self.claim(request.clone()).await {
            Ok(claim) => claim,
            Err(problem) => return self.refuse(problem, Vec::new()),
        };
        if !undecided
            && self.charge.verify == Verify::Facilitator
            && let Err(problem) = self.verify(&request).await
        {
            claim.record(Event::Release).await;
            return self.refuse(problem, Vec::new());
        }
        match self.charge.terms.settle {
            Settle::After => self.serve_then_settle(&claim, &request).await,
            Settle::Before => self.settle_then_serve(&claim, &request).await,
        }
    }

    /// Nothing moved yet; when the origin fails, nothing will.
    async fn serve_then_settle(&self, claim: &Granted, request: &str) -> Result<Response> {
        let answer = match self.serve(self.prepare()).await {
            Ok(answer) if answer.status() < 400 => answer,
            Ok(failure) => {
                // Awaited, not left for later: a client that tries the same payment again at once is not told 409.
                claim.record(Event::Release).await;
                self.note("not_charged", &json!({ "origin_status": failure.status() }));
                return paid_answer(&failure, Vec::new());
            }
            Err(problem) => {
                claim.record(Event::Release).await;
                return self.refuse(problem, Vec::new());
            }
        };
        if !claim.may_still_settle() {
            discard(&answer);
            claim.record(Event::Release).await;
            return self.refuse(Code::OriginTimeout.into(), Vec::new());
        }
        match self.settle(claim, request).await {
            Ok(receipt) => paid_answer(&answer, receipt.headers(self.charge.payment.dialect)),
            Err(unpaid) => {
                discard(&answer);
                self.refuse_unpaid(unpaid)
            }
        }
    }

    /// The money moves first; from then on every answer carries the receipt, whatever its status.
    async fn settle_then_serve(&self, claim: &Granted, request: &str) -> Result<Response> {
        // Built before the money moves: what cannot be sent must not be charged.
        let outgoing = match self.prepare() {
            Ok(outgoing) => outgoing,
            Err(problem) => {
                claim.record(Event::Release).await;
                return self.refuse(problem, Vec::new());
            }
        };
        let receipt = match self.settle(claim, request).await {
            Ok(receipt) => receipt,
            Err(unpaid) => return self.refuse_unpaid(unpaid),
        };
        let lines = receipt.headers(self.charge.payment.dialect);
        match self.serve(Ok(outgoing)).await {
            Ok(answer) => {
                let response = paid_answer(&answer, lines)?;
                if let Settlement::Settled { transaction } = receipt.result {
                    self.later(claim, Event::Settled { transaction, answered: true });
                }
                Ok(response)
            }
            // Settled and not answered: the books say owed.
            Err(problem) => self.refuse(problem, lines),
        }
    }

    fn prepare(&self) -> std::result::Result<Outgoing, Problem> {
        let payer = self.charge.payment.authorization.from.to_checksum(None);
        self.call.prepare(Passage::Paid, Some(&payer)).map_err(|error| unreachable(&error.to_string()))
    }

    async fn serve(&self, outgoing: std::result::Result<Outgoing, Problem>) -> std::result::Result<Response, Problem> {
        self.call.paid(outgoing?, self.charge.terms.timeout_seconds).await.map_err(|error| match error {
            NoAnswer::TimedOut => Code::OriginTimeout.into(),
            NoAnswer::Unreachable(detail) => unreachable(&detail),
        })
    }

    async fn claim(&self, settle_request: String) -> std::result::Result<Granted, Problem> {
        let authorization = &self.charge.payment.authorization;
        let at = now();
        let verify_seconds = match self.charge.verify {
            Verify::Facilitator => self.facilitator.timeout_seconds,
            Verify::Local => 0,
        };
        let lease =
            self.charge.terms.timeout_seconds.saturating_add(LEASE_SLACK_SECONDS).saturating_add(verify_seconds);
        let claim = Claim {
            key: key(&self.charge.identity),
            binding: self.charge.identity.binding.to_string(),
            now: at,
            lease_until: at.saturating_add(u64::from(lease)),
            // The gate has refused what lies far ahead.
            valid_before: authorization.valid_before.saturating_to(),
            value: authorization.value.to_string(),
            facilitator: self.facilitator.url.clone(),
            settle_request,
        };
        Ledger::of(self.env, &self.charge.identity).claim(claim).await.map_err(Problem::from)
    }

    async fn verify(&self, request: &str) -> std::result::Result<(), Problem> {
        match facilitator::verify(self.facilitator, request, self.expected()).await {
            Verification::Valid => Ok(()),
            Verification::Invalid(reason) if says_used(&reason) => Err(Problem::new(Code::PaymentAlreadyUsed, reason)),
            Verification::Invalid(reason) if says_forbidden(&reason) => Err(Problem::new(Code::PayerForbidden, reason)),
            Verification::Invalid(reason) => Err(Problem::new(Code::PaymentInvalid, reason)),
            Verification::Unavailable(reason) => {
                log::failure("verify", &reason);
                Err(Code::VerificationUnavailable.into())
            }
        }
    }

    /// Sends the settlement, writes beside it that it was sent (what is left after a crash then says whether money may
    /// have moved), and writes down what came of it.
    async fn settle(&self, claim: &Granted, request: &str) -> std::result::Result<Receipt, Unpaid> {
        // A buyer who hangs up now has paid, or may have: the runtime must not drop the books with the connection.
        let _awake = self.stay_awake();
        let sent = facilitator::settle(self.facilitator, request, self.expected());
        let (outcome, ()) = futures_util::future::join(sent, claim.record(Event::StartSettling)).await;
        match outcome {
            Outcome::Settled(transaction) => {
                self.note("settled", &json!({ "transaction": transaction }));
                let answered = self.charge.terms.settle == Settle::After;
                self.later(claim, Event::Settled { transaction: transaction.clone(), answered });
                Ok(self.receipt(Settlement::Settled { transaction }))
            }
            Outcome::Refused(reason) => {
                claim.record(Event::Refused { reason: reason.clone() }).await;
                Err(Unpaid::Refused { reason })
            }
            Outcome::Unknown { reason, transaction } => {
                log::failure("settle", &reason);
                claim.record(Event::LostTrack { reason, transaction: transaction.clone() }).await;
                Err(Unpaid::Unknown { transaction })
            }
        }
    }

    /// Only a definite no is answered with a fresh challenge; anything else would have an honest client pay twice.
    fn refuse_unpaid(&self, unpaid: Unpaid) -> Result<Response> {
        let dialect = self.charge.payment.dialect;
        match unpaid {
            Unpaid::Refused { reason } => {
                let failed = Settlement::Failed { reason: reason.clone(), transaction: String::new() };
                let code = if says_forbidden(&reason) { Code::PayerForbidden } else { Code::PaymentRefused };
                self.refuse(Problem::new(code, reason), self.receipt(failed).headers(dialect))
            }
            Unpaid::Unknown { transaction } => {
                // The standard wants a transaction beside `settlement_pending`; without one nothing is claimed.
                let lines = transaction.map_or_else(Vec::new, |transaction| {
                    let reason = "settlement_pending".to_owned();
                    self.receipt(Settlement::Failed { reason, transaction }).headers(dialect)
                });
                self.refuse(Code::SettlementUnknown.into(), lines)
            }
        }
    }

    fn refuse(&self, problem: Problem, lines: respond::Lines) -> Result<Response> {
        self.note("refuse", &json!({ "code": problem.code.as_str(), "detail": problem.detail }));
        if problem.code.status() == 402 {
            respond::challenge(&self.charge.offer.challenge(problem), lines)
        } else {
            respond::problem(&problem, lines)
        }
    }

    const fn receipt(&self, result: Settlement) -> Receipt {
        let expected = self.expected();
        Receipt { network: expected.network, payer: expected.payer, result }
    }

    const fn expected(&self) -> Expected {
        Expected { payer: self.charge.payment.authorization.from, network: self.charge.requirement.asset.network }
    }

    /// Keeps the request's work going until the guard is dropped, though the client may have gone.
    fn stay_awake(&self) -> Sender<()> {
        let (guard, dropped) = channel();
        self.context.wait_until(async move {
            // Only ever ends by the guard being dropped.
            let _ = dropped.await;
        });
        guard
    }

    /// Off the critical path: the buyer has the answer, the books follow.
    fn later(&self, claim: &Granted, event: Event) {
        let claim = claim.clone();
        self.context.wait_until(async move { claim.record(event).await });
    }

    fn note(&self, what: &str, details: &serde_json::Value) {
        let payer = self.charge.payment.authorization.from.to_checksum(None);
        let amount = self.charge.requirement.amount.to_string();
        log::decision(what, self.route, &json!({ "payer": payer, "amount": amount, "outcome": details }));
    }
}

fn unreachable(detail: &str) -> Problem {
    log::failure("origin", detail);
    Code::OriginUnreachable.into()
}

enum Unpaid {
    Refused { reason: String },
    Unknown { transaction: Option<String> },
}
