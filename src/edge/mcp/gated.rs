//! The gate before an MCP server of the origin's: listing is free, and of the messages only `tools/call` can cost.

use super::super::gateway::Visit;
use super::super::origin::names;
use super::super::replay::Unread;
use super::super::upload::Upload;
use super::super::{random, respond, upload};
use super::{Called, MOST_MESSAGE, ToolSale, content_of, facts_of, listing, read, rpc_error, sell};
use crate::config::{ToolPrice, Tools};
use crate::gate::Decision;
use crate::http::path::CanonicalPath;
use crate::http::problem::Code;
use crate::mcp::answer;
use crate::mcp::call::{self, NoCall};
use crate::mcp::message::{self, CALL, LIST, Message};
use alloy_primitives::hex;
use js_sys::Uint8Array;
use serde_json::Value;
use web_sys::{Headers, Request, RequestInit, Response};
use worker::Result;

/// By which a client asks a server to say again what a stream has said: also the result of a call that was not paid in the
/// end, which we have held back and the server has not.
const RESUMES: &str = "last-event-id";

pub(super) async fn answer(visit: &Visit<'_>, tools: &Tools, path: &CanonicalPath) -> Result<Response> {
    match not_resuming(visit.request)? {
        Some(request) => gated(&Visit { request: &request, ..*visit }, tools, path).await,
        None => gated(visit, tools, path).await,
    }
}

/// The request without what resumes a stream, where it has that.
fn not_resuming(request: &Request) -> Result<Option<Request>> {
    let headers = Headers::new_with_headers(&request.headers())?;
    let resuming = named(&headers, RESUMES);
    if resuming.is_empty() {
        return Ok(None);
    }
    for name in resuming {
        headers.delete(&name)?;
    }
    let init = RequestInit::new();
    init.set_headers(&headers);
    Ok(Some(Request::new_with_request_and_init(request, &init)?))
}

/// Elsewhere than at the server's path, where it may take messages or may be something else: what is no message passes.
pub(super) async fn elsewhere(visit: &Visit<'_>, tools: &Tools, path: &CanonicalPath) -> Result<Response> {
    let Some(body) = visit.request.body() else {
        let request = not_resuming(visit.request)?;
        return Visit { request: request.as_ref().unwrap_or(visit.request), ..*visit }
            .unpriced(Decision::PassThrough)
            .await;
    };
    // It would have to be made anew once it was read, and no GET can be with a body.
    if matches!(visit.facts.method.as_str(), "GET" | "HEAD") {
        return rpc_refusal("a GET has no body here: its operator lets it through by naming the path as free");
    }
    let read = upload::read(body, MOST_MESSAGE).await;
    let Upload { bytes, held: mut room } = match read.and_then(|mut upload| upload.times(2).map(|()| upload)) {
        Ok(upload) => upload,
        Err(Unread::NoRoom) => return respond::problem(&Code::Overloaded.into(), Vec::new()),
        Err(_) => {
            return rpc_refusal(
                "the body broke off, is too slow, or is over 1 MiB: its operator lets it through by naming the path as free",
            );
        }
    };
    // Of any type: a server may not care what its messages are called.
    let kind = visit.request.headers().get("content-type")?.unwrap_or_default();
    let plain = visit.request.headers().get("content-encoding")?.is_none() && message::is_ascii_at_heart(&kind);
    if plain && message::is_no_call(&bytes) {
        return pass(visit, &bytes).await;
    }
    let init = RequestInit::new();
    init.set_method(&visit.facts.method);
    init.set_headers(&visit.request.headers());
    init.set_signal(Some(&visit.request.signal()));
    init.set_body(&Uint8Array::from(bytes.as_slice()));
    // What is left of it is the runtime's copy, which is read anew.
    let _ = room.resize(bytes.len());
    drop(bytes);
    let again = Request::new_with_str_and_init(&format!("{}{}", visit.facts.base, visit.facts.target()), &init)?;
    answer(&Visit { request: &again, ..*visit }, tools, path).await
}

