//! The Durable Object of one payer on one network: who may use which authorization, and what became of it.
//!
//! # Why a claim has one winner
//!
//! A command is read from the request first; that await comes before anything is looked at. From there to the reply there
//! is no await at all: `sql.exec` is synchronous, so no other request of this object, of which there is one in the world,
//! runs in between. The decision itself is a single statement, an insert that on conflict updates only a row that may be
//! claimed again: it would have one winner even if turns could interleave. Nothing is read first to decide by.
//!
//! What the runtime's gates add and what they do not: the output gate holds the reply back until the write is durable, so
//! no winner is told so by an object that then forgets it. The input gate keeps other requests out only while *storage* is
//! awaited, not while a body or a `fetch` is. This object therefore awaits nothing between check and write, and calls
//! nobody.

// `#[durable_object]` writes undocumented methods for the runtime to call.
#![allow(missing_docs)]

use super::log;
use crate::ledger::authorization::{Event, Standing, State, denial};
use crate::ledger::messages::{Claim, Command, Key, Reply};
use serde::Deserialize;
use std::cell::Cell;
use std::time::Duration;
use worker::{DurableObject, Env, Request, Response, Result, SqlStorage, SqlStorageValue, durable_object};

/// How long a row that moved no money is kept after its authorization can no longer settle, in seconds.
const KEEP_SECONDS: u64 = 3_600;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS authorizations (
    asset TEXT NOT NULL,
    nonce TEXT NOT NULL,
    binding TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    valid_before INTEGER NOT NULL,
    value TEXT NOT NULL,
    facilitator TEXT NOT NULL,
    settle_request TEXT NOT NULL,
    transaction_hash TEXT,
    reason TEXT,
    answered INTEGER NOT NULL DEFAULT 0,
    claimed_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (asset, nonce)
) WITHOUT ROWID";

// The pure rule is `ledger::authorization::may_claim_again`.
const CLAIM: &str = "
INSERT INTO authorizations (asset, nonce, binding, state, attempt, lease_until, valid_before, value, facilitator,
    settle_request, claimed_at, changed_at)
