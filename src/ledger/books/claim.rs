//! Who may have an authorization, and what for.

use super::{Books, Found, MAY_RUN, listed};
use crate::ledger::authorization::{
    Denial, EXPOSED, FREE, FREE_AFTER_LEASE, IDENTIFIER_FREE, denial, forbids_challenge, may_claim_again,
    may_serve_owed,
};
use crate::ledger::messages::{Claim, Entry, Exposure, Identified, Key, Mode, Reply, Right, StoredAnswer};
use crate::ledger::sql::{Sql, Value};

/// An id belongs to the payment and the request that it came with first, as long as money may have moved by them.
fn identifier_taken(id: &str, fingerprint: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM authorizations AS i WHERE i.identifier = {id} AND i.state NOT IN ({})
                 AND NOT (i.asset = ?1 AND i.nonce = ?2 AND coalesce(i.fingerprint, {fingerprint}) = {fingerprint}))",
        listed(&IDENTIFIER_FREE)
    )
}

/// What the payer has had and not paid, in this token, other than by this authorization.
fn exposure() -> String {
    format!(
        "(SELECT coalesce(sum(CAST(value AS INTEGER)), 0) FROM authorizations
          WHERE live = 1 AND mode = 'deferred' AND asset = ?1 AND nonce <> ?2 AND state IN ({}))",
        listed(&EXPOSED)
    )
}

/// What has failed after its answer, also while it is being tried again.
const IN_DEBT: &str = "live = 1 AND (state = 'failed' OR (state = 'settling' AND answered = 1 AND reason IS NOT NULL))";

/// Claims, in one statement: an insert that on conflict takes over only a row that may be claimed again, and that inserts
/// nothing where a debt, the exposure or another payment's id forbids it.
///
/// The sums are of 64-bit integers: the configuration refuses a `max_exposure` beyond them, and an overflow is an error,
/// which grants nothing.
fn statement() -> String {
    format!(
        "INSERT INTO authorizations (asset, nonce, binding, state, attempt, lease_until, valid_before, value, facilitator,
             settle_request, claimed_at, changed_at, mode, network, payer, pay_to, lost, again_at, identifier,
             purchase, guarded, content, fingerprint, live)
         SELECT ?1, ?2, ?3, 'claimed', 1, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?15, ?16, ?17, 0, NULL, ?13, ?18, ?19, ?20, ?14, 1
         WHERE NOT {taken}
             AND (?10 = 'debt' OR NOT EXISTS (SELECT 1 FROM authorizations WHERE {IN_DEBT}))
             AND (?10 <> 'deferred' OR {exposure} + CAST(?6 AS INTEGER) <= CAST(?11 AS INTEGER))
             AND ?12 = 0
         ON CONFLICT (asset, nonce) DO UPDATE SET
             state = 'claimed', live = 1, attempt = attempt + 1, lease_until = excluded.lease_until, mode = excluded.mode,
             value = excluded.value, facilitator = excluded.facilitator, settle_request = excluded.settle_request,
             valid_before = excluded.valid_before, pay_to = excluded.pay_to, reason = NULL, identifier = excluded.identifier,
             fingerprint = excluded.fingerprint, purchase = excluded.purchase, guarded = excluded.guarded,
             content = excluded.content, binding = excluded.binding, led_to = NULL,
             claimed_at = excluded.claimed_at, changed_at = excluded.changed_at
         WHERE (binding = excluded.binding OR led_to = excluded.binding) AND {MAY_RUN}
             AND (state = '{free}' OR (state = '{leased}' AND lease_until <= excluded.claimed_at))
         RETURNING attempt",
        taken = identifier_taken("?13", "?14"),
        exposure = exposure(),
        free = FREE.as_str(),
        leased = FREE_AFTER_LEASE.as_str(),
    )
}

