//! A paid call, step by step. Each step names what is true of the money once it is done.
//!
//! Two things wait for the books: a settlement is sent only once they say that it is under way, and an answer is released
//! only once they say that it was. Whatever dies in between leaves either a settlement that the alarm brings to an end or an
//! answer that is owed, never money that nobody knows of and never a second answer.

use super::claims::{Claimed, Granted, Ledger};
use super::goods::{Failure, Goods, Ready, Served};
use super::replay::Content;
use super::sale::Sale;
use super::settlement::Unpaid;
use super::{now, replay, respond, stay_awake};
use crate::config::{Facilitator, Settle, Verify};
use crate::gate::Standing;
use crate::http::headers::X_EDGE402_SETTLEMENT;
use crate::http::problem::{Code, Problem};
use crate::ledger::authorization::{Denial, Event, Movement};
use crate::ledger::messages::{Kept, Right, StoredAnswer};
use crate::ledger::outcome::{CLOCK_SECONDS, wait};
use serde_json::json;
use web_sys::Response;
use worker::Result;

/// What becomes of an answer whose buyer is not there to hear it. Without an end to it one payment would have the origin
/// work as often as somebody hangs up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HangingUp {
    LeavesItOwed,
    EndsIt,
}

impl<'a> Sale<'a> {
    /// Carries it out.
    pub(super) async fn run(&self) -> Result<Response> {
        let request =
            self.charge.payment.facilitator_request(self.charge.requirement, &self.charge.offer.resource).to_string();
        let undecided = self.charge.standing == Standing::Undecided;
        let mut chosen = None;
        // It cannot sign in: should the answer be lost, its key could be given to nobody.
        if undecided && self.identified.is_none() && matches!(self.goods, Goods::Package(_)) {
            return self.refuse(Code::IdentifierRequired.into(), Vec::new());
        }
        // Only a signature that is known good may claim: a stranger could else burn somebody's nonce. The books are asked
        // before the facilitator: of what we settled ourselves it can only say that it is spent.
        if undecided {
            if let Err(known) = self.look().await {
                return self.known(known).await;
            }
            match self.verify(&request).await {
                Ok(facilitator) => chosen = facilitator,
                Err(problem) => {
                    // Another copy may have settled while the facilitator looked: then its "no" is about that.
                    return match self.look().await {
                        Err(known) => self.known(known).await,
                        Ok(()) => self.refuse(problem, Vec::new()),
                    };
                }
            }
        }
        let (claim, right) = match self.claim(request.clone(), false).await {
            Ok(Claimed::Granted(claim, right)) => (claim, right),
            Ok(Claimed::Again { answer, movement }) => {
                return self.again(answer, movement).await;
            }
            Err(problem) => return self.refuse(problem.into(), Vec::new()),
        };
        if let Right::ServeOwed(movement) = right {
            return self.serve_owed(&claim, movement).await;
        }
        if !undecided && self.charge.verify == Verify::Facilitator {
            match self.verify(&request).await {
                Ok(facilitator) => chosen = facilitator,
                Err(problem) => {
                    claim.record(Event::Release).await;
                    return self.refuse(problem, Vec::new());
                }
            }
        }
        match self.charge.terms.settle {
            Settle::After => self.serve_then_settle(&claim, &request, chosen).await,
            Settle::Before => self.settle_then_serve(&claim, &request, chosen).await,
            Settle::Deferred => self.serve_and_owe(&claim).await,
        }
    }

    /// For a payment that would not be taken now, but may have been: what it bought and never got, or what it got and may
    /// hear again. `None` where a challenge is right.
    pub(super) async fn recover(&self) -> Result<Option<Response>> {
        match self.look().await {
            Ok(()) => Ok(None),
            Err(known) => self.known(known).await.map(Some),
        }
    }

    async fn look(&self) -> std::result::Result<(), super::claims::NoClaim> {
        let identity = &self.charge.identity;
        Ledger::of(self.env, identity).look(identity, self.identified.as_ref()).await
    }

