//! MCP messages and the answers of an origin's server: never a panic, and a call that is read is the call that is forwarded.
#![no_main]

use edge402::mcp::call;
use edge402::mcp::message::{self, CALL, Message};
use edge402::mcp::stream::outcome;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|input: (&[u8], &str, bool)| {
    let (bytes, answer, streams) = input;
    let kind = if streams { "text/event-stream" } else { "application/json" };
    let _ = outcome(kind, answer, &json!(1));
    let Ok(Message::Request { method, .. }) = message::read(bytes) else { return };
    if method != CALL {
        return;
    }
    if let (Ok(sent), Some(forwarded)) = (call::read(bytes), call::for_origin(bytes, None)) {
        // What the origin gets is the same call, and no payment.
        let again = call::read(forwarded.as_bytes()).expect("it was a call");
        assert_eq!(again.name, sent.name);
        assert!(again.payment.is_none());
        assert_eq!(again.arguments.len(), sent.arguments.len());
    }
});
