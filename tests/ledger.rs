//! The ledger under random schedules: workers, alarms, the facilitator and the chain take turns as a schedule says, any of
//! them dies, is late or is not heard, and a simple model kept beside it says what must be true all the same.
//!
//! `ledger/worker.rs` and `ledger/object.rs` mirror `src/edge/charge.rs`, `payer.rs` and `collect.rs`, which run in the
//! Workers runtime only: what they do with the books, and in which order, must be the same there and here.
//!
//!     LEDGER_SCHEDULES=200000 LEDGER_SEED=7 cargo test --test ledger

#![cfg(not(target_family = "wasm"))]
#![allow(clippy::missing_const_for_fn)]
#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stderr
)]

#[path = "ledger/chain.rs"]
mod chain;
#[path = "ledger/model.rs"]
mod model;
#[path = "ledger/object.rs"]
mod object;
#[path = "ledger/worker.rs"]
mod worker;
#[path = "ledger/world.rs"]
mod world;

use chain::{By, Chain};
use edge402::ledger::authorization::State;
use edge402::ledger::books::Books;
use edge402::ledger::messages::Identified;
use model::{EVENTS, Line, SEEN, lines, saw};
use object::{Database, Object};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::thread;
use worker::{Request, Route};
use world::{Rules, Who, World};

/// Steps of a schedule. Each is a number; 0 does nothing, so that a failing schedule shrinks to what it takes.
const STEPS: usize = 48;
/// For how long payments are signed, in seconds: what is shorter than a minute is not taken.
const VALID: [u64; 4] = [90, 105, 150, 330];

/// A schedule under way.
struct Play {
    world: Rc<World>,
    gone: Vec<(usize, Rc<Cell<bool>>)>,
    /// The route that each payment was made for.
    homes: Vec<Route>,
}

impl Play {
    fn new(setting: u32, databases: &[Rc<Database>; 2], traced: bool) -> Self {
        let bit = |at: u32, width: u32| (setting >> at) & ((1 << width) - 1);
        let rules = Rules { rpc: bit(0, 1) == 1, deaf: bit(1, 4) == 15, order: bit(5, 2) as usize };
        let chain = Chain::new([[10_000, 1_000, 3_000, 0][bit(7, 2) as usize], 100_000]);
        let objects = databases.each_ref().map(|database| {
            database.clear();
            Object::new(database.clone())
        });
        let world = World::new(rules, chain, objects, traced);
        world.note(|| format!("{rules:?}"));
        let mut play = Self { world, gone: Vec::new(), homes: Vec::new() };
        for at in 0..4 {
            let valid = VALID[bit(9 + 2 * at, 2) as usize];
            let home = bit(17 + 3 * at, 3) as usize % Route::PRICED.len();
            // The rich wallet has something to sell, too, or its object would see debts only.
            play.sign(usize::from(at == 3), 1_000, valid, Route::PRICED[home]);
        }
        play
    }

    fn sign(&mut self, wallet: usize, value: u64, seconds: u64, home: Route) -> usize {
        self.homes.push(home);
        self.world.chain.borrow_mut().sign(wallet, value, self.world.now.get() + seconds)
    }

    fn step(&mut self, step: u32) {
        let (action, which, how) = (step >> 24, (step >> 12 & 0xfff) as usize, step & 0xfff);
        match action {
            0 => {}
            1..=124 => match self.world.waiting() {
                0 => self.call(which, how),
                // The first has waited longest; the others may overtake it.
                waiting => self.world.resolve(which % waiting, how),
            },
            125..=170 => self.call(which, how),
            171..=203 => {
                let seconds = [1, 1, 2, 3, 5, 12, 25, 45, 61, 130, 400];
                self.world.note(|| format!("time passes: {}", seconds[which % seconds.len()]));
                self.world.advance(seconds[which % seconds.len()], how % 8 == 7);
            }
            204..=215 => {
                let workers = self.workers();
                if let Some((task, _)) = workers.get(which % workers.len().max(1)) {
                    self.world.crash(*task);
                    saw("a worker dies");
                }
            }
            216..=221 => {
                if let Some((task, gone)) = self.gone.iter().rev().nth(which % 4) {
                    self.world.note(|| format!("the buyer of task {task} hangs up"));
                    gone.set(true);
                }
            }
            222..=231 => {
                if self.world.objects[which % 2].alarm_runs() {
                    saw("an alarm dies");
                }
                self.world.restart(which % 2);
            }
            232..=241 => self.world.deliver(which, how % 4 != 0),
            242..=249 => self.wallet(which, how),
            _ => self.world.ring(),
        }
        self.world.model.borrow_mut().audit(&self.world, false);
    }

