//! One account: what came in, what is left of it, what is held for calls under way.
//!
//! `entries` is the truth: append-only, and their sum is the balance. `lots` is what is left of each deposit, less what is
//! held out of it: a deposit may expire, so that it matters out of which one a call is paid. After every command
//!
//! ```text
//! sum(entries.credits) = sum(lots.remaining) + sum(hold_parts.credits),   and no lot is negative
//! ```

use super::messages::{Deposit, Entry, Hold, Line, Shown};
use crate::ledger::sql::{Sql, Value};

const TABLES: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS account (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        live INTEGER NOT NULL,
        generation INTEGER NOT NULL DEFAULT 0,
        rotated_by TEXT,
        revoked INTEGER NOT NULL DEFAULT 0,
        calls INTEGER NOT NULL DEFAULT 0,
        succeeded INTEGER NOT NULL DEFAULT 0,
        opened_at INTEGER NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS entries (
        number INTEGER NOT NULL PRIMARY KEY,
        reference TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        credits INTEGER NOT NULL,
        at INTEGER NOT NULL,
        expires_at INTEGER,
        note TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS lots (
        reference TEXT NOT NULL PRIMARY KEY,
        remaining INTEGER NOT NULL CHECK (remaining >= 0),
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS holds (
        id TEXT NOT NULL PRIMARY KEY,
        credits INTEGER NOT NULL,
        until INTEGER NOT NULL
    ) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS hold_parts (
        hold TEXT NOT NULL,
        lot TEXT NOT NULL,
        credits INTEGER NOT NULL CHECK (credits > 0),
        PRIMARY KEY (hold, lot)
    ) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS activity (
        number INTEGER NOT NULL PRIMARY KEY,
        hold TEXT NOT NULL UNIQUE,
        at INTEGER NOT NULL,
        request TEXT NOT NULL,
        credits INTEGER NOT NULL,
        status INTEGER,
        outcome TEXT NOT NULL
    )",
];

/// What never expires does so here: SQLite's integers end at 2^53 on their way through JavaScript.
const NEVER: u64 = (1 << 53) - 1;
/// So many calls are listed; what is older is counted only.
const ACTIVITY: u64 = 200;

/// Where an account stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether real money paid for it.
    pub live: bool,
    /// Of its keys.
    pub generation: u16,
    /// Whether its keys are good for nothing.
    pub revoked: bool,
    /// That ended.
    pub calls: u64,
    /// Of those, with a status below 400.
    pub succeeded: u64,
}

/// An account, over a database that holds nothing else.
#[derive(Debug)]
pub struct Account<'a, S: Sql> {
    pub(super) sql: &'a S,
}

impl<'a, S: Sql> Account<'a, S> {
    /// Opens it, and rules its books if they are new.
    ///
    /// # Errors
    /// The database's.
    pub fn open(sql: &'a S) -> Result<Self, S::Error> {
        for table in TABLES {
            sql.run(table, &[])?;
        }
        Ok(Self { sql })
    }

    /// An account whose books are known to be ruled.
    pub const fn opened(sql: &'a S) -> Self {
        Self { sql }
    }

    /// Whether there is one: a question must not make it.
    ///
    /// # Errors
    /// The database's.
    pub fn exists(sql: &S) -> Result<bool, S::Error> {
        Ok(!sql.run("SELECT 1 FROM sqlite_master WHERE name = 'hold_parts'", &[])?.is_empty())
    }

    /// Puts credits in, once for each reference; the first deposit opens the account. Returns whether it was new.
    ///
    /// A revoked account takes them too: they were paid for, and its operator can give them back.
    ///
    /// # Errors
    /// The database's.
    pub fn deposit(&self, deposit: &Deposit, now: u64) -> Result<bool, S::Error> {
        self.sql.run(
            "INSERT INTO account (one, live, opened_at) VALUES (1, ?1, ?2) ON CONFLICT DO NOTHING",
            &[deposit.live.into(), now.into()],
        )?;
        let kind = deposit.kind.as_str();
        if !self.enter(&deposit.reference, kind, signed(deposit.credits), now, deposit.expires_at, &deposit.note)? {
            return Ok(false);
        }
        self.sql.run(
            "INSERT INTO lots (reference, remaining, expires_at) VALUES (?1, ?2, ?3)",
            &[
                deposit.reference.as_str().into(),
                deposit.credits.into(),
                deposit.expires_at.unwrap_or(NEVER).min(NEVER).into(),
            ],
        )?;
        Ok(true)
    }

