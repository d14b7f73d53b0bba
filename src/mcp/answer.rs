//! Answers: results of calls, and what stands in for them when a call was not paid.

use super::{CREDITS, ERROR, RECEIPT};
use crate::json::put;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The media type of a call's outcome on its way through the gateway: a `result`, or an `error`, and no id yet.
pub const OUTCOME: &str = "application/vnd.edge402.outcome+json";

/// Up to here an answer is told as structure, too, beside its text: as a tree it takes many times its size.
const MOST_STRUCTURE: usize = 256 * 1024;

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
            let small = kind.ends_with("json") && text.len() <= MOST_STRUCTURE;
            if let Some(structured @ Value::Object(_)) = small.then(|| serde_json::from_str(text).ok()).flatten() {
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

/// The price, or a refusal: the object as the result's structure, as its text, and in its `_meta`, since clients read one or
/// the other.
#[must_use]
pub fn refusal(document: &Value) -> Map<String, Value> {
    Map::from_iter([
        ("isError".to_owned(), true.into()),
        ("structuredContent".to_owned(), document.clone()),
        ("content".to_owned(), json!([{ "type": "text", "text": document.to_string() }])),
        ("_meta".to_owned(), json!({ ERROR: in_ascii(document) })),
    ])
}

/// Without what a client echoes in its payment and cannot write: those that read the price in `_meta` pay by
/// `btoa(JSON.stringify(payment))`, which throws where there is more than Latin-1, and is no UTF-8 where there is more than
/// ASCII. Nothing of it is signed.
fn in_ascii(document: &Value) -> Value {
    let mut document = document.clone();
    for part in ["resource", "extensions"] {
        if let Some(Value::Object(members)) = document.get_mut(part) {
            members.retain(|_, member| member.to_string().is_ascii());
        }
    }
    document
}

/// A result's members, each as it was written.
pub type Members = BTreeMap<String, Box<RawValue>>;

/// The members of a result that we have made.
#[must_use]
pub fn members(result: Map<String, Value>) -> Members {
    result.into_iter().filter_map(|(name, value)| Some((name, raw(&value)?))).collect()
}

fn raw(value: &impl Serialize) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(value).ok()
}

/// Puts what we know of the payment into a result's `_meta`. Of a receipt or a price of the origin's own nothing is believed:
/// only we know what was paid, and a client pays what it reads there. `is_ours`: the result is a refusal of ours.
pub fn note(members: &mut Members, receipt: Option<Value>, credits: Option<Value>, is_ours: bool) {
    let written = members.get("_meta").and_then(|meta| serde_json::from_str::<Map<String, Value>>(meta.get()).ok());
    let mut meta = written.unwrap_or_default();
    meta.remove(RECEIPT);
    meta.remove(CREDITS);
    if !is_ours {
        meta.remove(ERROR);
    }
    meta.extend(receipt.map(|receipt| (RECEIPT.to_owned(), receipt)));
    meta.extend(credits.map(|credits| (CREDITS.to_owned(), credits)));
    if meta.is_empty() {
        members.remove("_meta");
    } else if let Some(meta) = raw(&meta) {
        members.insert("_meta".to_owned(), meta);
    }
}

/// A whole answer, as text.
#[must_use]
pub fn message(id: &Value, result: &Members) -> String {
    let result = serde_json::to_string(result).unwrap_or_else(|_| "{}".to_owned());
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// A JSON-RPC error of a server's, with the receipt if its call was paid for all the same.
#[must_use]
pub fn failed(id: &Value, mut error: Value, receipt: Option<Value>) -> String {
    if let Some(receipt) = receipt {
        let mut data = match error.get("data") {
            Some(Value::Object(data)) => data.clone(),
            Some(other) => Map::from_iter([("data".to_owned(), other.clone())]),
            None => Map::new(),
        };
        data.insert(RECEIPT.to_owned(), receipt);
        put(&mut error, "data", data);
    }
    json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string()
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
    fn a_refusal_is_in_the_structure_the_text_and_the_meta() {
        let price = json!({
            "x402Version": 2, "error": "Payment required", "accepts": [{ "amount": "1" }], "detail": "Größe",
            "resource": { "url": "mcp://tool/x", "description": "Über \u{1f4b8}", "mimeType": "a/b" },
            "extensions": { "bazaar": { "info": "é" }, "payment-identifier": {} },
        });
        let mut refused = members(refusal(&price));
        note(&mut refused, None, None, true);
        let read: Value = serde_json::from_str(&message(&json!(1), &refused)).unwrap();
        let result = &read["result"];
        assert_eq!(result["structuredContent"], price);
        assert_eq!(serde_json::from_str::<Value>(result["content"][0]["text"].as_str().unwrap()).unwrap(), price);
        let error = &result["_meta"][ERROR];
        assert_eq!((&error["accepts"], &error["x402Version"]), (&price["accepts"], &json!(2)));
        // What is echoed can be written by `btoa`.
        assert_eq!(error["resource"], json!({ "url": "mcp://tool/x", "mimeType": "a/b" }));
        assert_eq!(error["extensions"], json!({ "payment-identifier": {} }));
    }

    #[test]
    fn an_origins_receipt_is_none_and_ours_is_told_whatever_came_of_it() {
        let theirs = r#"{"_meta":{"x402/payment-response":{"success":true},"x402/error":{"accepts":[{}]},"a":1},"n":123456789012345678901234567890}"#;
        let noted = |receipt: Option<Value>| {
            let mut members: Members = serde_json::from_str(theirs).unwrap();
            note(&mut members, receipt, None, false);
            message(&json!(7), &members)
        };
        let wanted = r#"{"jsonrpc":"2.0","id":7,"result":{"_meta":{"a":1},"n":123456789012345678901234567890}}"#;
        assert_eq!(noted(None), wanted);
        assert!(noted(Some(json!({ "success": true }))).contains(r#""x402/payment-response":{"success":true}"#));
        let told = |error: Value| failed(&json!(7), error, Some(json!({ "success": true })));
        assert!(told(json!({ "code": -1, "data": 5 })).contains(r#""data":{"data":5,"x402/payment-response""#));
        assert!(told(json!({ "code": -1 })).contains(r#""data":{"x402/payment-response""#));
    }
}
