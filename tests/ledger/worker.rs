//! What `src/edge/charge.rs` does around the books, await by await in its order.

use crate::model::{key_of, saw};
use crate::object::settle;
use crate::world::{Call, FACILITATOR_SECONDS, Heard, ORIGIN_SECONDS, World};
use edge402::ledger::authorization::{Denial, Event, Movement, State};
use edge402::ledger::messages::{Claim, Command, Identified, Kept, Mode, Reply, Right, StoredAnswer};
use edge402::ledger::outcome::{CLOCK_SECONDS, Open, after_attempt, wait};
use edge402::x402::facilitator::Verification;
use edge402::x402::reason::says_used;
use std::cell::Cell;
use std::rc::Rc;

const LEASE_SLACK_SECONDS: u64 = 10;
const MARGIN_SECONDS: u64 = 30;
const REPLAY_SECONDS: u64 = 600;
const COPY_SECONDS: u64 = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    After,
    Before,
    Deferred,
}

/// What is called: two ways to be charged after the answer, two before, one later, and a debt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Plain,
    Checked,
    Other,
    Upfront,
    CheckedUpfront,
    Deferred,
    Debt { object: usize, payment: usize },
}

impl Route {
    pub const PRICED: [Self; 6] =
        [Self::Plain, Self::Upfront, Self::Deferred, Self::Checked, Self::CheckedUpfront, Self::Other];

    const fn settle(self) -> Settle {
        match self {
            Self::Plain | Self::Checked | Self::Other => Settle::After,
            Self::Upfront | Self::CheckedUpfront | Self::Debt { .. } => Settle::Before,
            Self::Deferred => Settle::Deferred,
        }
    }

    const fn asks_facilitator(self) -> bool {
        matches!(self, Self::Checked | Self::CheckedUpfront | Self::Deferred)
    }
}

/// One call of one buyer.
#[derive(Clone, Debug)]
pub struct Request {
    pub task: usize,
    pub object: usize,
    pub payment: usize,
    pub route: Route,
    pub identified: Option<Identified>,
    /// The signature is one that only a facilitator can judge.
    pub undecided: bool,
    pub gone: Rc<Cell<bool>>,
}

#[derive(Debug)]
pub enum Response {
    /// The answer, and what it was paid by (nothing yet where it is deferred).
    Answer(Option<Movement>),
    /// What was answered before.
    Again,
    /// The origin's own failure.
    Failure,
    Challenge,
    Problem(&'static str),
}

struct Granted {
    attempt: u32,
    lease_until: u64,
}

enum Claimed {
    Granted(Granted, Right),
    Again,
}

enum Unpaid {
    NotBegun,
    Refused,
    Spent,
    Unknown,
}

struct Sale {
    world: Rc<World>,
    request: Request,
}

/// Carries a call out, and accounts for its answer.
pub async fn serve(world: Rc<World>, request: Request) {
    let (task, payment) = (request.task, request.payment);
    let sale = Sale { world: world.clone(), request };
    let response = sale.enter().await;
    world.note(|| format!("task {task} ends: {response:?}"));
    let mut model = world.model.borrow_mut();
    match response {
        Response::Answer(movement) => model.released(&world, payment, movement.map(|movement| movement.evidence)),
        Response::Challenge => model.challenged(&world, payment),
        Response::Again => saw("replayed"),
        Response::Failure => saw("origin's failure"),
        Response::Problem(code) => saw(code),
    }
}

impl Sale {
    fn now(&self) -> u64 {
        self.world.now.get()
    }

    /// The gate, and before it a look at whether a debt can be paid.
    async fn enter(&self) -> Response {
        if let Route::Debt { object, payment } = self.request.route {
            match self.ask(object, Command::List { nonce: Some(payment.to_string()) }).await {
                Ok(Reply::Listed { entries }) => match entries.first() {
                    Some(entry) if entry.state == State::Failed && entry.again_at.is_some() => {
                        return Response::Problem("debt not due");
                    }
                    Some(entry) if entry.state == State::Failed => {}
                    _ => return Response::Problem("no such debt"),
                },
                _ => return Response::Problem("storage"),
            }
        }
        let origin = if self.request.route.settle() == Settle::Before { 0 } else { ORIGIN_SECONDS };
        let valid_before = self.world.chain.borrow().authorizations[self.request.payment].valid_before;
        if valid_before < self.now() + origin + MARGIN_SECONDS {
            saw("too late");
            return match self.look().await {
                Ok(()) => Response::Challenge,
                Err(known) => self.known(known).await,
            };
        }
        self.run().await
    }

