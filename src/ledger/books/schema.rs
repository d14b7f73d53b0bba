//! The tables, and what a database of an earlier version lacks.
//!
//! Every row that is written counts against the platform's daily limit, an entry of an index like a row. So a new object is
//! made with one table, in its final form; the table of kept answers comes with the first of them, and the indexes once there
//! are so many authorizations that looking at each costs more than keeping the indexes.

use super::Books;
use crate::ledger::sql::Sql;

/// Of an authorization that anything is still to be done or decided about, `live` is 1; of one that came to nothing and is
/// to be forgotten, 2; of one that is over, `NULL`. All that asks about more than one authorization asks about those of one
/// kind, so that it costs the same after a hundred thousand payments, and after a thousand that were refused.
const AUTHORIZATIONS: &str = "CREATE TABLE authorizations (
        asset TEXT NOT NULL,
        nonce TEXT NOT NULL,
        live INTEGER,
        state TEXT NOT NULL,
        mode TEXT NOT NULL,
        answered INTEGER NOT NULL DEFAULT 0,
        attempt INTEGER NOT NULL,
        lease_until INTEGER NOT NULL,
        again_at INTEGER,
        valid_before INTEGER NOT NULL,
        claimed_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0,
        runs INTEGER NOT NULL DEFAULT 0,
        lost INTEGER NOT NULL DEFAULT 0,
        guarded INTEGER NOT NULL DEFAULT 0,
        value TEXT NOT NULL,
        network TEXT NOT NULL,
        payer TEXT NOT NULL,
        pay_to TEXT NOT NULL,
        facilitator TEXT NOT NULL,
        binding TEXT NOT NULL,
        led_to TEXT,
        content TEXT,
        identifier TEXT,
        fingerprint TEXT,
        transaction_hash TEXT,
        evidence TEXT,
        reason TEXT,
        reserved_by TEXT,
        purchase TEXT,
        settle_request TEXT NOT NULL,
        PRIMARY KEY (asset, nonce)
    ) WITHOUT ROWID";

pub(super) const ANSWERS: &str = "CREATE TABLE IF NOT EXISTS answers (
        asset TEXT NOT NULL,
        nonce TEXT NOT NULL,
        until INTEGER NOT NULL,
        status INTEGER NOT NULL,
        headers TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (asset, nonce)
    ) WITHOUT ROWID";

/// From so many authorizations on the indexes are kept.
const FEW: u64 = 32;

/// An update that names an indexed column writes its entry anew, whether it has changed or not: `live` is named only where
/// it changes.
const INDEXES: [&str; 3] = [
    "CREATE INDEX IF NOT EXISTS live ON authorizations (live) WHERE live IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS settling_transaction ON authorizations (transaction_hash) WHERE evidence IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS identified ON authorizations (identifier) WHERE identifier IS NOT NULL",
];

/// Columns that came later than the first version. The defaults are right for what was in the books by then.
const LATER: [(&str, &str); 17] = [
    ("mode", "TEXT NOT NULL DEFAULT 'after'"),
    ("network", "TEXT NOT NULL DEFAULT ''"),
    ("payer", "TEXT NOT NULL DEFAULT ''"),
    ("pay_to", "TEXT NOT NULL DEFAULT ''"),
    ("evidence", "TEXT"),
    // Whether an attempt to settle ended without a verdict: then a later "it is used" may be about that one.
    ("lost", "INTEGER NOT NULL DEFAULT 1"),
    ("tries", "INTEGER NOT NULL DEFAULT 0"),
    // When the alarm is to try again; 0: at the next alarm, NULL: there is nothing to try.
    ("again_at", "INTEGER DEFAULT 0"),
    ("identifier", "TEXT"),
    // Which payment is about to pay for what has failed.
    ("reserved_by", "TEXT"),
    // What is bought, where that is credits.
    ("purchase", "TEXT"),
    // Whether the answer is a key: more than one answer's worth to a thief who copies the payment from the chain.
    ("guarded", "INTEGER NOT NULL DEFAULT 0"),
    // Of the body that it was claimed for: what is owed is owed to that.
    ("content", "TEXT"),
    // How often the origin was asked for what is paid already, or answered what cannot be relayed.
    ("runs", "INTEGER NOT NULL DEFAULT 0"),
    // The binding of the request that a redirect has led to.
    ("led_to", "TEXT"),
    // Of the request that its identifier stands for.
    ("fingerprint", "TEXT"),
    ("live", "INTEGER"),
];

