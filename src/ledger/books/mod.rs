//! The books of one payer on one network: who may use which authorization, and what became of it, as SQL.
//!
//! Every public function is one turn: it runs its statements one after the other and returns; nothing in it waits. What
//! decides is one conditional statement (an insert, an update), never a row that was read before it. Reads that follow a
//! statement only find the words for what it has decided.

mod claim;
mod list;
mod record;
mod schedule;
#[cfg(test)]
mod tests;

use schedule::NEVER;
pub use schedule::{KEEP_SECONDS, Outstanding};

use super::authorization::{Evidence, Movement, Standing, State};
use super::messages::Key;
use super::sql::{Row, Sql};

const TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS authorizations (
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
    ) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS identifiers (
        id TEXT NOT NULL PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        asset TEXT NOT NULL,
        nonce TEXT NOT NULL,
        until INTEGER NOT NULL
    ) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS answers (
        asset TEXT NOT NULL,
        nonce TEXT NOT NULL,
        status INTEGER NOT NULL,
        headers TEXT NOT NULL,
        body TEXT NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (asset, nonce)
    )",
];

/// Columns that came later; objects that were made before them get them when they are opened. The defaults are right for
/// what was in the books by then.
const LATER: [(&str, &str); 15] = [
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
    // Whether the answer is a key: more than one answer's worth to whoever copies the payment from the chain.
    ("guarded", "INTEGER NOT NULL DEFAULT 0"),
    // Of the body that it was claimed for: what is owed is owed to that.
    ("content", "TEXT"),
    // How often the origin was asked for what is paid already, or answered what can be told nobody.
    ("runs", "INTEGER NOT NULL DEFAULT 0"),
    // The binding of the request that a redirect has led to.
    ("led_to", "TEXT"),
];

/// The books, over a database that holds one payer's on one network.
#[derive(Debug)]
pub struct Books<'a, S: Sql> {
    sql: &'a S,
}

impl<'a, S: Sql> Books<'a, S> {
    /// Opens the books, and rules them if they are new.
    ///
    /// # Errors
    /// The database's.
    pub fn open(sql: &'a S) -> Result<Self, S::Error> {
        for table in TABLES {
            sql.run(table, &[])?;
        }
        let present = sql.run("SELECT name FROM pragma_table_info('authorizations')", &[])?;
        for (column, definition) in LATER {
            if !present.iter().any(|row| row.text(0) == column) {
                sql.run(&format!("ALTER TABLE authorizations ADD COLUMN {column} {definition}"), &[])?;
                if column == "evidence" {
                    sql.run("UPDATE authorizations SET evidence = 'told' WHERE state = 'settled'", &[])?;
                }
            }
        }
        Ok(Self { sql })
    }

    /// Books that are known to be ruled.
    pub const fn opened(sql: &'a S) -> Self {
        Self { sql }
    }

    /// Whether there are any books: asking must not make them, or a stranger's questions about payers who were never here
    /// would leave an empty database each.
    ///
    /// # Errors
    /// The database's.
    pub fn exist(sql: &S) -> Result<bool, S::Error> {
        Ok(!sql.run("SELECT 1 FROM sqlite_master WHERE name = 'authorizations'", &[])?.is_empty())
    }

    /// Where an authorization stands towards a request.
    fn found(&self, key: &Key, binding: &str) -> Result<Option<Found>, S::Error> {
        let rows = self.sql.run(
            &format!(
                "SELECT binding, state, answered, lease_until, reason, transaction_hash, evidence, guarded, content,
                 NOT {MAY_RUN}, led_to
             FROM authorizations WHERE asset = ?1 AND nonce = ?2"
            ),
            &[key.asset.as_str().into(), key.nonce.as_str().into()],
        )?;
        Ok(rows.first().map(|row| Found {
            standing: Standing {
                // What cannot be read is taken for what forbids most.
                state: State::from_stored(&row.text(1)).unwrap_or(State::Unknown),
                same_request: row.text(0) == binding || row.optional_text(10).is_some_and(|led_to| led_to == binding),
                answered: row.number(2) != 0,
                lease_until: row.number(3),
            },
            reason: row.optional_text(4),
            movement: movement(row, 5, 6),
            guarded: row.number(7) != 0,
            content: row.optional_text(8),
            is_worn_out: row.number(9) != 0,
        }))
    }
}

struct Found {
    standing: Standing,
    reason: Option<String>,
    movement: Option<Movement>,
    guarded: bool,
    content: Option<String>,
    is_worn_out: bool,
}

/// The money's movement in a row, once its evidence is noted.
fn movement(row: &Row, transaction: usize, evidence: usize) -> Option<Movement> {
    let evidence = Evidence::from_stored(&row.text(evidence))?;
    Some(Movement { transaction: row.optional_text(transaction), evidence })
}

/// Whether the origin may be asked once more for what is paid, or was asked for in vain: a buyer can see to it that a call never ends. Fewer times where
/// the next call may be another; as often as it takes where no call is bought.
const MAY_RUN: &str = "(purchase IS NOT NULL OR mode = 'debt' OR runs < CASE WHEN content IS NULL THEN 2 ELSE 5 END)";

/// States as an SQL list.
fn listed(states: &[State]) -> String {
    states.iter().map(|state| format!("'{}'", state.as_str())).collect::<Vec<_>>().join(", ")
}
