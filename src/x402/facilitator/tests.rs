use super::*;
use proptest::prelude::*;

const PAYER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const HASH: &str = "0xcaf048016dfba6f2bdb88337a23231651aa102d0a8c5d20e3030cb5ab9a24693";

fn expected() -> Expected {
    Expected { payer: PAYER.parse().unwrap(), network: Network::new(84532) }
}

fn settled(status: u16, body: &str) -> Said {
    read_settlement(status, body.as_bytes(), expected())
}

fn success(transaction: &str) -> Said {
    Said::Decided(Outcome::Settled(transaction.to_owned()))
}

fn refused(reason: &str) -> Said {
    Said::Decided(Outcome::Refused(reason.to_owned()))
}

fn unknown(reason: &str, transaction: Option<&str>, lost: bool) -> Said {
    let transaction = transaction.map(ToOwned::to_owned);
    Said::Decided(Outcome::Unknown { reason: reason.to_owned(), transaction, retry_after: None, lost })
}

fn denied(reason: &str, failed: Option<&str>) -> Said {
    Said::Denied(Denied { reason: reason.to_owned(), failed: failed.map(ToOwned::to_owned), retry_after: None })
}

fn is_unknown(said: &Said) -> bool {
    matches!(said, Said::Decided(Outcome::Unknown { .. }))
}

