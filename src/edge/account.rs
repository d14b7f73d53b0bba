//! The Durable Object of one account of credits, or of one holder's list of them. What is right is [`crate::credits`]'s to
//! say.
//!
//! # Why a credit is spent once
//!
//! A command is read from the request first; that await comes before anything is looked at. From there to the reply's
//! content there is no await at all: `sql.exec` is synchronous, so no other request of this object runs in between, and
//! writes with no await between them are one batch to the runtime, durable together. Whether credits are there is decided by one conditional
//! insert: 64 calls for the last 10 credits are 64 turns, of which 10 insert something.
//!
//! What the runtime's gates add and what they do not: the output gate holds back the reply until what was written before
//! is durable, so that no origin is asked on the strength of a hold that is then forgotten. The input gate is not relied
//! upon: it guards awaits on storage, and there are none inside a command. Setting the alarm comes after it, and an alarm
//! that could not be set is an error: the Worker then releases what it has been told nothing about. Should an alarm be lost,
//! the next command of any kind sets it, and the sweep before every hold ends what was abandoned.

// `#[durable_object]` writes undocumented methods for the runtime to call.
#![allow(missing_docs)]

use super::objects::{AFTER_FAILURE_SECONDS, Alarm};
use super::{log, now};
use crate::credits::account::{Account as Books, Standing};
use crate::credits::holder::{Holder, SignedIn};
use crate::credits::messages::{Command, Outcome, Reply};
use crate::credits::spend::Held;
use std::cell::Cell;
use worker::{DurableObject, Env, Request, Response, Result, SqlStorage, durable_object};

/// One account, or one holder.
#[durable_object]
#[derive(Debug)]
pub struct Account {
    state: worker::State,
    ready: Cell<bool>,
    alarm: Alarm,
}

impl DurableObject for Account {
    fn new(state: worker::State, _env: Env) -> Self {
        Self { state, ready: Cell::new(false), alarm: Alarm::default() }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let command: Command = request.json().await?;
        let sql = self.state.storage().sql();
        let reply = self.turn(&sql, command);
        let due = matches!(reply, Ok(Reply::Held { .. } | Reply::Deposited { fresh: true, .. }));
        if due || self.alarm.is_unknown() {
            match self.wake(&sql).await {
                // What was held is not to be relied upon if nothing ends it.
                Err(error) if due => return Err(error),
                Err(error) => log::failure("alarm", &error.to_string()),
                Ok(()) => {}
            }
        }
        Response::from_json(&reply?)
    }

    /// However this ends, the next alarm is set.
    async fn alarm(&self) -> Result<Response> {
        self.alarm.forget();
        let sql = self.state.storage().sql();
        let sweep = || if Books::exists(&sql)? { Books::open(&sql)?.sweep(now()) } else { Ok(()) };
        let swept = sweep();
        let next = self.next(&sql).unwrap_or_else(|error| {
            log::failure("alarm", &error.to_string());
            Some(now())
        });
        let next = match swept {
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

impl Account {
    /// One synchronous turn: a command in, its reply out, no await. Only what brings credits makes books: a stranger's
    /// question about an account that is not there leaves nothing behind.
    fn turn(&self, sql: &SqlStorage, command: Command) -> Result<Reply> {
        match command {
            Command::Deposit { deposit, now } => {
                let books = self.opened(sql)?;
                let fresh = books.deposit(&deposit, now)?;
                let Standing { generation, revoked, .. } = books.standing()?.unwrap_or_default();
                let (credits, expires_at) = books.deposited(&deposit.reference)?;
                let available = books.available(now)?;
                Ok(Reply::Deposited { fresh, generation, revoked, available, credits, expires_at })
            }
            Command::Purchase { reference, proposed, digest } => {
                let (bought, same) = Holder::open(sql)?.purchase(&reference, &proposed, &digest)?;
                Ok(Reply::Purchased { bought, same })
            }
            Command::SignIn { nonce, until, now } => {
                if !Holder::exists(sql)? {
                    return Ok(Reply::SignedIn { accounts: Vec::new() });
                }
                Ok(match Holder::opened(sql).sign_in(&nonce, until, now)? {
                    SignedIn::Yes(accounts) => Reply::SignedIn { accounts },
                    SignedIn::Nobody => Reply::SignedIn { accounts: Vec::new() },
                    SignedIn::Used => Reply::SignInUsed,
                })
            }
            command => {
                let there = self.ready.get() || Books::exists(sql)?;
                let books = if there { Some(self.opened(sql)?) } else { None };
                about(books, command)
            }
        }
    }

    fn opened<'a>(&self, sql: &'a SqlStorage) -> Result<Books<'a, SqlStorage>> {
        if self.ready.get() {
            return Ok(Books::opened(sql));
        }
        let books = Books::open(sql)?;
        self.ready.set(true);
        Ok(books)
    }

    async fn wake(&self, sql: &SqlStorage) -> Result<()> {
        self.alarm.wake_at(&self.state.storage(), self.next(sql)?).await
    }

    /// When there is something to do next. A holder's object never has anything to do.
    fn next(&self, sql: &SqlStorage) -> Result<Option<u64>> {
        if self.ready.get() || Books::exists(sql)? { Books::opened(sql).next_alarm() } else { Ok(None) }
    }
}

/// What there is to say about an account, or about one that is not there.
fn about(books: Option<Books<'_, SqlStorage>>, command: Command) -> Result<Reply> {
    let Some(books) = books else {
        return Ok(match command {
            Command::Hold { .. } => Reply::Short { available: 0 },
            Command::Show { .. } => Reply::Shown { account: None },
            Command::Rotate { .. } => Reply::Rotated { generation: None },
            Command::Withdraw { .. } => Reply::Withdrawn { credits: None, available: 0 },
            _ => Reply::Done { yes: false },
        });
    };
    Ok(match command {
        Command::Withdraw { reference, credits, note, now } => {
            let credits = books.withdraw(&reference, credits, &note, now)?;
            Reply::Withdrawn { credits, available: books.available(now)? }
        }
        Command::Hold { spend, now } => match books.hold(&spend, now)? {
            Held::Yes { available } => Reply::Held { available },
            Held::Short { available } => Reply::Short { available },
            Held::Revoked => Reply::Revoked,
        },
        Command::Capture { spend, status, now } => Reply::Done { yes: books.capture(&spend, status, now)? },
        Command::Release { id, status, now } => {
            Reply::Done { yes: books.release(&id, Outcome::Released, status, now)? }
        }
        Command::Show { now, most } => Reply::Shown { account: books.show(now, most)?.map(Box::new) },
        Command::Rotate { generation, by } => Reply::Rotated { generation: books.rotate(generation, by.as_deref())? },
        Command::Revoke => Reply::Done { yes: books.revoke()? },
        Command::Deposit { .. } | Command::Purchase { .. } | Command::SignIn { .. } => Reply::Done { yes: false },
    })
}
