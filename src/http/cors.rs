//! CORS for browser clients that pay: the challenge must be readable, the payment sendable.

use super::headers::{
    PAYMENT_REQUIRED, PAYMENT_RESPONSE, PAYMENT_SIGNATURE, SIGN_IN_WITH_X, X_CREDITS_CHARGED, X_CREDITS_REMAINING,
    X_EDGE402_SETTLEMENT, X_PAYMENT, X_PAYMENT_RESPONSE,
};

/// What a script may read of our answers: the payment headers, and all that a refusal's hint or a receipt refers to.
#[must_use]
pub fn exposed() -> String {
    let ours = [
        PAYMENT_REQUIRED,
        PAYMENT_RESPONSE,
        X_PAYMENT_RESPONSE,
        X_CREDITS_CHARGED,
        X_CREDITS_REMAINING,
        X_EDGE402_SETTLEMENT,
    ];
    let named = ["Retry-After", "Link", "Location", "Allow", "WWW-Authenticate", "Idempotent-Replayed"];
    ours.map(in_capitals).into_iter().chain(named.map(str::to_owned)).collect::<Vec<_>>().join(", ")
}

/// `exposed`, and what the origin exposes besides.
#[must_use]
pub fn exposed_with(origins: Option<&str>) -> String {
    match origins.map(str::trim) {
        None | Some("") => exposed(),
        Some("*") => format!("*, {}", exposed()),
        Some(names) => format!("{names}, {}", exposed()),
    }
}

/// What a preflight may ask to send: the payment headers, and whatever the application needs besides.
#[must_use]
pub fn allowed_headers(requested: Option<&str>) -> String {
    let always = [
        in_capitals(PAYMENT_SIGNATURE),
        in_capitals(X_PAYMENT),
        in_capitals(SIGN_IN_WITH_X),
        // The official clients send this response header on requests; it is meaningless and it triggers a preflight.
        "Access-Control-Expose-Headers".to_owned(),
        "Authorization".to_owned(),
        "Content-Type".to_owned(),
    ];
    let more = requested
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|name| is_token(name) && !always.iter().any(|known| known.eq_ignore_ascii_case(name)));
    always.iter().map(String::as_str).chain(more).collect::<Vec<_>>().join(", ")
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `payment-required` as the standard writes it.
fn in_capitals(name: &str) -> String {
    name.to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::{Code, Problem};

    #[test]
    fn a_script_can_read_every_header_that_a_hint_names() {
        let exposed: Vec<String> = exposed().split(", ").map(str::to_ascii_lowercase).collect();
        let answers =
            ["Retry-After", "Link", "Location", "WWW-Authenticate", "Allow", "PAYMENT-REQUIRED", "PAYMENT-RESPONSE"];
        for code in Code::ALL {
            let hint = code.row().3;
            for name in answers.iter().filter(|name| hint.contains(*name)) {
                assert!(exposed.contains(&name.to_ascii_lowercase()), "{}: {name}", code.as_str());
            }
            // And who reads no header reads the body.
            let document = serde_json::to_value(Problem::from(code).document()).unwrap();
            assert_eq!(
                document.get("retryAfter").and_then(serde_json::Value::as_u64),
                code.retry_after().map(Into::into)
            );
            assert!(!hint.contains("Retry-After") || code.retry_after().is_some(), "{}: no Retry-After", code.as_str());
        }
    }

    #[test]
    fn payment_headers_may_be_sent_and_read() {
        let ours = "PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-PAYMENT-RESPONSE, X-CREDITS-CHARGED, X-CREDITS-REMAINING, \
                    X-EDGE402-SETTLEMENT, Retry-After, Link, Location, Allow, WWW-Authenticate, Idempotent-Replayed";
        assert_eq!(exposed(), ours);
        assert_eq!(exposed_with(Some("ETag")), format!("ETag, {ours}"));
        let allowed = allowed_headers(Some("x-payment, x-api-version, bad name\r\n"));
        assert!(allowed.contains("PAYMENT-SIGNATURE") && allowed.ends_with("Content-Type, x-api-version"), "{allowed}");
    }
}
