//! What a facilitator's answers mean (`protocol.md` 5.2). Settlement has three outcomes, not two.
//!
//! Success is believed only whole: 2xx, `success: true`, a transaction's hash, our payer, our network; taking less for
//! "paid" gives the resource away. A failure is believed only if its reason is one that is given before anything is
//! broadcast; taking a time-out, a 500 or a reason that nobody knows for "not paid" makes an honest client sign again and
//! pay twice. Everything else is *unknown* (`anchors.md` 4.2, 10 and 11).

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
        /// Seconds that the facilitator asks to be left alone for.
        retry_after: Option<u64>,
        /// Whether money may have moved by this attempt: not when the facilitator turned the call away at its door, nor
        /// when it saw its transaction fail. What is then found used was used by somebody else.
        lost: bool,
    },
}

impl Outcome {
    /// An outcome that nobody knows.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { reason: reason.into(), transaction: None, retry_after: None, lost: true }
    }

    /// Heeds a `Retry-After` in seconds; a date is as good as none: our own backoff is patient enough.
    #[must_use]
    pub fn heeding(self, retry_after: Option<&str>) -> Self {
        match self {
            Self::Unknown { reason, transaction, lost, .. } => Self::Unknown {
                reason,
                transaction,
                lost,
                retry_after: retry_after.and_then(|seconds| seconds.trim().parse().ok()),
            },
            decided => decided,
        }
    }

    /// Whether it was broadcast and waits for a block: the standard has it asked for once more, at once.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Unknown { reason, transaction: Some(_), .. } if reason == PENDING)
    }
}

/// The reason of a settlement that was broadcast and is not final (`protocol.md` 1.5).
pub const PENDING: &str = "settlement_pending";

