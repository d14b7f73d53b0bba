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
use crate::ledger::authorization::{Event, FREE, FREE_AFTER_LEASE, Standing, State, denial, forbids_challenge};
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

/// Claims, in one statement. Who may take over is `ledger::authorization::may_claim_again`, from whose constants the
/// condition is written.
fn claim_statement() -> String {
    format!(
        "INSERT INTO authorizations (asset, nonce, binding, state, attempt, lease_until, valid_before, value, facilitator,
             settle_request, claimed_at, changed_at)
         VALUES (?1, ?2, ?3, 'claimed', 1, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
         ON CONFLICT (asset, nonce) DO UPDATE SET
             state = 'claimed', attempt = attempt + 1, lease_until = excluded.lease_until,
             facilitator = excluded.facilitator, settle_request = excluded.settle_request, reason = NULL,
             claimed_at = excluded.claimed_at, changed_at = excluded.changed_at
         WHERE binding = excluded.binding
             AND (state = '{}' OR (state = '{}' AND lease_until <= excluded.claimed_at))
         RETURNING attempt",
        FREE.as_str(),
        FREE_AFTER_LEASE.as_str(),
    )
}

/// One payer on one network.
#[durable_object]
#[derive(Debug)]
pub struct Payer {
    state: worker::State,
    ready: Cell<bool>,
    /// When the alarm rings at the latest, in Unix seconds, as far as this instance knows.
    alarm_at: Cell<Option<u64>>,
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
        Self { state, ready: Cell::new(false), alarm_at: Cell::new(None) }
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
        self.alarm_at.set(None);
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
        match command {
            Command::Claim(claim) => try_claim(&self.sql()?, claim),
            Command::Look { key, binding, now } => self.look(key, binding, *now),
            Command::Record { key, attempt, now, event } => {
                record(&self.sql()?, key, *attempt, *now, event).map(|applied| Reply::Recorded { applied })
            }
        }
    }

    /// Only reads, and makes no table: a stranger who asks about payers that were never here leaves nothing behind.
    fn look(&self, key: &Key, binding: &str, now: u64) -> Result<Reply> {
        let sql = self.state.storage().sql();
        let tables = "SELECT 1 AS attempt FROM sqlite_master WHERE name = 'authorizations'";
        if sql.exec(tables, None)?.to_array::<Attempt>()?.is_empty() {
            return Ok(Reply::Seen { denial: None });
        }
        let found = standing(&sql, key, binding)?;
        Ok(Reply::Seen { denial: found.and_then(|(standing, _)| forbids_challenge(&standing, now)) })
    }

    /// An alarm is there to end claims that nobody ended. One is enough, if it is the earliest: it looks for the next when
    /// it rings.
    async fn wake_at(&self, at: u64) -> Result<()> {
        if self.alarm_at.get().is_some_and(|set| set <= at) {
            return Ok(());
        }
        let storage = self.state.storage();
        let set = storage.get_alarm().await?.and_then(|milliseconds| u64::try_from(milliseconds.div_euclid(1000)).ok());
        if set.is_none_or(|set| set > at.saturating_add(1)) {
            // A second late rather than a second early: an early alarm finds nothing over and is wasted.
            storage.set_alarm(Duration::from_secs(at.saturating_sub(super::now()).saturating_add(1))).await?;
        }
        self.alarm_at.set(Some(at));
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
            &claim_statement(),
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
    let Some((standing, reason)) = standing(sql, &claim.key, &claim.binding)? else {
        return Err(worker::Error::RustError("an authorization is neither claimed nor there".to_owned()));
    };
    Ok(Reply::Denied { denial: denial(&standing, claim.now), reason })
}

/// Where an authorization stands towards a request, and what was noted of it.
fn standing(sql: &SqlStorage, key: &Key, binding: &str) -> Result<Option<(Standing, Option<String>)>> {
    let rows: Vec<Row> = sql
        .exec(
            "SELECT binding, state, lease_until, answered, reason FROM authorizations WHERE asset = ?1 AND nonce = ?2",
            vec![key.asset.as_str().into(), key.nonce.as_str().into()],
        )?
        .to_array()?;
    Ok(rows.into_iter().next().map(|row| {
        let standing = Standing {
            state: row.state,
            same_request: row.binding == binding,
            answered: row.answered != 0,
            lease_until: row.lease_until,
        };
        (standing, row.reason)
    }))
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
