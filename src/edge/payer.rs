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
//! though what fell due meanwhile waits as long.

// `#[durable_object]` writes undocumented methods for the runtime to call.
#![allow(missing_docs)]

use super::collect::{Resolved, resolve};
use super::facilitator::{SECOND_OPINION_SECONDS, longest_settlement};
use super::objects::Alarm;
use super::{environment, log, now};
use crate::ledger::authorization::{Event, State};
use crate::ledger::books::{Books, Outstanding};
use crate::ledger::messages::{Command, Kept, Reply};
use crate::ledger::outcome::wait;
use crate::ledger::sql::{Row, Sql, Value};
use std::cell::Cell;
use worker::{DurableObject, Env, Request, Response, Result, SqlStorage, SqlStorageValue, durable_object};

/// So many settlements are asked about at once: the runtime allows six connections at a time.
const AT_ONCE: usize = 6;
/// So many rounds of that in one alarm; then it is set anew.
const ROUNDS: usize = 20;
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
        Self { state, env, ready: Cell::new(false), alarm: Alarm::default() }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let command: Command = request.json().await?;
        let reply = self.turn(&command)?;
        if let Some(at) = due_after(&command, &reply) {
            self.alarm.wake_at(&self.state.storage(), at).await?;
        }
        Response::from_json(&reply)
    }

    async fn alarm(&self) -> Result<Response> {
        self.alarm.forget();
        let sql = self.sql()?;
        let books = Books::opened(&sql);
        books.sweep(now())?;
        for _ in 0..ROUNDS {
            let batch = self.take_up(&books)?;
            if batch.is_empty() {
                break;
            }
            // The books' own times are those of this batch's worst case now: set before anybody is called.
            if let Some(at) = books.next_alarm()? {
                self.alarm.wake_at(&self.state.storage(), at).await?;
            }
            futures_util::future::join_all(batch.iter().map(|outstanding| self.bring_on(&books, outstanding))).await;
        }
        self.alarm.forget();
        if let Some(at) = books.next_alarm()? {
            self.alarm.wake_at(&self.state.storage(), at).await?;
        }
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

    /// One synchronous turn: a command in, its reply out, no await.
    fn turn(&self, command: &Command) -> Result<Reply> {
        let sql = self.state.storage().sql();
        match command {
            // These ask only: a stranger's question makes no books.
            Command::Look { .. } if !Books::exist(&sql)? => return Ok(Reply::Seen { denial: None }),
            Command::List { .. } | Command::Owed if !Books::exist(&sql)? => {
                return Ok(Reply::Listed { entries: Vec::new() });
            }
            _ => {}
        }
        let sql = self.sql()?;
        let books = Books::opened(&sql);
        match command {
            Command::Claim(claim) => books.claim(claim),
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
    fn take_up(&self, books: &Books<'_, SqlStorage>) -> Result<Vec<Outstanding>> {
        let mut batch = Vec::new();
        while batch.len() < AT_ONCE
            && let Some(mut outstanding) = books.outstanding(now())?
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
    async fn bring_on(&self, books: &Books<'_, SqlStorage>, outstanding: &Outstanding) {
        let Some(Resolved { event, lost }) = resolve(&self.env, outstanding).await else { return };
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

/// When the object has something to do because of what it was just told, in Unix seconds.
fn due_after(command: &Command, reply: &Reply) -> Option<u64> {
    match (command, reply) {
        (Command::Claim(claim), Reply::Granted { .. }) => Some(claim.lease_until),
        (Command::Store { answer: Some(answer), .. }, Reply::Recorded { applied: true }) => Some(answer.until),
        (Command::Record { kept: Some(Kept::Answer(answer)), event: Event::Answered(_), .. }, _) => Some(answer.until),
        (Command::Record { now, event, .. }, Reply::Recorded { applied: true }) => match event {
            Event::StartSettling { until, .. } => Some(*until),
            Event::LostTrack { again_at, .. } => Some(*again_at),
            Event::Serve => Some(*now),
            _ => None,
        },
        _ => None,
    }
}