    async fn run(&self) -> Response {
        let undecided = self.request.undecided;
        if undecided {
            if let Err(known) = self.look().await {
                return self.known(known).await;
            }
            if let Err(refusal) = self.verify().await {
                return match self.look().await {
                    Err(known) => self.known(known).await,
                    Ok(()) => refusal,
                };
            }
        }
        let (claim, right) = match self.claim(false).await {
            Ok(Claimed::Granted(claim, right)) => (claim, right),
            Ok(Claimed::Again) => return Response::Again,
            Err(denial) => return refused(denial),
        };
        if let Right::ServeOwed(movement) = right {
            return self.serve_owed(&claim, movement).await;
        }
        if !undecided
            && self.request.route.asks_facilitator()
            && let Err(refusal) = self.verify().await
        {
            self.record(&claim, Event::Release).await;
            return refusal;
        }
        match self.request.route.settle() {
            Settle::After => self.serve_then_settle(&claim).await,
            Settle::Before => self.settle_then_serve(&claim).await,
            Settle::Deferred => self.serve_and_owe(&claim).await,
        }
    }

    async fn known(&self, known: Option<Denial>) -> Response {
        let wanted = known == Some(Denial::Owed) || (known == Some(Denial::Used) && self.request.identified.is_some());
        if !wanted {
            return refused(known);
        }
        match self.claim(true).await {
            Ok(Claimed::Granted(claim, Right::ServeOwed(movement))) => self.serve_owed(&claim, movement).await,
            Ok(Claimed::Granted(claim, Right::Sell)) => {
                self.record(&claim, Event::Release).await;
                refused(known)
            }
            Ok(Claimed::Again) => Response::Again,
            Err(denial) => refused(denial),
        }
    }

    async fn serve_then_settle(&self, claim: &Granted) -> Response {
        match self.goods(None).await {
            Ok(status) if status < 400 => {}
            other => {
                self.record(claim, Event::Release).await;
                return failure(other);
            }
        }
        if self.now() >= claim.lease_until {
            self.record(claim, Event::Release).await;
            return Response::Problem("too slow to settle");
        }
        match self.settle(claim).await {
            Ok(movement) => self.release(claim, movement).await,
            Err(unpaid) => refuse_unpaid(&unpaid),
        }
    }

    async fn settle_then_serve(&self, claim: &Granted) -> Response {
        let valid_before = self.world.chain.borrow().authorizations[self.request.payment].valid_before;
        if let Err(problem) = self.prepare(valid_before + CLOCK_SECONDS).await {
            self.record(claim, Event::Release).await;
            return Response::Problem(problem);
        }
        let movement = match self.settle(claim).await {
            Ok(movement) => movement,
            Err(unpaid) => {
                if !matches!(unpaid, Unpaid::Unknown) {
                    self.let_go().await;
                }
                return refuse_unpaid(&unpaid);
            }
        };
        let until = self.now() + self.lease_seconds();
        if !self.record(claim, Event::Paid { movement: movement.clone(), until }).await {
            return self.hold_back(claim, movement).await;
        }
        let served = self.goods(Some(&movement)).await;
        self.deliver(claim, movement, served).await
    }

    async fn serve_owed(&self, claim: &Granted, movement: Movement) -> Response {
        let served = self.goods(Some(&movement)).await;
        self.deliver(claim, movement, served).await
    }

    async fn deliver(&self, claim: &Granted, movement: Movement, served: Result<u16, ()>) -> Response {
        match served {
            Ok(status) if self.request.route.settle() == Settle::Before || status < 400 => {
                self.release(claim, movement).await
            }
            other => {
                // As the edge does where the origin cannot be reached.
                let event = if other.is_err() { Event::NothingRan } else { Event::StillOwed };
                self.record(claim, event).await;
                failure(other)
            }
        }
    }

    async fn serve_and_owe(&self, claim: &Granted) -> Response {
        match self.goods(None).await {
            Ok(_) if self.request.gone.get() => {
                self.record(claim, Event::Release).await;
                Response::Problem("nobody is there")
            }
            Ok(status) if status < 400 => {
                if !self.record_and_keep(claim, Event::Serve, self.kept()).await {
                    if !self.record(claim, Event::TakeBack).await && !self.record(claim, Event::StillOwed).await {
                        self.record(claim, Event::TakeBack).await;
                    }
                    return Response::Problem("storage");
                }
                self.copy().await;
                Response::Answer(None)
            }
            other => {
                self.record(claim, Event::Release).await;
                failure(other)
            }
        }
    }