    /// How many credits a deposit brought, and until when they last: the first word stands.
    ///
    /// # Errors
    /// The database's.
    pub fn deposited(&self, reference: &str) -> Result<(u64, Option<u64>), S::Error> {
        let rows = self.sql.run("SELECT credits, expires_at FROM entries WHERE reference = ?1", &[reference.into()])?;
        Ok(rows.first().map(|row| (row.number(0), row.optional_number(1))).unwrap_or_default())
    }

    /// Takes unspent credits out, once for each reference: so many, or all that are left. What is held is not unspent.
    /// Returns how many, or nothing where there are fewer.
    ///
    /// # Errors
    /// The database's.
    pub fn withdraw(
        &self,
        reference: &str,
        credits: Option<u64>,
        note: &str,
        now: u64,
    ) -> Result<Option<u64>, S::Error> {
        let done = self.sql.run("SELECT -credits FROM entries WHERE reference = ?1", &[reference.into()])?;
        if let Some(row) = done.first() {
            return Ok(Some(row.number(0)));
        }
        self.sweep(now)?;
        let available = self.available(now)?;
        let credits = credits.unwrap_or(available);
        // Nothing is no refund: its entry would be one.
        if credits == 0 || credits > available || self.standing()?.is_none() {
            return Ok(None);
        }
        for (lot, part) in self.parts(credits, now)? {
            self.take_from_lot(&lot, part)?;
        }
        self.enter(reference, "refund", signed(credits).saturating_neg(), now, None, note)?;
        self.drop_empty_lots()?;
        Ok(Some(credits))
    }

    /// No call is paid for from here any more. What is held already is captured or released as ever.
    ///
    /// # Errors
    /// The database's.
    pub fn revoke(&self) -> Result<bool, S::Error> {
        Ok(!self.sql.run("UPDATE account SET revoked = 1 RETURNING one", &[])?.is_empty())
    }

    /// Ends a generation of keys and begins the next; says which. `by` is the client's idempotency key: whoever repeats it
    /// with the key that it ended hears the same again, so that a lost answer does not lose the account. A thief of the old
    /// key does not know it.
    ///
    /// # Errors
    /// The database's.
    pub fn rotate(&self, generation: u16, by: Option<&str>) -> Result<Option<u16>, S::Error> {
        let next = generation.saturating_add(1);
        let rotated = self.sql.run(
            "UPDATE account SET generation = ?2, rotated_by = ?3
             WHERE revoked = 0 AND ?2 > ?1 AND (generation = ?1 OR (generation = ?2 AND ?3 IS NOT NULL AND rotated_by = ?3))
             RETURNING generation",
            &[u64::from(generation).into(), u64::from(next).into(), by.into()],
        )?;
        Ok(rotated.first().map(|_| next))
    }

    /// What is in it, for its holder and for an operator. `None` where there is no account.
    ///
    /// # Errors
    /// The database's.
    pub fn show(&self, now: u64, most: u64) -> Result<Option<Shown>, S::Error> {
        let Some(Standing { live, generation, revoked, calls, succeeded }) = self.standing()? else { return Ok(None) };
        let expiring = self.sql.run(
            "SELECT remaining, expires_at FROM lots WHERE remaining > 0 AND expires_at > ?1 AND expires_at < ?2
             ORDER BY expires_at",
            &[now.into(), NEVER.into()],
        )?;
        let entries = self.sql.run(
            "SELECT reference, kind, credits, at, expires_at, note FROM entries WHERE ?2 = 1 OR kind <> 'call'
             ORDER BY number DESC LIMIT ?1",
            &[most.into(), u64::from(most > ACTIVITY).into()],
        )?;
        let activity = self.sql.run(
            "SELECT at, request, credits, status, outcome FROM activity ORDER BY number DESC LIMIT ?1",
            &[most.min(ACTIVITY).into()],
        )?;
        let holds = self.sql.run("SELECT id, credits, until FROM holds ORDER BY until", &[])?;
        Ok(Some(Shown {
            live,
            generation,
            revoked,
            available: self.available(now)?,
            calls,
            succeeded,
            expiring: expiring.iter().map(|row| (row.number(0), row.number(1))).collect(),
            entries: entries
                .iter()
                .map(|row| Entry {
                    reference: row.text(0),
                    kind: row.text(1),
                    credits: row.integer(2),
                    at: row.number(3),
                    expires_at: row.optional_number(4),
                    note: row.text(5),
                })
                .collect(),
            activity: activity
                .iter()
                .map(|row| Line {
                    at: row.number(0),
                    request: row.text(1),
                    credits: row.number(2),
                    status: row.optional_number(3),
                    outcome: row.text(4),
                })
                .collect(),
            holds: holds
                .iter()
                .map(|row| Hold { id: row.text(0), credits: row.number(1), until: row.number(2) })
                .collect(),
        }))
    }

