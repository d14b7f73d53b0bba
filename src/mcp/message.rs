//! A JSON-RPC message, read strictly: what has two readings here and at the origin would be priced as one thing and done as
//! another.

use crate::http::tolerant::{fold, is_within, letters};
use crate::strict_json;
use percent_encoding::percent_decode;
use serde_json::{Value, json};
use std::borrow::Cow;

/// What a client sends.
#[derive(Debug)]
pub enum Message {
    /// It wants an answer.
    Request {
        /// A text or a number, as it was written.
        id: Value,
        /// Which.
        method: String,
        /// With what.
        params: Value,
    },
    /// It wants none: a notification, or an answer to the server.
    Other {
        /// The notification's.
        method: Option<String>,
    },
}

impl Message {
    /// Whether headers that say what is in a message (`Mcp-Method`, `Mcp-Name`; intermediaries route by them) say the same.
    #[must_use]
    pub fn is_as_said(&self, method: Option<&str>, name: Option<&str>) -> bool {
        let (own, params) = match self {
            Self::Request { method, params, .. } => (Some(method.as_str()), Some(params)),
            Self::Other { method } => (method.as_deref(), None),
        };
        let named = |key: &str| params.and_then(|params| params.get(key)?.as_str());
        // A call is of its `name`; what else it may hold is none.
        let keys: &[&str] = if own == Some(CALL) { &["name"] } else { &["name", "uri", "taskId"] };
        method.is_none_or(|said| Some(said) == own)
            && name.is_none_or(|said| keys.iter().any(|key| named(key) == Some(said)))
    }
}

/// Whether a body of this type is JSON in UTF-8.
#[must_use]
pub fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return true };
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json") && is_utf8(content_type)
}

/// Whether a body of this type says of itself nothing else than UTF-8: some servers decode whatever charset they are told.
#[must_use]
pub fn is_utf8(content_type: &str) -> bool {
    charsets(content_type).all(|charset| matches!(charset.as_str(), "utf-8" | "utf8"))
}

/// Whether a body of this type says of itself no charset in which a brace is another byte than in ASCII.
#[must_use]
pub fn is_ascii_at_heart(content_type: &str) -> bool {
    charsets(content_type).all(|charset| {
        ["utf-8", "utf8", "ascii", "us-ascii", "latin1"].contains(&charset.as_str())
            || ["iso-8859-", "windows-125"].iter().any(|family| charset.starts_with(family))
    })
}

fn charsets(content_type: &str) -> impl Iterator<Item = String> {
    let parts = content_type.split(';').skip(1).filter_map(|part| part.split_once('='));
    let named = parts.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    named.map(|(_, value)| value.trim().trim_matches('"').to_ascii_lowercase())
}

/// Whether every key is one of these or nothing like one: to some parsers (Go's) `Method` is `method`, and the last one wins.
pub(super) fn has_plain_keys<'a>(mut keys: impl Iterator<Item = &'a String>, known: &[&str]) -> bool {
    keys.all(|key| known.contains(&key.as_str()) || !known.contains(&fold(key).as_str()))
}

/// Why bytes are no message, as JSON-RPC counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMessage {
    /// Not JSON, or JSON with two readings.
    Syntax,
    /// A batch: one message is one call, and one payment.
    Batch,
    /// JSON, and no message.
    Malformed,
    /// More values than are read.
    Large,
}

impl NoMessage {
    /// The answer to it.
    #[must_use]
    pub fn error(self) -> Value {
        let (code, message) = match self {
            Self::Syntax => (-32_700, "the body is not JSON, or has a key twice"),
            Self::Batch => (-32_600, "send one message at a time"),
            Self::Malformed => (-32_600, "the body is not a JSON-RPC 2.0 message"),
            Self::Large => (-32_600, "the message has over 50,000 values"),
        };
        json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } })
    }
}