/// The reason of a settlement whose own transaction was seen to revert. It is none of the definite ones: the authorization
/// may have been used by another transaction, or may be yet.
const FAILED_ON_CHAIN: &str = "invalid_transaction_state";

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
pub fn read_settlement(status: u16, body: &[u8], expected: Expected) -> Outcome {
    // Turned away at the door: for its rate, or for our credentials.
    let taken = !matches!(status, 401 | 403 | 404 | 405 | 413 | 429);
    let unknown = |reason: String, transaction: Option<String>| {
        let failed = reason == FAILED_ON_CHAIN;
        // A transaction that failed is none that a receipt may name.
        let transaction = transaction.filter(|_| !failed);
        Outcome::Unknown { reason, transaction, retry_after: None, lost: taken && !failed }
    };
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
            Some(hash) if is_transaction_hash(&hash) => Outcome::Settled(hash),
            _ => unknown("success without a transaction".to_owned(), None),
        },
        Some(false) => {
            let reason = reason(&answer, "errorReason");
            if status < 500 && transaction.is_none() && is_definite(&reason) {
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

/// Reasons that facilitators give before they broadcast anything, so that they prove that no money moves.
const DEFINITE: [&str; 20] = [
    "insufficient_funds",
    "invalid_payload",
    "invalid_payment",
    "invalid_payment_requirements",
    "invalid_network",
    "invalid_scheme",
    "invalid_x402_version",
    "payment_expired",
    "asset_not_deployed_contract",
    "eip6492_factory_not_allowed",
    "smart_wallet_deployment_failed",
    "self_send_not_allowed",
    "amount_too_low",
    "kyt_risk_detected",
    "request_blocked_by_location",
    "invalid_exact_evm_payload_authorization_from_address_kyt",
    "invalid_exact_evm_payload_authorization_valid_after",
    "invalid_exact_evm_payload_authorization_valid_before",
    "invalid_exact_evm_payload_authorization_value",
    "invalid_exact_evm_payload_authorization_value_mismatch",
];

/// The same of the `exact` scheme on EVM. Of its other reasons `nonce_already_used` may be our own settlement,
/// `transaction_failed` stands for any exception, a failed simulation may be a spent nonce, and a mismatched event is a
/// transaction.
const DEFINITE_EXACT_EVM: [&str; 11] = [
    "scheme",
    "network_mismatch",
    "signature",
    "payload_signature",
    "recipient_mismatch",
    "payload_recipient_mismatch",
    "missing_eip712_domain",
    "eip3009_not_supported",
    "token_name_mismatch",
    "token_version_mismatch",
    "insufficient_balance",
];

/// Whether a failure without a transaction proves that no money moves. A list of what does, not of what does not: reasons
/// are open strings, and the reference facilitator puts an exception's text there, an RPC time-out after the broadcast
/// among them.
fn is_definite(reason: &str) -> bool {
    DEFINITE.contains(&reason)
        || reason.strip_prefix("invalid_exact_evm_").is_some_and(|rest| DEFINITE_EXACT_EVM.contains(&rest))
}

/// Whether such a reason proves it even after an attempt whose answer was lost: only what follows from the call's body
/// alone, which was the same then. What is about the balance or the time may be that attempt's doing, and what is about the
/// facilitator's policy, or a smart wallet's signature, may have changed since.
#[must_use]
pub fn stays_definite(reason: &str) -> bool {
    const OF_THE_BODY: [&str; 5] = [
        "invalid_exact_evm_recipient_mismatch",
        "invalid_exact_evm_payload_recipient_mismatch",
        "invalid_exact_evm_missing_eip712_domain",
        "invalid_exact_evm_network_mismatch",
        "invalid_exact_evm_payload_authorization_value_mismatch",
    ];
    OF_THE_BODY.contains(&reason)
}

/// Whether a "no" from `/verify` is about the payment, and not about the facilitator or our account with it: paying
/// again would cure neither.
fn is_verdict(status: u16, reason: &str) -> bool {
    const OPERATIONAL: [&str; 10] = [
        "unexpected",
        "unknown",
        "internal",
        "rpc",
        "timeout",
        "timed_out",
        "rate_limit",
        "unauthorized",
        "unsupported",
        NO_REASON,
    ];
    status < 500
        && !matches!(status, 401 | 403 | 404 | 429)
        && !OPERATIONAL.iter().any(|part| reason.to_ascii_lowercase().contains(part))
}

/// A transaction on an EVM network: 0x and 64 digits. `"pending"` is none.
fn is_transaction_hash(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Whether the authorization has been spent, in a facilitator's words.
#[must_use]
pub fn says_spent(reason: &str) -> bool {
    reason.contains("nonce_already_used") || reason.contains("nonce_used")
}

/// Whether `/verify` says that the authorization has been spent, or is being spent: no fresh challenge is sent for that.
#[must_use]
pub fn says_used(reason: &str) -> bool {
    says_spent(reason) || reason.contains("duplicate_settlement")
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
    const HASH: &str = "0xcaf048016dfba6f2bdb88337a23231651aa102d0a8c5d20e3030cb5ab9a24693";

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
        let answer = |transaction: &str, network: &str, payer: &str| {
            format!(r#"{{"success":true,"transaction":"{transaction}","network":"{network}","payer":"{payer}"}}"#)
        };
        let whole = answer(HASH, "eip155:84532", PAYER);
        assert_eq!(settled(200, &whole), Outcome::Settled(HASH.into()));
        assert_eq!(settled(200, &answer(HASH, "base-sepolia", &PAYER.to_lowercase())), Outcome::Settled(HASH.into()));
        let unnamed = format!(r#"{{"success":true,"transaction":"{HASH}","network":"eip155:84532"}}"#);
        assert_eq!(settled(200, &unnamed), Outcome::Settled(HASH.into()), "a payer may be left out");
        for transaction in ["", "0x", "pending", "0xab", &HASH[2..], &HASH.replace('c', "g"), &format!("{HASH}0")] {
            assert!(is_unknown(&settled(200, &answer(transaction, "eip155:84532", PAYER))), "{transaction:?}");
        }
        assert!(is_unknown(&settled(500, &whole)));
        assert!(is_unknown(&settled(200, &answer(HASH, "eip155:8453", PAYER))));
        assert!(is_unknown(&settled(200, &answer(HASH, "eip155:84532", "0x0000000000000000000000000000000000000001"))));
        for body in [
            r#"{"success":true,"network":"eip155:84532"}"#,
            r#"{"success":true}"#,
            &whole.replace("true", "\"true\""),
            &whole.replace("true", "1"),
            &whole.replace(&format!("\"{PAYER}\""), "7"),
            "true",
            "",
            r#"{"success":true,"#,
        ] {
            assert!(is_unknown(&settled(200, body)), "{body}");
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
            assert!(is_unknown(&settled(200, &no(reason, HASH))), "{reason} after a broadcast");
            assert!(is_unknown(&settled(500, &no(reason, ""))), "{reason} with a server error");
        }
        for reason in [
            "settlement_pending",
            "invalid_exact_evm_nonce_already_used",
            "invalid_exact_evm_transaction_simulation_failed",
            "invalid_exact_evm_transaction_failed",
            "invalid_exact_evm_transfer_event_mismatch",
            "invalid_transaction_state",
            "unexpected_settle_error",
            "unknown_error",
            "settle_failed",
            "settlement_in_progress",
            "rpc_error",
            "a_reason_of_tomorrow",
            "settle_exact_evm_transaction_confirmation_timed_out",
            "duplicate_settlement",
            "unauthorized",
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
            (200, r#"{"isValid":false,"invalidReason":"unexpected_verify_error"}"#),
            (401, r#"{"isValid":false,"invalidReason":"invalid_payload"}"#),
            (200, r#"{"isValid":false}"#),
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