    /// Unspent and not held.
    ///
    /// # Errors
    /// The database's.
    pub fn available(&self, now: u64) -> Result<u64, S::Error> {
        let rows = self.sql.run("SELECT sum(remaining) FROM lots WHERE expires_at > ?1", &[now.into()])?;
        Ok(rows.first().map(|row| row.number(0)).unwrap_or_default())
    }

    /// Where it stands; nothing where there is none.
    ///
    /// # Errors
    /// The database's.
    pub fn standing(&self) -> Result<Option<Standing>, S::Error> {
        let rows = self.sql.run("SELECT live, generation, revoked, calls, succeeded FROM account", &[])?;
        Ok(rows.first().map(|row| Standing {
            live: row.number(0) != 0,
            generation: u16::try_from(row.number(1)).unwrap_or(u16::MAX),
            revoked: row.number(2) != 0,
            calls: row.number(3),
            succeeded: row.number(4),
        }))
    }

    /// Notes a change of the balance, once for each reference.
    pub(super) fn enter(
        &self,
        reference: &str,
        kind: &str,
        credits: i64,
        at: u64,
        expires_at: Option<u64>,
        note: &str,
    ) -> Result<bool, S::Error> {
        let entered = self.sql.run(
            "INSERT INTO entries (reference, kind, credits, at, expires_at, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (reference) DO NOTHING RETURNING number",
            &[reference.into(), kind.into(), Value::Integer(credits), at.into(), expires_at.into(), note.into()],
        )?;
        Ok(!entered.is_empty())
    }

    /// Out of which lots so many credits come: what expires first goes first.
    pub(super) fn parts(&self, credits: u64, now: u64) -> Result<Vec<(String, u64)>, S::Error> {
        let lots = self.sql.run(
            "SELECT reference, remaining FROM lots WHERE remaining > 0 AND expires_at > ?1 ORDER BY expires_at, reference",
            &[now.into()],
        )?;
        let mut missing = credits;
        let mut parts = Vec::new();
        for lot in &lots {
            let part = missing.min(lot.number(1));
            if part > 0 {
                parts.push((lot.text(0), part));
            }
            missing = missing.saturating_sub(part);
        }
        Ok(parts)
    }

    pub(super) fn take_from_lot(&self, lot: &str, credits: u64) -> Result<(), S::Error> {
        self.sql
            .run("UPDATE lots SET remaining = remaining - ?2 WHERE reference = ?1", &[lot.into(), credits.into()])?;
        Ok(())
    }

    /// A lot that is spent and out of which nothing is held is of no more use: what it was stays in the entries.
    pub(super) fn drop_empty_lots(&self) -> Result<(), S::Error> {
        self.sql.run(
            "DELETE FROM lots WHERE remaining = 0 AND NOT EXISTS (SELECT 1 FROM hold_parts WHERE lot = lots.reference)",
            &[],
        )?;
        Ok(())
    }

    /// Writes off what is left of deposits whose time is over. What is held out of them is not left: it expires when it is
    /// released.
    pub(super) fn expire(&self, now: u64) -> Result<(), S::Error> {
        let over = self
            .sql
            .run("SELECT reference, remaining FROM lots WHERE remaining > 0 AND expires_at <= ?1", &[now.into()])?;
        for lot in &over {
            let (reference, remaining) = (lot.text(0), lot.number(1));
            self.take_from_lot(&reference, remaining)?;
            // A release may leave something to expire a second time.
            let last = self.sql.run("SELECT max(number) FROM entries", &[])?;
            let number = last.first().map(|row| row.number(0)).unwrap_or_default();
            let reference = format!("expiry:{number}:{reference}");
            self.enter(&reference, "expiry", signed(remaining).saturating_neg(), now, None, "")?;
        }
        self.drop_empty_lots()
    }

    /// Forgets what is too old to be listed.
    pub(super) fn trim_activity(&self) -> Result<(), S::Error> {
        self.sql.run(
            "DELETE FROM activity WHERE number <= (SELECT max(number) FROM activity) - ?1
                 AND NOT EXISTS (SELECT 1 FROM holds WHERE id = activity.hold)",
            &[ACTIVITY.into()],
        )?;
        Ok(())
    }
}

/// As an entry has it: what goes out is negative.
pub(super) fn signed(credits: u64) -> i64 {
    i64::try_from(credits).unwrap_or(i64::MAX)
}
