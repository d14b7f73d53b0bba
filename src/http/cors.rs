//! CORS for browser clients that pay (`protocol.md` 1.9): the challenge must be readable, the payment sendable.

use super::headers::{
    PAYMENT_REQUIRED, PAYMENT_RESPONSE, PAYMENT_SIGNATURE, SIGN_IN_WITH_X, X_CREDITS_CHARGED, X_CREDITS_REMAINING,
    X_PAYMENT, X_PAYMENT_RESPONSE,
};

/// What a script may read of our answers.
#[must_use]
pub fn exposed() -> String {
    [PAYMENT_REQUIRED, PAYMENT_RESPONSE, X_PAYMENT_RESPONSE, X_CREDITS_CHARGED, X_CREDITS_REMAINING]
        .map(in_capitals)
        .join(", ")
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

    #[test]
    fn payment_headers_may_be_sent_and_read() {
        let ours = "PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-PAYMENT-RESPONSE, X-CREDITS-CHARGED, X-CREDITS-REMAINING";
        assert_eq!(exposed(), ours);
        assert_eq!(exposed_with(Some("ETag")), format!("ETag, {ours}"));
        let allowed = allowed_headers(Some("x-payment, x-api-version, bad name\r\n"));
        assert!(allowed.contains("PAYMENT-SIGNATURE") && allowed.ends_with("Content-Type, x-api-version"), "{allowed}");
    }
}