    /// The books know this payment. No facilitator is asked about it any more: what is owed is served, what was answered
    /// under an identifier is said again, the rest is refused.
    async fn known(&self, known: super::claims::NoClaim) -> Result<Response> {
        let denial = match &known {
            super::claims::NoClaim::Denied { denial, .. } => Some(*denial),
            super::claims::NoClaim::Unreachable => None,
        };
        let wanted = denial == Some(Denial::Owed) || (denial == Some(Denial::Used) && self.identified.is_some());
        if !wanted {
            return self.refuse(known.into(), Vec::new());
        }
        match self.claim(String::new(), true).await {
            Ok(Claimed::Granted(claim, Right::ServeOwed(movement))) => self.serve_owed(&claim, movement).await,
            Ok(Claimed::Granted(claim, Right::Sell)) => {
                claim.record(Event::Release).await;
                self.refuse(known.into(), Vec::new())
            }
            Ok(Claimed::Again { answer, movement }) => self.again(answer, movement).await,
            Err(error) => self.refuse(error.into(), Vec::new()),
        }
    }

    /// The buyer has shown its identifier: the answer again. A key is never kept, and is written anew for its buyer.
    async fn again(&self, answer: Option<StoredAnswer>, movement: Option<Movement>) -> Result<Response> {
        let receipt = movement.clone().map_or_else(pending, |movement| self.settled(movement));
        let Goods::Package(purchase) = &self.goods else { return replay::again(answer, receipt) };
        match purchase.deliver(self.charge, movement.as_ref()).await {
            Ok(response) => {
                for (name, value) in receipt {
                    response.headers().set(name, &value)?;
                }
                response.headers().set("idempotent-replayed", "true")?;
                Ok(response)
            }
            Err(problem) => self.refuse(problem, receipt),
        }
    }

    /// Nothing moved yet; when the origin fails, nothing will.
    async fn serve_then_settle(
        &self,
        claim: &Granted,
        request: &str,
        chosen: Option<&Facilitator>,
    ) -> Result<Response> {
        let served = match self.serve(None).await {
            Ok(served) if served.led_to.is_some() => return self.led_on(claim, served).await,
            Ok(served) if served.status() < 400 => served,
            failed => return self.not_charged(claim, failed).await,
        };
        if !claim.may_still_settle() {
            served.discard();
            claim.record(Event::Release).await;
            return self.refuse(Code::OriginTimeout.into(), Vec::new());
        }
        // A buyer who hangs up now has paid, or may have: the runtime must not drop the books with the connection.
        let _awake = stay_awake(self.context);
        match self.settle(claim, request, chosen).await {
            Ok(movement) => self.release(claim, movement, served, self.first()).await,
            Err(unpaid) => {
                served.discard();
                self.refuse_unpaid(unpaid)
            }
        }
    }

    /// The money moves first; from then on every answer carries the receipt, whatever its status.
    async fn settle_then_serve(
        &self,
        claim: &Granted,
        request: &str,
        chosen: Option<&Facilitator>,
    ) -> Result<Response> {
        // Built before the money moves: what cannot be sent must not be charged.
        // For as long as this payment may land.
        let valid_before: u64 = self.charge.payment.authorization.valid_before.saturating_to();
        let ready = match self.goods.prepare(self, valid_before.saturating_add(CLOCK_SECONDS)).await {
            Ok(ready) => ready,
            Err(problem) => {
                claim.record(Event::Release).await;
                return self.refuse(problem, Vec::new());
            }
        };
        let _awake = stay_awake(self.context);
        let movement = match self.settle(claim, request, chosen).await {
            Ok(movement) => movement,
            Err(unpaid) => {
                if !matches!(unpaid, Unpaid::Unknown { .. }) {
                    self.goods.let_go(self).await;
                }
                return self.refuse_unpaid(unpaid);
            }
        };
        let until = now().saturating_add(u64::from(self.lease_seconds()));
        if !claim.record(Event::Paid { movement: movement.clone(), until }).await {
            return self.hold_back(claim, movement).await;
        }
        let served = self.goods.serve(self, ready, Some(&movement)).await;
        self.deliver(claim, movement, served, self.first()).await
    }

