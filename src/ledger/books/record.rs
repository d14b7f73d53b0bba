//! What became of an authorization.

use super::schema::ANSWERS;
use super::{Books, listed};
use crate::ledger::authorization::{Event, Evidence, Rule, State};
use crate::ledger::messages::{Kept, Key, StoredAnswer};
use crate::ledger::sql::{Sql, Value};

/// What an event writes beside the state. `None` leaves a column as it is.
#[derive(Default)]
struct Note {
    transaction: Option<String>,
    evidence: Option<Evidence>,
    reason: Option<String>,
    answered: bool,
    lost: bool,
    tried: bool,
    lease_until: Option<u64>,
    facilitator: Option<String>,
    reserved_by: Option<String>,
    led_to: Option<String>,
    /// Nothing is tried again unless the event says when,
    again_at: Option<u64>,
    /// or that it changes nothing about that.
    keep_again_at: bool,
}

fn note(event: &Event, now: u64) -> Note {
    let note = Note::default();
    match event.clone() {
        Event::StartSettling { until, facilitator } => Note {
            tried: true,
            lease_until: Some(until),
            again_at: Some(until),
            facilitator: Some(facilitator),
            ..note
        },
        Event::StartCollecting { until } => {
            Note { tried: true, lease_until: Some(until), again_at: Some(until), ..note }
        }
        Event::Paid { movement, until } => Note {
            transaction: movement.transaction,
            evidence: Some(movement.evidence),
            lease_until: Some(until),
            ..note
        },
        Event::Settled(moved) => Note { transaction: moved.transaction, evidence: Some(moved.evidence), ..note },
        Event::Answered(moved) => {
            Note { transaction: moved.transaction, evidence: Some(moved.evidence), answered: true, ..note }
        }
        Event::Refused { reason } | Event::FoundSpent { reason } => Note { reason: Some(reason), ..note },
        Event::LostTrack { reason, transaction, again_at, lost } => {
            Note { reason: Some(reason), transaction, lost, lease_until: Some(now), again_at: Some(again_at), ..note }
        }
        Event::Serve => Note { answered: true, again_at: Some(now), ..note },
        Event::Fail { reason, again_at } => Note { reason: Some(reason), again_at, lease_until: Some(now), ..note },
        Event::LetGo { by } => Note { lease_until: Some(now), keep_again_at: true, reserved_by: Some(by), ..note },
        Event::Reserve { by, until } => {
            Note { lease_until: Some(until), keep_again_at: true, reserved_by: Some(by), ..note }
        }
        Event::Abandon => Note { lost: true, again_at: Some(now), ..note },
        Event::StillOwed | Event::NothingRan => Note { lease_until: Some(now), keep_again_at: true, ..note },
        Event::OwedThere { to } => Note { lease_until: Some(now), keep_again_at: true, led_to: Some(to), ..note },
        Event::LedOn { to } => Note { led_to: Some(to), ..note },
        Event::RanInVain => Note { reason: Some(IN_VAIN.to_owned()), ..note },
        Event::MakeGood { transaction } => Note { transaction: Some(transaction), ..note },
        Event::Lapse | Event::Release | Event::NeverSent | Event::TakeBack => note,
    }
}

/// What a buyer is told whose payment has had the origin work in vain as often as it may.
const IN_VAIN: &str = "the API's answers to it could not be passed on; nothing was charged";

/// What is settled by whom is of no use any more; it is the largest thing in a row.
const OVER: [State; 5] = [State::Settled, State::Refused, State::Spent, State::Lapsed, State::MadeGood];

/// How an event changes whether anything is still to be done; most do not.
const fn live(event: &Event) -> &'static str {
    match event {
        Event::Answered(_) | Event::MakeGood { .. } => ", live = NULL",
        Event::Settled(_) => ", live = CASE WHEN answered = 1 THEN NULL ELSE 1 END",
        Event::Lapse => ", live = CASE WHEN mode = 'deferred' THEN 1 END",
        Event::StillOwed | Event::NothingRan => ", live = 1",
        // Its identifier stood for the first request. The payment keeps it, and a buyer who shows it may follow.
        Event::OwedThere { .. } => ", live = 1, fingerprint = NULL",
        Event::Refused { .. }
        | Event::FoundSpent { .. }
        | Event::Release
        | Event::RanInVain
        | Event::LedOn { .. }
        | Event::NeverSent
        | Event::TakeBack => ", live = 2",
        _ => "",
    }
}

