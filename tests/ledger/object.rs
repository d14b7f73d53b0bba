//! What `src/edge/payer.rs` and `src/edge/collect.rs` do around the books, call by call in their order: a Durable Object
//! that answers commands in single turns, and an alarm whose awaits let commands in.

use crate::world::{Call, FACILITATOR_SECONDS, Heard, World};
use edge402::ledger::authorization::{Denial, Event, State};
use edge402::ledger::bell::Bell;
use edge402::ledger::books::{Books, Outstanding};
use edge402::ledger::calls::Calls;
use edge402::ledger::messages::{Command, Kept, Key, Reply};
use edge402::ledger::outcome::{
    CLOCK_SECONDS, Open, Shown, Step, after_attempt, after_attempt_elsewhere, after_look, asks_first, still_lost, wait,
};
use edge402::ledger::sql::{Row, Sql, Value};
use edge402::x402::facilitator::{Outcome, Said, Verification};
use edge402::x402::second_opinion::before_sending;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

/// As in `payer.rs`; fewer at once, so that a batch is full sometimes.
const AT_ONCE: usize = 2;
const SLACK_SECONDS: u64 = 30;

/// The same engine as in a Durable Object.
pub struct Database {
    connection: &'static Connection,
    /// By their text: the connection's own cache hashes all of it each time, which is half of the work in a debug build.
    statements: RefCell<BTreeMap<String, Statement<'static>>>,
}

impl Database {
    pub fn new() -> Self {
        let connection: &'static Connection = Box::leak(Box::new(Connection::open_in_memory().unwrap()));
        // Or bound values would have statements planned anew.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
        let database = Self { connection, statements: RefCell::default() };
        Books::open(&database).unwrap();
        connection.execute_batch("BEGIN").unwrap();
        database
    }

    /// Empty books: a new file for each schedule, or a transaction for each statement, would take most of the time.
    pub fn clear(&self) {
        self.connection.execute_batch("ROLLBACK; BEGIN").unwrap();
    }
}

impl Sql for Database {
    type Error = rusqlite::Error;

    fn run(&self, text: &str, values: &[Value]) -> Result<Vec<Row>, Self::Error> {
        let mut statements = self.statements.borrow_mut();
        if !statements.contains_key(text) {
            statements.insert(text.to_owned(), self.connection.prepare(text)?);
        }
        let statement = statements.get_mut(text).unwrap();
        for (at, value) in values.iter().enumerate() {
            match value {
                Value::Null => statement.raw_bind_parameter(at + 1, rusqlite::types::Null)?,
                Value::Integer(number) => statement.raw_bind_parameter(at + 1, number)?,
                Value::Text(text) => statement.raw_bind_parameter(at + 1, text)?,
            }
        }
        let columns = statement.column_count();
        let mut found = Vec::new();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            let value = |column| {
                Ok(match row.get_ref(column)? {
                    ValueRef::Integer(number) => Value::Integer(number),
                    ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                    _ => Value::Null,
                })
            };
            found.push(Row((0..columns).map(value).collect::<rusqlite::Result<_>>()?));
        }
        Ok(found)
    }
}

pub struct Object {
    pub database: Rc<Database>,
    ready: Cell<bool>,
    /// What the instance remembers of it: gone with the instance.
    bell: Bell,
    /// What is stored.
    alarm: Cell<Option<u64>>,
    /// The alarm that is running, and when it was due.
    running: Cell<Option<(usize, u64)>>,
}

impl Object {
    pub fn new(database: Rc<Database>) -> Self {
        Self {
            database,
            ready: Cell::new(false),
            bell: Bell::default(),
            alarm: Cell::new(None),
            running: Cell::new(None),
        }
    }

    fn books(&self) -> Books<'_, Database> {
        if !self.ready.replace(true) {
            Books::open(&*self.database).unwrap();
        }
        Books::opened(&self.database)
    }

    pub fn alarm_is_set(&self) -> Option<u64> {
        self.alarm.get()
    }

    pub fn alarm_runs(&self) -> bool {
        self.running.get().is_some()
    }

    /// No two alarms of one object run at once.
    pub fn rings_at(&self) -> Option<u64> {
        if self.alarm_runs() { None } else { self.alarm.get() }
    }

    pub fn ringing(&self, task: usize) {
        self.running.set(self.alarm.take().map(|at| (task, at)));
    }

    pub fn rang(&self) {
        self.running.set(None);
    }

    /// Forgets all but what is stored. An alarm that dies before it has set another is rung again: alarms are delivered at
    /// least once. Returns the task that dies with it.
    pub fn restart(&self) -> Option<usize> {
        self.ready.set(false);
        self.bell.forget();
        let (task, due) = self.running.take()?;
        self.alarm.set(self.alarm.get().or(Some(due)));
        Some(task)
    }

    /// `Payer::wake`.
    fn wake(&self, due: Option<u64>, now: u64) {
        match due {
            _ if self.bell.is_unknown(now) => self.wake_at(self.books().next_alarm().unwrap(), now),
            Some(at) => self.wake_at(Some(at), now),
            None => {}
        }
    }

    fn wake_at(&self, at: Option<u64>, now: u64) {
        if let Some(at) = at.filter(|at| !self.bell.covers(*at, now))
            && let Some(at) = Bell::setting(self.alarm.get(), at, now)
        {
            self.alarm.set(Some(at));
        }
        if at.is_none_or(|at| !self.bell.covers(at, now)) {
            self.bell.is_set(at);
        }
    }
}