VALUES (?1, ?2, ?3, 'claimed', 1, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
ON CONFLICT (asset, nonce) DO UPDATE SET
    state = 'claimed', attempt = attempt + 1, lease_until = excluded.lease_until, facilitator = excluded.facilitator,
    settle_request = excluded.settle_request, reason = NULL, claimed_at = excluded.claimed_at,
    changed_at = excluded.changed_at
WHERE binding = excluded.binding
    AND (state = 'released' OR (state = 'claimed' AND lease_until <= excluded.claimed_at))
RETURNING attempt";

/// One payer on one network.
#[durable_object]
#[derive(Debug)]
pub struct Payer {
    state: worker::State,
    ready: Cell<bool>,
    alarm_is_set: Cell<bool>,
}

#[derive(Deserialize)]
struct Attempt {
    attempt: u32,
}

#[derive(Deserialize)]
struct Row {
    binding: String,
    state: State,
    lease_until: u64,
    answered: u8,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Due {
    at: Option<u64>,
}

impl DurableObject for Payer {
    fn new(state: worker::State, _env: Env) -> Self {
        Self { state, ready: Cell::new(false), alarm_is_set: Cell::new(false) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let command: Command = request.json().await?;
        let reply = self.turn(&command)?;
        if let (Command::Claim(claim), Reply::Granted { .. }) = (&command, &reply) {
            self.wake_at(claim.lease_until).await?;
        }
        Response::from_json(&reply)
    }

    async fn alarm(&self) -> Result<Response> {
        self.alarm_is_set.set(false);
        let next = self.sweep(super::now())?;
        if let Some(at) = next {
            self.wake_at(at).await?;
        }
        Response::empty()
    }
}

impl Payer {
    fn sql(&self) -> Result<SqlStorage> {
        let sql = self.state.storage().sql();
        if !self.ready.replace(true) {
            sql.exec(SCHEMA, None)?;
        }
        Ok(sql)
    }

    /// One synchronous turn: a command in, its reply out, no await.
    fn turn(&self, command: &Command) -> Result<Reply> {
        let sql = self.sql()?;
        match command {
            Command::Claim(claim) => try_claim(&sql, claim),
            Command::Record { key, attempt, now, event } => {
                record(&sql, key, *attempt, *now, event).map(|applied| Reply::Recorded { applied })
            }
        }
    }

    /// An alarm is there to end claims that nobody ended. One is enough: it looks for the next when it rings.
    async fn wake_at(&self, at: u64) -> Result<()> {
        if self.alarm_is_set.get() {
            return Ok(());
        }
        let storage = self.state.storage();
        if storage.get_alarm().await?.is_none() {
            // A second late rather than a second early: an early alarm finds nothing over and is wasted.
            storage.set_alarm(Duration::from_secs(at.saturating_sub(super::now()).saturating_add(1))).await?;
        }
        self.alarm_is_set.set(true);
        Ok(())
    }

    /// Ends claims whose lease is over, forgets what moved no money and no longer can, and says when to look again.
    fn sweep(&self, now: u64) -> Result<Option<u64>> {
        let sql = self.sql()?;
        sql.exec(
            "UPDATE authorizations SET state = 'released', changed_at = ?1 WHERE state = 'claimed' AND lease_until <= ?1",
            vec![integer(now)?],
        )?;
        sql.exec(
            "DELETE FROM authorizations WHERE state IN ('released', 'refused') AND valid_before + ?2 <= ?1",
            vec![integer(now)?, integer(KEEP_SECONDS)?],
        )?;
        let due: Vec<Due> = sql
            .exec(
                "SELECT min(CASE state WHEN 'claimed' THEN lease_until ELSE valid_before + ?1 END) AS at
                 FROM authorizations WHERE state IN ('claimed', 'released', 'refused')",
                vec![integer(KEEP_SECONDS)?],
            )?
            .to_array()?;
        Ok(due.first().and_then(|due| due.at))
    }
}

fn try_claim(sql: &SqlStorage, claim: &Claim) -> Result<Reply> {
    let won: Vec<Attempt> = sql
        .exec(
            CLAIM,
            vec![
                claim.key.asset.as_str().into(),
                claim.key.nonce.as_str().into(),
                claim.binding.as_str().into(),
                integer(claim.lease_until)?,
                integer(claim.valid_before)?,
                claim.value.as_str().into(),
                claim.facilitator.as_str().into(),
                claim.settle_request.as_str().into(),
                integer(claim.now)?,
            ],
        )?
        .to_array()?;
    if let Some(Attempt { attempt }) = won.first() {
        return Ok(Reply::Granted { attempt: *attempt });
    }
    // It is decided: this only finds the words.
    let rows: Vec<Row> = sql
        .exec(
            "SELECT binding, state, lease_until, answered, reason FROM authorizations WHERE asset = ?1 AND nonce = ?2",
            vec![claim.key.asset.as_str().into(), claim.key.nonce.as_str().into()],
        )?
        .to_array()?;
    let Some(row) = rows.into_iter().next() else {
        return Err(worker::Error::RustError("an authorization is neither claimed nor there".to_owned()));
    };
    let standing = Standing {
        state: row.state,
        same_request: row.binding == claim.binding,
        answered: row.answered != 0,
        lease_until: row.lease_until,
    };
    Ok(Reply::Denied { denial: denial(&standing, claim.now), reason: row.reason })
}

/// Applies an event by its rule, in one conditional statement; whether it changed anything.
fn record(sql: &SqlStorage, key: &Key, attempt: u32, now: u64, event: &Event) -> Result<bool> {
    let rule = event.rule();
    let from: Vec<String> = rule.from.iter().map(|state| format!("'{}'", state.as_str())).collect();
    let (transaction, reason, answered) = match event {
        Event::Settled { transaction, answered } => (Some(transaction.clone()), None, *answered),
        Event::Refused { reason } => (None, Some(reason.clone()), false),
        Event::LostTrack { reason, transaction } => (transaction.clone(), Some(reason.clone()), false),
        Event::StartSettling | Event::Release => (None, None, false),
    };
    let statement = format!(
        "UPDATE authorizations SET state = '{}', changed_at = ?4,
             transaction_hash = coalesce(?5, transaction_hash), reason = coalesce(?6, reason), answered = answered OR ?7
         WHERE asset = ?1 AND nonce = ?2 AND (attempt = ?3 OR ?8 = 0) AND state IN ({})
         RETURNING attempt",
        rule.to.as_str(),
        from.join(", "),
    );
    let changed: Vec<Attempt> = sql
        .exec(
            &statement,
            vec![
                key.asset.as_str().into(),
                key.nonce.as_str().into(),
                integer(u64::from(attempt))?,
                integer(now)?,
                SqlStorageValue::from(transaction),
                SqlStorageValue::from(reason),
                integer(u64::from(answered))?,
                integer(u64::from(rule.own_attempt_only))?,
            ],
        )?
        .to_array()?;
    if changed.is_empty() {
        log::failure("ledger", &format!("{event:?} of nonce {} did not apply", key.nonce));
    }
    Ok(!changed.is_empty())
}

/// SQLite's integers come back as doubles: beyond 2^53 they would come back as other integers.
fn integer(value: u64) -> Result<SqlStorageValue> {
    let value = i64::try_from(value).map_err(|_| worker::Error::RustError("an integer beyond 2^63".to_owned()))?;
    SqlStorageValue::try_from_i64(value)
}
