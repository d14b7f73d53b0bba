//! The Durable Object of one payer on one network: it stores the books and rings the alarm. What is right is
//! [`crate::ledger`]'s to say.
//!
//! # Why a claim has one winner
//!
//! A command is read from the request first; that await comes before anything is looked at. From there to the reply's
//! content there is no await at all: `sql.exec` is synchronous, so no other request of this object, of which there is one
//! in the world, runs in between. The decision itself is a single conditional statement: it would have one winner even if
//! turns could interleave.
//!
//! What the runtime's gates add and what they do not: the output gate holds back the reply, and any call that the alarm
//! makes, until what was written before is durable, so no winner is told so by an object that then forgets it, and no
//! settlement is sent that is not in the books. The input gate keeps other requests out only while *storage* is awaited,
//! not while a body or a `fetch` is: between the alarm's call to a facilitator and its answer, commands come in, and that
//! is all right. What the alarm found is stale by then, so what it writes afterwards is an event with a rule, conditional
//! like any other, never a row written back.
//!
//! # Why nothing is forgotten
//!
//! Whatever is open has a time in the books, and the alarm is set for the earliest. It is set *before* the alarm calls
//! anybody, for when those calls would have ended at the latest: an object that dies in the middle of them finds it set,
//! though what fell due meanwhile waits as long. An alarm ends by setting the next one, whatever it met. Where storage
//! refuses even that, it fails, and the runtime rings again, a few times, and then no more; so every command, a question
//! too, looks whether anything is due that no alarm is set for.
//!
//! # Why nothing stays
//!
//! What came to nothing is swept, and when that was all, the object deletes its storage. It looks and deletes in one turn:
//! no command comes in between, and the next one makes the books anew.

// `#[durable_object]` writes undocumented methods for the runtime to call.
#![allow(missing_docs)]

use super::collect::{Resolved, most_calls, resolve};
use super::facilitator::{SECOND_OPINION_SECONDS, longest_settlement};
use super::objects::{AFTER_FAILURE_SECONDS, Alarm};
use super::{environment, log, now};
use crate::ledger::authorization::{Denial, Event, State};
use crate::ledger::books::{Books, Outstanding};
use crate::ledger::calls::Calls;
use crate::ledger::messages::{Command, Kept, Reply};
use crate::ledger::outcome::wait;
use crate::ledger::sql::{Row, Sql, Value};
use futures_util::future::select;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;
use worker::{Delay, DurableObject, Env, Request, Response, Result, SqlStorage, SqlStorageValue, durable_object};

/// So many settlements are asked about at once: the runtime allows six connections at a time.
const AT_ONCE: usize = 6;
/// How soon an alarm that waits for settlements sees what has fallen due meanwhile, in milliseconds.
const GLANCE: u64 = 100;
/// After so many claims the indexes are seen to; the alarm does it as well.
const CLAIMS: u32 = 16;
/// What a try may take beyond the facilitator's time-outs, in seconds.
const SLACK_SECONDS: u64 = 30;

/// One payer on one network.
#[durable_object]
#[derive(Debug)]
pub struct Payer {
    state: worker::State,
    env: Env,
    ready: Cell<bool>,
    alarm: Alarm,
    /// Something has fallen due that a running alarm does not know of.
    more: Cell<bool>,
    claims: Cell<u32>,
}

impl Sql for SqlStorage {
    type Error = worker::Error;

    fn run(&self, statement: &str, values: &[Value]) -> Result<Vec<Row>> {
        let bound = values
            .iter()
            .map(|value| match value {
                Value::Null => Ok(SqlStorageValue::Null),
                // Beyond 2^53 it would come back as another integer.
                Value::Integer(number) => SqlStorageValue::try_from_i64(*number),
                Value::Text(text) => Ok(SqlStorageValue::String(text.clone())),
            })
            .collect::<Result<Vec<_>>>()?;
        let cursor = self.exec(statement, bound)?;
        cursor
            .raw()
            .map(|row| {
                Ok(Row(row?
                    .into_iter()
                    .map(|value| match value {
                        SqlStorageValue::Integer(number) => Value::Integer(number),
                        SqlStorageValue::String(text) => Value::Text(text),
                        SqlStorageValue::Boolean(yes) => Value::Integer(i64::from(yes)),
                        SqlStorageValue::Null | SqlStorageValue::Float(_) | SqlStorageValue::Blob(_) => Value::Null,
                    })
                    .collect()))
            })
            .collect()
    }
}