/// Reads one message.
///
/// # Errors
/// [`NoMessage`].
pub fn read(bytes: &[u8]) -> Result<Message, NoMessage> {
    if is_large(bytes) {
        return Err(NoMessage::Large);
    }
    let message = match strict_json::parse(bytes).map_err(|_| NoMessage::Syntax)? {
        Value::Object(message) => message,
        Value::Array(_) => return Err(NoMessage::Batch),
        _ => return Err(NoMessage::Malformed),
    };
    if message.get("jsonrpc").is_none_or(|version| version != "2.0") {
        return Err(NoMessage::Malformed);
    }
    if !has_plain_keys(message.keys(), &["jsonrpc", "id", "method", "params", "result", "error"]) {
        return Err(NoMessage::Malformed);
    }
    let params = message.get("params").cloned().unwrap_or_default();
    // What a tolerant server would trim or fold to a call would be a call that nobody charges.
    if message.get("method").and_then(Value::as_str).is_some_and(|method| method != CALL && is_alike(method)) {
        return Err(NoMessage::Malformed);
    }
    match (message.get("method"), message.get("id")) {
        (Some(Value::String(method)), Some(id @ (Value::String(_) | Value::Number(_)))) => {
            Ok(Message::Request { id: id.clone(), method: method.clone(), params })
        }
        // A call that wants no answer would be a call that nobody charges.
        (Some(Value::String(method)), None) if method != CALL => Ok(Message::Other { method: Some(method.clone()) }),
        (None, Some(_)) if message.contains_key("result") || message.contains_key("error") => {
            Ok(Message::Other { method: None })
        }
        _ => Err(NoMessage::Malformed),
    }
}

/// Whether nobody would take bytes for a call of a tool, or for several: the name of that method is not in them, in whatever
/// dress, or they are JSON in which what is called `method`, in any case, is another one.
#[must_use]
pub fn is_no_call(bytes: &[u8]) -> bool {
    if !may_name_a_call(bytes) {
        return true;
    }
    let plain = |value: &Value| match value {
        Value::Object(members) => {
            let mut methods = members.iter().filter(|(key, _)| fold(key) == "method");
            methods.all(|(_, method)| !method.as_str().is_some_and(is_alike))
        }
        _ => true,
    };
    match if is_large(bytes) { None } else { strict_json::parse(bytes).ok() } {
        Some(Value::Array(items)) => items.iter().all(plain),
        Some(value) => plain(&value),
        None => false,
    }
}

/// Whether a parser of JSON or of forms, tolerant of whatever stands before it, might read the method's name in it.
fn may_name_a_call(bytes: &[u8]) -> bool {
    // UTF-16 is ASCII with zeros.
    let bytes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let unescaped: Cow<'_, [u8]> = percent_decode(&bytes).into();
    is_named_in(&bytes) || (unescaped != bytes && is_named_in(&unescaped))
}

fn is_named_in(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split("\\u");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        match code {
            Some(character) => {
                plain.push(character);
                plain.push_str(part.get(4..).unwrap_or_default());
            }
            None => plain.push_str(part),
        }
    }
    is_within(CALL, &plain)
}

/// The method by which a tool is called.
pub const CALL: &str = "tools/call";
/// The method by which tools are listed.
pub const LIST: &str = "tools/list";

fn is_alike(method: &str) -> bool {
    letters(method) == letters(CALL)
}

/// So many values a message has at most: each takes a hundred times its bytes once it is read, and an isolate has room for
/// little more than one such megabyte.
const MOST_VALUES: usize = 50_000;

