//! What the origin has at the paths of our documents: its own goes first, found out by one request that is remembered.

use super::documents::{JSON, keep};
use super::gateway::Visit;
use super::origin::{Call, NoAnswer, ask};
use super::{log, now, replay, within};
use crate::config::{Document, Placement, Unrouted};
use crate::http::path::CanonicalPath;
use js_sys::Uint8Array;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use web_sys::{Headers, Request, RequestInit, Response};
use worker::{AbortController, Result};

/// Seconds for which it is remembered whether the origin has something at a path.
pub(super) const REMEMBERED_SECONDS: u64 = 300;
/// How long the origin may take for it.
pub(super) const ASK_SECONDS: u32 = 5;
const MOST_REMEMBERED: usize = 256;
/// So much of what answers a ping is read: a pong is short.
const MOST_PONG: u32 = 16 * 1024;

thread_local! {
    static TAKEN: RefCell<HashMap<String, (Has, u64)>> = RefCell::new(HashMap::new());
    // By path alone: what leads there is not said at a place that knows the host.
    static CLOSED: RefCell<HashMap<String, ((), u64)>> = RefCell::new(HashMap::new());
}

/// Whether the origin has something at this path that ours would hide. Where no unnamed path reaches it, it has not.
pub(super) async fn has_own(visit: &Visit<'_>, placement: &Placement) -> bool {
    if shut(visit, &placement.path) {
        return false;
    }
    let said = Cell::new(0);
    let asked = async {
        let answer = get(visit, &placement.path, "*/*").await?;
        let (status, kind) = (answer.status(), kind_of_answer(&answer));
        let has = match status {
            404 | 405 | 410 => Has::Nothing,
            // A page is no document: single-page applications answer with one to everything.
            ..400 if kind.starts_with("text/html") => Has::Nothing,
            // Many say so to every path that they do not know.
            400 | 401 | 403 if !is_kind(placement.document, &kind) => Has::Refusal,
            _ => Has::Something,
        };
        said.set(status);
        Ok(Found { has, certain: status < 500 })
    };
    let has = remembered(visit, &placement.path, asked).await;
    match said.get() {
        0 => {}
        status @ 400.. if has == Some(Has::Something) => close(placement, status),
        _ => drop(CLOSED.with_borrow_mut(|closed| closed.remove(&placement.path))),
    }
    match has {
        // Perhaps it is there for those whom the origin knows.
        Some(Has::Refusal) => {
            let headers = visit.request.headers();
            ["authorization", "cookie"].into_iter().any(|name| headers.has(name).unwrap_or(true))
        }
        Some(has) => has == Has::Something,
        // Of an origin that is down it is not known what it has.
        None => true,
    }
}

fn close(placement: &Placement, status: u16) {
    let (path, name) = (&placement.path, placement.document.name());
    let cure = format!("DISCOVERY = {{ {name} = true }} makes the path ours");
    log::failure(
        "discovery",
        &format!("the origin answers {status} at {path}: ours is not there, and nothing leads there; {cure}"),
    );
    keep(&CLOSED, MOST_REMEMBERED, path.clone(), (), REMEMBERED_SECONDS);
}

/// Whether an answer of this media type could be the document.
fn is_kind(document: Document, kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = kind.ends_with("json") && kind != "application/problem+json";
    match document {
        Document::Llms => kind.starts_with("text/") && kind != "text/html",
        Document::OpenApi => is_json || kind.ends_with("yaml"),
        _ => is_json,
    }
}

/// Finds out what the origin has of the documents, before one says where the others are. No longer than one may take: what is
/// not known by then is taken for ours.
pub(super) async fn look_around(visit: &Visit<'_>) {
    let all = async {
        for placement in visit.config.discovery.placements.iter().filter(|placement| !placement.asked) {
            if !matches!(placement.document, Document::Mcp | Document::Landing) {
                has_own(visit, placement).await;
            }
        }
    };
    let _ = within(ASK_SECONDS, AbortController::default(), all).await;
}

/// Where what leads there would lead to no document.
pub(super) fn closed() -> Vec<String> {
    let valid = |(path, (_, until)): (&String, &((), u64))| (*until > now()).then(|| path.clone());
    CLOSED.with_borrow(|closed| closed.iter().filter_map(valid).collect())
}

/// `Link` without what is closed.
pub(super) fn leading(links: Option<String>) -> Option<String> {
    let closed = closed();
    let links = links?;
    let is_open = |link: &&str| !closed.iter().any(|path| link.starts_with(&format!("<{path}>")));
    let open: Vec<&str> = links.split(", ").filter(is_open).collect();
    (!open.is_empty()).then(|| open.join(", "))
}

