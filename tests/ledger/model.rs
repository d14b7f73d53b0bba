//! What must be true of money, kept beside the books in the plainest way: per payment a handful of facts, noted as they
//! are seen from outside, and compared with the books and with the chain. What is not right is collected in `broken`.

use crate::chain::{By, Chain};
use crate::world::World;
use edge402::ledger::authorization::{Denial, Event, Evidence, State};
use edge402::ledger::books::Outstanding;
use edge402::ledger::messages::{Claim, Command, Identified, Key, Mode, Reply, Right};
use edge402::ledger::outcome::Shown;
use edge402::ledger::sql::Sql;
use edge402::x402::facilitator::{Outcome, Said};
use edge402::x402::reason::says_spent;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Known, in `Sale::hold_back`: `Answered` was written and its reply is lost; so is that of the `Settled` after it. Then
/// nobody says `StillOwed`, and the answer that was held back is taken for given. `false` with the code that mends it.
const SETTLED_UNHEARD_IS_EXCUSED: bool = false;

/// Known, in `Sale::serve_and_owe`: `Serve` was written and its reply is lost. `TakeBack` finds the alarm collecting, and
/// `StillOwed` after it finds that it has failed: neither applies, and the buyer is in debt for an answer that was thrown
/// away. `false` with the rule that mends it.
const TAKEN_BACK_IN_BETWEEN_IS_EXCUSED: bool = false;

pub const MAX_EXPOSURE: u64 = 2_500;
/// What an alarm allows itself for the settlements that it takes up, in seconds.
const LONGEST_ALARM: u64 = 70;

thread_local! {
    /// How often each thing was seen, over all schedules: what never happens is not tested.
    pub static SEEN: RefCell<BTreeMap<String, u64>> = RefCell::default();
}

pub fn saw(what: &str) {
    SEEN.with_borrow_mut(|seen| match seen.get_mut(what) {
        Some(times) => *times += 1,
        None => drop(seen.insert(what.to_owned(), 1)),
    });
}

pub fn key_of(payment: usize) -> Key {
    Key { asset: "0xA".to_owned(), nonce: payment.to_string() }
}

pub fn payment_of(key: &Key) -> usize {
    key.nonce.parse().unwrap()
}

/// One payment, as seen from outside.
#[derive(Debug, Default)]
struct Seen {
    /// The request that it was first granted to; nobody else ever gets it.
    binding: Option<String>,
    deferred: bool,
    /// The claim that stands, and until when nobody else may have one.
    attempt: u32,
    held_until: u64,
    /// A settlement has been begun in the books, and not been taken back.
    begun: bool,
    /// The worker that has sent one, and what.
    sender: Option<usize>,
    request: Option<String>,
    /// The books have allowed an answer, and so many were given.
    marked: bool,
    released: u32,
    /// Somebody died between the two, or could not be heard: that answer is lost, as it must be.
    excused: bool,
    identified: Vec<Identified>,
    sold_under: Option<Identified>,
    /// Refused after its answer, and whether somebody is about to pay for it.
    failed: bool,
    reserved_until: u64,
    reserved_by: String,
}

/// An authorization as the books have it.
#[derive(Clone, Debug)]
pub struct Line {
    pub payment: usize,
    pub state: State,
    pub answered: bool,
    pub evidence: Option<Evidence>,
    pub deferred: bool,
    pub again_at: Option<u64>,
    pub lease_until: u64,
}

