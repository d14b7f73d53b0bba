//! The answer to one message, as a server gives it: as JSON, or last in a stream of events.

use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What became of a call at a server of the origin's, as JSON that stays as it was written: held as a tree, a large answer
/// would be more than an isolate has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A result that is worth its price.
    Result(String),
    /// A result that says it failed: `isError`.
    Failed(String),
    /// A JSON-RPC error.
    Error(String),
}

/// The answer with this id in a body of this type; nothing where it is not there.
#[must_use]
pub fn outcome(content_type: &str, body: &str, id: &Value) -> Option<Outcome> {
    if is_stream(content_type) {
        return events(body).iter().find_map(|data| answer(data, id));
    }
    answer(body, id)
}

/// Whether a body of this type is a stream of events.
#[must_use]
pub fn is_stream(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
}

fn answer(text: &str, id: &Value) -> Option<Outcome> {
    let message: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let own: Value = serde_json::from_str(message.get("id")?.get()).ok()?;
    if own != *id {
        return None;
    }
    if let Some(error) = message.get("error") {
        return Some(Outcome::Error(error.get().to_owned()));
    }
    let result = message.get("result")?.get();
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(result).ok()?;
    // Whatever is not plainly a success is not charged: nor is a question back, which is no answer yet (the drafts after
    // 2025-11-25), or a call would be paid for once for each.
    let complete = members.get("resultType").is_none_or(|kind| kind.get() == "\"complete\"");
    if !complete || members.contains_key("inputRequests") {
        return Some(Outcome::Failed(result.to_owned()));
    }
    match members.get("isError").map(|value| value.get()) {
        None | Some("false") => Some(Outcome::Result(result.to_owned())),
        Some(_) => Some(Outcome::Failed(result.to_owned())),
    }
}

/// The data of each event of a stream (WHATWG HTML, 9.2.6).
fn events(text: &str) -> Vec<String> {
    plain(text).split("\n\n").filter_map(data).collect()
}

/// A stream's text with one kind of line ends, and without the mark that may begin it.
pub(super) fn plain(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n")
}

/// The data of one event; nothing where it has none.
pub(super) fn data(event: &str) -> Option<String> {
    let data: Vec<&str> = event
        .lines()
        .filter_map(of_data)
        .filter_map(|rest| rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("")))
        .map(|value| value.strip_prefix(' ').unwrap_or(value))
        .collect();
    (!data.is_empty()).then(|| data.join("\n"))
}

/// The same event with other data, which ends it: its other lines stay.
pub(super) fn with_data(event: &str, data: &str) -> String {
    let lines = event.lines().filter(|line| of_data(line).is_none()).map(ToOwned::to_owned);
    lines.chain(data.lines().map(|line| format!("data: {line}"))).collect::<Vec<_>>().join("\n")
}

fn of_data(line: &str) -> Option<&str> {
    line.strip_prefix("data").filter(|rest| rest.is_empty() || rest.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(kind: &str, body: &str) -> Option<Outcome> {
        outcome(kind, body, &json!(7))
    }

    #[test]
    fn the_answer_is_found_in_both_forms() {
        let message = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#;
        let wanted = Some(Outcome::Result(r#"{"content":[]}"#.into()));
        assert_eq!(of("application/json; charset=utf-8", message), wanted);
        let note = r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#;
        // A line break of the data is one of the JSON's own, between two of its words.
        let (head, tail) = message.split_at(message.find(",\"result").unwrap());
        for stream in [
            format!("event: message\ndata: {note}\n\nid: 1\ndata: {message}\n\n"),
            format!(":\r\n\r\ndata:{message}\r\n\r\n"),
            format!("data: {head}\ndata: {tail}\n\n"),
        ] {
            assert_eq!(of("text/event-stream", &stream), wanted, "{stream}");
        }
    }

    #[test]
    fn what_is_no_success_is_not_charged_for() {
        let json = "application/json";
        assert!(matches!(of(json, r#"{"id":7,"error":{"code":-1}}"#), Some(Outcome::Error(_))));
        assert!(matches!(of(json, r#"{"id":7,"result":{},"error":null}"#), Some(Outcome::Error(_))));
        assert!(matches!(of(json, r#"{"id":7,"result":{"isError":true}}"#), Some(Outcome::Failed(_))));
        assert!(matches!(of(json, r#"{"id":7,"result":{"isError":"no"}}"#), Some(Outcome::Failed(_))));
        assert!(matches!(of(json, r#"{"id":7,"result":{"resultType":"input_required"}}"#), Some(Outcome::Failed(_))));
        assert!(matches!(of(json, r#"{"id":7,"result":{"inputRequests":{}}}"#), Some(Outcome::Failed(_))));
        assert!(matches!(of(json, r#"{"id":7,"result":{"resultType":"complete"}}"#), Some(Outcome::Result(_))));
        for none in
            [r#"{"id":8,"result":{}}"#, r#"{"id":"7","result":{}}"#, r#"{"id":7}"#, r#"{"id":7,"result":1}"#, "", "[]"]
        {
            assert_eq!(of(json, none), None, "{none}");
        }
        assert_eq!(of("text/event-stream", "data: {\"id\":8,\"result\":{}}\n\n"), None);
    }
}