    async fn release(&self, claim: &Granted, movement: Movement) -> Response {
        if self.request.gone.get() {
            self.record(claim, Event::Settled(movement)).await;
            self.record(claim, Event::StillOwed).await;
            return Response::Problem("answer owed");
        }
        if !self.record_and_keep(claim, Event::Answered(movement.clone()), self.kept()).await {
            return self.hold_back(claim, movement).await;
        }
        self.copy().await;
        Response::Answer(Some(movement))
    }

    async fn hold_back(&self, claim: &Granted, movement: Movement) -> Response {
        let settled = self.record(claim, Event::Settled(movement)).await;
        self.record(claim, Event::StillOwed).await;
        if settled {
            return Response::Problem("answer owed");
        }
        let reason = "the transaction that was named has settled another payment".to_owned();
        let again_at = self.now() + wait(1, None);
        self.record(claim, Event::LostTrack { reason, transaction: None, again_at, lost: true }).await;
        Response::Problem("settlement unknown")
    }

    /// What is in hand is kept in the turn that releases it; what streams is announced, and kept when it is over.
    fn kept(&self) -> Option<Kept> {
        self.request.identified.as_ref()?;
        Some(if self.streams() { Kept::Copying(self.now() + COPY_SECONDS) } else { Kept::Answer(self.answer()) })
    }

    fn streams(&self) -> bool {
        self.request.payment % 4 == 3
    }

    fn answer(&self) -> StoredAnswer {
        let until = self.now() + REPLAY_SECONDS;
        StoredAnswer { status: 200, headers: Vec::new(), body: self.request.payment.to_string(), until }
    }

    async fn copy(&self) {
        if self.request.identified.is_some() && self.streams() {
            let (key, now, answer) = (key_of(self.request.payment), self.now(), self.answer());
            let _ = self.ask(self.request.object, Command::Store { key, now, answer: Some(answer) }).await;
        }
    }

    async fn settle(&self, claim: &Granted) -> Result<Movement, Unpaid> {
        let until = self.now() + 3 * FACILITATOR_SECONDS + LEASE_SLACK_SECONDS;
        if !self.record(claim, Event::StartSettling { until, facilitator: "https://f".to_owned() }).await {
            self.record(claim, Event::NeverSent).await;
            return Err(Unpaid::NotBegun);
        }
        let Request { task, payment, .. } = self.request;
        self.world.model.borrow_mut().sends(payment, task);
        let (outcome, lost, _) = settle(&self.world, task, payment, &self.settle_request()).await;
        let valid_before = self.world.chain.borrow().authorizations[payment].valid_before;
        let open = Open { state: State::Settling, answered: false, lost, tries: 1, valid_before };
        match after_attempt(&open, &outcome, self.world.rules.rpc, self.now()) {
            Event::Settled(movement) => Ok(movement),
            event @ Event::Refused { .. } => {
                Err(if self.record(claim, event).await { Unpaid::Refused } else { Unpaid::Unknown })
            }
            event @ Event::FoundSpent { .. } => {
                Err(if self.record(claim, event).await { Unpaid::Spent } else { Unpaid::Unknown })
            }
            event => {
                self.record(claim, event).await;
                Err(Unpaid::Unknown)
            }
        }
    }

    fn settle_request(&self) -> String {
        format!("settle payment {}", self.request.payment)
    }

    const fn lease_seconds(&self) -> u64 {
        let verify =
            if self.request.route.asks_facilitator() || self.request.undecided { FACILITATOR_SECONDS } else { 0 };
        ORIGIN_SECONDS + LEASE_SLACK_SECONDS + verify
    }

    async fn claim(&self, only_what_is_owed: bool) -> Result<Claimed, Option<Denial>> {
        let Request { payment, object, route, .. } = self.request;
        let (value, valid_before) = {
            let chain = self.world.chain.borrow();
            (chain.authorizations[payment].value, chain.authorizations[payment].valid_before)
        };
        let lease_until = self.now() + self.lease_seconds();
        let claim = Claim {
            key: key_of(payment),
            network: "eip155:84532".to_owned(),
            payer: format!("0xP{object}"),
            pay_to: "0xS".to_owned(),
            binding: format!("{route:?}"),
            content: Some("the same body".to_owned()),
            mode: match (route, route.settle()) {
                (Route::Debt { .. }, _) => Mode::Debt,
                (_, Settle::After) => Mode::After,
                (_, Settle::Before) => Mode::Before,
                (_, Settle::Deferred) => Mode::Deferred { max_exposure: crate::model::MAX_EXPOSURE.to_string() },
            },
            identified: self.request.identified.clone(),
            now: self.now(),
            lease_until,
            valid_before,
            value: value.to_string(),
            facilitator: "https://f".to_owned(),
            settle_request: if only_what_is_owed { String::new() } else { self.settle_request() },
            only_what_is_owed,
            purchase: None,
        };
        match self.ask(object, Command::Claim(Box::new(claim))).await {
            Ok(Reply::Granted { attempt, right }) => Ok(Claimed::Granted(Granted { attempt, lease_until }, right)),
            Ok(Reply::Again { .. }) => Ok(Claimed::Again),
            Ok(Reply::Denied { denial, .. }) => Err(Some(denial)),
            _ => Err(None),
        }
    }

