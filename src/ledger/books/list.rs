//! The books as an operator reads them.

use super::Books;
use crate::ledger::authorization::State;
use crate::ledger::messages::Entry;
use crate::ledger::sql::Sql;

/// A payer's latest; more would be a download, not an answer.
const MOST: u64 = 1_000;

/// The tokens that a payer has paid in, one step of the key each.
const ASSETS: &str = "WITH RECURSIVE assets (asset) AS (
        SELECT min(asset) FROM authorizations
        UNION ALL SELECT (SELECT min(a.asset) FROM authorizations AS a WHERE a.asset > assets.asset) FROM assets
            WHERE assets.asset IS NOT NULL)
    SELECT asset FROM assets WHERE asset IS NOT NULL";

impl<S: Sql> Books<'_, S> {
    /// Authorizations, the latest claimed first: what failed and what is open before all else.
    ///
    /// # Errors
    /// The database's.
    pub fn list(&self, nonce: Option<&str>) -> Result<Vec<Entry>, S::Error> {
        match nonce {
            None => self.entries("?1 IS NULL", None),
            // The key begins with the token: each token is asked about by itself, or this would look at every row.
            Some(nonce) => self.entries(&format!("asset IN ({ASSETS}) AND nonce = ?1"), Some(nonce)),
        }
    }

    /// Purchases that are settled and were never answered: whoever proves to be the payer has them.
    ///
    /// # Errors
    /// The database's.
    pub fn owed_purchases(&self) -> Result<Vec<Entry>, S::Error> {
        self.entries("?1 IS NULL AND live = 1 AND purchase IS NOT NULL AND state = 'settled' AND answered = 0", None)
    }

    fn entries(&self, which: &str, nonce: Option<&str>) -> Result<Vec<Entry>, S::Error> {
        let rows = self.sql.run(
            &format!("SELECT network, asset, nonce, payer, pay_to, value, mode, state, answered, transaction_hash, evidence, reason,
                 tries, again_at, valid_before, claimed_at, changed_at, lease_until, purchase
             FROM authorizations WHERE {which}
             ORDER BY state IN ('failed', 'unknown', 'lapsed') DESC, claimed_at DESC, nonce LIMIT ?2"),
            &[nonce.into(), MOST.into()],
        )?;
        Ok(rows
            .iter()
            .map(|row| {
                let state = State::from_stored(&row.text(7)).unwrap_or(State::Unknown);
                let open = matches!(state, State::Settling | State::Unknown | State::Due | State::Failed);
                Entry {
                    network: row.text(0),
                    asset: row.text(1),
                    nonce: row.text(2),
                    payer: row.text(3),
                    pay_to: row.text(4),
                    value: row.text(5),
                    mode: row.text(6),
                    state,
                    answered: row.number(8) != 0,
                    transaction: row.optional_text(9),
                    evidence: row.optional_text(10),
                    reason: row.optional_text(11),
                    tries: row.number(12),
                    again_at: if open { row.optional_number(13) } else { None },
                    valid_before: row.number(14),
                    claimed_at: row.number(15),
                    changed_at: row.number(16),
                    lease_until: row.number(17),
                    purchase: row.optional_text(18).and_then(|text| serde_json::from_str(&text).ok()),
                }
            })
            .collect())
    }
}
