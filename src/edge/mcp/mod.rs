//! MCP over HTTP: our own server, which has the priced routes as tools, and the gate before one of the origin's. Both sell
//! by the very steps by which a call over HTTP is sold; only the dress differs.

mod gated;
mod listing;
mod outcome;
mod own;

pub(super) use outcome::outcome;

use super::gateway::Visit;
use super::replay::Unread;
use super::upload::Upload;
use super::{log, replay, respond, upload};
use crate::config::{Document, Place, Terms};
use crate::gate::Facts;
use crate::http::headers::{
    PAYMENT_REQUIRED, PAYMENT_RESPONSE, X_CREDITS_CHARGED, X_CREDITS_REMAINING, X_PAYMENT_RESPONSE,
};
use crate::http::path::CanonicalPath;
use crate::http::problem::Code;
use crate::json::put;
use crate::mcp::answer::{self, Members, OUTCOME};
use crate::mcp::call::{Sent, ToolCall};
use crate::mcp::message::{self, Message};
use alloy_primitives::keccak256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use js_sys::Uint8Array;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use web_sys::Response;
use worker::Result;

/// The longest message that is read.
const MOST_MESSAGE: u32 = 1024 * 1024;
/// An origin's server keeps a session by this header.
const SESSION: &str = "mcp-session-id";

/// How the origin's answer to a tool's call is read.
#[derive(Clone, Debug)]
pub(super) enum Called {
    /// It is an HTTP answer, and becomes a result.
    Route,
    /// It is a message with this id, which is ours alone.
    Server(Value),
}

/// A tool's call on its way to be sold.
pub(super) struct ToolSale<'a> {
    /// How the answer is read.
    pub(super) called: Called,
    /// The body that the origin gets.
    pub(super) body: Option<Uint8Array>,
    /// What a `payment-identifier` stands for: the call without its id and its payment, which differ when it is made again.
    pub(super) content: &'a [u8],
}

/// Answers, if the path is an MCP server's.
pub(super) async fn answer(visit: &Visit<'_>) -> Option<Result<Response>> {
    if let Some(tools) = &visit.config.tools {
        let path = CanonicalPath::new(&visit.facts.path).ok()?;
        match tools.place(&path) {
            Place::Here => return Some(gated::answer(visit, tools, &path).await),
            Place::Doubtful => return Some(respond::problem(&Code::PathNotCanonical.into(), Vec::new())),
            Place::Below | Place::Elsewhere => {}
        }
    }
    let placement = visit.config.discovery.at(&visit.facts.path)?;
    if placement.document != Document::Mcp {
        return None;
    }
    own::answer(visit, placement).await
}

/// Answers what is free, if it may be a message to an MCP server that has prices: what is free is free but for those.
pub(super) async fn passing(visit: &Visit<'_>) -> Option<Result<Response>> {
    let tools = visit.config.tools.as_ref()?;
    let path = CanonicalPath::new(&visit.facts.path).ok()?;
    let route = visit.config.route(&visit.facts.method, &path).ok()?;
    if tools.reaches(&path, route, visit.config.unrouted) {
        Some(gated::elsewhere(visit, tools, &path).await)
    } else {
        None
    }
}

/// A message of at most [`MOST_MESSAGE`] bytes, or the answer to one that is none.
async fn read(visit: &Visit<'_>) -> std::result::Result<(Upload, Message), Result<Response>> {
    let refuse = |error: &Value| Err(respond::json(400, error));
    // Packed, or in other letters, it would be one thing to us and another to the origin.
    let headers = visit.request.headers();
    let packed = headers.get("content-encoding").ok().flatten();
    if packed.is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return refuse(&answer::error(&Value::Null, -32_600, "send the message as it is, without Content-Encoding"));
    }
    if !message::is_json(headers.get("content-type").ok().flatten().as_deref()) {
        return refuse(&answer::error(&Value::Null, -32_600, "send the message as application/json, in UTF-8"));
    }
    let Some(body) = visit.request.body() else {
        return refuse(&message::NoMessage::Syntax.error());
    };
    let read = upload::read(body, MOST_MESSAGE).await;
    // A message is held as it came, as its arguments, as it goes on, and by the runtime.
    let upload = match read.and_then(|mut upload| upload.times(4).map(|()| upload)) {
        Ok(upload) => upload,
        Err(Unread::NoRoom) => return Err(respond::problem(&Code::Overloaded.into(), Vec::new())),
        Err(_) => {
            return refuse(&answer::error(&Value::Null, -32_600, "the message is over 1 MiB, too slow, or broke off"));
        }
    };
    match message::read(&upload.bytes) {
        Ok(message) => Ok((upload, message)),
        Err(error) => refuse(&error.error()),
    }
}

/// What the gate is told of a tool's call: it pays by its `_meta`, or by a key as any request does.
fn facts_of(facts: &Facts, tool: &ToolCall) -> Facts {
    let mut inner = Facts { tool: Some(tool.name.clone()), ..facts.clone() };
    match &tool.payment {
        // One beside it in a header is one too many, and the gate says so.
        Some(Sent { header, is_v1: true }) if inner.x_payment.is_none() => inner.x_payment = Some(header.clone()),
        Some(Sent { header, is_v1: false }) if inner.payment_signature.is_none() => {
            inner.payment_signature = Some(header.clone());
        }
        Some(Sent { header, .. }) => {
            (inner.payment_signature, inner.x_payment) = (Some(header.clone()), Some(header.clone()));
        }
        None => {}
    }
    inner
}