    async fn look(&self) -> Result<(), Option<Denial>> {
        let (key, binding) = (key_of(self.request.payment), format!("{:?}", self.request.route));
        let identified = self.request.identified.clone();
        match self.ask(self.request.object, Command::Look { key, binding, identified, now: self.now() }).await {
            Ok(Reply::Seen { denial: None }) => Ok(()),
            Ok(Reply::Seen { denial }) => Err(denial),
            _ => Err(None),
        }
    }

    async fn record(&self, claim: &Granted, event: Event) -> bool {
        self.record_and_keep(claim, event, None).await
    }

    async fn record_and_keep(&self, claim: &Granted, event: Event, kept: Option<Kept>) -> bool {
        let (key, attempt, now) = (key_of(self.request.payment), claim.attempt, self.now());
        let reply = self.ask(self.request.object, Command::Record { key, attempt, now, event, kept }).await;
        matches!(reply, Ok(Reply::Recorded { applied: true }))
    }

    async fn ask(&self, object: usize, command: Command) -> Result<Reply, ()> {
        match self.world.call(self.request.task, Call::Ask { object, command: Box::new(command) }).await {
            Heard::Reply(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    async fn verify(&self) -> Result<(), Response> {
        match self.world.call(self.request.task, Call::Verify { payment: self.request.payment }).await {
            Heard::Verification(Verification::Valid) => Ok(()),
            Heard::Verification(Verification::Invalid(reason)) if says_used(&reason) => {
                Err(Response::Problem("verify: used"))
            }
            Heard::Verification(Verification::Invalid(_)) => Err(Response::Challenge),
            Heard::Verification(Verification::Unavailable(_)) => Err(Response::Problem("verify: unavailable")),
            other => panic!("{other:?}"),
        }
    }

    /// Keeps others from paying the same debt meanwhile.
    async fn prepare(&self, until: u64) -> Result<(), &'static str> {
        match self.about_debt(Event::Reserve { by: self.request.payment.to_string(), until }).await {
            None | Some(Ok(Reply::Recorded { applied: true })) => Ok(()),
            Some(Ok(_)) => Err("debt is being paid"),
            Some(Err(())) => Err("storage"),
        }
    }

    async fn let_go(&self) {
        self.about_debt(Event::LetGo { by: self.request.payment.to_string() }).await;
    }

    async fn about_debt(&self, event: Event) -> Option<Result<Reply, ()>> {
        let Route::Debt { object, payment } = self.request.route else { return None };
        let command = Command::Record { key: key_of(payment), attempt: 0, now: self.now(), event, kept: None };
        Some(self.ask(object, command).await)
    }

    /// The origin's status, or peace about a debt.
    async fn goods(&self, paid: Option<&Movement>) -> Result<u16, ()> {
        let transaction = paid.and_then(|paid| paid.transaction.clone()).unwrap_or_default();
        if matches!(self.request.route, Route::Debt { .. }) {
            return self.about_debt(Event::MakeGood { transaction }).await.unwrap_or(Err(())).map(|_| 200);
        }
        match self.world.call(self.request.task, Call::Origin).await {
            Heard::Origin(answer) => answer,
            other => panic!("{other:?}"),
        }
    }
}

const fn failure(served: Result<u16, ()>) -> Response {
    if served.is_ok() { Response::Failure } else { Response::Problem("origin timed out") }
}

/// Only these are answered by a challenge.
const fn refused(denial: Option<Denial>) -> Response {
    match denial {
        None => Response::Problem("storage"),
        Some(Denial::Refused) => Response::Challenge,
        Some(_) => Response::Problem("denied"),
    }
}

const fn refuse_unpaid(unpaid: &Unpaid) -> Response {
    match unpaid {
        Unpaid::NotBegun => Response::Problem("not begun"),
        Unpaid::Spent => Response::Problem("spent"),
        Unpaid::Refused => Response::Challenge,
        Unpaid::Unknown => Response::Problem("settlement unknown"),
    }
}