impl World {
    /// `Payer::fetch`: nothing comes in between.
    pub fn turn(&self, object: usize, command: &Command) -> Reply {
        let (store, now) = (&self.objects[object], self.now.get());
        let books = store.books();
        let reply = match command {
            Command::Claim(claim) => books.claim(claim),
            Command::Look { key, binding, identified, now } => books.look(key, binding, identified.as_ref(), *now),
            Command::Record { key, attempt, now, event, kept } => {
                books.record(key, *attempt, *now, event).map(|applied| {
                    if let (true, Some(kept)) = (applied, kept) {
                        books.keep(key, kept).unwrap();
                    }
                    Reply::Recorded { applied }
                })
            }
            Command::Store { key, answer, .. } => match answer {
                Some(answer) => books.store(key, answer),
                None => books.give_up_copy(key),
            }
            .map(|applied| Reply::Recorded { applied }),
            Command::Owed => books.owed_purchases().map(|entries| Reply::Listed { entries }),
            Command::List { nonce } => books.list(nonce.as_deref()).map(|entries| Reply::Listed { entries }),
        }
        .unwrap();
        if matches!(reply, Reply::Denied { denial: Denial::Unknown, .. }) {
            store.bell.forget();
        }
        store.wake(due_after(command, &reply), now);
        self.model.borrow_mut().replied(self, object, command, &reply);
        reply
    }

    fn record(&self, object: usize, key: &Key, attempt: u32, event: &Event) -> bool {
        let now = self.now.get();
        let applied = self.objects[object].books().conclude(key, attempt, now, event).unwrap();
        self.note(|| format!("alarm: {event:?} of {} applied: {applied}", key.nonce));
        self.model.borrow_mut().recorded(self, key, attempt, now, event, applied);
        applied
    }
}

fn due_after(command: &Command, reply: &Reply) -> Option<u64> {
    match (command, reply) {
        (Command::Claim(claim), Reply::Granted { .. }) => Some(claim.lease_until),
        (Command::Store { answer: Some(answer), .. }, Reply::Recorded { applied: true }) => Some(answer.until),
        (Command::Record { kept: Some(kept), event: Event::Answered(_), .. }, Reply::Recorded { applied: true }) => {
            Some(match kept {
                Kept::Answer(answer) => answer.until,
                Kept::Copying(until) => *until,
            })
        }
        (Command::Record { now, event, .. }, Reply::Recorded { applied: true }) => match event {
            Event::StartSettling { until, .. } => Some(*until),
            Event::LostTrack { again_at, .. } => Some(*again_at),
            Event::Serve => Some(*now),
            _ => None,
        },
        _ => None,
    }
}

/// `Payer::alarm`.
pub async fn alarm(world: &Rc<World>, task: usize, object: usize) {
    let store = &world.objects[object];
    store.bell.forget();
    let books = store.books();
    books.sweep(world.now.get()).unwrap();
    let calls = Calls::of_an_alarm();
    let mut under_way: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    loop {
        let batch = take_up(world, object, &calls, AT_ONCE - under_way.len());
        if !batch.is_empty() {
            store.wake_at(books.next_alarm().unwrap(), world.now.get());
        }
        for outstanding in batch {
            under_way.push(Box::pin(bring_on(world, task, object, &calls, outstanding)));
        }
        if under_way.is_empty() {
            break;
        }
        first(&mut under_way).await;
    }
    store.bell.forget();
    store.wake_at(books.next_alarm().unwrap(), world.now.get());
}

/// The end of one of them. Whatever wakes the alarm has all of them looked at: the scheduler wakes nothing by name.
async fn first(under_way: &mut Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) {
    std::future::poll_fn(|context| {
        let ended = under_way.iter_mut().position(|one| one.as_mut().poll(context).is_ready());
        let Some(at) = ended else { return Poll::Pending };
        drop(under_way.remove(at));
        Poll::Ready(())
    })
    .await;
}

/// The most calls that it makes for one: few alarms suffice for few settlements, so these are reckoned dear.
fn most_calls(world: &World) -> u32 {
    Calls::most(world.rules.rpc, 8)
}