    /// What the buyer does not hear of the first run it is owed, if it can be told from another call.
    const fn first(&self) -> HangingUp {
        match self.content {
            Content::Known(_) => HangingUp::LeavesItOwed,
            Content::Unknown => HangingUp::EndsIt,
        }
    }

    /// It is paid for already, and its answer was never released.
    async fn serve_owed(&self, claim: &Granted, movement: Movement) -> Result<Response> {
        self.note("serve_owed", &json!({ "transaction": movement.transaction }));
        // A buyer who hangs up now has not heard it.
        let _awake = stay_awake(self.context);
        let served = self.serve(Some(&movement)).await;
        self.deliver(claim, movement, served, HangingUp::EndsIt).await
    }

    async fn serve(&self, paid: Option<&Movement>) -> std::result::Result<Served, Failure> {
        let until = now().saturating_add(u64::from(self.lease_seconds()));
        let ready = match (&self.goods, paid) {
            // It was reserved for this payment when it was paid.
            (Goods::Debt(_), Some(_)) => Ready::default(),
            _ => self
                .goods
                .prepare(self, until)
                .await
                .map_err(|problem| Failure { nothing_ran: true, ..problem.into() })?,
        };
        self.goods.serve(self, ready, paid).await
    }

    /// A redirect to what is sold on the same terms: it costs nothing, and the payment is good for what it leads to.
    async fn led_on(&self, claim: &Granted, mut redirect: Served) -> Result<Response> {
        let Some(to) = redirect.led_to.take() else { return redirect.release(Vec::new()) };
        // Who follows at once must find it said.
        if !claim.record(Event::LedOn { to }).await {
            redirect.discard();
            return self.refuse(Code::StorageUnavailable.into(), Vec::new());
        }
        self.note("led_on", &json!({ "origin_status": redirect.status() }));
        redirect.release(Vec::new())
    }

    /// The same, of what is paid already: it is owed there.
    async fn owed_there(&self, claim: &Granted, movement: Movement, mut redirect: Served) -> Result<Response> {
        let to = redirect.led_to.take().unwrap_or_default();
        if !claim.record(Event::OwedThere { to }).await {
            redirect.discard();
            return self.hold_back(claim, movement).await;
        }
        self.note("led_on", &json!({ "origin_status": redirect.status(), "transaction": movement.transaction }));
        redirect.release(self.settled(movement))
    }

    /// Releases what was paid for beforehand, if it is an answer; if not, it is still owed.
    async fn deliver(
        &self,
        claim: &Granted,
        movement: Movement,
        served: std::result::Result<Served, Failure>,
        hanging_up: HangingUp,
    ) -> Result<Response> {
        match served {
            Ok(served) if served.led_to.is_some() => self.owed_there(claim, movement, served).await,
            // Who is paid first is paid for any answer; after the fact only one that would have been charged counts.
            Ok(served) if self.charge.terms.settle == Settle::Before || served.status() < 400 => {
                self.release(claim, movement, served, hanging_up).await
            }
            Ok(failure) => {
                // It says that it failed, and could have been had to say so for nothing: an outage must not use up what is owed.
                claim.record(Event::NothingRan).await;
                failure.release(self.settled(movement))
            }
            Err(Failure { problem, nothing_ran, .. }) => {
                // A connection that broke may have been broken by the buyer, or by what it asked for.
                claim.record(if nothing_ran { Event::NothingRan } else { Event::StillOwed }).await;
                let is_over = !nothing_ran && self.is_over().await;
                self.refuse(if is_over { in_vain(&problem) } else { problem }, self.settled(movement))
            }
        }
    }

    /// Whether the origin has worked on it as often as it may: sending it again gets no answer any more.
    async fn is_over(&self) -> bool {
        matches!(self.look().await, Err(super::claims::NoClaim::Denied { denial: Denial::Used, .. }))
    }

