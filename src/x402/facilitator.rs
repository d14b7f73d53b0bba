//! What a facilitator's answers mean (`protocol.md` 5.2). Settlement has three outcomes, not two.
//!
//! A body with a verdict is believed whatever the status, and only a verdict is: everything else is *unknown*. Taking a
//! time-out or a 500 for "not paid" makes an honest client sign again and pay twice (`anchors.md` 4.2, 10); taking any
//! answer for "paid" gives the resource away (4.2, 11).

use crate::evm::Address;
use crate::evm::network::Network;
use serde_json::Value;

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
        /// What was broadcast, where it is known.
        transaction: Option<String>,
    },
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
        // A server error is not a verdict on the payment, whatever it carries.
        Some(false) if status < 500 => Verification::Invalid(reason(&answer, "invalidReason")),
        _ => Verification::Unavailable(format!("status {status} without a verdict")),
    }
}

/// Reads the answer to `/settle`.
#[must_use]
pub fn read_settlement(status: u16, body: &[u8], expected: Expected) -> Outcome {
    let unknown = |reason: String, transaction: Option<String>| Outcome::Unknown { reason, transaction };
    let Some(answer) = object(body) else {
        return unknown(format!("status {status} without a JSON object"), None);
    };
    let transaction = text(&answer, "transaction").filter(|hash| !hash.is_empty());
    match answer.get("success").and_then(Value::as_bool) {
        Some(true) if !(200..300).contains(&status) => {
            unknown(format!("status {status} with success true"), transaction)
        }
        Some(true) if !same_payer(&answer, expected) => unknown("settled for another payer".to_owned(), transaction),
        Some(true) if !same_network(&answer, expected) => unknown("settled on another network".to_owned(), transaction),
        Some(true) => match transaction {
            Some(hash) if hash.len() <= 128 && hash.bytes().all(|b| b.is_ascii_graphic()) => Outcome::Settled(hash),
            _ => unknown("success without a transaction".to_owned(), None),
        },
        Some(false) => {
            let reason = reason(&answer, "errorReason");
            if status < 500 && is_definite(&reason, transaction.is_some()) {
                Outcome::Refused(reason)
            } else {
                unknown(reason, transaction)
            }
        }
        None => unknown(format!("status {status} without a verdict"), transaction),
    }
}

/// Stands for a reason that was not given.
const NO_REASON: &str = "no_reason_given";

/// Whether a failure proves that no money moves. A reason counts as a proof only if it is one of those that facilitators
/// give *before* they broadcast, or that names a transaction that was reverted; the rest, and all that is not a code (the
/// reference facilitator puts an exception's text there, an RPC time-out after the broadcast among them), proves nothing.
fn is_definite(reason: &str, broadcast: bool) -> bool {
    const REVERTED: [&str; 2] = ["invalid_transaction_state", "settle_exact_failed_onchain"];
    const OPEN_ENDS: [&str; 13] = [
        "pending",
        "timed_out",
        "timeout",
        "unexpected",
        "unknown",
        "nonce_already_used",
        "nonce_used",
        "duplicate_settlement",
        "transaction_failed",
        "node_failure",
        "event_mismatch",
        "internal",
        NO_REASON,
    ];
    let is_code = !reason.is_empty()
        && reason.len() <= 100
        && reason.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let open = OPEN_ENDS.iter().any(|end| reason.contains(end));
    is_code && (REVERTED.contains(&reason) || (!broadcast && !open))
}

/// Whether `/verify` says that the authorization has been spent: no fresh challenge is sent for that.
#[must_use]
pub fn says_used(reason: &str) -> bool {
    reason.contains("nonce_already_used") || reason.contains("nonce_used") || reason.contains("duplicate_settlement")
}

/// Whether the reason is the payer: another payment by the same wallet would not cure it.
#[must_use]
pub fn says_forbidden(reason: &str) -> bool {
    reason.contains("kyt") || reason.contains("request_blocked_by_location") || reason.contains("sanction")
}

fn object(body: &[u8]) -> Option<serde_json::Map<String, Value>> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

fn text(answer: &serde_json::Map<String, Value>, key: &str) -> Option<String> {
    answer.get(key).and_then(Value::as_str).map(ToOwned::to_owned)
}

/// A facilitator's reason, cut to what may be shown: it is a stranger's text.
fn reason(answer: &serde_json::Map<String, Value>, key: &str) -> String {
    let reason = text(answer, key).unwrap_or_default();
    let shown: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
    if shown.is_empty() { NO_REASON.to_owned() } else { shown }
}

/// An answer may leave the payer out; if it names one, it must be ours.
fn same_payer(answer: &serde_json::Map<String, Value>, expected: Expected) -> bool {
    match answer.get("payer") {
        None | Some(Value::Null) => true,
        Some(payer) => {
            payer.as_str().and_then(|text| text.parse::<Address>().ok()).is_some_and(|payer| payer == expected.payer)
        }
    }
}

