//! What is sold: a call of the origin, credits for many, or peace about a payment that failed.

use super::debts::Debt;
use super::origin::{Call, NoAnswer, Outgoing, bodiless, rebuilt};
use super::purchase::Purchase;
use super::replay::Unread;
use super::sale::Sale;
use super::{log, replay, respond};
use crate::http::headers::Passage;
use crate::http::problem::{Code, Problem};
use crate::ledger::authorization::Movement;
use crate::ledger::messages::StoredAnswer;
use js_sys::Uint8Array;
use std::future::Future;
use web_sys::{Headers, ReadableStream, Response};
use worker::Result;

/// What a sale delivers.
pub(super) enum Goods<'a> {
    /// The origin's answer.
    Call(&'a Call<'a>),
    /// A payment for an authorization that failed after its answer.
    Debt(&'a Debt),
    /// A package of credits.
    Package(&'a Purchase<'a>),
}

impl Goods<'_> {
    /// Everything that can fail before the delivery: what cannot even be sent must not be charged, nor what somebody else
    /// is buying until then. Done once: a request's body goes into what is sent, and cannot be read again.
    pub(super) async fn prepare(&self, sale: &Sale<'_>, until: u64) -> std::result::Result<Ready, Problem> {
        match self {
            Self::Call(call) => {
                let payer = sale.charge.payment.authorization.from.to_checksum(None);
                let outgoing = call.prepare(Passage::Paid, Some(&payer), Some(&paying(sale)));
                outgoing.map(|outgoing| Ready(Some(outgoing))).map_err(|error| unreachable(&error.to_string()))
            }
            Self::Package(_) => Ok(Ready(None)),
            Self::Debt(debt) => debt.reserve(paying(sale), until).await.map(|()| Ready(None)),
        }
    }

    /// Nobody buys it now: another one may.
    pub(super) async fn let_go(&self, sale: &Sale<'_>) {
        if let Self::Debt(debt) = self {
            debt.let_go(paying(sale)).await;
        }
    }

    /// Delivers it into our hands, not yet into the client's. `paid`: the money, where it has moved already.
    pub(super) async fn serve(
        &self,
        sale: &Sale<'_>,
        ready: Ready,
        paid: Option<&Movement>,
    ) -> std::result::Result<Served, Failure> {
        match self {
            Self::Call(call) => {
                let outgoing = ready.0.ok_or_else(|| Failure::before_it_ran(unreachable("nothing was prepared")))?;
                let seconds = sale.charge.terms.timeout_seconds;
                let answer = match call.paid(outgoing, seconds, paid.is_some()).await {
                    Ok(answer) | Err(NoAnswer::Unusable(answer)) => answer,
                    Err(NoAnswer::TimedOut) => return Err(Problem::from(Code::OriginTimeout).into()),
                    Err(NoAnswer::NeverReached(detail)) => return Err(Failure::before_it_ran(unreachable(&detail))),
                    Err(NoAnswer::Unreachable(detail)) => return Err(unreachable(&detail).into()),
                    Err(NoAnswer::NotAnAnswer(status)) => {
                        return Err(Failure { untold: true, ..not_an_answer(status).into() });
                    }
                    Err(NoAnswer::Status(status)) => return Err(Failure::before_it_ran(refused(status))),
                };
                let headers = call.paid_headers(&answer).map_err(|error| unreachable(&error.to_string()))?;
                let led_to = call.led_to(sale.charge.terms, &answer);
                let mut served = Served { body: answer.body(), answer, headers, in_hand: None, led_to };
                if sale.identified.is_some() && sale.charge.terms.replay_seconds > 0 {
                    served.take_in_hand(seconds).await?;
                }
                Ok(served)
            }
            Self::Debt(debt) => Ok(Served::of_ours(debt.make_good(paid).await?)),
            Self::Package(purchase) => Ok(Served::of_ours(purchase.deliver(sale.charge, paid).await?)),
        }
    }

    /// Why nothing is sold here but what is owed; nothing where it is.
    pub(super) const fn only_what_is_owed(&self) -> Option<Code> {
        match self {
            Self::Package(purchase) => purchase.only_what_is_owed,
            Self::Call(_) | Self::Debt(_) => None,
        }
    }

    /// Whether the client has hung up.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Call(call) => call.request.signal().aborted(),
            Self::Debt(_) | Self::Package(_) => false,
        }
    }
}

/// Which payment pays for a debt. The payer and its nonce: the debt's own object may be another payer's.
fn paying(sale: &Sale<'_>) -> String {
    let identity = &sale.charge.identity;
    format!("{}:{:#x}:{:#x}", identity.network, identity.payer, identity.nonce)
}

/// What is ready to be delivered.
#[derive(Default)]
pub(super) struct Ready(Option<Outgoing>);

/// Why there is nothing to deliver.
pub(super) struct Failure {
    pub(super) problem: Problem,
    /// The origin did not work on it.
    pub(super) nothing_ran: bool,
    /// It did, and its answer cannot be relayed.
    pub(super) untold: bool,
}