fn take_up(world: &World, object: usize, calls: &Calls, most: usize) -> Vec<Outstanding> {
    let (books, now) = (world.objects[object].books(), world.now.get());
    let mut batch = Vec::new();
    while batch.len() < most
        && let Some(mut outstanding) = books.outstanding(now).unwrap()
        && calls.reserve(most_calls(world))
    {
        let (key, attempt) = (&outstanding.key, outstanding.attempt);
        let until = now + 4 * FACILITATOR_SECONDS + SLACK_SECONDS;
        match outstanding.open.state {
            State::Due | State::Failed => drop(world.record(object, key, attempt, &Event::StartCollecting { until })),
            State::Settling => {
                world.record(object, key, attempt, &Event::Abandon);
                books.try_again(key, until).unwrap();
                outstanding.open.lost = true;
            }
            _ => books.try_again(key, until).unwrap(),
        }
        outstanding.open.tries += 1;
        batch.push(outstanding);
    }
    batch
}

async fn bring_on(world: &Rc<World>, task: usize, object: usize, calls: &Calls, outstanding: Outstanding) {
    let (event, lost) = resolve(world, task, &outstanding).await;
    calls.give_back(most_calls(world), most_calls(world) / 2);
    let recorded = world.record(object, &outstanding.key, outstanding.attempt, &event);
    if !recorded && matches!(event, Event::Settled(_)) {
        let again_at = world.now.get() + wait(outstanding.open.tries, None);
        let reason = "the transaction that was named has settled another payment".to_owned();
        let event = Event::LostTrack { reason, transaction: None, again_at, lost: true };
        world.record(object, &outstanding.key, outstanding.attempt, &event);
    }
    if matches!(event, Event::LostTrack { lost: false, .. }) && !lost {
        world.objects[object].books().nothing_lost(&outstanding.key, outstanding.open.tries).unwrap();
    }
}

/// `collect::resolve`.
async fn resolve(world: &Rc<World>, task: usize, outstanding: &Outstanding) -> (Event, bool) {
    let open = outstanding.open;
    let provable = world.rules.rpc;
    let over = world.now.get() > open.valid_before.saturating_add(CLOCK_SECONDS);
    let doubtful = open.lost || open.state == State::Unknown;
    let shown = if provable && (doubtful || over) {
        match world.call(task, Call::Prove { outstanding: Box::new(outstanding.clone()) }).await {
            Heard::Shown(shown) => shown,
            other => panic!("{other:?}"),
        }
    } else {
        Shown::Nothing
    };
    world.model.borrow_mut().looked(&shown);
    match after_look(&open, shown, provable, world.now.get()) {
        Step::Record(event) => (event, open.lost),
        Step::Wait(again_at) => {
            let reason = "the chain could not be asked".to_owned();
            (Event::LostTrack { reason, transaction: None, again_at, lost: false }, open.lost)
        }
        Step::Send => {
            let payment = crate::model::payment_of(&outstanding.key);
            // The one that was asked before cannot be reached every now and then, and the next is asked.
            let elsewhere = world.now.get().is_multiple_of(7);
            if asks_first(&open) {
                let verdict = second_opinion(world, task, payment).await;
                if let Some(outcome) = before_sending(verdict) {
                    return (after_attempt(&open, &outcome, provable, world.now.get()), open.lost);
                }
            }
            let (outcome, lost, failed) = settle(world, task, payment, &outstanding.settle_request).await;
            let lost_before = still_lost(&open, outstanding.transaction.as_deref(), failed.as_deref());
            let open = Open { lost: lost_before || lost, ..open };
            let read = if elsewhere && open.lost { after_attempt_elsewhere } else { after_attempt };
            (read(&open, &outcome, provable, world.now.get()), open.lost)
        }
    }
}

async fn second_opinion(world: &Rc<World>, task: usize, payment: usize) -> Verification {
    match world.call(task, Call::Verify { payment }).await {
        Heard::Verification(verdict) => verdict,
        other => panic!("{other:?}"),
    }
}

/// `facilitator::settle`: what is pending is asked for once more, at once; and what is denied, of `/verify`.
pub async fn settle(world: &Rc<World>, task: usize, payment: usize, request: &str) -> (Outcome, bool, Option<String>) {
    let once = async || match world.call(task, Call::Settle { payment, request: request.to_owned() }).await {
        Heard::Said(said) => said,
        other => panic!("{other:?}"),
    };
    let mut said = once().await;
    let mut lost = false;
    if let Some(broadcast) = said.pending().map(ToOwned::to_owned) {
        said = once().await.after_pending(&broadcast);
        lost = matches!(said, Said::Decided(_));
    }
    match said {
        Said::Decided(outcome) => (outcome, lost, None),
        Said::Denied(denied) => {
            let failed = denied.failed.clone();
            (denied.given(second_opinion(world, task, payment).await), lost, failed)
        }
    }
}