impl<S: Sql> Books<'_, S> {
    /// Grants a claim, or says why not.
    ///
    /// # Errors
    /// The database's; nothing is granted then.
    pub fn claim(&self, claim: &Claim) -> Result<Reply, S::Error> {
        if let Some(attempt) = self.insert(claim)? {
            return Ok(Reply::Granted { attempt, right: Right::Sell });
        }
        let found = self.found(&claim.key, &claim.binding)?;
        if let Some(movement) = found.as_ref().and_then(|found| found.movement.clone())
            && let Some(attempt) = self.take_owed(claim)?
        {
            return Ok(Reply::Granted { attempt, right: Right::ServeOwed(movement) });
        }
        self.words(claim, found)
    }

    fn insert(&self, claim: &Claim) -> Result<Option<u32>, S::Error> {
        let max_exposure = match &claim.mode {
            Mode::Deferred { max_exposure } => max_exposure.as_str(),
            _ => "0",
        };
        let (id, fingerprint) = id_of(claim.identified.as_ref());
        let values = [
            claim.key.asset.as_str().into(),
            claim.key.nonce.as_str().into(),
            claim.binding.as_str().into(),
            claim.lease_until.into(),
            claim.valid_before.into(),
            claim.value.as_str().into(),
            claim.facilitator.as_str().into(),
            claim.settle_request.as_str().into(),
            claim.now.into(),
            claim.mode.as_str().into(),
            max_exposure.into(),
            claim.only_what_is_owed.into(),
            id,
            fingerprint,
            claim.network.as_str().into(),
            claim.payer.as_str().into(),
            claim.pay_to.as_str().into(),
            claim.purchase.as_ref().and_then(|purchase| serde_json::to_string(purchase).ok()).into(),
            claim.purchase.as_ref().is_some_and(|purchase| purchase.account.is_none()).into(),
            claim.content.as_deref().into(),
        ];
        Ok(attempt(&self.sql.run(&statement(), &values)?))
    }

    /// What settled without an answer is served once, to the one who gets the lease. `may_serve_owed` says the same. Where it
    /// was paid under an identifier, that is shown again: payment and signature are on chain for everybody to copy. And only
    /// for the body that it was claimed with: else one payment would run a call once for each body, whoever saw to it that
    /// the first of them were not heard.
    fn take_owed(&self, claim: &Claim) -> Result<Option<u32>, S::Error> {
        let (id, fingerprint) = id_of(claim.identified.as_ref());
        let rows = self.sql.run(
            &format!(
                "UPDATE authorizations SET attempt = attempt + 1, lease_until = ?4, changed_at = ?5, runs = runs + 1,
                 identifier = coalesce(identifier, ?6), fingerprint = coalesce(fingerprint, ?7),
                 content = coalesce(content, ?8), binding = ?3, led_to = NULL
             WHERE asset = ?1 AND nonce = ?2 AND (binding = ?3 OR led_to = ?3) AND state = 'settled' AND answered = 0
                 AND lease_until <= ?5
                 AND (identifier = ?6 OR (identifier IS NULL AND guarded = 0))
                 AND (content IS NULL OR content = ?8) AND {MAY_RUN}
                 AND NOT {taken}
             RETURNING attempt",
                taken = identifier_taken("?6", "?7")
            ),
            &[
                claim.key.asset.as_str().into(),
                claim.key.nonce.as_str().into(),
                claim.binding.as_str().into(),
                claim.lease_until.into(),
                claim.now.into(),
                id,
                fingerprint,
                claim.content.as_deref().into(),
            ],
        )?;
        Ok(attempt(&rows))
    }

    /// It is decided: this only finds the words.
    fn words(&self, claim: &Claim, found: Option<Found>) -> Result<Reply, S::Error> {
        let denied = |denial: Denial, found: Option<Found>, debt: Option<Entry>| {
            let reason = found.and_then(|found| found.reason);
            Reply::Denied { denial, reason, debt: debt.map(Box::new), exposure: None }
        };
        if let Some(identified) = &claim.identified {
            match self.identifier(identified, &claim.key)? {
                Identifier::Taken => return Ok(denied(Denial::IdentifierTaken, None, None)),
                Identifier::Ours if found.as_ref().is_some_and(|found| found.standing.answered) => {
                    let answer = self.answer(&claim.key, claim.now)?;
                    if answer.as_ref().is_some_and(|answer| answer.status == 0) {
                        return Ok(denied(Denial::InFlight, found, None));
                    }
                    return Ok(Reply::Again { answer, movement: found.and_then(|found| found.movement) });
                }
                _ => {}
            }
        }
        match found {
            // Owed, and to who shows the identifier that it was paid under: whoever has lost that is told so, for good.
            Some(found) if may_serve_owed(&found.standing, claim.now) => {
                let other = found.content.is_some() && found.content != claim.content;
                let why = match found.guarded {
                    true => Denial::Guarded,
                    false if other => Denial::OtherContent,
                    false if found.is_worn_out => Denial::Used,
                    false => Denial::IdentifierTaken,
                };
                Ok(denied(why, Some(found), None))
            }
            // Nothing has moved, and another payment may try.
            Some(found) if may_claim_again(&found.standing, claim.now) && found.is_worn_out => {
                Ok(denied(Denial::Refused, Some(found), None))
            }
            Some(found) if !may_claim_again(&found.standing, claim.now) => {
                let why = denial(&found.standing, claim.now);
                if why == Denial::Unknown {
                    self.hurry(&claim.key, claim.now)?;
                }
                Ok(denied(why, Some(found), None))
            }
            found => {
                let debt = self.debt()?;
                let why = if debt.is_some() && claim.mode != Mode::Debt { Denial::InDebt } else { Denial::Exposed };
                // Only what is owed was asked for, and nothing is: the caller has its own reason to refuse.
                let why = if claim.only_what_is_owed { Denial::Refused } else { why };
                let mut reply = denied(why, found, debt);
                if let (Mode::Deferred { max_exposure }, Reply::Denied { denial: Denial::Exposed, exposure, .. }) =
                    (&claim.mode, &mut reply)
                {
                    let outstanding = self.outstanding_in(&claim.key)?;
                    *exposure = Some(Exposure { outstanding, most: max_exposure.clone() });
                }
                Ok(reply)
            }
        }
    }

    /// Whether this authorization is one that no fresh challenge may be sent for. Changes nothing.
    ///
    /// # Errors
    /// The database's.
    pub fn look(&self, key: &Key, binding: &str, identified: Option<&Identified>, now: u64) -> Result<Reply, S::Error> {
        let taken = match identified {
            Some(identified) => self.identifier(identified, key)? == Identifier::Taken,
            None => false,
        };
        let known = self.found(key, binding)?.and_then(|found| match forbids_challenge(&found.standing, now) {
            Some(Denial::Owed) if found.is_worn_out => Some(Denial::Used),
            denial => denial,
        });
        Ok(Reply::Seen { denial: known.or_else(|| taken.then_some(Denial::IdentifierTaken)) })
    }

    fn outstanding_in(&self, key: &Key) -> Result<String, S::Error> {
        let values = [key.asset.as_str().into(), key.nonce.as_str().into()];
        let rows = self.sql.run(&format!("SELECT CAST({} AS TEXT)", exposure()), &values)?;
        Ok(rows.first().map(|row| row.text(0)).unwrap_or_default())
    }

    fn debt(&self) -> Result<Option<Entry>, S::Error> {
        let rows = self
            .sql
            .run(&format!("SELECT nonce FROM authorizations WHERE {IN_DEBT} ORDER BY claimed_at LIMIT 1"), &[])?;
        let Some(nonce) = rows.first().map(|row| row.text(0)) else { return Ok(None) };
        Ok(self.list(Some(&nonce))?.into_iter().find(|entry| entry.mode == "deferred"))
    }

    fn identifier(&self, identified: &Identified, key: &Key) -> Result<Identifier, S::Error> {
        let rows = self.sql.run(
            &format!(
                "SELECT {taken}, EXISTS (SELECT 1 FROM authorizations
                     WHERE asset = ?1 AND nonce = ?2 AND identifier = ?3 AND fingerprint = ?4)",
                taken = identifier_taken("?3", "?4")
            ),
            &[
                key.asset.as_str().into(),
                key.nonce.as_str().into(),
                identified.id.as_str().into(),
                identified.fingerprint.as_str().into(),
            ],
        )?;
        Ok(match rows.first() {
            Some(row) if row.number(0) != 0 => Identifier::Taken,
            Some(row) if row.number(1) != 0 => Identifier::Ours,
            _ => Identifier::New,
        })
    }

    fn answer(&self, key: &Key, now: u64) -> Result<Option<StoredAnswer>, S::Error> {
        if !self.has_answers()? {
            return Ok(None);
        }
        let rows = self.sql.run(
            "SELECT status, headers, body, until FROM answers WHERE asset = ?1 AND nonce = ?2 AND until > ?3",
            &[key.asset.as_str().into(), key.nonce.as_str().into(), now.into()],
        )?;
        Ok(rows.first().map(|row| StoredAnswer {
            status: u16::try_from(row.number(0)).unwrap_or(200),
            headers: serde_json::from_str(&row.text(1)).unwrap_or_default(),
            body: row.text(2),
            until: row.number(3),
        }))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Identifier {
    New,
    Ours,
    Taken,
}

fn id_of(identified: Option<&Identified>) -> (Value, Value) {
    let id = identified.map(|identified| identified.id.as_str());
    let fingerprint = identified.map(|identified| identified.fingerprint.as_str());
    (id.into(), fingerprint.into())
}

fn attempt(rows: &[crate::ledger::sql::Row]) -> Option<u32> {
    rows.first().map(|row| u32::try_from(row.number(0)).unwrap_or(u32::MAX))
}