impl Failure {
    const fn before_it_ran(problem: Problem) -> Self {
        Self { problem, nothing_ran: true, untold: false }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, nothing_ran: false, untold: false }
    }
}

/// What the origin said was no answer's status, and the runtime makes no response of it.
pub(super) fn not_an_answer(status: u16) -> Problem {
    log::failure(
        "origin",
        &format!("it answered with the status {status}, which is no answer's and cannot be handed on"),
    );
    Code::AnswerBroken.into()
}

/// By its status a client of an MCP server knows that its session is over, and begins another.
pub(super) fn refused(status: u16) -> Problem {
    unreachable(&format!("the MCP server answered with the status {status}")).with("originStatus", status.into())
}

fn unreachable(detail: &str) -> Problem {
    log::failure("origin", detail);
    Code::OriginUnreachable.into()
}

/// An answer that is not released yet.
pub(super) struct Served {
    answer: Response,
    headers: Headers,
    body: Option<ReadableStream>,
    /// The whole body, where it was small enough to be read beforehand.
    in_hand: Option<Uint8Array>,
    /// It is a redirect to another request that the same payment is good for: that one's binding.
    pub(super) led_to: Option<String>,
}

impl Served {
    fn of_ours(response: Response) -> Self {
        let headers = response.headers();
        Self { body: response.body(), answer: response, headers, in_hand: None, led_to: None }
    }

    pub(super) fn status(&self) -> u16 {
        self.answer.status()
    }

    /// Lets go of an answer that will not be shown, and of the connection that it came on.
    pub(super) fn discard(&self) {
        if let Some(body) = &self.body {
            let _ = body.cancel();
        }
    }

    /// Out with it, under these further headers.
    pub(super) fn release(self, lines: respond::Lines) -> Result<Response> {
        for (name, value) in lines {
            self.headers.set(name, &value)?;
        }
        match &self.in_hand {
            Some(bytes) if !bodiless(self.answer.status()) => {
                let init = web_sys::ResponseInit::new();
                init.set_status(self.answer.status());
                init.set_status_text(&self.answer.status_text());
                init.set_headers(&self.headers);
                Ok(Response::new_with_opt_js_u8_array_and_init(Some(bytes), &init)?)
            }
            _ => rebuilt(&self.answer, self.body.as_ref(), &self.headers),
        }
    }

    /// Reads a body whose length is known to be small, so that it can be kept before it is released.
    async fn take_in_hand(&mut self, seconds: u32) -> std::result::Result<(), Problem> {
        let length = self.answer.headers().get("content-length").ok().flatten().and_then(|l| l.parse::<u32>().ok());
        let empty = bodiless(self.answer.status()) || self.body.is_none();
        // What was packed on the way is larger than it was long.
        let packed = self.answer.headers().has("content-encoding").unwrap_or(true);
        if !empty && (packed || length.is_none_or(|length| length > replay::MOST_BYTES)) {
            return Ok(());
        }
        let bytes = match self.body.take() {
            Some(body) if !empty => {
                replay::read_until(body, replay::MOST_BYTES, seconds, |_| false).await.map_err(|why| {
                    log::failure("origin", &format!("the answer's body: {why:?}"));
                    Problem::from(if why == Unread::TooSlow { Code::OriginTimeout } else { Code::AnswerBroken })
                })?
            }
            _ => Uint8Array::new_with_length(0),
        };
        self.in_hand = Some(bytes);
        Ok(())
    }

    /// The answer as it is kept, if its whole body is here.
    pub(super) fn in_hand(&self, until: u64) -> Option<StoredAnswer> {
        self.in_hand.as_ref().map(|bytes| self.stored(bytes, until))
    }

    /// Whether it has an end that a copy could wait for.
    pub(super) fn can_be_copied(&self) -> bool {
        let kind = self.answer.headers().get("content-type").ok().flatten().unwrap_or_default();
        let length = self.answer.headers().get("content-length").ok().flatten().and_then(|l| l.parse::<u32>().ok());
        self.body.is_some()
            && !kind.starts_with("text/event-stream")
            && length.is_none_or(|length| length <= replay::MOST_BYTES)
    }

    /// A copy of the answer as it streams to the client; nothing in the end where it streams for too long.
    pub(super) fn copy(&mut self, until: u64) -> Option<impl Future<Output = Option<StoredAnswer>> + use<>> {
        let branches = self.body.take()?.tee();
        let branch = |at: u32| wasm_bindgen::JsCast::dyn_into::<ReadableStream>(branches.get(at)).ok();
        let (client, ours) = (branch(0), branch(1));
        self.body = client;
        let (status, headers) = (self.answer.status(), replay::header_list(&self.headers));
        Some(async move {
            let bytes = replay::read(ours?, replay::COPY_SECONDS).await?;
            Some(replay::stored(status, headers, &bytes, until))
        })
    }

    fn stored(&self, bytes: &Uint8Array, until: u64) -> StoredAnswer {
        replay::stored(self.answer.status(), replay::header_list(&self.headers), bytes, until)
    }
}
