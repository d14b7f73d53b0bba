//! What a facilitator's reason is about.
//!
//! Reasons are open strings: the standard lists some, each implementation has its own, and some put an exception's text
//! there. So a reason is read by its *family*, whatever its spelling, and a family alone never proves that no money moved:
//! that takes a word from a list that facilitators give only before they broadcast ([`is_definite`]), or `/verify`
//! ([`super::second_opinion::Denied`]).

use serde_json::{Map, Value};

/// What a reason is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// What was sent does not fit: recipient, value, network, scheme, domain, version. The same call says the same again.
    Body,
    /// The signature is not the payer's.
    Signature,
    /// The authorization is not valid yet, or not any more.
    Time,
    /// Too little money in the wallet.
    Balance,
    /// The facilitator does not deal with this payer, or not with this payment.
    Policy,
    /// The authorization has been used, or is being used.
    Used,
    /// The facilitator's own transaction failed.
    Failed,
    /// A transaction is out and not final.
    Pending,
    /// The facilitator's own trouble, or its limits. It says nothing of the payment.
    Trouble,
    /// None of these.
    Other,
}

/// Stands for a reason that was not given.
pub const NO_REASON: &str = "no_reason_given";

/// The reason of a settlement that was broadcast and is not final.
pub const PENDING: &str = "settlement_pending";

/// Parts of reasons by family, in the order in which they are looked for.
const PARTS: [(Family, &[&str]); 8] = [
    (
        Family::Trouble,
        &[
            "unexpected",
            "unknown",
            "internal",
            "rpc",
            "timeout",
            "timed_out",
            "rate_limit",
            "too_many",
            "quota",
            "throttl",
            "overload",
            "unavailable",
            "try_again",
            "unauthorized",
            "failed_to_verify",
            "network_error",
            "network_fail",
            "network_congest",
            "connection",
            NO_REASON,
        ],
    ),
    (Family::Pending, &["pending", "in_progress"]),
    (
        Family::Used,
        &[
            "nonce_already_used",
            "nonce_used",
            "authorization_used",
            "authorization_is_used",
            "already_used",
            "already_settled",
            "duplicate_settlement",
        ],
    ),
    (Family::Policy, &["kyt", "sanction", "request_blocked", "not_allowed", "amount_too_low", "blacklist", "denylist"]),
    (Family::Balance, &["insufficient_balance", "insufficient_funds", "not_enough_funds", "exceeds_balance"]),
    (Family::Signature, &["signature", "undeployed_smart_wallet"]),
    (Family::Time, &["expired", "valid_before", "valid_after", "not_yet_valid"]),
    (
        Family::Body,
        &[
            "network_mismatch",
            "invalid_network",
            "unsupported_network",
            "network_config",
            "scheme",
            "recipient",
            "value_mismatch",
            "amount_mismatch",
            "authorization_value",
            "eip712_domain",
            "x402_version",
            "invalid_payload",
            "unsupported_payload",
            "payment_requirements",
            "asset_not_deployed",
            "asset_info",
            "token_name_mismatch",
            "token_version_mismatch",
            "eip3009_not_supported",
            "invalid_json",
            "missing_parameters",
        ],
    ),
];

/// Words for "my transaction failed", without the scheme's prefix: TypeScript's v2 and the standard, Python's, TypeScript's
/// v1 and Go's.
const FAILED: [&str; 3] = ["invalid_transaction_state", "transaction_failed", "transaction_reverted"];

/// What the reasons of the `exact` scheme on EVM begin with.
const EXACT_EVM: &str = "invalid_exact_evm_";

impl Family {
    /// The family of a reason, in any spelling.
    #[must_use]
    pub fn of(reason: &str) -> Self {
        let words = normal(reason);
        if FAILED.contains(&words.strip_prefix(EXACT_EVM).unwrap_or(&words)) {
            return Self::Failed;
        }
        // "insufficient_funds_for_gas" is the facilitator's own wallet.
        if words.contains("gas") {
            return Self::Trouble;
        }
        let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        PARTS.iter().find(|(_, parts)| has(parts)).map_or(Self::Other, |(family, _)| *family)
    }
}

