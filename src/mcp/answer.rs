//! Answers: results of calls, and what stands in for them when a call was not paid (`protocol.md` 9).

use super::RECEIPT;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The media type of a call's outcome on its way through the gateway: a `result`, or an `error`, and no id yet.
pub const OUTCOME: &str = "application/vnd.edge402.outcome+json";

/// An HTTP answer as a tool's result.
#[must_use]
pub fn of_http(status: u16, content_type: &str, body: &[u8]) -> Map<String, Value> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = std::str::from_utf8(body).ok();
    let textual = kind.starts_with("text/")
        || kind.is_empty()
        || ["json", "xml", "javascript", "yaml", "x-www-form-urlencoded"].iter().any(|part| kind.ends_with(part));
    let mut result = Map::new();
    let content = match text.filter(|_| textual) {
        Some(text) => {
            let parsed = serde_json::from_str(text).ok().filter(|_| kind.ends_with("json"));
            if let Some(structured @ Value::Object(_)) = parsed {
                result.insert("structuredContent".to_owned(), structured);
            }
            json!({ "type": "text", "text": text })
        }
        None => {
            let data = STANDARD.encode(body);
            if kind.starts_with("image/") || kind.starts_with("audio/") {
                let class = kind.split('/').next().unwrap_or_default();
                json!({ "type": class, "data": data, "mimeType": kind })
            } else {
                let resource = json!({ "uri": "answer:", "mimeType": kind, "blob": data });
                json!({ "type": "resource", "resource": resource })
            }
        }
    };
    result.insert("content".to_owned(), json!([content]));
    if status >= 400 {
        result.insert("isError".to_owned(), true.into());
    }
    result
}

/// The price, or a refusal: the object as the result's structure and as its text, since clients read either.
#[must_use]
pub fn refusal(document: &Value) -> Map<String, Value> {
    Map::from_iter([
        ("isError".to_owned(), true.into()),
        ("structuredContent".to_owned(), document.clone()),
        ("content".to_owned(), json!([{ "type": "text", "text": document.to_string() }])),
    ])
}

/// Puts members into a result's `_meta`.
pub fn note(result: &mut Map<String, Value>, key: &str, value: Value) {
    let meta = result.entry("_meta").or_insert_with(|| json!({}));
    if !meta.is_object() {
        *meta = json!({});
    }
    if let Some(meta) = meta.as_object_mut() {
        meta.insert(key.to_owned(), value);
    }
}

/// Puts the receipt into a result. Of an origin's own nothing is believed: only we know what was paid.
pub fn receipt(result: &mut Map<String, Value>, receipt: Option<Value>) {
    if let Some(meta) = result.get_mut("_meta").and_then(Value::as_object_mut) {
        meta.remove(RECEIPT);
    }
    if let Some(receipt) = receipt {
        note(result, RECEIPT, receipt);
    }
}

/// A whole answer.
#[must_use]
pub fn message(id: &Value, result: &Map<String, Value>) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// A JSON-RPC error.
#[must_use]
pub fn error(id: &Value, code: i32, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_answers_become_content() {
        let json = of_http(200, "application/json; charset=utf-8", br#"{"a":1}"#);
        assert_eq!(json["structuredContent"], json!({ "a": 1 }));
        assert_eq!(json["content"][0]["text"], r#"{"a":1}"#);
        assert!(json.get("isError").is_none());
        let failed = of_http(404, "text/plain", b"no");
        assert_eq!((&failed["isError"], &failed["content"][0]["text"]), (&json!(true), &json!("no")));
        assert_eq!(of_http(200, "image/png", &[1, 2])["content"][0]["type"], "image");
        assert_eq!(of_http(200, "application/pdf", b"x")["content"][0]["resource"]["blob"], "eA==");
        assert_eq!(of_http(200, "text/plain", &[0xff])["content"][0]["type"], "resource", "not UTF-8");
    }

    #[test]
    fn an_origins_receipt_is_none() {
        let mut result =
            Map::from_iter([("_meta".to_owned(), json!({ "x402/payment-response": { "success": true }, "a": 1 }))]);
        receipt(&mut result, None);
        assert_eq!(result["_meta"], json!({ "a": 1 }));
        receipt(&mut result, Some(json!({ "success": true })));
        assert_eq!(result["_meta"]["x402/payment-response"]["success"], true);
    }
}