fn is_large(bytes: &[u8]) -> bool {
    bytes.iter().filter(|byte| matches!(byte, b'{' | b'[' | b',')).count() > MOST_VALUES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_strictly() {
        let is = |text: &str| match read(text.as_bytes()) {
            Ok(Message::Request { id, method, .. }) => format!("{id} {method}"),
            Ok(Message::Other { .. }) => "other".into(),
            Err(error) => format!("{error:?}"),
        };
        for (text, wanted) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "1 ping"),
            (r#"{"jsonrpc":"2.0","id":"a","method":"tools/call"}"#, "\"a\" tools/call"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools\/call"}"#, "1 tools/call"),
            (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "other"),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "other"),
            (r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}"#, "Malformed"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"tools/call"}"#, "Malformed"),
            (r#"{"id":1,"method":"ping"}"#, "Malformed"),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "Batch"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, "Syntax"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#, "Malformed"),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"param\u{17f}\":{}}", "Malformed"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{}"#, "Syntax"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"Tools/Call"}"#, "Malformed"),
            (r#"{"jsonrpc":"2.0","id":1,"method":" tools//call\u0000"}"#, "Malformed"),
            (r#"{"jsonrpc":"2.0","method":"tools.call"}"#, "Malformed"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/caller"}"#, "1 tools/caller"),
            ("\u{feff}{}", "Syntax"),
            ("7", "Malformed"),
        ] {
            assert_eq!(is(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_nobody_takes_for_a_call_is_told_from_one() {
        for none in [
            r#"{"topic":"x"}"#,
            r#"{"method":"card"}"#,
            r#"{"method":{"code":"dhl"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
            r#"{"method":"card","note":"as in tools/call"}"#,
            r#"{"a":1,"a":2}"#,
            "{",
            "[]",
            r#"[{"a":1},7]"#,
            "",
            "a=1&method=tools/list",
            "--b\r\n{",
        ] {
            assert!(is_no_call(none.as_bytes()), "{none}");
        }
        for call in [
            r#"{"method":"tools/call"}"#,
            r#"{"Method":"Tools/Call "}"#,
            r#"[{"a":1},{"m\u0065thod":"tools\/call"}]"#,
            r#"{"method":"\u0074ools/call"}"#,
            r#"{"method":"card","METHOD":"tools/call"}"#,
            r#"{"method":"card","method":"tools/call"}"#,
            "\u{feff} {\"method\":\"tools/call\"}",
            "/**/{\"method\":\"tools/call\"}",
            ")]}'\n{\"method\":\"tool\u{17f}/call\"}",
            "{\"method\":\"\u{ff54}ools/c\u{200b}all\"}",
            "method=%EF%BD%94ools/call",
            "\u{3000}{\"method\":\"tools/call\"}",
            "jsonrpc=2.0&id=1&method=tools/call&params[name]=search",
            "method=%74ools%2Fcall",
            "payload=%7B%22method%22%3A%22%5Cu0074ools%2Fcall%22%7D",
        ] {
            assert!(!is_no_call(call.as_bytes()), "{call}");
        }
        // UTF-16, in either order, with its mark and without.
        let wide = |text: &str, first: usize| -> Vec<u8> {
            text.bytes().flat_map(|byte| if first == 0 { [0, byte] } else { [byte, 0] }).collect()
        };
        let call = r#"{"method":"tools/call"}"#;
        assert!(!is_no_call(&wide(call, 0)) && !is_no_call(&wide(call, 1)));
        assert!(!is_no_call(&[&b"\xFE\xFF"[..], &wide(call, 0)].concat()));
        let many = format!("[{}{{\"method\":\"tools/list\"}},\"tools/call\"]", "{},".repeat(MOST_VALUES));
        assert!(!is_no_call(many.as_bytes()) && matches!(read(many.as_bytes()), Err(NoMessage::Large)));
    }

    #[test]
    fn headers_must_say_what_the_message_says() {
        let said = |text: &str, method, name| read(text.as_bytes()).unwrap().is_as_said(method, name);
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#;
        assert!(said(call, None, None) && said(call, Some("tools/call"), Some("x")));
        assert!(!said(call, Some("ping"), None) && !said(call, None, Some("y")));
        let two = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","uri":"y"}}"#;
        assert!(said(two, None, Some("x")) && !said(two, None, Some("y")));
        let note = r#"{"jsonrpc":"2.0","method":"notifications/a"}"#;
        assert!(said(note, Some("notifications/a"), None) && !said(note, None, Some("x")));
        assert!(is_json(None) && is_json(Some("application/json; charset=\"UTF-8\"")));
        for other in
            ["text/plain", "application/json; charset=utf-7", "application/json;charset=utf-8; Charset=utf-16", ""]
        {
            assert!(!is_json(Some(other)), "{other}");
        }
        assert!(is_ascii_at_heart("text/plain;charset=ISO-8859-1") && is_ascii_at_heart("a/b"));
        assert!(!is_ascii_at_heart("text/plain;charset=utf-7") && !is_ascii_at_heart("a/b; Charset=\"cp037\""));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64), text in ".{0,64}") {
            let _ = (read(&bytes), read(text.as_bytes()));
        }
    }
}
