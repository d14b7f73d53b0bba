//! `tools/list` of the origin's server, with the prices in it: what a tool costs is said where it is chosen, and not only
//! by the refusal of its first call.

use super::schema::or_refusal;
use super::stream;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What becomes of a tool in the list.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// It stays as it is.
    Leave,
    /// It is left out: a call of it is refused as of one that does not exist.
    Remove,
    /// It says what it costs.
    Price {
        /// Behind its description.
        sentence: String,
        /// In its `_meta`.
        meta: Map<String, Value>,
    },
}

type Members = BTreeMap<String, Box<RawValue>>;

/// The body of this type with its tools marked, where it holds a list of tools in the message with this id. All else stays as
/// it was written.
#[must_use]
pub fn listed(content_type: &str, body: &str, id: &Value, mark: impl Fn(&str) -> Mark) -> Option<String> {
    if !stream::is_stream(content_type) {
        return message(body, id, &mark);
    }
    let mut found = false;
    let text = stream::plain(body);
    let events: Vec<String> = text
        .split("\n\n")
        .map(|event| {
            let listed = if found { None } else { stream::data(event).and_then(|data| message(&data, id, &mark)) };
            found |= listed.is_some();
            listed.map_or_else(|| event.to_owned(), |listed| stream::with_data(event, &listed))
        })
        .collect();
    found.then(|| events.join("\n\n"))
}

fn message(text: &str, id: &Value, mark: &impl Fn(&str) -> Mark) -> Option<String> {
    let mut message: Members = serde_json::from_str(text).ok()?;
    if serde_json::from_str::<Value>(message.get("id")?.get()).ok()? != *id {
        return None;
    }
    let mut result: Members = serde_json::from_str(message.get("result")?.get()).ok()?;
    let all: Vec<Box<RawValue>> = serde_json::from_str(result.get("tools")?.get()).ok()?;
    let mut kept = Vec::new();
    for written in all {
        let Some((name, members)) = read(&written) else {
            kept.push(written);
            continue;
        };
        match mark(&name) {
            Mark::Leave => kept.push(written),
            Mark::Remove => {}
            Mark::Price { sentence, meta } => kept.push(priced(members, &sentence, meta)?),
        }
    }
    result.insert("tools".to_owned(), raw(&kept)?);
    message.insert("result".to_owned(), raw(&result)?);
    serde_json::to_string(&message).ok()
}

fn read(tool: &RawValue) -> Option<(String, Members)> {
    let members: Members = serde_json::from_str(tool.get()).ok()?;
    let name = serde_json::from_str(members.get("name")?.get()).ok()?;
    Some((name, members))
}

fn priced(mut tool: Members, sentence: &str, more: Map<String, Value>) -> Option<Box<RawValue>> {
    let said: Option<String> = tool.get("description").and_then(|said| serde_json::from_str(said.get()).ok());
    let said = said.unwrap_or_default();
    let said = match said.trim_end() {
        "" => sentence.to_owned(),
        said if said.ends_with(['.', '!', '?']) => format!("{said} {sentence}"),
        said => format!("{said}. {sentence}"),
    };
    tool.insert("description".to_owned(), raw(&said)?);
    let mut meta: Members =
        tool.get("_meta").and_then(|meta| serde_json::from_str(meta.get()).ok()).unwrap_or_default();
    for (name, value) in more {
        meta.insert(name, raw(&value)?);
    }
    tool.insert("_meta".to_owned(), raw(&meta)?);
    if let Some(schema) = tool.get("outputSchema") {
        let schema = or_refusal(serde_json::from_str(schema.get()).ok()?);
        tool.insert("outputSchema".to_owned(), raw(&schema)?);
    }
    raw(&tool)
}

fn raw(value: &impl serde::Serialize) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mark(name: &str) -> Mark {
        match name {
            "search" => Mark::Price {
                sentence: "Costs $0.01.".to_owned(),
                meta: Map::from_iter([("x402/price".to_owned(), json!("0.01"))]),
            },
            "closed" => Mark::Remove,
            _ => Mark::Leave,
        }
    }

    const LIST: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"_meta":{"a":1},"nextCursor":"p2","tools":[{"name":"search","description":"Finds it","inputSchema":{"maximum":123456789012345678901234567890},"outputSchema":{"type":"object"},"_meta":{"theirs":1.10}},{"name":"closed"},{"name":"free","description":"As it is"},{"title":"no name"},7]}}"#;

    #[test]
    fn a_price_is_added_and_all_else_stays_as_it_was_written() {
        let listed = listed("application/json", LIST, &json!(7), mark).unwrap();
        let body: Value = serde_json::from_str(&listed).unwrap();
        let tools = &body["result"]["tools"];
        assert_eq!(tools[0]["description"], "Finds it. Costs $0.01.");
        assert_eq!(tools[0]["_meta"]["x402/price"], "0.01");
        assert!(listed.contains("123456789012345678901234567890") && listed.contains("1.10"));
        assert_eq!(tools[1], json!({ "name": "free", "description": "As it is" }));
        assert_eq!((&tools[2], &tools[3]), (&json!({ "title": "no name" }), &json!(7)));
        assert_eq!((&body["result"]["nextCursor"], &body["result"]["_meta"]), (&json!("p2"), &json!({ "a": 1 })));
        assert_eq!(tools[0]["outputSchema"]["anyOf"][0], json!({ "type": "object" }));
    }

    #[test]
    fn a_list_in_a_stream_is_marked_and_the_other_events_stay() {
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(LIST).unwrap()).unwrap();
        let pretty = pretty.lines().map(|line| format!("data: {line}")).collect::<Vec<_>>().join("\r\n");
        let note = "event: message\r\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\r\n\r\n";
        for answer in [format!("id: 4\r\n{pretty}\r\n\r\n"), format!("id: 4\r\ndata:{LIST}\r\n\r\n")] {
            let body = format!(": hello\r\n\r\n{note}{answer}{note}");
            let listed = listed("text/event-stream; charset=utf-8", &body, &json!(7), mark).unwrap();
            let events: Vec<&str> = listed.split("\n\n").collect();
            assert_eq!((events[0], events[1]), (": hello", note.trim_end().replace("\r\n", "\n").as_str()));
            assert!(events[2].starts_with("id: 4\ndata: {"), "{}", events[2]);
            let read: Value = serde_json::from_str(&stream::data(events[2]).unwrap()).unwrap();
            assert_eq!(read["result"]["tools"][0]["description"], "Finds it. Costs $0.01.");
            assert_eq!((events[3], events[4]), (events[1], ""));
        }
    }

    #[test]
    fn what_is_no_list_of_this_message_is_left_alone() {
        for (kind, body) in [
            ("application/json", r#"{"jsonrpc":"2.0","id":8,"result":{"tools":[]}}"#),
            ("application/json", r#"{"jsonrpc":"2.0","id":"7","result":{"tools":[]}}"#),
            ("application/json", r#"{"jsonrpc":"2.0","id":7,"error":{"code":-1}}"#),
            ("application/json", r#"{"jsonrpc":"2.0","id":7,"result":{"tools":{}}}"#),
            ("application/json", "<html>"),
            ("text/event-stream", "data: {\"id\":8,\"result\":{\"tools\":[]}}\n\n"),
        ] {
            assert_eq!(listed(kind, body, &json!(7), mark), None, "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,64}") {
            let _ = (listed("text/event-stream", &text, &json!(7), mark), listed("", &text, &json!(7), mark));
        }
    }
}