    fn workers(&self) -> Vec<(usize, Who)> {
        let tasks = self.world.tasks();
        tasks.into_iter().filter(|(_, who)| matches!(who, Who::Worker { .. })).collect()
    }

    /// What the payer does on chain, past everybody.
    fn wallet(&self, which: usize, how: u32) {
        let mut chain = self.world.chain.borrow_mut();
        let payment = which % chain.authorizations.len();
        let what = ["earns", "is emptied", "pays it elsewhere", "cancels it"][how as usize % 4];
        self.world.note(|| format!("the payer of {payment} {what}"));
        let wallet = chain.authorizations[payment].wallet;
        match how % 4 {
            0 => chain.balances[wallet] += 2_000,
            1 if wallet == 0 => chain.balances[0] = 0,
            2 => chain.elsewhere(payment, self.world.now.get(), By::Stranger),
            3 => chain.elsewhere(payment, self.world.now.get(), By::Cancelled),
            _ => {}
        }
    }

    /// A call with a payment: mostly one of the last, mostly where it belongs, sometimes a thief's.
    fn call(&mut self, which: usize, how: u32) {
        if how % 16 == 15 {
            return self.pay_debt(which);
        }
        let signed = self.homes.len();
        let over = self.world.chain.borrow().authorizations[which % signed].valid_before < self.world.now.get() + 60;
        let payment = match how % 16 {
            // What is too late for a sale can be owed; mostly a new one is signed.
            3..15 if over || how % 16 > 12 => {
                let (wallet, valid) = (which % 4 / 3, VALID[which / 4 % 4]);
                self.sign(wallet, 1_000, valid, Route::PRICED[which / 16 % Route::PRICED.len()])
            }
            _ => which % signed,
        };
        let home = self.homes[payment];
        let route = match how / 16 % 8 {
            7 if !matches!(home, Route::Debt { .. }) => Route::PRICED[which / 64 % Route::PRICED.len()],
            _ => home,
        };
        self.world.note(|| format!("a call with payment {payment}"));
        // Most buyers send no identifier; those of odd payments do, and now and then another's, or with another body.
        let identified = match (payment % 2, how / 128 % 16) {
            (0, 0..13) | (_, 15) => None,
            (_, 0..13) => Some(payment),
            (_, 13) => Some(payment / 2),
            (_, _) => Some(payment + 1_000),
        };
        let identified = identified
            .map(|id| Identified { id: (id % 1_000).to_string(), fingerprint: format!("{route:?} {}", id / 1_000) });
        self.start(payment, route, identified, how / 2_048 == 1 && !matches!(route, Route::Debt { .. }));
    }

    /// Any wallet may pay what is owed, for exactly that.
    fn pay_debt(&mut self, which: usize) {
        let debt = self.lines().into_iter().find(|line| line.state == State::Failed);
        let Some(debt) = debt else { return };
        let (object, value) = {
            let authorization = &self.world.chain.borrow().authorizations[debt.payment];
            (authorization.wallet, authorization.value)
        };
        let route = Route::Debt { object, payment: debt.payment };
        let made = self.homes.iter().rposition(|home| *home == route).filter(|_| which % 8 < 6);
        let payment = made.unwrap_or_else(|| self.sign(which % 2, value, 300, route));
        self.start(payment, route, None, false);
    }

