//! A call of a tool: what it names, what it pays with, and the message as the origin gets it.

use super::PAYMENT;
use super::message::has_plain_keys;
use crate::strict_json;
use crate::x402::{BASE64, encode_header_text};
use base64::Engine;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A call of a tool.
#[derive(Debug)]
pub struct ToolCall {
    /// Which.
    pub name: String,
    /// With what; numbers as they were written.
    pub arguments: BTreeMap<String, Box<RawValue>>,
    /// What it pays with.
    pub payment: Option<Sent>,
    /// Whether its result is to be fetched later (revision 2025-11-25, tasks).
    pub is_task: bool,
}

/// A payment in a call's `_meta`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// As the value of a payment header.
    pub header: String,
    /// Whether it is of version 1.
    pub is_v1: bool,
}

/// Why a message's parameters are no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCall {
    /// They are no parameters of a tool's call.
    Parameters,
    /// `_meta["x402/payment"]` is neither an object nor a string.
    PaymentType,
    /// `_meta["x402/payment"]` is a string, and not base64.
    PaymentNotBase64,
    /// `_meta["x402/payment"]` is a string that holds no JSON object, or one with a key twice.
    PaymentNotJson,
}

impl NoCall {
    /// What its caller is told. It names the field.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Parameters => "these are no parameters of a tool's call",
            Self::PaymentType => {
                "_meta[\"x402/payment\"] is neither a PaymentPayload object nor a string that holds one"
            }
            Self::PaymentNotBase64 => {
                "_meta[\"x402/payment\"] is a string, and neither JSON nor base64 (standard alphabet, padded)"
            }
            Self::PaymentNotJson => {
                "_meta[\"x402/payment\"] is a string that does not hold one JSON object in UTF-8 with every key once"
            }
        }
    }
}