impl DurableObject for Payer {
    fn new(state: worker::State, env: Env) -> Self {
        let (ready, more, claims) = (Cell::new(false), Cell::new(false), Cell::new(0));
        Self { state, env, ready, alarm: Alarm::default(), more, claims }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let command: Command = request.json().await?;
        let reply = self.turn(&command);
        let due = reply.as_ref().ok().and_then(|reply| due_after(&command, reply));
        if due.is_some_and(|at| at <= now()) {
            self.more.set(true);
        }
        match self.wake(due).await {
            // What was promised is not to be relied upon if nothing brings it to an end.
            Err(error) if due.is_some() => return Err(error),
            Err(error) => log::failure("alarm", &error.to_string()),
            Ok(()) => {}
        }
        Response::from_json(&reply?)
    }

    /// However this ends, the next alarm is set.
    async fn alarm(&self) -> Result<Response> {
        self.alarm.forget();
        let worked = self.work().await;
        self.alarm.forget();
        let next = self.next().unwrap_or_else(|error| {
            log::failure("alarm", &error.to_string());
            Some(now())
        });
        let next = match worked {
            Ok(()) => next,
            Err(error) => {
                log::failure("alarm", &error.to_string());
                next.map(|at| at.max(now().saturating_add(AFTER_FAILURE_SECONDS)))
            }
        };
        self.alarm.insist_on(&self.state.storage(), next).await?;
        Response::empty()
    }
}

impl Payer {
    fn sql(&self) -> Result<SqlStorage> {
        let sql = self.state.storage().sql();
        if !self.ready.get() {
            Books::open(&sql)?;
            self.ready.set(true);
        }
        Ok(sql)
    }

    fn exists(&self) -> Result<bool> {
        Ok(self.ready.get() || Books::exist(&self.state.storage().sql())?)
    }

    /// When there is something to do next.
    fn next(&self) -> Result<Option<u64>> {
        if self.exists()? { Books::opened(&self.sql()?).next_alarm() } else { Ok(None) }
    }

    /// Sees to it that the alarm rings: by then, or, where nothing is known of it, by when the books say.
    async fn wake(&self, due: Option<u64>) -> Result<()> {
        let at = match due {
            _ if self.alarm.is_unknown() => self.next()?,
            Some(at) => Some(at),
            None => return Ok(()),
        };
        self.alarm.wake_at(&self.state.storage(), at).await
    }

    /// Sweeps, and brings on what has waited for its time, as far as one invocation may.
    async fn work(&self) -> Result<()> {
        if !self.exists()? {
            return Ok(());
        }
        let sql = self.sql()?;
        let books = Books::opened(&sql);
        books.sweep(now())?;
        if books.is_empty()? {
            self.ready.set(false);
            return self.state.storage().delete_all().await;
        }
        let calls = Calls::of_an_alarm();
        let mut under_way = FuturesUnordered::new();
        loop {
            self.more.set(false);
            let batch = self.take_up(&books, &calls, AT_ONCE.saturating_sub(under_way.len()));
            // The books' own times are those of the worst case now: set before any call is made.
            if batch.as_ref().is_ok_and(|batch| !batch.is_empty())
                && let Some(at) = books.next_alarm()?
            {
                self.alarm.insist_on(&self.state.storage(), Some(at)).await?;
            }
            // What is being brought on comes to its end all the same.
            match batch {
                Ok(batch) => under_way.extend(batch.into_iter().map(|open| self.bring_on(&books, &calls, open))),
                Err(error) if under_way.is_empty() => return Err(error),
                Err(error) => log::failure("alarm", &error.to_string()),
            }
            if under_way.is_empty() {
                return Ok(());
            }
            let _ = select(under_way.next(), pin!(self.more_is_due())).await;
        }
    }

    /// Ends when a command has made something fall due.
    async fn more_is_due(&self) {
        while !self.more.get() {
            Delay::from(Duration::from_millis(GLANCE)).await;
        }
    }