    /// The facilitator has seen the wallet; the alarm collects from it.
    async fn serve_and_owe(&self, claim: &Granted) -> Result<Response> {
        match self.serve(None).await {
            Ok(served) if self.goods.is_gone() => {
                served.discard();
                claim.record(Event::Release).await;
                self.refuse(Code::OriginUnreachable.into(), Vec::new())
            }
            Ok(served) if served.led_to.is_some() => self.led_on(claim, served).await,
            Ok(mut served) if served.status() < 400 => {
                // Nobody collects for an answer that is not in the books.
                let kept = self.kept(&served);
                let copying = matches!(kept, Some(Kept::Copying(_)));
                if !claim.record_and_keep(Event::Serve, kept).await {
                    served.discard();
                    // What is being collected by now is owed; what has failed meanwhile is taken back after all.
                    if !claim.record(Event::TakeBack).await && !claim.record(Event::StillOwed).await {
                        claim.record(Event::TakeBack).await;
                    }
                    return self.refuse(Code::StorageUnavailable.into(), Vec::new());
                }
                self.note("served", &json!({ "settle": "deferred" }));
                if copying {
                    self.copy(claim, &mut served);
                }
                served.release(pending())
            }
            failed => self.not_charged(claim, failed).await,
        }
    }

    async fn not_charged(&self, claim: &Granted, failed: std::result::Result<Served, Failure>) -> Result<Response> {
        let untold = failed.as_ref().is_err_and(|failure| failure.untold);
        // Awaited, not left for later: a client that tries the same payment again at once is not told 409.
        claim.record(if untold { Event::RanInVain } else { Event::Release }).await;
        match failed {
            Ok(failure) => {
                self.note("not_charged", &json!({ "origin_status": failure.status() }));
                failure.release(Vec::new())
            }
            Err(Failure { problem, .. }) => self.refuse(problem, Vec::new()),
        }
    }

    /// The answer goes out once the books say that it did: it is the only one for this money.
    async fn release(
        &self,
        claim: &Granted,
        movement: Movement,
        mut served: Served,
        hanging_up: HangingUp,
    ) -> Result<Response> {
        if hanging_up == HangingUp::LeavesItOwed && self.goods.is_gone() {
            // Nobody is there to hear it: it stays owed.
            served.discard();
            claim.record(Event::Settled(movement.clone())).await;
            claim.record(Event::StillOwed).await;
            return self.refuse(Code::AnswerOwed.into(), self.settled(movement));
        }
        let kept = self.kept(&served);
        let copying = matches!(kept, Some(Kept::Copying(_)));
        if !claim.record_and_keep(Event::Answered(movement.clone()), kept).await {
            served.discard();
            return self.hold_back(claim, movement).await;
        }
        self.note("answered", &json!({ "transaction": movement.transaction }));
        if copying {
            self.copy(claim, &mut served);
        }
        served.release(self.settled(movement))
    }

    /// The books did not take it that money moved for this claim: no answer goes out. Either the claim is another's by now
    /// and the answer is owed to who holds it, or the books know better (the transaction settled another payment), and the
    /// alarm finds out.
    async fn hold_back(&self, claim: &Granted, movement: Movement) -> Result<Response> {
        let settled = claim.record(Event::Settled(movement.clone())).await;
        // Said whatever came of the words before: they may have been written though their reply was lost.
        claim.record(Event::StillOwed).await;
        if settled {
            return self.refuse(Code::AnswerOwed.into(), self.settled(movement));
        }
        let reason = "the transaction that was named has settled another payment".to_owned();
        let again_at = now().saturating_add(wait(1, None));
        claim.record(Event::LostTrack { reason, transaction: None, again_at, lost: true }).await;
        self.refuse(Code::SettlementUnknown.into(), Vec::new())
    }
}

/// In place of a receipt: what is answered before it is settled has none yet.
fn pending() -> respond::Lines {
    vec![(X_EDGE402_SETTLEMENT, "pending".to_owned())]
}

/// What is said of the last run that a payment buys: no invitation to send it again.
fn in_vain(problem: &Problem) -> Problem {
    let detail =
        "the API was asked as often as one payment has it asked, and no answer could be had: this payment is used up";
    Problem::new(Code::AnswerBroken, detail).with("last", problem.code.as_str().into())
}