    fn start(&mut self, payment: usize, route: Route, identified: Option<Identified>, undecided: bool) {
        let (task, gone) = (self.world.new_task(), Rc::new(Cell::new(false)));
        let object = self.world.chain.borrow().authorizations[payment].wallet;
        let request = Request { task, object, payment, route, identified, undecided, gone: gone.clone() };
        self.world.note(|| format!("task {task}: {route:?}, {:?}, undecided: {undecided}", request.identified));
        self.gone.push((task, gone));
        self.world.start(task, Who::Worker { payment }, worker::serve(self.world.clone(), request));
    }

    /// The faults are over. Whoever lives comes to an end, and then the alarms ring for as long as there are any.
    fn settle_down(&self) {
        self.world.calm.set(true);
        while self.world.letters() > 0 {
            self.world.deliver(0, true);
        }
        for _ in 0..2_000 {
            if self.world.waiting() > 0 {
                self.world.resolve(0, 0);
            } else if let Some(at) = self.world.objects.iter().filter_map(Object::rings_at).min() {
                // What is so far ahead is only to be forgotten: that may as well come late, and all at once.
                let ahead = at.saturating_sub(self.world.now.get());
                let over = ahead > 1_000;
                self.world.advance(if over { ahead + 5_000 } else { ahead }, over);
                self.world.ring();
            } else {
                self.world.model.borrow_mut().audit(&self.world, false);
                return;
            }
            if self.verdict().is_err() {
                return;
            }
        }
        self.world.model.borrow_mut().broken.push("it never ends".to_owned());
    }

    /// What is open ends, what is owed is served, what is unpaid is paid.
    fn end(&mut self) {
        self.settle_down();
        for line in self.lines().into_iter().filter(|line| line.state == State::Settled && !line.answered) {
            saw("owed at the end");
            // To the request that had the claim, which need not be the one that it was made for.
            let (bound, identified) = self.world.model.borrow().sold_to(line.payment);
            let is_it = |route: &Route| Some(format!("{route:?}")) == bound;
            let route = Route::PRICED.into_iter().find(is_it).unwrap_or(self.homes[line.payment]);
            self.start(line.payment, route, identified, false);
            self.settle_down();
            let served = self.lines().iter().any(|now| now.payment == line.payment && now.answered);
            self.must(served, &format!("still owed: {line:?}"));
        }
        // Whoever was about to pay a debt, and has died over it, has kept it from others.
        self.world.advance(1_000, false);
        let deaf = self.world.rules.deaf;
        for line in self.lines().into_iter().filter(|line| line.state == State::Failed && !deaf) {
            saw("a debt is paid at the end");
            let object = self.world.chain.borrow().authorizations[line.payment].wallet;
            let route = Route::Debt { object, payment: line.payment };
            let payment = self.sign(1, 1_000, 300, route);
            self.world.chain.borrow_mut().balances[1] += 1_000;
            self.start(payment, route, None, false);
            self.settle_down();
            let good = self.lines().iter().any(|now| now.payment == line.payment && now.state == State::MadeGood);
            self.must(good, &format!("a debt that cannot be paid: {line:?}"));
        }
        let mut model = self.world.model.borrow_mut();
        if !model.broken.is_empty() {
            return;
        }
        model.audit(&self.world, true);
        model.complete(&self.world);
        for object in &self.world.objects {
            let next = Books::opened(&*object.database).next_alarm().unwrap();
            if next.is_some() {
                model.broken.push(format!("nobody wakes up for what is due at {next:?}"));
            }
        }
    }

    fn lines(&self) -> Vec<Line> {
        (0..2).flat_map(|object| lines(&self.world, object)).collect()
    }

    fn must(&self, right: bool, what: &str) {
        if !right && self.verdict().is_ok() {
            self.world.model.borrow_mut().broken.push(what.to_owned());
        }
    }

