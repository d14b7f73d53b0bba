//! Who bought what: the accounts of one wallet (or of the operator), and the sign-ins that it has used.
//!
//! It remembers which account a purchase made, so that the same payment names the same account for ever, even after
//! `KEY_SECRET` has been rotated: an account derived anew would be a second one for one payment.

use super::messages::Bought;
use crate::ledger::sql::Sql;

const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS purchases (
        number INTEGER NOT NULL PRIMARY KEY,
        reference TEXT NOT NULL UNIQUE,
        account TEXT NOT NULL,
        live INTEGER NOT NULL,
        own INTEGER NOT NULL,
        digest TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS nonces (
        nonce TEXT NOT NULL PRIMARY KEY,
        until INTEGER NOT NULL
    ) WITHOUT ROWID",
];

/// So many accounts of a wallet are looked into, the latest first.
pub const MOST_ACCOUNTS: u64 = 64;

/// A holder, over a database that holds nothing else.
#[derive(Debug)]
pub struct Holder<'a, S: Sql> {
    sql: &'a S,
}

/// What came of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedIn {
    /// Once; these are the wallet's.
    Yes(Vec<Bought>),
    /// This sign-in was used before.
    Used,
    /// It has bought nothing; nothing is written down for it, the sign-in included.
    Nobody,
}

impl<'a, S: Sql> Holder<'a, S> {
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

    /// One whose books are known to be ruled.
    pub const fn opened(sql: &'a S) -> Self {
        Self { sql }
    }

    /// Whether it has bought anything: a question must not make its books.
    ///
    /// # Errors
    /// The database's.
    pub fn exists(sql: &S) -> Result<bool, S::Error> {
        Ok(!sql.run("SELECT 1 FROM sqlite_master WHERE name = 'nonces'", &[])?.is_empty())
    }

    /// Notes which account a purchase goes to. The first word stands: whoever asks again hears it, whatever it proposes.
    ///
    /// # Errors
    /// The database's.
    pub fn purchase(&self, reference: &str, proposed: &Bought, digest: &str) -> Result<(Bought, bool), S::Error> {
        self.sql.run(
            "INSERT INTO purchases (reference, account, live, own, digest) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (reference) DO NOTHING",
            &[
                reference.into(),
                proposed.account.as_str().into(),
                proposed.live.into(),
                proposed.own.into(),
                digest.into(),
            ],
        )?;
        let rows = self
            .sql
            .run("SELECT account, live, own, digest FROM purchases WHERE reference = ?1", &[reference.into()])?;
        Ok(rows.first().map_or_else(
            || (proposed.clone(), true),
            |row| {
                let bought = Bought { account: row.text(0), live: row.number(1) != 0, own: row.number(2) != 0 };
                (bought, row.text(3) == digest)
            },
        ))
    }

    /// Uses a sign-in up and lists the wallet's accounts, the latest first.
    ///
    /// # Errors
    /// The database's.
    pub fn sign_in(&self, nonce: &str, until: u64, now: u64) -> Result<SignedIn, S::Error> {
        let accounts = self.accounts()?;
        if accounts.is_empty() {
            return Ok(SignedIn::Nobody);
        }
        self.sql.run("DELETE FROM nonces WHERE until < ?1", &[now.into()])?;
        let noted = self.sql.run(
            "INSERT INTO nonces (nonce, until) VALUES (?1, ?2) ON CONFLICT (nonce) DO NOTHING RETURNING nonce",
            &[nonce.into(), until.into()],
        )?;
        Ok(if noted.is_empty() { SignedIn::Used } else { SignedIn::Yes(accounts) })
    }

    fn accounts(&self) -> Result<Vec<Bought>, S::Error> {
        let rows = self.sql.run(
            // What was put into somebody else's account is theirs.
            "SELECT account, max(live), max(number) FROM purchases WHERE own = 1 GROUP BY account ORDER BY 3 DESC LIMIT ?1",
            &[MOST_ACCOUNTS.into()],
        )?;
        Ok(rows.iter().map(|row| Bought { account: row.text(0), live: row.number(1) != 0, own: true }).collect())
    }
}