/// What nothing more happens to, as SQL. What lapsed under `deferred` goes on counting towards what its payer may owe.
pub(super) const OVER: &str = "(state = 'made_good' OR (state = 'settled' AND answered = 1)
     OR (state = 'lapsed' AND mode <> 'deferred'))";

const LIVE: &str = "CASE WHEN state IN ('released', 'refused', 'spent') THEN 2 ELSE 1 END";

impl<'a, S: Sql> Books<'a, S> {
    /// Opens the books: makes them if there are none, and carries over those of an earlier version.
    ///
    /// # Errors
    /// The database's.
    pub fn open(sql: &'a S) -> Result<Self, S::Error> {
        let made =
            sql.run("SELECT instr(sql, 'live INTEGER') FROM sqlite_master WHERE name = 'authorizations'", &[])?;
        match made.first().map(|row| row.number(0) > 0) {
            None => drop(sql.run(AUTHORIZATIONS, &[])?),
            Some(true) => {}
            Some(false) => carry_over(sql)?,
        }
        Ok(Self { sql })
    }

    /// Books that are known to be there, and of this version.
    pub const fn opened(sql: &'a S) -> Self {
        Self { sql }
    }

    /// Whether there are any books: asking must not make them, or a stranger's questions about payers who were never here
    /// would leave an empty database each.
    ///
    /// # Errors
    /// The database's.
    pub fn exist(sql: &S) -> Result<bool, S::Error> {
        exists(sql, "authorizations")
    }

    /// Whether there is nothing in them: then all of the object's storage can go.
    ///
    /// # Errors
    /// The database's.
    pub fn is_empty(&self) -> Result<bool, S::Error> {
        let authorizations = self.sql.run("SELECT 1 FROM authorizations LIMIT 1", &[])?;
        let answers = authorizations.is_empty()
            && self.has_answers()?
            && !self.sql.run("SELECT 1 FROM answers LIMIT 1", &[])?.is_empty();
        Ok(authorizations.is_empty() && !answers)
    }

    /// Whether an answer was ever kept here.
    pub(super) fn has_answers(&self) -> Result<bool, S::Error> {
        exists(self.sql, "answers")
    }

    /// Makes the indexes, once there is enough to look through.
    ///
    /// # Errors
    /// The database's.
    pub fn keep_indexes(&self) -> Result<(), S::Error> {
        if exists(self.sql, "identified")? {
            return Ok(());
        }
        let many = self.sql.run("SELECT 1 FROM authorizations LIMIT 1 OFFSET ?1", &[FEW.into()])?;
        if !many.is_empty() {
            for index in INDEXES {
                self.sql.run(index, &[])?;
            }
        }
        Ok(())
    }
}

fn exists<S: Sql>(sql: &S, name: &str) -> Result<bool, S::Error> {
    Ok(!sql.run("SELECT 1 FROM sqlite_master WHERE name = ?1", &[name.into()])?.is_empty())
}

/// In one turn, so that it is all there or nothing of it. The last column to come says that it was done.
fn carry_over<S: Sql>(sql: &S) -> Result<(), S::Error> {
    let present = sql.run("SELECT name FROM pragma_table_info('authorizations')", &[])?;
    for (column, definition) in LATER {
        if present.iter().any(|row| row.text(0) == column) {
            continue;
        }
        sql.run(&format!("ALTER TABLE authorizations ADD COLUMN {column} {definition}"), &[])?;
        match column {
            "evidence" => sql.run("UPDATE authorizations SET evidence = 'told' WHERE state = 'settled'", &[])?,
            "live" => sql.run(&format!("UPDATE authorizations SET live = {LIVE} WHERE NOT {OVER}"), &[])?,
            // Identifiers had a table of their own.
            "fingerprint" if exists(sql, "identifiers")? => {
                sql.run(
                    "UPDATE authorizations SET fingerprint = i.fingerprint FROM identifiers AS i
                     WHERE i.id = authorizations.identifier AND i.asset = authorizations.asset
                         AND i.nonce = authorizations.nonce",
                    &[],
                )?;
                sql.run("DROP TABLE identifiers", &[])?
            }
            _ => Vec::new(),
        };
    }
    Ok(())
}