async fn gated(visit: &Visit<'_>, tools: &Tools, path: &CanonicalPath) -> Result<Response> {
    if let Some(method) = &visit.facts.preflight_for {
        let wanted = visit.request.headers().get("access-control-request-headers")?;
        return respond::preflight(method, wanted.as_deref());
    }
    match visit.facts.method.as_str() {
        // Streams from the server, and the end of a session: no message goes to the origin by them.
        "GET" | "HEAD" | "DELETE" if carries_a_message(visit)? => {
            return rpc_refusal(
                "messages are sent by POST: neither as the body of another method nor over a WebSocket",
            );
        }
        "GET" | "HEAD" | "DELETE" => return visit.unpriced(Decision::PassThrough).await,
        "POST" => {}
        // An origin that takes messages by another method would take them past the gate.
        _ => return respond::method_not_allowed("GET, POST, DELETE"),
    }
    let (Upload { bytes, held: _held }, message) = match read(visit).await {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    let headers = visit.request.headers();
    let said = |name: &str| named(&headers, name).into_iter().filter_map(|name| headers.get(&name).ok().flatten());
    let as_said = said("mcp-method").all(|method| message.is_as_said(Some(&method), None))
        && said("mcp-name").all(|name| message.is_as_said(None, Some(&name)));
    if !as_said {
        return rpc_refusal("Mcp-Method and Mcp-Name say something else than the message");
    }
    let id = match message {
        Message::Request { id, method, params } if method == CALL => {
            // A tree of values is many times its text, and the sale may take a minute.
            drop(params);
            id
        }
        Message::Request { id, method, .. } if method == LIST => {
            return listing::passed(visit, tools, &bytes, &id).await;
        }
        _ => return pass(visit, &bytes).await,
    };
    let route = visit.route();
    let no_call = |error: NoCall| rpc_error(&route, &id, -32_602, error.message());
    let tool = match call::read(&bytes) {
        Ok(tool) => tool,
        Err(error) => return no_call(error),
    };
    match tools.price(&tool.name, visit.config.unrouted) {
        ToolPrice::Unknown => rpc_error(&route, &id, -32_602, "there is no such tool"),
        ToolPrice::Free => match call::for_origin(&bytes, None) {
            Some(forwarded) => pass(visit, forwarded.as_bytes()).await,
            None => no_call(NoCall::Parameters),
        },
        // Its result could be fetched by other messages, which cost nothing.
        ToolPrice::Priced(_) if tool.is_task => {
            rpc_error(&route, &id, -32_602, "a tool that costs something is not called as a task")
        }
        ToolPrice::Priced(terms) => {
            let content = content_of(&tool);
            let own = Value::from(hex::encode(random::<16>()?));
            let Some(forwarded) = call::for_origin(&bytes, Some(&own)) else {
                return no_call(NoCall::Parameters);
            };
            let sale = ToolSale {
                called: Called::Server(own),
                body: Some(Uint8Array::from(forwarded.as_bytes())),
                content: &content,
            };
            let facts = facts_of(visit.facts, &tool);
            sell(&Visit { facts: &facts, tool: Some(&sale), ..*visit }, &id, terms, path).await
        }
    }
}

/// The headers of this name, in any spelling: CGI and its heirs make `_` and `-` one.
fn named(headers: &Headers, wanted: &str) -> Vec<String> {
    names(headers).into_iter().filter(|name| name.replace('_', "-") == wanted).collect()
}

/// What an origin would take for a message, and what we have not read.
fn carries_a_message(visit: &Visit<'_>) -> Result<bool> {
    let headers = visit.request.headers();
    let length = headers.get("content-length")?.is_some_and(|length| length.trim() != "0");
    Ok(length || visit.request.body().is_some() || headers.has("transfer-encoding")? || headers.has("upgrade")?)
}

fn rpc_refusal(message: &str) -> Result<Response> {
    respond::json(400, &answer::error(&Value::Null, -32_600, message))
}

pub(super) async fn pass(visit: &Visit<'_>, body: &[u8]) -> Result<Response> {
    let target = visit.facts.target();
    visit.pass_through(&target, Some(Uint8Array::from(body))).await
}