impl<S: Sql> Books<'_, S> {
    /// Applies an event by its rule, in one conditional statement; whether it changed anything.
    ///
    /// A transaction that a facilitator names settles one payment: the same one told of two is the answer to another
    /// payment, seen twice. Only the chain may show that it holds both.
    ///
    /// # Errors
    /// The database's; then nothing is known to be written.
    pub fn record(&self, key: &Key, attempt: u32, now: u64, event: &Event) -> Result<bool, S::Error> {
        self.apply(key, attempt, now, event, event.rule())
    }

    /// The same, where the alarm has found it out.
    ///
    /// # Errors
    /// The database's.
    pub fn conclude(&self, key: &Key, attempt: u32, now: u64, event: &Event) -> Result<bool, S::Error> {
        self.apply(key, attempt, now, event, event.rule_of_alarm())
    }

    fn apply(&self, key: &Key, attempt: u32, now: u64, event: &Event, rule: Rule) -> Result<bool, S::Error> {
        let note = note(event, now);
        let not_heard =
            matches!(event, Event::StillOwed | Event::NothingRan | Event::OwedThere { .. } | Event::TakeBack);
        let statement = format!(
            "UPDATE authorizations SET state = {to}, changed_at = ?4,
                 transaction_hash = coalesce(?5, transaction_hash), evidence = coalesce(?6, evidence),
                 reason = coalesce(?7, reason), answered = CASE WHEN {unanswered} THEN 0 ELSE answered OR ?8 END, attempt = attempt + {stale}, runs = {runs}, lost = lost OR ?9, tries = tries + ?10,
                 lease_until = coalesce(?11, lease_until), again_at = CASE WHEN ?13 THEN again_at ELSE ?12 END, facilitator = coalesce(?14, facilitator), reserved_by = coalesce(?15, reserved_by),
                 led_to = coalesce(?16, led_to),
                 settle_request = CASE WHEN {to} IN ({over}) THEN '' ELSE settle_request END{live}
             WHERE asset = ?1 AND nonce = ?2 AND (attempt = ?3 OR {any_attempt}) AND state IN ({from}){answered}{lease}{owner}
                 AND (?6 IS NULL OR ?6 <> 'told' OR ?5 IS NULL OR NOT EXISTS (SELECT 1 FROM authorizations AS other
                     WHERE other.transaction_hash = ?5 AND other.evidence IS NOT NULL
                         AND NOT (other.asset = ?1 AND other.nonce = ?2)))
             RETURNING attempt",
            to = rule.to.map_or_else(|| "state".to_owned(), |to| format!("'{}'", to.as_str())),
            over = listed(&OVER),
            // What the same Worker said before and arrives only now is stale from here on.
            stale = u8::from(not_heard),
            unanswered = u8::from(not_heard),
            live = live(event),
            runs = match event {
                Event::Paid { .. } | Event::RanInVain => "runs + 1",
                Event::NothingRan => "max(runs - 1, 0)",
                _ => "runs",
            },
            any_attempt = u8::from(!rule.own_attempt_only),
            from = listed(rule.from),
            answered = match rule.answered {
                None => "",
                Some(true) => " AND answered = 1",
                Some(false) => " AND answered = 0",
            },
            // Whoever reserved it may do so again: its Worker may have died, and nobody else could pay until then.
            lease = if rule.lease_over { " AND (lease_until <= ?4 OR reserved_by = ?15)" } else { "" },
            owner = if matches!(event, Event::LetGo { .. }) { " AND reserved_by = ?15" } else { "" },
        );
        let values: [Value; 16] = [
            key.asset.as_str().into(),
            key.nonce.as_str().into(),
            u64::from(attempt).into(),
            now.into(),
            note.transaction.into(),
            note.evidence.map(Evidence::as_str).into(),
            note.reason.into(),
            note.answered.into(),
            note.lost.into(),
            note.tried.into(),
            note.lease_until.into(),
            note.again_at.into(),
            note.keep_again_at.into(),
            note.facilitator.into(),
            note.reserved_by.into(),
            note.led_to.into(),
        ];
        Ok(!self.sql.run(&statement, &values)?.is_empty())
    }

    /// Notes one more try of what stays where it stands, and when to look again if nothing more is heard of it: then it is
    /// lost.
    ///
    /// # Errors
    /// The database's.
    pub fn try_again(&self, key: &Key, again_at: u64) -> Result<(), S::Error> {
        self.sql.run(
            "UPDATE authorizations SET tries = tries + 1, again_at = ?3, lost = 1 WHERE asset = ?1 AND nonce = ?2 AND state = 'unknown'",
            &[key.asset.as_str().into(), key.nonce.as_str().into(), again_at.into()],
        )?;
        Ok(())
    }

    /// A buyer waits for what is to be tried only much later: it is tried now, once a minute at the most. What is being tried
    /// is left alone: the next try of that is nearer.
    pub(super) fn hurry(&self, key: &Key, now: u64) -> Result<(), S::Error> {
        self.sql.run(
            "UPDATE authorizations SET again_at = ?3 WHERE asset = ?1 AND nonce = ?2 AND state = 'unknown'
                 AND again_at > ?3 + 600 AND changed_at + 60 <= ?3",
            &[key.asset.as_str().into(), key.nonce.as_str().into(), now.into()],
        )?;
        Ok(())
    }

    /// Keeps what is released for whoever shows its identifier.
    ///
    /// # Errors
    /// The database's.
    pub fn keep(&self, key: &Key, kept: &Kept) -> Result<bool, S::Error> {
        match kept {
            Kept::Answer(answer) => self.store(key, answer),
            // Status 0 stands for an answer that is not here yet.
            Kept::Copying(until) => {
                let (headers, body) = (Vec::new(), String::new());
                self.store(key, &StoredAnswer { status: 0, headers, body, until: *until })
            }
        }
    }

    /// The try that was noted last was turned away, and nothing was lost before it either: takes back what
    /// [`Books::try_again`] has assumed. Changes nothing once another try was noted.
    ///
    /// # Errors
    /// The database's.
    pub fn nothing_lost(&self, key: &Key, tries: u64) -> Result<(), S::Error> {
        self.sql.run(
            "UPDATE authorizations SET lost = 0 WHERE asset = ?1 AND nonce = ?2 AND state = 'unknown' AND tries = ?3",
            &[key.asset.as_str().into(), key.nonce.as_str().into(), tries.into()],
        )?;
        Ok(())
    }

    /// There will be no copy: whoever asks need not wait for it.
    ///
    /// # Errors
    /// The database's.
    pub fn give_up_copy(&self, key: &Key) -> Result<bool, S::Error> {
        if !self.has_answers()? {
            return Ok(false);
        }
        let given_up = self.sql.run(
            "DELETE FROM answers WHERE asset = ?1 AND nonce = ?2 AND status = 0 RETURNING until",
            &[key.asset.as_str().into(), key.nonce.as_str().into()],
        )?;
        Ok(!given_up.is_empty())
    }

    /// Keeps an answer for whoever shows its identifier. Only what is answered under one has a use for it.
    ///
    /// # Errors
    /// The database's.
    pub fn store(&self, key: &Key, answer: &StoredAnswer) -> Result<bool, S::Error> {
        let headers = serde_json::to_string(&answer.headers).unwrap_or_default();
        self.sql.run(ANSWERS, &[])?;
        let stored = self.sql.run(
            "INSERT INTO answers (asset, nonce, status, headers, body, until)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM authorizations
                 WHERE asset = ?1 AND nonce = ?2 AND answered = 1 AND identifier IS NOT NULL)
             ON CONFLICT (asset, nonce) DO UPDATE SET status = excluded.status, headers = excluded.headers,
                 body = excluded.body, until = excluded.until WHERE status = 0
             RETURNING status",
            &[
                key.asset.as_str().into(),
                key.nonce.as_str().into(),
                u64::from(answer.status).into(),
                headers.into(),
                answer.body.as_str().into(),
                answer.until.into(),
            ],
        )?;
        Ok(!stored.is_empty())
    }
}