/// Lower case, with one `_` between words: `INSUFFICIENT_FUNDS`, `insufficientFunds` and "Insufficient funds" are one.
fn normal(reason: &str) -> String {
    let mut words = String::with_capacity(reason.len());
    let mut small = false;
    for c in reason.chars() {
        if c.is_ascii_alphanumeric() {
            if small && c.is_ascii_uppercase() {
                words.push('_');
            }
            words.push(c.to_ascii_lowercase());
        } else if !words.is_empty() && !words.ends_with('_') {
            words.push('_');
        }
        small = c.is_ascii_lowercase();
    }
    words.truncate(words.trim_end_matches('_').len());
    words
}

/// Reasons that facilitators give before they broadcast anything, so that they prove that no money moves.
const DEFINITE: [&str; 25] = [
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
    "missing_eip712_domain",
    "network_mismatch",
    "unsupported_scheme",
    "unsupported_payload_type",
    "invalid_json",
    "invalid_exact_evm_payload_authorization_from_address_kyt",
    "invalid_exact_evm_payload_authorization_valid_after",
    "invalid_exact_evm_payload_authorization_valid_before",
    "invalid_exact_evm_payload_authorization_value",
    "invalid_exact_evm_payload_authorization_value_mismatch",
];

/// The same of the `exact` scheme on EVM. Of its other reasons `nonce_already_used` may be our own settlement,
/// `transaction_failed` stands for any exception, a failed simulation may be a spent nonce, and a mismatched event is a
/// transaction.
const DEFINITE_EXACT_EVM: [&str; 15] = [
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
    "payload_undeployed_smart_wallet",
    "failed_to_parse_signature",
    "failed_to_get_network_config",
    "failed_to_get_asset_info",
];

/// Whether a failure without a transaction proves by its word alone that no money moves. A list of what does, not of what
/// does not: the official facilitators put an exception's text there, an RPC time-out after the broadcast among them.
#[must_use]
pub fn is_definite(reason: &str) -> bool {
    let words = normal(reason);
    DEFINITE.contains(&words.as_str())
        || words.strip_prefix(EXACT_EVM).is_some_and(|rest| DEFINITE_EXACT_EVM.contains(&rest))
}

/// Whether such a reason proves it even after an attempt whose answer was lost: only what follows from the call's body
/// alone, which was the same then. What is about the balance or the time may be that attempt's doing, and what is about the
/// facilitator's policy, or a smart wallet's signature, may have changed since.
#[must_use]
pub fn stays_definite(reason: &str) -> bool {
    const OF_THE_BODY: [&str; 5] = [
        "recipient_mismatch",
        "payload_recipient_mismatch",
        "missing_eip712_domain",
        "network_mismatch",
        "payload_authorization_value_mismatch",
    ];
    let words = normal(reason);
    let rest = words.strip_prefix(EXACT_EVM).unwrap_or(&words);
    OF_THE_BODY.contains(&rest) && is_definite(&words)
}

/// Whether the authorization has been spent, in a facilitator's words.
#[must_use]
pub fn says_spent(reason: &str) -> bool {
    let words = normal(reason);
    ["nonce_already_used", "nonce_used", "authorization_already_used"].iter().any(|part| words.contains(part))
}

/// Whether `/verify` says that the authorization has been spent, or is being spent: no fresh challenge is sent for that.
#[must_use]
pub fn says_used(reason: &str) -> bool {
    Family::of(reason) == Family::Used
}

/// Whether the reason is the payer: another payment by the same wallet would not cure it.
#[must_use]
pub fn says_forbidden(reason: &str) -> bool {
    let words = normal(reason);
    ["kyt", "request_blocked_by_location", "sanction"].iter().any(|part| words.contains(part))
}

/// A facilitator's reason, cut to what may be shown: it is a stranger's text. Where `key` is empty, what else is said.
#[must_use]
pub fn reason(answer: &Map<String, Value>, key: &str) -> String {
    const ELSEWHERE: [&str; 7] =
        ["errorReason", "invalidReason", "error", "errorType", "errorMessage", "invalidMessage", "message"];
    let said = |key: &str| match answer.get(key) {
        Some(Value::String(text)) => shown(text),
        Some(Value::Object(error)) => {
            ["code", "message"].iter().find_map(|key| error.get(*key).and_then(Value::as_str).and_then(shown))
        }
        _ => None,
    };
    said(key).or_else(|| ELSEWHERE.into_iter().find_map(said)).unwrap_or_else(|| NO_REASON.to_owned())
}