fn no(reason: &str, transaction: &str) -> String {
    format!(r#"{{"success":false,"errorReason":"{reason}","transaction":"{transaction}","network":"eip155:84532"}}"#)
}

#[test]
fn only_a_whole_success_is_a_success() {
    let answer = |transaction: &str, network: &str, payer: &str| {
        format!(r#"{{"success":true,"transaction":"{transaction}","network":"{network}","payer":"{payer}"}}"#)
    };
    let whole = answer(HASH, "eip155:84532", PAYER);
    assert_eq!(settled(200, &whole), success(HASH));
    assert_eq!(settled(200, &answer(HASH, "base-sepolia", &PAYER.to_lowercase())), success(HASH));
    for transaction in ["", "0x", "pending", "0xab", &HASH[2..], &HASH.replace('c', "g"), &format!("{HASH}0")] {
        assert!(is_unknown(&settled(200, &answer(transaction, "eip155:84532", PAYER))), "{transaction:?}");
    }
    assert!(is_unknown(&settled(500, &whole)));
    assert!(is_unknown(&settled(200, &answer(HASH, "eip155:8453", PAYER))));
    assert!(is_unknown(&settled(200, &answer(HASH, "eip155:84532", "0x0000000000000000000000000000000000000001"))));
    for body in [
        r#"{"success":true,"network":"eip155:84532"}"#,
        r#"{"success":true,"transaction":"","network":"","payer":""}"#,
        &whole.replace("\"eip155:84532\"", "7"),
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
fn an_empty_optional_member_is_an_absent_one() {
    for payer in [r#","payer":"""#, r#","payer":null"#, ""] {
        for network in [r#","network":"""#, r#","network":null"#, r#","network":"eip155:84532""#, ""] {
            let body = format!(r#"{{"success":true,"transaction":"{HASH}"{payer}{network}}}"#);
            assert_eq!(settled(200, &body), success(HASH), "{body}");
        }
        let verified = read_verification(200, format!(r#"{{"isValid":true{payer}}}"#).as_bytes(), expected());
        assert_eq!(verified, Verification::Valid, "{payer}");
    }
    assert_eq!(
        settled(200, r#"{"success":false,"errorReason":"","error":"insufficient_funds","transaction":null}"#),
        refused("insufficient_funds")
    );
}

#[test]
fn a_no_that_is_given_only_before_a_broadcast_is_a_no() {
    for reason in [
        "insufficient_funds",
        "INSUFFICIENT_FUNDS",
        "invalid_exact_evm_insufficient_balance",
        "invalid_exact_evm_signature",
        "missing_eip712_domain",
        "network_mismatch",
        "unsupported_scheme",
        "invalid_exact_evm_payload_undeployed_smart_wallet",
        "invalid_exact_evm_failed_to_get_network_config",
    ] {
        for status in [200, 400, 403] {
            assert_eq!(settled(status, &no(reason, "")), refused(reason));
        }
        assert!(is_unknown(&settled(200, &no(reason, HASH))), "{reason} after a broadcast");
        assert!(is_unknown(&settled(500, &no(reason, ""))), "{reason} with a server error");
    }
}

#[test]
fn what_says_nothing_of_the_payment_is_unknown_and_verify_is_not_asked() {
    for reason in [
        "settlement_pending",
        "invalid_exact_evm_nonce_already_used",
        "unexpected_settle_error",
        "unknown_error",
        "settlement_in_progress",
        "rpc_error",
        "rate_limited",
        "settle_exact_evm_transaction_confirmation_timed_out",
        "duplicate_settlement",
        "unauthorized",
        "Timed out while waiting for transaction",
    ] {
        assert_eq!(settled(200, &no(reason, "")), unknown(reason, None, true));
    }
    assert_eq!(settled(200, &no("", "")), unknown(NO_REASON, None, true));
    assert_eq!(settled(200, r#"{"success":false}"#), unknown(NO_REASON, None, true));
    assert_eq!(settled(500, &no("a_reason_of_tomorrow", "")), unknown("a_reason_of_tomorrow", None, true));
    assert_eq!(settled(500, r#"{"error":"oops"}"#), unknown("status 500: oops", None, true));
}

#[test]
fn any_other_no_without_a_transaction_is_for_verify_to_decide() {
    for reason in [
        "insufficient_balance",
        "expired",
        "invalid_signature",
        "invalid_exact_evm_transaction_simulation_failed",
        "transaction_failed",
        "invalid_exact_evm_transaction_failed",
        "invalid_transaction_state",
        "a_reason_of_tomorrow",
        "settle_failed",
    ] {
        for status in [200, 400] {
            assert_eq!(settled(status, &no(reason, "")), denied(reason, None));
        }
    }
    assert_eq!(settled(402, r#"{"error":{"code":"nope"}}"#), denied("status 402: nope", None));
    assert_eq!(settled(400, r#"{"message":"bad payment"}"#), denied("status 400: bad payment", None));
    assert_eq!(settled(422, "<html>"), denied("status 422 without a JSON object", None));
}

#[test]
fn who_is_turned_away_at_the_door_has_sent_nothing() {
    for status in [401, 403, 404, 405, 413, 429] {
        assert_eq!(
            settled(status, "slow down"),
            unknown(&format!("status {status} without a JSON object"), None, false)
        );
        assert_eq!(
            settled(status, r#"{"error":"slow down"}"#),
            unknown(&format!("status {status}: slow down"), None, false)
        );
        assert_eq!(settled(status, &no("rate_limited", "")), unknown("rate_limited", None, false));
    }
}

#[test]
fn my_transaction_failed_is_understood_in_every_facilitators_words() {
    for reason in ["invalid_transaction_state", "transaction_failed", "invalid_exact_evm_transaction_failed"] {
        for status in [200, 400, 500] {
            assert_eq!(settled(status, &no(reason, HASH)), denied(reason, Some(HASH)));
        }
        // Downgraded from pending by a facilitator that could not remember it: it may land yet.
        let unfollowed = no(reason, HASH)
            .replace("}", r#","errorMessage":"settlement_pending, but failed to persist for retry: disk full"}"#);
        assert_eq!(settled(200, &unfollowed), unknown(reason, Some(HASH), true));
        for hash in ["pending", "0xab"] {
            assert_eq!(settled(200, &no(reason, hash)), unknown(reason, None, true));
        }
    }
}

#[test]
fn a_transaction_that_cannot_land_any_more_is_not_named() {
    let mismatch = "invalid_exact_evm_transfer_event_mismatch";
    assert_eq!(settled(200, &no(mismatch, HASH)), unknown(mismatch, None, true));
    assert_eq!(settled(200, &no("settlement_pending", HASH)), unknown(PENDING, Some(HASH), true));
    let other = format!(r#"{{"success":true,"transaction":"{HASH}","network":"eip155:8453"}}"#);
    assert_eq!(settled(200, &other), unknown("settled on another network", None, true));
}

#[test]
fn a_pending_transaction_that_then_fails_has_left_nothing() {
    const OTHER: &str = "0x0000000000000000000000000000000000000000000000000000000000000001";
    let failed = |hash: &str| settled(200, &no("transaction_failed", hash));
    assert_eq!(failed(HASH).after_pending(HASH), denied("transaction_failed", Some(HASH)));
    assert_eq!(failed(HASH).after_pending(OTHER), unknown("transaction_failed", Some(OTHER), true));
    assert_eq!(refused("insufficient_funds").after_pending(HASH), unknown("insufficient_funds", Some(HASH), true));
    assert_eq!(denied("settle_failed", None).after_pending(HASH), unknown("settle_failed", Some(HASH), true));
    assert_eq!(settled(429, "").after_pending(HASH), unknown("status 429 without a JSON object", Some(HASH), true));
    assert_eq!(success(HASH).after_pending(OTHER), success(HASH));
}

#[test]
fn a_facilitator_that_asks_for_time_is_heeded() {
    let seconds = |said: Said, header| match said.heeding(header) {
        Said::Decided(Outcome::Unknown { retry_after, .. }) => retry_after,
        Said::Denied(denied) => denied.retry_after,
        Said::Decided(_) => None,
    };
    assert_eq!(seconds(settled(429, ""), Some(" 30 ")), Some(30));
    assert_eq!(seconds(settled(200, &no("settle_failed", "")), Some("7")), Some(7));
    assert_eq!(seconds(settled(429, ""), Some("Wed, 21 Oct 2015 07:28:00 GMT")), None);
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
        let settled = matches!(read_settlement(status, &body, expected()), Said::Decided(Outcome::Settled(_)));
        prop_assert!(!settled);
        prop_assert!(read_verification(status, &body, expected()) != Verification::Valid);
    }
}
