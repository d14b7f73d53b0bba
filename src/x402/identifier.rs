//! The `payment-identifier` extension: a client's own id for a payment, so that a lost answer can be
//! asked for again instead of paid for again.

use crate::http::problem::{Code, Problem};
use serde_json::{Map, Value, json};

/// The extension's key.
pub const PAYMENT_IDENTIFIER: &str = "payment-identifier";

/// What a challenge says of it.
#[must_use]
pub fn advertised(required: bool) -> Value {
    json!({
        "info": { "required": required },
        "schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "required": { "type": "boolean" },
                "id": { "type": "string", "minLength": 16, "maxLength": 128, "pattern": "^[a-zA-Z0-9_-]+$" },
            },
            "required": ["required"],
        },
    })
}

/// Reads the id out of a payment's `extensions`. A client that merely echoes what was advertised sends none.
///
/// # Errors
/// [`Code::IdentifierMalformed`] when there is an id and it is not one.
pub fn read(payment: &Map<String, Value>) -> Result<Option<String>, Problem> {
    let Some(extension) = payment.get("extensions").and_then(|extensions| extensions.get(PAYMENT_IDENTIFIER)) else {
        return Ok(None);
    };
    match extension.get("info").and_then(|info| info.get("id")) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if is_id(id) => Ok(Some(id.clone())),
        Some(_) => Err(Code::IdentifierMalformed.into()),
    }
}

fn is_id(text: &str) -> bool {
    (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(id: impl Into<Value>) -> Result<Option<String>, Problem> {
        let id: Value = id.into();
        let payment = json!({ "extensions": { PAYMENT_IDENTIFIER: { "info": { "required": false, "id": id } } } });
        read(payment.as_object().unwrap())
    }

    #[test]
    fn only_what_the_standard_calls_an_id_is_one() {
        assert_eq!(with("pay_0123456789abcdef").unwrap().as_deref(), Some("pay_0123456789abcdef"));
        assert_eq!(with(Value::Null), Ok(None));
        for id in
            ["", "short", "with space in the middle", &"x".repeat(129), "sixteen-letters\n", "'; DROP TABLE x; --"]
        {
            assert_eq!(with(id).unwrap_err().code, Code::IdentifierMalformed, "{id:?}");
        }
        assert_eq!(with(7).unwrap_err().code, Code::IdentifierMalformed);
        assert_eq!(read(json!({}).as_object().unwrap()), Ok(None));
        let echo = json!({ "extensions": { PAYMENT_IDENTIFIER: advertised(true) } });
        assert_eq!(read(echo.as_object().unwrap()), Ok(None));
    }
}