fn same_network(answer: &serde_json::Map<String, Value>, expected: Expected) -> bool {
    answer
        .get("network")
        .and_then(Value::as_str)
        .is_some_and(|network| network == expected.network.to_string() || Some(network) == expected.network.v1_name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAYER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

    fn expected() -> Expected {
        Expected { payer: PAYER.parse().unwrap(), network: Network::new(84532) }
    }

    fn settled(status: u16, body: &str) -> Outcome {
        read_settlement(status, body.as_bytes(), expected())
    }

    fn is_unknown(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Unknown { .. })
    }

    #[test]
    fn only_a_whole_success_is_a_success() {
        let whole = format!(r#"{{"success":true,"transaction":"0xab","network":"eip155:84532","payer":"{PAYER}"}}"#);
        assert_eq!(settled(200, &whole), Outcome::Settled("0xab".into()));
        let v1 = r#"{"success":true,"transaction":"0xab","network":"base-sepolia"}"#;
        assert_eq!(settled(200, v1), Outcome::Settled("0xab".into()));
        for (status, body) in [
            (500, whole.as_str()),
            (200, r#"{"success":true,"transaction":"","network":"eip155:84532"}"#),
            (200, r#"{"success":true,"network":"eip155:84532"}"#),
            (200, r#"{"success":true,"transaction":"0xab"}"#),
            (200, r#"{"success":true,"transaction":"0xab","network":"eip155:8453"}"#),
            (
                200,
                r#"{"success":true,"transaction":"0xab","network":"eip155:84532","payer":"0x0000000000000000000000000000000000000001"}"#,
            ),
            (200, r#"{"success":true,"transaction":"0xab","network":"eip155:84532","payer":7}"#),
            (200, r#"{"success":"true","transaction":"0xab","network":"eip155:84532"}"#),
            (200, r#"{"success":1}"#),
            (200, "true"),
            (200, ""),
            (200, r#"{"success":true,"#),
        ] {
            assert!(is_unknown(&settled(status, body)), "{status} {body}");
        }
    }

    #[test]
    fn only_a_definite_no_is_a_no() {
        let no = |reason: &str, transaction: &str| {
            format!(
                r#"{{"success":false,"errorReason":"{reason}","transaction":"{transaction}","network":"eip155:84532"}}"#
            )
        };
        for reason in ["insufficient_funds", "invalid_exact_evm_insufficient_balance", "invalid_exact_evm_signature"] {
            assert_eq!(settled(200, &no(reason, "")), Outcome::Refused(reason.into()));
            assert_eq!(settled(400, &no(reason, "")), Outcome::Refused(reason.into()));
            assert!(is_unknown(&settled(200, &no(reason, "0xab"))), "{reason} after a broadcast");
            assert!(is_unknown(&settled(500, &no(reason, ""))), "{reason} with a server error");
        }
        assert_eq!(
            settled(200, &no("invalid_transaction_state", "0xab")),
            Outcome::Refused("invalid_transaction_state".into())
        );
        for reason in [
            "settlement_pending",
            "invalid_exact_evm_nonce_already_used",
            "unexpected_settle_error",
            "unknown_error",
            "settle_exact_evm_transaction_confirmation_timed_out",
            "duplicate_settlement",
            "invalid_exact_evm_transaction_failed",
            "Timed out while waiting for transaction",
            "",
        ] {
            assert!(is_unknown(&settled(200, &no(reason, ""))), "{reason}");
        }
        assert!(is_unknown(&settled(200, r#"{"success":false}"#)));
        assert!(is_unknown(&settled(429, "slow down")));
    }

    #[test]
    fn verification_believes_verdicts_only() {
        let read = |status, body: &str| read_verification(status, body.as_bytes(), expected());
        assert_eq!(read(200, r#"{"isValid":true}"#), Verification::Valid);
        assert_eq!(read(400, r#"{"isValid":false,"invalidReason":"x"}"#), Verification::Invalid("x".into()));
        for (status, body) in [
            (500, r#"{"isValid":true}"#),
            (500, r#"{"isValid":false,"invalidReason":"unexpected_error"}"#),
            (200, r#"{"isValid":"true"}"#),
            (200, r#"{"isValid":true,"payer":"0x0000000000000000000000000000000000000001"}"#),
            (200, "{}"),
            (200, "<html>"),
        ] {
            assert!(matches!(read(status, body), Verification::Unavailable(_)), "{status} {body}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics_and_noise_is_never_success(status in 100_u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let settled = matches!(read_settlement(status, &body, expected()), Outcome::Settled(_));
            prop_assert!(!settled);
            prop_assert!(read_verification(status, &body, expected()) != Verification::Valid);
        }
    }
}