#[derive(Deserialize)]
struct Params {
    name: String,
    #[serde(default)]
    arguments: Option<BTreeMap<String, Box<RawValue>>>,
    #[serde(default, rename = "_meta")]
    meta: Option<BTreeMap<String, Box<RawValue>>>,
    #[serde(default)]
    task: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct WithParams {
    params: Box<RawValue>,
}

/// Reads the call in a message that [`super::message::read`] has found to be one.
///
/// # Errors
/// [`NoCall`].
pub fn read(bytes: &[u8]) -> Result<ToolCall, NoCall> {
    let Params { name, arguments, meta, task } = params(bytes).ok_or(NoCall::Parameters)?;
    let payment = match meta.as_ref().and_then(|meta| meta.get(PAYMENT)) {
        None => None,
        Some(raw) => sent(raw.get())?,
    };
    Ok(ToolCall { name, arguments: arguments.unwrap_or_default(), payment, is_task: task.is_some() })
}

fn params(bytes: &[u8]) -> Option<Params> {
    let params = serde_json::from_slice::<WithParams>(bytes).ok()?.params;
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(params.get()).ok()?;
    if !has_plain_keys(members.keys(), &["name", "arguments", "_meta", "task"]) {
        return None;
    }
    let params: Params = serde_json::from_str(params.get()).ok()?;
    let named = !params.name.is_empty() && params.name.len() <= 128 && !params.name.chars().any(char::is_control);
    named.then_some(params)
}

/// The payment as clients write it: as the object that the x402 transport asks for, or (Cloudflare's `agents`, Vercel's
/// `x402-mcp`) as the base64 text of a payment header. What it holds is judged where a header is.
fn sent(raw: &str) -> Result<Option<Sent>, NoCall> {
    let header = match serde_json::from_str(raw).map_err(|_| NoCall::PaymentType)? {
        Value::Null => return Ok(None),
        Value::Object(_) => encode_header_text(raw),
        Value::String(text) if text.starts_with('{') => encode_header_text(&text),
        Value::String(text) => text,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => return Err(NoCall::PaymentType),
    };
    let bytes = BASE64.decode(&header).map_err(|_| NoCall::PaymentNotBase64)?;
    match strict_json::parse(&bytes) {
        Ok(Value::Object(payment)) => {
            let is_v1 = payment.get("x402Version").and_then(Value::as_u64) == Some(1);
            Ok(Some(Sent { header, is_v1 }))
        }
        _ => Err(NoCall::PaymentNotJson),
    }
}

/// The message without its payment, under another id where one is given: all else as it was written.
///
/// What was paid with is nobody's but ours. And a priced call goes under an id that nobody else knows: servers send an answer
/// to whoever used its id last, and a free message under the same one would carry the answer out past the gate.
#[must_use]
pub fn for_origin(bytes: &[u8], id: Option<&Value>) -> Option<String> {
    type Members = BTreeMap<String, Box<RawValue>>;
    let mut message: Members = serde_json::from_slice(bytes).ok()?;
    let mut params: Members = serde_json::from_str(message.get("params")?.get()).ok()?;
    if let Some(meta) = params.get("_meta") {
        let mut meta: Members = serde_json::from_str(meta.get()).ok()?;
        meta.remove(PAYMENT);
        if meta.is_empty() {
            params.remove("_meta");
        } else {
            params.insert("_meta".to_owned(), raw(&meta)?);
        }
    }
    message.insert("params".to_owned(), raw(&params)?);
    if let Some(id) = id {
        message.insert("id".to_owned(), RawValue::from_string(id.to_string()).ok()?);
    }
    serde_json::to_string(&message).ok()
}

fn raw(members: &BTreeMap<String, Box<RawValue>>) -> Option<Box<RawValue>> {
    RawValue::from_string(serde_json::to_string(members).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call_of(params: &str) -> Result<ToolCall, NoCall> {
        read(format!(r#"{{"params":{params}}}"#).as_bytes())
    }

    #[test]
    fn the_payment_is_taken_out_and_all_else_stays_as_it_was_written() {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"n":123456789012345678901234567890,"m":1.10},"_meta":{"x402/payment":{"x402Version":2,"v":1e3},"progressToken":7}}}"#;
        let read = read(text.as_bytes()).unwrap();
        assert_eq!((read.name.as_str(), read.arguments["n"].get()), ("x", "123456789012345678901234567890"));
        let payment = Sent { header: encode_header_text(r#"{"x402Version":2,"v":1e3}"#), is_v1: false };
        assert_eq!(read.payment, Some(payment));
        let left = for_origin(text.as_bytes(), None).unwrap();
        assert!(!left.contains("x402") && left.contains("progressToken"), "{left}");
        assert!(left.contains("123456789012345678901234567890") && left.contains("1.10"), "{left}");
        assert!(left.contains(r#""id":1,"#), "{left}");
        let renamed = for_origin(text.as_bytes(), Some(&json!("ours"))).unwrap();
        assert!(renamed.contains(r#""id":"ours""#) && !renamed.contains(r#""id":1"#), "{renamed}");
    }

    #[test]
    fn what_is_no_call_is_none() {
        let call_of = |params: &str| call_of(params).is_ok();
        assert!(call_of(r#"{"name":"x"}"#) && call_of(r#"{"name":"x","arguments":null}"#));
        for bad in [
            "{}",
            r#"{"name":7}"#,
            r#"{"name":""}"#,
            r#"{"name":"a\nb"}"#,
            r#"{"name":"x","arguments":[]}"#,
            r#"{"name":"x","_meta":[]}"#,
            r#"{"name":"x","Name":"y"}"#,
        ] {
            assert!(!call_of(bad), "{bad}");
        }
    }

    #[test]
    fn a_payment_is_read_as_an_object_as_json_and_as_base64() {
        let payment = |value: Value| call_of(&json!({ "name": "x", "_meta": { PAYMENT: value } }).to_string());
        let text = r#"{"x402Version":2,"v":1}"#;
        let header = encode_header_text(text);
        let first = encode_header_text(r#"{"x402Version":1}"#);
        for written in [serde_json::from_str(text).unwrap(), json!(text), json!(header)] {
            let sent = payment(written.clone()).unwrap().payment.unwrap();
            assert!(!sent.is_v1, "{written}");
        }
        assert_eq!(payment(json!(header)).unwrap().payment, Some(Sent { header: header.clone(), is_v1: false }));
        assert_eq!(payment(json!(&first)).unwrap().payment, Some(Sent { header: first, is_v1: true }));
        assert_eq!(payment(Value::Null).unwrap().payment, None);
        let unpadded = header.trim_end_matches('=').to_owned();
        assert_ne!(unpadded, header);
        for (written, why) in [
            (json!([header]), NoCall::PaymentType),
            (json!(7), NoCall::PaymentType),
            (json!(true), NoCall::PaymentType),
            (json!(""), NoCall::PaymentNotJson),
            (json!(unpadded), NoCall::PaymentNotBase64),
            (json!(format!(" {header}")), NoCall::PaymentNotBase64),
            (json!(format!("{header}\n")), NoCall::PaymentNotBase64),
            (json!("PAYMENT"), NoCall::PaymentNotBase64),
            (json!(encode_header_text("[1]")), NoCall::PaymentNotJson),
            (json!(encode_header_text(r#"{"a":1,"a":2}"#)), NoCall::PaymentNotJson),
            (json!(r#"{"a":1,"a":2}"#), NoCall::PaymentNotJson),
            (json!(BASE64.encode([b'{', 0xff, b'}'])), NoCall::PaymentNotJson),
        ] {
            assert_eq!(payment(written.clone()).unwrap_err(), why, "{written}");
            assert!(why.message().contains("_meta[\"x402/payment\"]"));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64), text in ".{0,64}") {
            let _ = (read(&bytes), for_origin(&bytes, None));
            let _ = (read(text.as_bytes()), for_origin(text.as_bytes(), None), sent(&text));
        }
    }
}
