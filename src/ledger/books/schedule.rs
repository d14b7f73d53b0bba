//! What an alarm finds to do: leases that are over, settlements whose outcome is open, what need not be kept.

use super::{Books, listed};
use crate::ledger::authorization::State;
use crate::ledger::messages::Key;
use crate::ledger::outcome::Open;
use crate::ledger::sql::Sql;

/// How long what came to nothing is kept after the last word about it, in seconds: for a buyer who asks again, and for what
/// a Worker says late.
pub const KEEP_SECONDS: u64 = 3_600;

/// What the alarm tries to bring to an end.
const OPEN: [State; 4] = [State::Settling, State::Unknown, State::Due, State::Failed];

/// When that is forgotten which has come to nothing here. What was used elsewhere is remembered for as long as it could be
/// shown again.
const FORGOTTEN_AT: &str =
    "((CASE WHEN state = 'spent' THEN max(valid_before, changed_at) ELSE changed_at END) + 3600)";

/// Of a wallet that could not pay, one authorization is tried, the one that is valid for the shortest time: the others wait
/// until it is paid or over. A wallet that is emptied would else have the facilitator asked about each of its debts.
const WAITS: &str = "(a.state IN ('due', 'failed') AND EXISTS (SELECT 1 FROM authorizations AS tried
    WHERE tried.live = 1 AND tried.asset = a.asset AND tried.nonce <> a.nonce AND tried.answered = 1
        AND ((tried.state = 'failed' AND tried.again_at IS NOT NULL)
            OR (tried.state = 'settling' AND tried.reason IS NOT NULL))
        AND (a.state = 'due' OR tried.state = 'settling'
            OR (tried.valid_before, tried.nonce) < (a.valid_before, a.nonce))))";

/// How often it was tried; of a wallet that could not pay, how often any of its debts was: the pauses go on growing.
const TRIES: &str = "CASE WHEN state <> 'failed' THEN tries ELSE (SELECT max(tries) FROM authorizations AS failed
    WHERE failed.live = 1 AND failed.asset = a.asset AND failed.state = 'failed') END";

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
    /// Ends claims whose lease is over, forgets what came to nothing, and keeps the indexes.
    ///
    /// # Errors
    /// The database's.
    pub fn sweep(&self, now: u64) -> Result<(), S::Error> {
        self.keep_indexes()?;
        self.sql.run(
            "UPDATE authorizations SET state = 'released', live = 2, changed_at = ?1
             WHERE live = 1 AND state = 'claimed' AND lease_until <= ?1",
            &[now.into()],
        )?;
        self.sql.run(&format!("DELETE FROM authorizations WHERE live = 2 AND {FORGOTTEN_AT} <= ?1"), &[now.into()])?;
        if self.has_answers()? {
            self.sql.run("DELETE FROM answers WHERE until <= ?1", &[now.into()])?;
        }
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
                     transaction_hash, state, answered, lost, {TRIES}, valid_before
                 FROM authorizations AS a WHERE live = 1 AND state IN ({}) AND again_at IS NOT NULL AND again_at <= ?1
                     AND NOT {WAITS}
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
        let answers = if self.has_answers()? { "UNION ALL SELECT min(until) FROM answers" } else { "" };
        let rows = self.sql.run(
            &format!(
                "SELECT min(at) FROM (
                     SELECT min(CASE
                         WHEN state = 'claimed' THEN lease_until
                         WHEN state IN ({open}) AND NOT {WAITS} THEN again_at
                     END) AS at FROM authorizations AS a WHERE live = 1
                     UNION ALL SELECT min({FORGOTTEN_AT}) FROM authorizations WHERE live = 2
                     {answers})",
                open = listed(&OPEN)
            ),
            &[],
        )?;
        Ok(rows.first().and_then(|row| row.optional_number(0)))
    }
}