/// What a call is, whoever asks again: its tool and its arguments.
fn content_of(tool: &ToolCall) -> Vec<u8> {
    // As JSON: joined by hand, two calls could be one text. In one order and spacing: who makes a call again may write it anew.
    let value = serde_json::to_value(&tool.arguments).unwrap_or_default();
    let arguments = serde_json::to_string(&value).unwrap_or_default();
    keccak256(format!("{}\n{arguments}", tool.name)).to_vec()
}

/// Sells it, and dresses the answer as the result of the message.
async fn sell(visit: &Visit<'_>, id: &Value, terms: &Terms, path: &CanonicalPath) -> Result<Response> {
    let sold = visit.priced(terms, path, None).await?;
    dressed(id, &sold).await
}

/// The gateway's answer to a call over HTTP, as the answer to a message.
async fn dressed(id: &Value, sold: &Response) -> Result<Response> {
    let headers = sold.headers();
    let header = |name: &str| headers.get(name).ok().flatten();
    let kind = header("content-type").unwrap_or_default();
    let body = match sold.body() {
        // Our own, and in memory: a limit here would lose what is paid for.
        Some(body) => replay::read_up_to(body, u32::MAX, replay::COPY_SECONDS).await,
        None => None,
    };
    let body = body.map(|bytes| bytes.to_vec()).unwrap_or_default();
    let receipt = header(PAYMENT_RESPONSE).or_else(|| header(X_PAYMENT_RESPONSE)).as_deref().and_then(decoded);
    let credits = match (header(X_CREDITS_CHARGED), header(X_CREDITS_REMAINING)) {
        (Some(charged), Some(left)) => Some(json!({ "charged": charged, "remaining": left })),
        _ => None,
    };
    let (mut members, is_ours) = if kind == OUTCOME {
        match serde_json::from_slice::<Sold>(&body) {
            Ok(Sold { error: Some(error), .. }) => return reply(200, &answer::failed(id, error, receipt), &headers),
            Ok(Sold { result, is_ours, .. }) => (result, is_ours),
            Err(_) => (Members::new(), false),
        }
    } else {
        match refused(sold.status(), &kind, &body, &header) {
            Some(refusal) => (answer::members(refusal), true),
            None => (answer::members(answer::of_http(sold.status(), &kind, &body)), false),
        }
    };
    // A session that is over is a 404 by the protocol, and makes a client begin another. Only our own refusal says so: an
    // answer that merely holds these words is an answer.
    let ours = kind == "application/problem+json";
    let over = ours
        && serde_json::from_slice::<Value>(&body).is_ok_and(|problem| problem.get("originStatus") == Some(&json!(404)));
    answer::note(&mut members, receipt, credits, is_ours);
    reply(if over { 404 } else { 200 }, &answer::message(id, &members), &headers)
}

/// An outcome: a `result`, or an `error`.
#[derive(Deserialize)]
struct Sold {
    #[serde(default)]
    result: Members,
    error: Option<Value>,
    /// Whether the result is a refusal of ours.
    #[serde(default, rename = "ours")]
    is_ours: bool,
}

/// The price, or a problem; nothing where it is (said again from over HTTP) an answer as it was.
fn refused(
    status: u16,
    kind: &str,
    body: &[u8],
    header: &impl Fn(&str) -> Option<String>,
) -> Option<Map<String, Value>> {
    let json = || serde_json::from_slice::<Value>(body).unwrap_or_default();
    if let Some(mut challenge) = header(PAYMENT_REQUIRED).as_deref().and_then(decoded) {
        // The problem beside the price, as in the body over HTTP: an agent acts on its code, or on what credits lack.
        for (name, value) in json().as_object().into_iter().flatten() {
            if challenge.get(name).is_none() {
                put(&mut challenge, name, value.clone());
            }
        }
        return Some(answer::refusal(&challenge));
    }
    // Where only version 1 is on offer, the body alone is the price.
    if let (402, Value::Object(challenge)) = (status, json())
        && challenge.get("x402Version") == Some(&Value::from(1))
        && challenge.contains_key("accepts")
        && challenge.contains_key("code")
    {
        return Some(answer::refusal(&Value::Object(challenge)));
    }
    if kind != "application/problem+json" {
        return None;
    }
    let mut problem = json();
    // A client of tools sees no header.
    if let Some(seconds) = header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok()) {
        put(&mut problem, "retryAfter", seconds);
    }
    Some(answer::refusal(&problem))
}

fn reply(status: u16, message: &str, headers: &web_sys::Headers) -> Result<Response> {
    let response = respond::json_text(status, message)?;
    let told = [PAYMENT_RESPONSE, X_PAYMENT_RESPONSE, X_CREDITS_CHARGED, X_CREDITS_REMAINING];
    for name in [SESSION, "idempotent-replayed", "retry-after"].into_iter().chain(told) {
        if let Some(value) = headers.get(name)? {
            response.headers().set(name, &value)?;
        }
    }
    Ok(response)
}

fn decoded(header: &str) -> Option<Value> {
    serde_json::from_slice(&STANDARD.decode(header).ok()?).ok()
}

fn rpc_error(route: &str, id: &Value, code: i32, message: &str) -> Result<Response> {
    log::decision("refuse", route, &json!({ "rpc": code }));
    respond::json(200, &answer::error(id, code, message))
}
