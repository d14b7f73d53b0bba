//! What a facilitator's answers mean. Settlement has three outcomes, not two.
//!
//! Success is believed only whole: 2xx, `success: true`, a transaction's hash, our payer, our network; taking less for
//! "paid" gives the resource away. A failure is believed only if it proves that no money moves; taking a time-out, a 500 or
//! an unknown reason for "not paid" makes an honest client sign again and pay twice. Everything else is *unknown*.
//!
//! # What a "no" from `/settle` proves
//!
//! | it says | it becomes |
//! | --- | --- |
//! | no transaction, and a word that is given only before a broadcast ([`is_definite`]) | refused |
//! | no transaction, and "used", "pending" or the facilitator's own trouble | unknown |
//! | no transaction, and any other reason | the same facilitator's `/verify` is asked, once |
//! | "my transaction failed", and names it | nothing of it can land; `/verify` is asked, once |
//! | the same, and a message that it could not be followed | unknown: it may land yet |
//! | any other reason with a transaction | unknown: it may have landed |
//! | 4xx without a verdict | `/verify` is asked, once |
//! | 401, 403, 404, 405, 413, 429 without a verdict | unknown, but nothing was sent: turned away at the door |
//! | 5xx without a named failed transaction, or no answer | unknown |
//!
//! What `/verify` says then: [`super::second_opinion`].

use super::reason::{Family, NO_REASON, PENDING, is_definite, reason};
use super::second_opinion::Denied;
use crate::evm::Address;
use crate::evm::network::Network;
use serde_json::{Map, Value};

/// What `/verify` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It would settle.
    Valid,
    /// It would not, for this reason.
    Invalid(String),
    /// No verdict; nothing has moved.
    Unavailable(String),
}

/// What `/settle` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Money moved, in this transaction.
    Settled(String),
    /// It did not and will not, for this reason.
    Refused(String),
    /// Nobody knows yet.
    Unknown {
        /// For the log and the books.
        reason: String,
        /// What was broadcast and may land yet, where it is known.
        transaction: Option<String>,
        /// Seconds that the facilitator asks to be left alone for.
        retry_after: Option<u64>,
        /// Whether money may have moved by this attempt: not when the facilitator turned the call away at its door, nor
        /// when it saw its transaction fail. What is then found used was used by another.
        lost: bool,
    },
}

impl Outcome {
    /// An outcome that nobody knows.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { reason: reason.into(), transaction: None, retry_after: None, lost: true }
    }
}

/// What `/settle` said, as far as it decides by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// An outcome.
    Decided(Outcome),
    /// A no that proves nothing by itself: `/verify` is asked.
    Denied(Denied),
}

impl Said {
    /// Heeds a `Retry-After` in seconds; a date is as good as none: our own backoff is patient enough.
    #[must_use]
    pub fn heeding(self, retry_after: Option<&str>) -> Self {
        let seconds = retry_after.and_then(|seconds| seconds.trim().parse().ok());
        match self {
            Self::Decided(Outcome::Unknown { reason, transaction, lost, .. }) => {
                Self::Decided(Outcome::Unknown { reason, transaction, lost, retry_after: seconds })
            }
            Self::Denied(denied) => Self::Denied(Denied { retry_after: seconds, ..denied }),
            decided @ Self::Decided(_) => decided,
        }
    }

    /// The transaction that was broadcast and waits for a block: the standard has it asked for once more, at once.
    #[must_use]
    pub fn pending(&self) -> Option<&str> {
        match self {
            Self::Decided(Outcome::Unknown { reason, transaction: Some(transaction), .. }) if reason == PENDING => {
                Some(transaction)
            }
            _ => None,
        }
    }

    /// What this means after an answer that named `broadcast` as pending: that one is the transaction to look for,
    /// whatever is said afterwards short of success, or of its failure.
    #[must_use]
    pub fn after_pending(self, broadcast: &str) -> Self {
        let open = |reason, transaction: Option<String>, retry_after| {
            let transaction = transaction.or_else(|| Some(broadcast.to_owned()));
            Self::Decided(Outcome::Unknown { reason, transaction, retry_after, lost: true })
        };
        match self {
            Self::Decided(Outcome::Unknown { reason, transaction, retry_after, .. }) => {
                open(reason, transaction, retry_after)
            }
            Self::Decided(Outcome::Refused(reason)) => open(reason, None, None),
            Self::Denied(denied) if !denied.is_of(broadcast) => open(denied.reason, None, denied.retry_after),
            decided => decided,
        }
    }
}

/// What the answer must agree with.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Who pays.
    pub payer: Address,
    /// On which network.
    pub network: Network,
}

/// Reads the answer to `/verify`.
#[must_use]
pub fn read_verification(status: u16, body: &[u8], expected: Expected) -> Verification {
    let Some(answer) = object(body) else {
        return Verification::Unavailable(format!("status {status} without a JSON object"));
    };
    match answer.get("isValid").and_then(Value::as_bool) {
        Some(true) if !(200..300).contains(&status) => {
            Verification::Unavailable(format!("status {status} with isValid true"))
        }
        Some(true) if !same_payer(&answer, expected) => Verification::Unavailable("valid for another payer".to_owned()),
        Some(true) => Verification::Valid,
        // A server's trouble is not a verdict on the payment, whatever it carries.
        Some(false) if is_verdict(status, &reason(&answer, "invalidReason")) => {
            Verification::Invalid(reason(&answer, "invalidReason"))
        }
        _ => Verification::Unavailable(format!("status {status} without a verdict")),
    }
}