    /// One synchronous turn: a command in, its reply out, no await.
    fn turn(&self, command: &Command) -> Result<Reply> {
        let sql = self.state.storage().sql();
        if !Books::exist(&sql)? {
            self.ready.set(false);
            // Only a claim makes books: there is nothing else to be said of what is not in them.
            match command {
                Command::Claim(claim) if !claim.only_what_is_owed => {}
                Command::Claim(_) => return Ok(nothing_owed()),
                Command::Look { .. } => return Ok(Reply::Seen { denial: None }),
                Command::List { .. } | Command::Owed => return Ok(Reply::Listed { entries: Vec::new() }),
                Command::Record { .. } | Command::Store { .. } => return Ok(Reply::Recorded { applied: false }),
            }
        }
        let sql = self.sql()?;
        let books = Books::opened(&sql);
        match command {
            Command::Claim(claim) => {
                let claims = self.claims.get().wrapping_add(1);
                self.claims.set(claims);
                if claims.is_multiple_of(CLAIMS) {
                    books.keep_indexes()?;
                }
                let reply = books.claim(claim)?;
                // The claim may have brought forward what it asks about.
                if matches!(reply, Reply::Denied { denial: Denial::Unknown, .. }) {
                    self.alarm.forget();
                }
                Ok(reply)
            }
            Command::Look { key, binding, identified, now } => books.look(key, binding, identified.as_ref(), *now),
            Command::Record { key, attempt, now, event, kept } => {
                let applied = books.record(key, *attempt, *now, event)?;
                if let (true, Some(kept)) = (applied, kept) {
                    books.keep(key, kept)?;
                }
                if !applied {
                    log::failure("ledger", &format!("{event:?} of nonce {} did not apply", key.nonce));
                }
                Ok(Reply::Recorded { applied })
            }
            Command::Store { key, answer, .. } => {
                let applied = match answer {
                    Some(answer) => books.store(key, answer)?,
                    None => books.give_up_copy(key)?,
                };
                Ok(Reply::Recorded { applied })
            }
            Command::List { nonce } => Ok(Reply::Listed { entries: books.list(nonce.as_deref())? }),
            Command::Owed => Ok(Reply::Listed { entries: books.owed_purchases()? }),
        }
    }

    /// Takes up what has waited for its time, and notes beforehand when to look again if nothing more is heard of it.
    fn take_up(&self, books: &Books<'_, SqlStorage>, calls: &Calls, most: usize) -> Result<Vec<Outstanding>> {
        let mut batch = Vec::new();
        while batch.len() < most
            && let Some(mut outstanding) = books.outstanding(now())?
            && calls.reserve(most_calls(&self.env, &outstanding))
        {
            let (key, attempt, at) = (&outstanding.key, outstanding.attempt, now());
            let until = at.saturating_add(self.longest_try()).saturating_add(SLACK_SECONDS);
            match outstanding.open.state {
                State::Due | State::Failed => {
                    books.record(key, attempt, at, &Event::StartCollecting { until })?;
                }
                State::Settling => {
                    books.record(key, attempt, at, &Event::Abandon)?;
                    books.try_again(key, until)?;
                    // Whoever sent it is gone: what it was told is lost.
                    outstanding.open.lost = true;
                }
                _ => books.try_again(key, until)?,
            }
            outstanding.open.tries = outstanding.open.tries.saturating_add(1);
            batch.push(outstanding);
        }
        Ok(batch)
    }

    /// A question beforehand, and the settlement.
    fn longest_try(&self) -> u64 {
        match environment::config(&self.env).as_ref() {
            Ok(config) => {
                let longest = config.facilitators.iter().map(longest_settlement).max().unwrap_or(120);
                longest.saturating_add(u64::from(SECOND_OPINION_SECONDS))
            }
            Err(_) => 120,
        }
    }

    /// Asks, and writes down what it means. An error here must not end the alarm: the others are waiting too.
    async fn bring_on(&self, books: &Books<'_, SqlStorage>, calls: &Calls, outstanding: Outstanding) {
        let (resolved, made) = resolve(&self.env, &outstanding).await;
        calls.give_back(most_calls(&self.env, &outstanding), made);
        let Some(Resolved { event, lost }) = resolved else { return };
        log::decision("resolve", &outstanding.key.nonce, &serde_json::json!({ "event": format!("{event:?}") }));
        let record = |event: &Event| books.conclude(&outstanding.key, outstanding.attempt, now(), event);
        let recorded = match record(&event) {
            // A transaction that has settled another payment: what became of this one is as open as before.
            Ok(false) if matches!(event, Event::Settled(_)) => {
                let again_at = now().saturating_add(wait(outstanding.open.tries, None));
                let reason = "the transaction that was named has settled another payment".to_owned();
                record(&Event::LostTrack { reason, transaction: None, again_at, lost: true })
            }
            recorded => recorded,
        };
        let nothing_lost = matches!(event, Event::LostTrack { lost: false, .. }) && !lost;
        let recorded = recorded.and_then(|_| {
            if nothing_lost { books.nothing_lost(&outstanding.key, outstanding.open.tries) } else { Ok(()) }
        });
        if let Err(error) = recorded {
            log::failure("resolve", &error.to_string());
        }
    }
}

/// Only what is owed was asked for, and there are no books.
const fn nothing_owed() -> Reply {
    Reply::Denied { denial: Denial::Refused, reason: None, debt: None, exposure: None }
}

/// When the object has something to do because of what it was just told, in Unix seconds.
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