/// Whether the origin has an MCP server there: it refuses a GET, or answers it by a stream; or it knows of no GET at all, and
/// answers a ping.
pub(super) async fn origin_serves_mcp(visit: &Visit<'_>, placement: &Placement) -> bool {
    if shut(visit, &placement.path) {
        return false;
    }
    let asked = async {
        let answer = get(visit, &placement.path, "text/event-stream").await?;
        let silent = matches!(answer.status(), 404 | 410) || kind_of_answer(&answer).starts_with("text/html");
        if silent {
            return pinged(visit, &placement.path).await;
        }
        Ok(Found::new(true, answer.status() < 500))
    };
    // Without an origin no tool could be called; and perhaps it is its server that would be hidden.
    remembered(visit, &placement.path, asked).await != Some(Has::Nothing)
}

/// Whether a ping gets an answer there, by a server that lets nobody in perhaps. Servers without sessions have no GET to
/// refuse: a framework says 404 to it, and the pages of an application may come in its place.
async fn pinged(visit: &Visit<'_>, path: &str) -> std::result::Result<Found, NoAnswer> {
    let unreachable = |error: worker::Error| NoAnswer::Unreachable(error.to_string());
    let request = ping(visit, path).map_err(unreachable)?;
    let call = Call {
        config: visit.config,
        env: visit.env,
        request: &request,
        base: &visit.facts.base,
        target: path,
        body: Some(Uint8Array::from(PING.as_bytes())),
        tool: None,
    };
    let sent = within(ASK_SECONDS, AbortController::default(), call.pass_through());
    let answer = sent.await.ok_or(NoAnswer::TimedOut)?.map_err(unreachable)?;
    let status = answer.status();
    let there = match status {
        400 | 401 | 403 | 406 | 415 => true,
        // Not implemented: a server of files.
        501 => false,
        500.. => return Ok(Found::new(true, false)),
        _ if kind_of_answer(&answer).starts_with("text/event-stream") => true,
        _ => match answer.body() {
            Some(body) => {
                let read = replay::read_up_to(body, MOST_PONG, ASK_SECONDS).await;
                return Ok(Found::new(read.is_some_and(|bytes| is_pong(&bytes.to_vec())), true));
            }
            None => false,
        },
    };
    discarded(&answer);
    Ok(Found::new(there, true))
}

const PING: &str = r#"{"jsonrpc":"2.0","id":"edge402","method":"ping"}"#;

fn ping(visit: &Visit<'_>, path: &str) -> Result<Request> {
    let headers = Headers::new()?;
    headers.set("content-type", JSON)?;
    headers.set("accept", "application/json, text/event-stream")?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    Ok(Request::new_with_str_and_init(&format!("{}{path}", visit.facts.base), &init)?)
}

/// An answer and no echo.
fn is_pong(body: &[u8]) -> bool {
    let Ok(Value::Object(message)) = serde_json::from_slice(body) else { return false };
    message.get("jsonrpc").is_some_and(|version| version == "2.0")
        && ["result", "error"].iter().any(|key| message.contains_key(*key))
}

async fn get(visit: &Visit<'_>, path: &str, accept: &str) -> std::result::Result<Response, NoAnswer> {
    let answer = ask(visit.config, visit.env, &visit.facts.base, path, accept, ASK_SECONDS).await?;
    discarded(&answer);
    Ok(answer)
}

fn kind_of_answer(answer: &Response) -> String {
    answer.headers().get("content-type").ok().flatten().unwrap_or_default()
}

fn discarded(answer: &Response) {
    if let Some(body) = answer.body() {
        let _ = body.cancel();
    }
}

/// Whether no request for this path gets to the origin for nothing, and nobody has priced it by name.
fn shut(visit: &Visit<'_>, path: &str) -> bool {
    let routed = CanonicalPath::new(path).ok().and_then(|path| visit.config.route("GET", &path).ok().flatten());
    visit.config.unrouted == Unrouted::Deny && routed.is_none()
}

/// What the origin was found to have at a path.
struct Found {
    has: Has,
    /// A server that is in trouble says nothing about what it has.
    certain: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    Nothing,
    /// It lets nobody in who shows nothing, or knows of no such path: that is not known.
    Refusal,
    Something,
}

impl Found {
    const fn new(there: bool, certain: bool) -> Self {
        Self { has: if there { Has::Something } else { Has::Nothing }, certain }
    }
}

async fn remembered(
    visit: &Visit<'_>,
    path: &str,
    asked: impl Future<Output = std::result::Result<Found, NoAnswer>>,
) -> Option<Has> {
    // An origin may have another answer for each of its hosts.
    let key = format!("{}{path}", visit.facts.base);
    let known = TAKEN.with_borrow(|taken| taken.get(&key).copied());
    if let Some((has, _)) = known.filter(|(_, until)| *until > now()) {
        return Some(has);
    }
    match asked.await {
        Ok(Found { has, certain: true }) => {
            keep(&TAKEN, MOST_REMEMBERED, key, has, REMEMBERED_SECONDS);
            Some(has)
        }
        // What was known stays known.
        Ok(Found { has, certain: false }) => Some(known.map_or(has, |(has, _)| has)),
        Err(error) => {
            trouble(&error);
            known.map(|(has, _)| has)
        }
    }
}

pub(super) fn trouble(error: &NoAnswer) {
    log::failure("discovery", &format!("the origin was asked for a document: {error:?}"));
}
