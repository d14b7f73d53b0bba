//! What an alarm finds to do: leases that are over, settlements whose outcome is open, what need not be kept.

use super::{Books, listed};
use crate::ledger::authorization::State;
use crate::ledger::messages::Key;
use crate::ledger::outcome::Open;
use crate::ledger::sql::Sql;

/// How long what moved no money is kept after its authorization can no longer settle, in seconds.
pub const KEEP_SECONDS: u64 = 3_600;

/// What is kept for ever is kept until then: SQLite's integers end there on their way through JavaScript.
pub(super) const NEVER: u64 = (1 << 53) - 1;

/// What the alarm tries to bring to an end.
const OPEN: [State; 4] = [State::Settling, State::Unknown, State::Due, State::Failed];

/// A settlement whose outcome is open, and all that it takes to ask again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outstanding {
    /// Which authorization.
    pub key: Key,
    /// CAIP-2.
    pub network: String,
    /// Who pays.
    pub payer: String,
    /// Who is paid.
    pub pay_to: String,
    /// Atomic units.
    pub value: String,
    /// Unix seconds.
    pub claimed_at: u64,
    /// Which claim of it.
    pub attempt: u32,
    /// Where it was sent, or is to be.
    pub facilitator: String,
    /// What is sent.
    pub settle_request: String,
    /// What was broadcast, where a facilitator has named it.
    pub transaction: Option<String>,
    /// What decides how the next outcome is read.
    pub open: Open,
}

impl<S: Sql> Books<'_, S> {
    /// Ends claims whose lease is over, and forgets what moved no money and no longer can.
    ///
    /// # Errors
    /// The database's.
    pub fn sweep(&self, now: u64) -> Result<(), S::Error> {
        self.sql.run(
            "UPDATE authorizations SET state = 'released', changed_at = ?1 WHERE state = 'claimed' AND lease_until <= ?1",
            &[now.into()],
        )?;
        self.sql.run(
            "DELETE FROM authorizations WHERE state IN ('released', 'refused') AND valid_before + ?2 <= ?1",
            &[now.into(), KEEP_SECONDS.into()],
        )?;
        self.sql.run("DELETE FROM answers WHERE until <= ?1", &[now.into()])?;
        self.sql.run("DELETE FROM identifiers WHERE until <= ?1", &[now.into()])?;
        Ok(())
    }

    /// The open settlement that has waited longest for its next try.
    ///
    /// # Errors
    /// The database's.
    pub fn outstanding(&self, now: u64) -> Result<Option<Outstanding>, S::Error> {
        let rows = self.sql.run(
            &format!(
                "SELECT asset, nonce, network, payer, pay_to, value, claimed_at, attempt, facilitator, settle_request,
                     transaction_hash, state, answered, lost, tries, valid_before
                 FROM authorizations WHERE state IN ({}) AND again_at IS NOT NULL AND again_at <= ?1
                 ORDER BY again_at, claimed_at LIMIT 1",
                listed(&OPEN)
            ),
            &[now.into()],
        )?;
        Ok(rows.first().map(|row| Outstanding {
            key: Key { asset: row.text(0), nonce: row.text(1) },
            network: row.text(2),
            payer: row.text(3),
            pay_to: row.text(4),
            value: row.text(5),
            claimed_at: row.number(6),
            attempt: u32::try_from(row.number(7)).unwrap_or(u32::MAX),
            facilitator: row.text(8),
            settle_request: row.text(9),
            transaction: row.optional_text(10),
            open: Open {
                state: State::from_stored(&row.text(11)).unwrap_or(State::Unknown),
                answered: row.number(12) != 0,
                lost: row.number(13) != 0,
                tries: row.number(14),
                valid_before: row.number(15),
            },
        }))
    }

    /// When there is something to do next, in Unix seconds.
    ///
    /// # Errors
    /// The database's.
    pub fn next_alarm(&self) -> Result<Option<u64>, S::Error> {
        let rows = self.sql.run(
            &format!(
                "SELECT min(at) FROM (
                     SELECT min(lease_until) AS at FROM authorizations WHERE state = 'claimed'
                     UNION ALL SELECT min(again_at) FROM authorizations WHERE state IN ({}) AND again_at IS NOT NULL
                     UNION ALL SELECT min(valid_before) + ?1 FROM authorizations WHERE state IN ('released', 'refused')
                     UNION ALL SELECT min(until) FROM answers
                     UNION ALL SELECT min(until) FROM identifiers WHERE until < ?2)",
                listed(&OPEN)
            ),
            &[KEEP_SECONDS.into(), NEVER.into()],
        )?;
        Ok(rows.first().and_then(|row| row.optional_number(0)))
    }
}