    fn verdict(&self) -> Result<(), TestCaseError> {
        match self.world.model.borrow().broken.first() {
            None => Ok(()),
            Some(broken) => Err(TestCaseError::fail(broken.clone())),
        }
    }
}

fn play(
    setting: u32,
    steps: &[u32],
    databases: &[Rc<Database>; 2],
    traced: bool,
) -> (Result<(), TestCaseError>, String) {
    let mut play = Play::new(setting, databases, traced);
    for step in steps {
        play.step(*step);
        if play.verdict().is_err() {
            break;
        }
    }
    if play.verdict().is_ok() {
        play.end();
    }
    let trace = play.world.trace.as_ref().map(|trace| trace.borrow().join("\n")).unwrap_or_default();
    let verdict = play.verdict();
    // The futures hold the world that holds them.
    for (task, _) in play.world.tasks() {
        play.world.crash(task);
    }
    (verdict, trace)
}

fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The same without the steps that it fails without: whole stretches first, then one by one. That takes a few hundred
/// plays where proptest, which can only make numbers smaller, takes thousands.
fn shrunk(setting: u32, mut steps: Vec<u32>, databases: &[Rc<Database>; 2]) -> Vec<u32> {
    for length in [32, 8, 3, 1, 3, 1] {
        for from in (0..steps.len()).rev() {
            let mut fewer = steps.clone();
            fewer.iter_mut().skip(from).take(length).for_each(|step| *step = 0);
            if fewer != steps && play(setting, &fewer, databases, false).0.is_err() {
                steps = fewer;
            }
        }
    }
    steps
}

/// A part of the schedules, and what was seen in them.
fn run(schedules: u32, seed: u32, part: u8) -> Result<BTreeMap<String, u64>, String> {
    let databases = [(); 2].map(|()| Rc::new(Database::new()));
    let mut bytes = [part; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: schedules, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let schedule = (any::<u32>(), prop::collection::vec(any::<u32>(), STEPS..=STEPS));
    match runner.run(&schedule, |(setting, steps)| play(setting, &steps, &databases, false).0) {
        Ok(()) => Ok(SEEN.take()),
        Err(TestError::Abort(reason)) => Err(reason.to_string()),
        Err(TestError::Fail(_, (setting, steps))) => {
            let steps = shrunk(setting, steps, &databases);
            let (verdict, trace) = play(setting, &steps, &databases, true);
            let reason = verdict.err().map(|error| error.to_string()).unwrap_or_default();
            let steps: Vec<String> =
                steps.iter().filter(|step| **step >> 24 > 0).map(|step| format!("{step:#010x}")).collect();
            let steps = steps.join(", ");
            Err(format!("LEDGER_SEED={seed}: {reason}\nsetting {setting:#x}, steps [{steps}]\n{trace}"))
        }
    }
}

#[test]
fn no_schedule_loses_money_or_takes_it_twice() {
    let (schedules, seed) = (number("LEDGER_SCHEDULES", 10_000), number("LEDGER_SEED", 402));
    let parts: Vec<_> =
        (0..PARTS).map(|part| thread::spawn(move || run(schedules.div_ceil(PARTS.into()), seed, part))).collect();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for part in parts {
        match part.join().unwrap() {
            Ok(more) => more.into_iter().for_each(|(what, times)| *seen.entry(what).or_default() += times),
            Err(failure) => panic!("{failure}"),
        }
    }
    eprintln!("{schedules} schedules of seed {seed}: {seen:#?}");
    let states = State::ALL.iter().map(|state| state.as_str());
    let wanted = EVENTS.into_iter().chain(states).chain(WANTED);
    let missing: Vec<&str> = wanted.filter(|what| !seen.contains_key(*what)).collect();
    assert!(missing.is_empty() || schedules < 10_000, "never seen: {missing:?}");
}

/// Whatever the machine has: the same schedules everywhere.
const PARTS: u8 = 4;

/// What must have happened at all, beside every event and every state.
const WANTED: [&str; 0] = [];