/// Reads the answer to `/settle`.
#[must_use]
pub fn read_settlement(status: u16, body: &[u8], expected: Expected) -> Said {
    let turned_away = is_turned_away(status);
    let unknown = |reason: String, transaction: Option<String>| {
        Said::Decided(Outcome::Unknown { reason, transaction, retry_after: None, lost: !turned_away })
    };
    let denied = |reason: String, failed: Option<String>| Said::Denied(Denied { reason, failed, retry_after: None });
    let Some(answer) = object(body) else {
        return match status {
            400..500 if !turned_away => denied(format!("status {status} without a JSON object"), None),
            _ => unknown(format!("status {status} without a JSON object"), None),
        };
    };
    let transaction = text(&answer, "transaction");
    match answer.get("success").and_then(Value::as_bool) {
        Some(true) if !(200..300).contains(&status) => unknown(format!("status {status} with success true"), None),
        // Not ours: no receipt may name it.
        Some(true) if !same_payer(&answer, expected) => unknown("settled for another payer".to_owned(), None),
        Some(true) if !same_network(&answer, expected) => unknown("settled on another network".to_owned(), None),
        Some(true) => match transaction {
            Some(hash) if is_transaction_hash(&hash) => Said::Decided(Outcome::Settled(hash)),
            _ => unknown("success without a transaction".to_owned(), None),
        },
        Some(false) => {
            let reason = reason(&answer, "errorReason");
            match (transaction, Family::of(&reason)) {
                // Not followed to its end, says the message: it may land yet.
                (Some(hash), Family::Failed) if is_transaction_hash(&hash) && !is_unfollowed(&answer) => {
                    denied(reason, Some(hash))
                }
                // It is in a block, and moved nothing that the facilitator could see.
                (Some(_), _) if reason.contains("event_mismatch") => unknown(reason, None),
                (Some(hash), _) => unknown(reason, Some(hash).filter(|hash| is_transaction_hash(hash))),
                (None, _) if status >= 500 => unknown(reason, None),
                (None, _) if is_definite(&reason) => Said::Decided(Outcome::Refused(reason)),
                (None, _) if turned_away => unknown(reason, None),
                (None, Family::Used | Family::Pending | Family::Trouble) => unknown(reason, None),
                (None, _) => denied(reason, None),
            }
        }
        None => {
            let said = match reason(&answer, "errorReason") {
                none if none == NO_REASON => format!("status {status} without a verdict"),
                said => format!("status {status}: {said}"),
            };
            match status {
                400..500 if !turned_away && transaction.is_none() => denied(said, None),
                _ => unknown(said, transaction),
            }
        }
    }
}

/// Whether the call was turned away at the facilitator's door: for its rate or its size, or for our credentials.
const fn is_turned_away(status: u16) -> bool {
    matches!(status, 401 | 403 | 404 | 405 | 413 | 429)
}

/// Whether a failure's message says that its transaction's end is not known. The official facilitators downgrade a pending
/// settlement to a failed one, with such a message, where they could not remember it.
fn is_unfollowed(answer: &Map<String, Value>) -> bool {
    let message = ["errorMessage", "message"].iter().find_map(|key| text(answer, key)).unwrap_or_default();
    let message = message.to_ascii_lowercase();
    ["pending", "timed out", "timeout", "not confirmed", "unknown"].iter().any(|part| message.contains(part))
}

/// Whether a "no" from `/verify` is about the payment, and not about the facilitator or our account with it: paying
/// again would cure neither.
fn is_verdict(status: u16, reason: &str) -> bool {
    // What this one does not support another may.
    let is_its_own = Family::of(reason) == Family::Trouble || reason.to_ascii_lowercase().contains("unsupported");
    status < 500 && !matches!(status, 401 | 403 | 404 | 429) && !is_its_own
}

/// A transaction on an EVM network: 0x and 64 digits. `"pending"` is none.
fn is_transaction_hash(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// A text that says something: an empty optional member is an absent one.
fn text(answer: &Map<String, Value>, key: &str) -> Option<String> {
    answer.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

/// Whether an optional member is left out; some facilitators write an empty text for it.
fn is_absent(answer: &Map<String, Value>, key: &str) -> bool {
    match answer.get(key) {
        None | Some(Value::Null) => true,
        Some(member) => member.as_str().is_some_and(str::is_empty),
    }
}

/// An answer may leave the payer out; if it names one, it must be ours.
fn same_payer(answer: &Map<String, Value>, expected: Expected) -> bool {
    is_absent(answer, "payer")
        || text(answer, "payer")
            .and_then(|text| text.parse::<Address>().ok())
            .is_some_and(|payer| payer == expected.payer)
}

/// The same of the network. It was named in the request: who answers without it has settled there, or lies, and a lie could
/// name it as well.
fn same_network(answer: &Map<String, Value>, expected: Expected) -> bool {
    is_absent(answer, "network")
        || text(answer, "network").is_some_and(|network| {
            network == expected.network.to_string() || Some(network.as_str()) == expected.network.v1_name()
        })
}

#[cfg(test)]
mod tests;
