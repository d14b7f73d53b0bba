//! Paying for a call: hold before the origin is asked, capture what it answered well, release the rest.

use super::account::{Account, signed};
use super::messages::{Outcome, Spend};
use crate::ledger::sql::Sql;

/// What came of asking for a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// So many are left.
    Yes {
        /// Unspent and not held.
        available: u64,
    },
    /// Too few.
    Short {
        /// Unspent and not held.
        available: u64,
    },
    /// The key was revoked, or rotated away.
    Revoked,
}

impl<S: Sql> Account<'_, S> {
    /// Sets credits aside for a call. One statement decides: of many calls that ask for the last credit, one gets it.
    ///
    /// # Errors
    /// The database's.
    pub fn hold(&self, spend: &Spend, now: u64) -> Result<Held, S::Error> {
        // A key that proves itself and has no account: its purchase never came through.
        let Some(standing) = self.standing()? else { return Ok(Held::Short { available: 0 }) };
        if standing.revoked || spend.generation.is_some_and(|shown| shown != standing.generation) {
            return Ok(Held::Revoked);
        }
        // The alarm does it, too; but one that was lost must not lock up the last credits for ever.
        self.sweep(now)?;
        Ok(match self.set_aside(spend, now)? {
            true => Held::Yes { available: self.available(now)? },
            false => Held::Short { available: self.available(now)? },
        })
    }

    fn set_aside(&self, spend: &Spend, now: u64) -> Result<bool, S::Error> {
        let held = self.sql.run(
            "INSERT INTO holds (id, credits, until) SELECT ?1, ?2, ?3
             WHERE (SELECT coalesce(sum(remaining), 0) FROM lots WHERE expires_at > ?4) >= ?2 AND ?2 > 0
                 AND NOT EXISTS (SELECT 1 FROM entries WHERE reference = 'call:' || ?1)
             ON CONFLICT (id) DO NOTHING RETURNING id",
            &[spend.id.as_str().into(), spend.credits.into(), spend.until.into(), now.into()],
        )?;
        if held.is_empty() {
            return Ok(false);
        }
        for (lot, part) in self.parts(spend.credits, now)? {
            self.take_from_lot(&lot, part)?;
            self.sql.run(
                "INSERT INTO hold_parts (hold, lot, credits) VALUES (?1, ?2, ?3)",
                &[spend.id.as_str().into(), lot.into(), part.into()],
            )?;
        }
        self.sql.run(
            "INSERT INTO activity (hold, at, request, credits, outcome) VALUES (?1, ?2, ?3, ?4, 'held')
             ON CONFLICT (hold) DO UPDATE SET outcome = 'held'",
            &[spend.id.as_str().into(), now.into(), spend.request.as_str().into(), spend.credits.into()],
        )?;
        self.trim_activity()?;
        Ok(true)
    }

    /// The call was answered: its credits are spent. Said late, when the hold has been released already, it takes them
    /// again if they are still there. Done twice it is done once. Whether it is paid for.
    ///
    /// # Errors
    /// The database's.
    pub fn capture(&self, spend: &Spend, status: u16, now: u64) -> Result<bool, S::Error> {
        let id = spend.id.as_str();
        if !self.sql.run("SELECT 1 FROM entries WHERE reference = 'call:' || ?1", &[id.into()])?.is_empty() {
            return Ok(true);
        }
        let held = |account: &Self| account.sql.run("DELETE FROM holds WHERE id = ?1 RETURNING credits", &[id.into()]);
        let mut row = held(self)?;
        let late = row.is_empty();
        if late && self.standing()?.is_some() && self.set_aside(spend, now)? {
            row = held(self)?;
        }
        let Some(credits) = row.first().map(|row| row.number(0)) else { return Ok(false) };
        self.sql.run("DELETE FROM hold_parts WHERE hold = ?1", &[id.into()])?;
        self.enter(&format!("call:{id}"), "call", signed(credits).saturating_neg(), now, None, &spend.request)?;
        self.note(id, Outcome::Charged, Some(status))?;
        // A late one was counted as a failure when its hold was released.
        self.sql.run("UPDATE account SET calls = calls + ?1, succeeded = succeeded + 1", &[u64::from(!late).into()])?;
        self.drop_empty_lots()?;
        Ok(true)
    }

    /// The call came to nothing: its credits are back.
    ///
    /// # Errors
    /// The database's.
    pub fn release(&self, id: &str, outcome: Outcome, status: Option<u16>, now: u64) -> Result<bool, S::Error> {
        if self.sql.run("DELETE FROM holds WHERE id = ?1 RETURNING id", &[id.into()])?.is_empty() {
            return Ok(false);
        }
        self.sql.run(
            "UPDATE lots SET remaining = remaining + (SELECT credits FROM hold_parts WHERE hold = ?1 AND lot = reference)
             WHERE reference IN (SELECT lot FROM hold_parts WHERE hold = ?1)",
            &[id.into()],
        )?;
        self.sql.run("DELETE FROM hold_parts WHERE hold = ?1", &[id.into()])?;
        self.note(id, outcome, status)?;
        self.sql.run("UPDATE account SET calls = calls + 1", &[])?;
        self.expire(now)?;
        Ok(true)
    }

    /// Releases what nobody has captured in its time, and writes off what has expired.
    ///
    /// # Errors
    /// The database's.
    pub fn sweep(&self, now: u64) -> Result<(), S::Error> {
        let over = self.sql.run("SELECT id FROM holds WHERE until <= ?1", &[now.into()])?;
        for hold in &over {
            self.release(&hold.text(0), Outcome::Expired, None, now)?;
        }
        self.expire(now)
    }

    /// When there is something to sweep next, in Unix seconds.
    ///
    /// # Errors
    /// The database's.
    pub fn next_alarm(&self) -> Result<Option<u64>, S::Error> {
        let rows = self.sql.run(
            "SELECT min(at) FROM (SELECT min(until) AS at FROM holds
                 UNION ALL SELECT min(expires_at) FROM lots WHERE remaining > 0 AND expires_at < 9007199254740991)",
            &[],
        )?;
        Ok(rows.first().and_then(|row| row.optional_number(0)))
    }

    fn note(&self, id: &str, outcome: Outcome, status: Option<u16>) -> Result<(), S::Error> {
        self.sql.run(
            "UPDATE activity SET outcome = ?2, status = ?3 WHERE hold = ?1",
            &[id.into(), outcome.as_str().into(), status.map(u64::from).into()],
        )?;
        Ok(())
    }
}