/// What may be shown of a text; nothing if that is nothing.
fn shown(text: &str) -> Option<String> {
    let shown: String = text.trim().chars().filter(|c| !c.is_control()).take(200).collect();
    (!shown.is_empty()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_reason_has_one_family_in_any_spelling() {
        for (family, reasons) in [
            (
                Family::Balance,
                &[
                    "insufficient_balance",
                    "INSUFFICIENT_FUNDS",
                    "insufficientFunds",
                    "Insufficient funds",
                    "invalid_exact_evm_insufficient_balance",
                    "permit2_insufficient_balance",
                ][..],
            ),
            (Family::Time, &["expired", "payment_expired", "authorization is expired"]),
            (Family::Signature, &["invalid_signature", "invalid_exact_evm_payload_undeployed_smart_wallet"]),
            (
                Family::Body,
                &[
                    "missing_eip712_domain",
                    "network_mismatch",
                    "unsupported_scheme",
                    "invalid_exact_evm_failed_to_get_network_config",
                    "invalid_exact_evm_payload_recipient_mismatch",
                ],
            ),
            (Family::Policy, &["kyt_risk_detected", "eip6492_factory_not_allowed"]),
            (Family::Used, &["invalid_exact_evm_nonce_already_used", "duplicate_settlement", "Already Settled"]),
            (
                Family::Failed,
                &[
                    "invalid_transaction_state",
                    "transaction_failed",
                    "invalid_exact_evm_transaction_failed",
                    "TRANSACTION_REVERTED",
                ],
            ),
            (Family::Pending, &["settlement_pending", "settlement_in_progress"]),
            (
                Family::Trouble,
                &[
                    "rate_limited",
                    "Too many requests",
                    "unexpected_settle_error",
                    "insufficient funds for gas * price + value",
                    "invalid_exact_evm_failed_to_verify_signature",
                    "network_error",
                    "settle_exact_evm_transaction_confirmation_timed_out",
                    NO_REASON,
                ],
            ),
            (
                Family::Other,
                &[
                    "",
                    "invalid_exact_evm_transaction_simulation_failed",
                    "invalid_exact_evm_transfer_event_mismatch",
                    "a_reason_of_tomorrow",
                    "settle_failed",
                ],
            ),
        ] {
            for reason in reasons {
                assert_eq!(Family::of(reason), family, "{reason}");
            }
        }
    }

    #[test]
    fn what_may_come_after_a_broadcast_is_never_definite_by_its_word() {
        for family in [Family::Used, Family::Failed, Family::Pending, Family::Trouble, Family::Other] {
            let definite = DEFINITE.iter().map(|word| (*word).to_owned());
            let exact = DEFINITE_EXACT_EVM.iter().map(|word| format!("{EXACT_EVM}{word}"));
            for word in definite.chain(exact).filter(|word| word != "invalid_payment") {
                // Of a smart wallet whose deployment failed nothing was sent but that.
                assert!(Family::of(&word) != family || word.contains("deployment_failed"), "{word}");
            }
        }
    }

    #[test]
    fn a_reason_is_found_wherever_it_is_given_and_shown_without_control_characters() {
        let of = |answer: Value| reason(answer.as_object().unwrap(), "errorReason");
        assert_eq!(of(json!({ "errorReason": "x", "error": "y" })), "x");
        assert_eq!(of(json!({ "errorReason": "", "error": "y" })), "y");
        assert_eq!(of(json!({ "errorReason": null, "error": { "code": "z", "message": "w" } })), "z");
        assert_eq!(of(json!({ "errorReason": 7, "message": "a\u{0}\nb" })), "ab");
        assert_eq!(of(json!({ "errorType": "invalid_request", "errorMessage": "m" })), "invalid_request");
        assert_eq!(of(json!({ "errorReason": " " })), NO_REASON);
        assert_eq!(of(json!({ "message": "é".repeat(500) })).chars().count(), 200);
    }

    proptest! {
        #[test]
        fn no_reason_panics_and_spelling_changes_nothing(reason in ".{0,80}") {
            let family = Family::of(&reason);
            let respelled = normal(&reason);
            prop_assert_eq!(Family::of(&respelled), family);
            prop_assert_eq!(is_definite(&respelled), is_definite(&reason));
            prop_assert!(!stays_definite(&reason) || is_definite(&reason));
            prop_assert!(!(says_spent(&reason) && is_definite(&reason)));
        }
    }
}