impl Line {
    /// When somebody is to look at it.
    const fn due(&self) -> Option<u64> {
        match self.state {
            State::Claimed => Some(self.lease_until),
            State::Settling | State::Unknown | State::Due | State::Failed => self.again_at,
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
pub struct Model {
    pub broken: Vec<String>,
    seen: Vec<Seen>,
    dirty: [bool; 2],
}

impl Model {
    fn of(&mut self, payment: usize) -> &mut Seen {
        if self.seen.len() <= payment {
            self.seen.resize_with(payment + 1, Seen::default);
        }
        &mut self.seen[payment]
    }

    fn must(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.broken.push(what());
        }
    }

    /// A command was answered.
    pub fn replied(&mut self, world: &World, object: usize, command: &Command, reply: &Reply) {
        match (command, reply) {
            (Command::Claim(claim), Reply::Granted { attempt, right }) => {
                self.granted(world, object, claim, *attempt, right)
            }
            (Command::Claim(claim), Reply::Again { answer, .. }) => {
                saw(if answer.is_some() { "again" } else { "again, not kept" });
                let payment = payment_of(&claim.key);
                let known = claim.identified.as_ref().is_some_and(|id| self.of(payment).identified.contains(id));
                let marked = self.of(payment).marked;
                self.must(known, || format!("payment {payment} is heard again without its identifier"));
                self.must(marked, || format!("payment {payment} is heard again and was never answered"));
                let own = answer.as_ref().is_none_or(|answer| answer.body == payment.to_string());
                self.must(own, || format!("payment {payment} hears another's answer"));
            }
            (Command::Claim(claim), Reply::Denied { denial, .. }) => self.denied(world, object, claim, *denial),
            (Command::Record { key, attempt, now, event, .. }, Reply::Recorded { applied }) => {
                self.recorded(world, key, *attempt, *now, event, *applied);
            }
            (Command::Look { .. }, Reply::Seen { denial }) => saw(&format!("look: {denial:?}")),
            (Command::Store { .. }, Reply::Recorded { applied: true }) => saw("stored"),
            _ => {}
        }
    }

    fn granted(&mut self, world: &World, object: usize, claim: &Claim, attempt: u32, right: &Right) {
        self.dirty[object] = true;
        let payment = payment_of(&claim.key);
        if !matches!(claim.mode, Mode::Debt) {
            let debtor = (0..self.seen.len())
                .find(|at| self.seen[*at].failed && world.chain.borrow().authorizations[*at].wallet == object);
            let owed = matches!(right, Right::ServeOwed(_));
            self.must(owed || debtor.is_none(), || {
                format!("payment {payment} is sold to a wallet in debt for {debtor:?}")
            });
        }
        let seen = self.of(payment);
        let free = seen.held_until <= world.now.get() && attempt > seen.attempt;
        let same = seen.binding.as_ref().is_none_or(|binding| *binding == claim.binding);
        let unanswered = !seen.marked && seen.released == 0;
        let begun = seen.begun;
        seen.attempt = attempt;
        seen.held_until = claim.lease_until;
        seen.binding = Some(claim.binding.clone());
        self.must(free, || format!("payment {payment} is granted twice"));
        self.must(same, || format!("payment {payment} is granted to another request"));
        self.must(unanswered, || format!("payment {payment} is answered, and granted again"));
        self.must(!claim.only_what_is_owed || *right != Right::Sell, || {
            format!("payment {payment}: sold what was not on sale")
        });
        match right {
            Right::Sell => {
                saw(if attempt == 1 { "granted" } else { "granted again" });
                self.must(!begun, || format!("payment {payment} is sold again after its settlement was begun"));
                self.of(payment).deferred = matches!(claim.mode, Mode::Deferred { .. });
                self.of(payment).identified.extend(claim.identified.clone());
                self.of(payment).sold_under = claim.identified.clone();
                if matches!(claim.mode, Mode::Deferred { .. }) {
                    let exposed = self.exposed(world, &lines(world, object)) + self.claimed(world, object, payment);
                    self.must(exposed <= MAX_EXPOSURE, || {
                        format!("payment {payment} is granted at an exposure of {exposed}")
                    });
                }
            }
            Right::ServeOwed(movement) => {
                // What was sold without an identifier is from now on owed to who shows this one.
                let seen = self.of(payment);
                seen.identified.extend(claim.identified.clone());
                seen.sold_under = seen.sold_under.take().or_else(|| claim.identified.clone());
                saw(&format!("owed, {}", movement.evidence.as_str()));
                let paid = world.chain.borrow().moved(payment) || movement.evidence == Evidence::Unproven;
                self.must(paid, || format!("payment {payment} is owed an answer that nobody paid for"));
            }
        }
    }

    /// The value of deferred answers that were given to a wallet and have not been paid for, as the chain and the buyers
    /// see it, whatever the books can still say of them.
    fn exposed(&self, world: &World, lines: &[Line]) -> u64 {
        let chain = world.chain.borrow();
        let given = |payment: usize| self.seen.get(payment).is_some_and(|seen| seen.deferred && seen.released > 0);
        let open = lines.iter().filter(|line| {
            let over = matches!(line.state, State::MadeGood | State::Settled);
            given(line.payment) && !chain.moved(line.payment) && !over
        });
        open.map(|line| chain.authorizations[line.payment].value).sum()
    }

    /// The same for those that have a claim and no answer yet.
    fn claimed(&self, world: &World, object: usize, this: usize) -> u64 {
        let chain = world.chain.borrow();
        let holds = |payment: usize, seen: &Seen| {
            let held = seen.held_until > world.now.get() && !seen.begun && seen.released == 0;
            seen.deferred && chain.authorizations[payment].wallet == object && (held || payment == this)
        };
        let held = self.seen.iter().enumerate().filter(|(payment, seen)| holds(*payment, seen));
        held.map(|(payment, _)| chain.authorizations[payment].value).sum()
    }

    fn denied(&mut self, world: &World, object: usize, claim: &Claim, denial: Denial) {
        saw(&format!("denied: {denial:?}"));
        match denial {
            Denial::InDebt => {
                // A debt that is being tried again is one all the same.
                let debt = lines(world, object).iter().any(|line| {
                    line.deferred && (line.state == State::Failed || (line.state == State::Settling && line.answered))
                });
                self.must(debt, || format!("payment {} is refused for a debt that there is not", claim.key.nonce));
            }
            Denial::Exposed => {
                let open = [State::Claimed, State::Due, State::Settling, State::Unknown, State::Lapsed];
                let chain = world.chain.borrow();
                let counts = |line: &&Line| {
                    line.deferred && open.contains(&line.state) && line.payment != payment_of(&claim.key)
                };
                let sum: u64 = lines(world, object)
                    .iter()
                    .filter(counts)
                    .map(|line| chain.authorizations[line.payment].value)
                    .sum();
                let value: u64 = claim.value.parse().unwrap();
                self.must(sum + value > MAX_EXPOSURE, || format!("payment {} exposes nobody", claim.key.nonce));
            }
            _ => {}
        }
    }

    /// An event was offered to the books, by a worker or by the alarm.
    pub fn recorded(&mut self, world: &World, key: &Key, attempt: u32, now: u64, event: &Event, applied: bool) {
        use Event::{
            Answered, Fail, FoundSpent, LetGo, LostTrack, MakeGood, NeverSent, NothingRan, Paid, Refused, Release,
            Reserve, Serve, Settled, StartCollecting, StartSettling, StillOwed, TakeBack,
        };
        if !applied {
            let seen = self.of(payment_of(key));
            if TAKEN_BACK_IN_BETWEEN_IS_EXCUSED && *event == StillOwed && seen.deferred && seen.marked {
                seen.excused |= seen.released == 0;
            }
            return saw(&format!("no {}", name(event)));
        }
        saw(name(event));
        let payment = payment_of(key);
        self.dirty[world.chain.borrow().authorizations[payment].wallet] = true;
        let moved = world.chain.borrow().moved(payment);
        let seen = self.of(payment);
        let own = match event {
            StartSettling { .. }
            | Paid { .. }
            | NeverSent
            | Answered(_)
            | Refused { .. }
            | FoundSpent { .. }
            | Release
            | Serve
            | StillOwed
            | NothingRan
            | TakeBack => attempt == seen.attempt,
            _ => true,
        };
        let mut right = true;
        match event {
            StartSettling { until, .. } => {
                right = !seen.begun && !seen.marked;
                (seen.begun, seen.held_until) = (true, *until);
            }
            NeverSent => {
                right = seen.sender.is_none() && !seen.marked;
                (seen.begun, seen.held_until) = (false, 0);
            }
            Release => {
                right = !seen.begun && !seen.marked;
                seen.held_until = 0;
            }
            TakeBack => {
                // What failed to be collected can be used again by who has signed it.
                right = (!seen.begun || seen.failed) && seen.released == 0;
                (seen.begun, seen.failed) = (false, false);
                (seen.marked, seen.held_until, seen.attempt) = (false, 0, seen.attempt + 1);
            }
            StillOwed | NothingRan => {
                right = seen.released == 0;
                (seen.marked, seen.held_until, seen.attempt) = (false, now, seen.attempt + 1);
            }
            Reserve { by, until } => {
                right = seen.failed && (seen.reserved_until <= now || seen.reserved_by == *by);
                seen.reserved_until = *until;
                seen.reserved_by.clone_from(by);
            }
            LetGo { by } => {
                right = seen.reserved_by == *by;
                seen.reserved_until = now;
            }
            Paid { until, .. } => seen.held_until = *until,
            LostTrack { .. } => seen.held_until = now,
            Answered(_) | Serve => {
                right = !seen.marked && seen.released == 0;
                seen.marked = true;
            }
            StartCollecting { .. } => {
                right = seen.marked;
                (seen.begun, seen.failed) = (true, false);
            }
            Fail { .. } => {
                right = seen.marked;
                seen.failed = true;
            }
            Settled(_) | MakeGood { .. } => seen.failed = false,
            _ => {}
        }
        self.must(own, || format!("payment {payment}: {event:?} of attempt {attempt} is stale"));
        self.must(right, || format!("payment {payment}: {event:?} of attempt {attempt} is wrong"));
        if let Paid { movement, .. } | Answered(movement) | Settled(movement) = event {
            self.must(moved || movement.evidence == Evidence::Unproven, || {
                format!("payment {payment}: {event:?}, and no money moved")
            });
        }
    }

    /// A command that would have given an answer back was lost, or one that takes it may arrive after that.
    pub fn lost(&mut self, key: &Key, event: &Event) {
        let held_back = SETTLED_UNHEARD_IS_EXCUSED && matches!(event, Event::Settled(_));
        if held_back
            || matches!(
                event,
                Event::StillOwed | Event::NothingRan | Event::TakeBack | Event::Answered(_) | Event::Serve
            )
        {
            self.of(payment_of(key)).excused = true;
        }
    }

    /// A command was carried out, and its worker cannot know.
    pub fn unheard(&mut self, key: &Key, event: &Event) {
        if SETTLED_UNHEARD_IS_EXCUSED && matches!(event, Event::Settled(_)) {
            self.of(payment_of(key)).excused = true;
        }
    }

    /// Whoever works on it dies.
    pub fn died(&mut self, payment: usize) {
        let seen = self.of(payment);
        seen.excused |= seen.marked && seen.released == 0;
    }

    /// The request that has it, and the identifier that it was last sold under.
    pub fn sold_to(&self, payment: usize) -> (Option<String>, Option<Identified>) {
        self.seen.get(payment).map(|seen| (seen.binding.clone(), seen.sold_under.clone())).unwrap_or_default()
    }

    /// A worker is about to send a settlement; the alarm, too, sends nothing but what was signed.
    pub fn sends(&mut self, payment: usize, worker: usize) {
        let seen = self.of(payment);
        let right = seen.begun && seen.sender.replace(worker).is_none_or(|sender| sender == worker);
        self.must(right, || format!("payment {payment}: another settlement is sent by a live request"));
    }

    pub fn sent(&mut self, payment: usize, request: &str) {
        let first = self.of(payment).request.get_or_insert_with(|| request.to_owned()).clone();
        self.must(first == request && !request.is_empty(), || {
            format!("payment {payment}: {request:?} is sent after {first:?}")
        });
    }

    /// An answer to a settlement was heard.
    pub fn heard(&mut self, task: usize, payment: usize, said: &Said, chain: &mut Chain) {
        let says_so = match said {
            Said::Decided(Outcome::Settled(_)) => true,
            Said::Decided(Outcome::Unknown { reason, .. }) => says_spent(reason),
            _ => false,
        };
        saw(match said {
            Said::Decided(Outcome::Settled(_)) => "settle: settled",
            Said::Decided(Outcome::Unknown { .. }) if says_so => "settle: used",
            Said::Decided(Outcome::Unknown { .. }) if said.pending().is_some() => "settle: pending",
            Said::Decided(Outcome::Unknown { retry_after: Some(_), .. }) => "settle: asks to wait",
            Said::Decided(Outcome::Unknown { .. }) => "settle: unknown",
            Said::Decided(Outcome::Refused(reason)) if reason.contains("insufficient") => "settle: poor",
            Said::Decided(Outcome::Refused(_)) => "settle: too late",
            Said::Denied(_) => "settle: failed on chain",
        });
        if says_so && chain.moved_by_us(payment) {
            chain.told(payment, task);
        }
    }

    pub fn looked(&mut self, shown: &Shown) {
        saw(match shown {
            Shown::Settled(_) => "shown: settled",
            Shown::SpentBefore => "shown: spent before",
            Shown::Void(_) => "shown: void",
            Shown::Expired => "shown: expired",
            Shown::Unused => "shown: unused",
            Shown::Nothing => "shown: nothing",
        });
    }

    /// What a proof would show: `evm::proof` and its tests say what it takes.
    pub fn shown(&self, chain: &Chain, outstanding: &Outstanding, now: u64) -> Shown {
        use edge402::evm::proof::{BURIED_SECONDS, CLOCK_TOLERANCE_SECONDS};
        // What no attempt of ours has been lost for is ours only if it is later than the claim, without any tolerance.
        let since = outstanding.claimed_at - if outstanding.open.lost { CLOCK_TOLERANCE_SECONDS } else { 0 };
        match chain.used(payment_of(&outstanding.key)) {
            Some(used) if used.by == By::Cancelled => Shown::Void("cancelled".to_owned()),
            Some(used) if used.at < since => Shown::SpentBefore,
            Some(used) => Shown::Settled(used.transaction.clone()),
            None if now >= outstanding.open.valid_before + BURIED_SECONDS => Shown::Expired,
            None => Shown::Unused,
        }
    }

    /// An answer has left.
    pub fn released(&mut self, world: &World, payment: usize, evidence: Option<Evidence>) {
        let moved = world.chain.borrow().moved(payment);
        let seen = self.of(payment);
        seen.released += 1;
        let (times, marked) = (seen.released, seen.marked);
        saw(&format!("answered, {}", evidence.map_or("deferred", Evidence::as_str)));
        self.must(times == 1, || format!("payment {payment} is answered {times} times"));
        self.must(marked, || format!("payment {payment} is answered, and the books do not know"));
        let paid = evidence.is_none() || moved || evidence == Some(Evidence::Unproven);
        self.must(paid, || format!("payment {payment} is answered for nothing"));
    }

    /// A fresh challenge has left: whoever gets one signs again.
    pub fn challenged(&mut self, world: &World, payment: usize) {
        saw("challenged");
        let chain = world.chain.borrow();
        let over = chain.used(payment).is_some() || chain.authorizations[payment].valid_before <= world.now.get();
        let safe = !chain.moved_by_us(payment) && (over || !chain.may_land(payment) && !world.under_way(payment));
        self.must(safe, || format!("payment {payment} is challenged while its money moves"));
    }

    /// Compares the books with what is known of the chain, after every step that wrote to them.
    pub fn audit(&mut self, world: &World, at_the_end: bool) {
        let dirty = std::mem::take(&mut self.dirty);
        for (object, store) in world.objects.iter().enumerate().filter(|(object, _)| dirty[*object] || at_the_end) {
            let lines = lines(world, object);
            for line in &lines {
                saw(line.state.as_str());
                self.line(world, line, at_the_end);
            }
            let exposed = self.exposed(world, &lines);
            self.must(exposed <= MAX_EXPOSURE, || format!("wallet {object} has had {exposed} for nothing"));
            // Whatever is open has a time, and the alarm is set for it, or runs and will set itself; an alarm that died over
            // others has set it for when all of them would have ended. What is only to be forgotten may wait for the next.
            let due = lines.iter().filter_map(Line::due).min();
            let now = world.now.get();
            let rings = store.alarm_runs()
                || due.is_none_or(|due| store.alarm_is_set().is_some_and(|at| at <= due.max(now) + LONGEST_ALARM + 1));
            self.must(rings, || format!("wallet {object}: due at {due:?}, alarm at {:?}", store.alarm_is_set()));
        }
    }

    fn line(&mut self, world: &World, line: &Line, at_the_end: bool) {
        let chain = world.chain.borrow();
        let payment = line.payment;
        let (used, by_us) = (chain.used(payment).is_some(), chain.moved_by_us(payment));
        let seen = self.of(payment);
        let founded = match line.evidence {
            Some(Evidence::Told | Evidence::Proved) => chain.moved(payment),
            Some(Evidence::Unproven) => used,
            None => line.state != State::Settled,
        };
        // Money of ours is never written off, only waited for.
        let waited_for =
            matches!(line.state, State::Settling | State::Unknown | State::Settled | State::Lapsed | State::Due);
        let ended = match line.state {
            State::Settled | State::Spent | State::MadeGood => true,
            State::Failed => line.again_at.is_none(),
            State::Lapsed => !world.rules.rpc && !chain.was_told(payment),
            _ => false,
        };
        let wrong = [
            (line.answered == seen.marked, "answered or not?"),
            (founded, "settled, and it is not"),
            (!by_us || waited_for, "money that is not in the books"),
            (!at_the_end || ended, "no end"),
            (!at_the_end || !by_us || matches!(line.state, State::Settled | State::Lapsed), "missing from the books"),
            (!at_the_end || !line.answered || seen.released == 1 || seen.excused, "charged without an answer"),
        ];
        if let Some((_, what)) = wrong.iter().find(|(right, _)| !right) {
            let facts = format!("{what}: {line:?}, {:?}, {seen:?}", chain.authorizations[payment]);
            self.broken.push(facts);
        }
    }

    /// What moved by our doing is in the books.
    pub fn complete(&mut self, world: &World) {
        let chain = world.chain.borrow();
        for payment in 0..chain.authorizations.len() {
            let wallet = chain.authorizations[payment].wallet;
            let kept = lines(world, wallet).iter().any(|line| line.payment == payment);
            self.must(kept || !chain.moved_by_us(payment), || format!("payment {payment} is forgotten"));
        }
    }
}

/// The books, past their own reader.
pub fn lines(world: &World, object: usize) -> Vec<Line> {
    let rows = world.objects[object]
        .database
        .run("SELECT nonce, state, answered, evidence, mode, again_at, lease_until FROM authorizations", &[]);
    let line = |row: &edge402::ledger::sql::Row| Line {
        payment: row.text(0).parse().unwrap(),
        state: State::from_stored(&row.text(1)).unwrap(),
        answered: row.number(2) == 1,
        evidence: Evidence::from_stored(&row.text(3)),
        deferred: row.text(4) == "deferred",
        again_at: row.optional_number(5),
        lease_until: row.number(6),
    };
    rows.unwrap().iter().map(line).collect()
}

pub const EVENTS: [&str; 20] = [
    "StartSettling",
    "Paid",
    "Settled",
    "Answered",
    "Refused",
    "LostTrack",
    "FoundSpent",
    "Lapse",
    "Release",
    "NeverSent",
    "Serve",
    "StartCollecting",
    "Fail",
    "Abandon",
    "StillOwed",
    "NothingRan",
    "TakeBack",
    "Reserve",
    "LetGo",
    "MakeGood",
];

const fn name(event: &Event) -> &'static str {
    match event {
        Event::StartSettling { .. } => "StartSettling",
        Event::Paid { .. } => "Paid",
        Event::Settled(_) => "Settled",
        Event::Answered(_) => "Answered",
        Event::Refused { .. } => "Refused",
        Event::LostTrack { .. } => "LostTrack",
        Event::FoundSpent { .. } => "FoundSpent",
        Event::Lapse => "Lapse",
        Event::Release => "Release",
        Event::NeverSent => "NeverSent",
        Event::Serve => "Serve",
        Event::StartCollecting { .. } => "StartCollecting",
        Event::Fail { .. } => "Fail",
        Event::Abandon => "Abandon",
        Event::StillOwed => "StillOwed",
        Event::NothingRan => "NothingRan",
        // What the origin says is not part of this model.
        Event::RanInVain => "RanInVain",
        Event::LedOn { .. } => "LedOn",
        Event::OwedThere { .. } => "OwedThere",
        Event::TakeBack => "TakeBack",
        Event::Reserve { .. } => "Reserve",
        Event::LetGo { .. } => "LetGo",
        Event::MakeGood { .. } => "MakeGood",
    }
}
