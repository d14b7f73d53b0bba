//! The books of one payer on one network: who may use which authorization, and what became of it, as SQL.
//!
//! Every public function is one turn: it runs its statements one after the other and returns; nothing in it waits. What
//! decides is one conditional statement (an insert, an update), never a row that was read before it. Reads that follow a
//! statement only find the words for what it has decided.

mod claim;
mod list;
mod record;
mod schedule;
mod schema;
#[cfg(test)]
mod tests;

pub use schedule::{KEEP_SECONDS, Outstanding};

use super::authorization::{Evidence, Movement, Standing, State};
use super::messages::Key;
use super::sql::{Row, Sql};

/// The books, over a database that holds one payer's on one network.
#[derive(Debug)]
pub struct Books<'a, S: Sql> {
    sql: &'a S,
}

impl<S: Sql> Books<'_, S> {
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
