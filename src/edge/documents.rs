//! The documents by which the API is found. At a path that nobody has named the origin's own goes first.

use super::gateway::Visit;
use super::origin::{Call, NoAnswer, ask};
use super::{log, now, replay, respond, supported, within};
use crate::config::{AtOrigin, Document, Placement, Unrouted};
use crate::discovery::{Catalogue, annotate, index, llms, openapi, wellknown};
use crate::http::path::CanonicalPath;
use crate::pages;
use js_sys::Uint8Array;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::thread::LocalKey;
use web_sys::{Headers, Request, RequestInit, Response};
use worker::{AbortController, Result};

/// Seconds for which it is remembered whether the origin has something at a path.
const REMEMBERED_SECONDS: u64 = 300;
/// Seconds for which an old OpenAPI document of the origin's is served on, when there is no new one.
const FAILED_SECONDS: u64 = 15;
/// How long the origin may take for it.
const ASK_SECONDS: u32 = 5;
/// Seconds for which a document is served as it was drawn up: as long as its copies elsewhere.
const FRESH_SECONDS: u64 = 60;
const MOST_TEXTS: usize = 64;
const MOST_REMEMBERED: usize = 256;
const MOST_DOCUMENT: u32 = 2 * 1024 * 1024;
/// So much of what answers a ping is read: a pong is short.
const MOST_PONG: u32 = 16 * 1024;
/// Of so many hosts the origin's own document is kept.
const MOST_HOSTS: usize = 8;
const JSON: &str = "application/json";

thread_local! {
    static TAKEN: RefCell<HashMap<String, (bool, u64)>> = RefCell::new(HashMap::new());
    static TEXTS: RefCell<HashMap<String, (String, u64)>> = RefCell::new(HashMap::new());
    static OPENAPI: RefCell<HashMap<String, (String, u64)>> = RefCell::new(HashMap::new());
}

/// Answers, if a document of ours is there.
pub(super) async fn answer(visit: &Visit<'_>) -> Option<Result<Response>> {
    let facts = visit.facts;
    let placement = visit.config.discovery.at(&facts.path).filter(|placement| placement.document != Document::Mcp)?;
    let reads = matches!(facts.method.as_str(), "GET" | "HEAD");
    let preflight = facts.preflight_for.as_deref();
    if !placement.asked && (!(reads || matches!(preflight, Some("GET" | "HEAD"))) || has_own(visit, placement).await) {
        return None;
    }
    // The page at the root is there to be read: what is sent there, and asked by OPTIONS, is still the API's.
    let is_landing = placement.document == Document::Landing;
    if is_landing && !reads && !matches!(preflight, Some("GET" | "HEAD")) {
        return None;
    }
    if let Some(method) = preflight {
        let wanted = visit.request.headers().get("access-control-request-headers").ok().flatten();
        return Some(respond::preflight(method, wanted.as_deref()));
    }
    if !reads {
        return Some(respond::method_not_allowed("GET"));
    }
    let links = Catalogue::links(visit.config);
    // Drawn up once a minute for each host, not for whoever asks: a long price list takes its time.
    let key = format!("{} {}", placement.document.name(), facts.base);
    let kept = TEXTS.with_borrow(|texts| texts.get(&key).filter(|(_, until)| *until > now()).cloned());
    let text = match kept {
        Some((text, _)) => text,
        None => {
            let support = supported::current(visit.config, visit.env, visit.context).await;
            let catalogue = Catalogue::new(visit.config, &support, &facts.base);
            if is_landing {
                let page = pages::landing(&index::manifest(&catalogue));
                return Some(respond::page(&pages::Page { links, ..page }));
            }
            let text = text_of(visit, &catalogue, placement.document).await?;
            keep(&TEXTS, MOST_TEXTS, key, text.clone(), FRESH_SECONDS);
            text
        }
    };
    Some(respond::document(kind_of(placement.document), &text, links))
}

const fn kind_of(document: Document) -> &'static str {
    match document {
        Document::Llms => "text/plain; charset=utf-8",
        Document::ApiCatalog => "application/linkset+json; profile=\"https://www.rfc-editor.org/info/rfc9727\"",
        _ => JSON,
    }
}

async fn text_of(visit: &Visit<'_>, catalogue: &Catalogue<'_>, document: Document) -> Option<String> {
    let json = match document {
        Document::Llms => return Some(llms::text(catalogue)),
        Document::OpenApi => openapi_document(visit, catalogue).await,
        Document::X402 => wellknown::x402(catalogue),
        Document::Manifest => index::manifest(catalogue),
        Document::Index => index::index(catalogue),
        Document::ApiCatalog => wellknown::api_catalog(catalogue),
        // Where there is no server they are not there either.
        Document::McpJson => wellknown::mcp_json(catalogue)?,
        Document::ServerCard => wellknown::server_card(catalogue)?,
        Document::Landing | Document::Mcp => return None,
    };
    Some(json.to_string())
}

type Kept<T> = LocalKey<RefCell<HashMap<String, (T, u64)>>>;

/// Remembers something of a host's for so many seconds. Whoever names many hosts must not fill the memory.
fn keep<T>(place: &'static Kept<T>, most: usize, key: String, value: T, seconds: u64) {
    place.with_borrow_mut(|kept| {
        if kept.len() >= most {
            kept.clear();
        }
        kept.insert(key, (value, now().saturating_add(seconds)));
    });
}

/// Whether the origin has something at this path that ours would hide. Where no unnamed path reaches it, it has not.
async fn has_own(visit: &Visit<'_>, placement: &Placement) -> bool {
    if shut(visit, &placement.path) {
        return false;
    }
    let asked = async {
        let answer = get(visit, &placement.path, "*/*").await?;
        // A page is no document: single-page applications answer with one to everything.
        let is_page = answer.status() < 400 && kind_of_answer(&answer).starts_with("text/html");
        let there = !is_page && !matches!(answer.status(), 404 | 405 | 410);
        Ok(Found { there, certain: answer.status() < 500 })
    };
    // Of an origin that is down it is not known what it has.
    remembered(visit, &placement.path, asked).await.unwrap_or(true)
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
        Ok(Found { there: true, certain: answer.status() < 500 })
    };
    // Without an origin no tool could be called; and perhaps it is its server that would be hidden.
    remembered(visit, &placement.path, asked).await.unwrap_or(true)
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
        500.. => return Ok(Found { there: true, certain: false }),
        _ if kind_of_answer(&answer).starts_with("text/event-stream") => true,
        _ => match answer.body() {
            Some(body) => {
                let read = replay::read_up_to(body, MOST_PONG, ASK_SECONDS).await;
                return Ok(Found { there: read.is_some_and(|bytes| is_pong(&bytes.to_vec())), certain: true });
            }
            None => false,
        },
    };
    discarded(&answer);
    Ok(Found { there, certain: true })
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
    there: bool,
    /// A server that is in trouble says nothing about what it has.
    certain: bool,
}

async fn remembered(
    visit: &Visit<'_>,
    path: &str,
    asked: impl Future<Output = std::result::Result<Found, NoAnswer>>,
) -> Option<bool> {
    // An origin may have another answer for each of its hosts.
    let key = format!("{}{path}", visit.facts.base);
    let known = TAKEN.with_borrow(|taken| taken.get(&key).copied());
    if let Some((there, _)) = known.filter(|(_, until)| *until > now()) {
        return Some(there);
    }
    match asked.await {
        Ok(Found { there, certain: true }) => {
            keep(&TAKEN, MOST_REMEMBERED, key, there, REMEMBERED_SECONDS);
            Some(there)
        }
        // What was known stays known.
        Ok(Found { there, certain: false }) => Some(known.map_or(there, |(there, _)| there)),
        Err(error) => {
            trouble(&error);
            known.map(|(there, _)| there)
        }
    }
}

fn trouble(error: &NoAnswer) {
    log::failure("discovery", &format!("the origin was asked for a document: {error:?}"));
}

/// The origin's own with our prices in it, where one is named and there; else ours.
async fn openapi_document(visit: &Visit<'_>, catalogue: &Catalogue<'_>) -> Value {
    let Some(AtOrigin(path)) = &visit.config.discovery.openapi else { return openapi::document(catalogue) };
    let theirs = match origins_openapi(visit, path).await {
        Some(text) => serde_json::from_str(&text).ok().and_then(|theirs| annotate::annotated(catalogue, theirs)),
        None => None,
    };
    theirs.unwrap_or_else(|| {
        log::failure("discovery", "the origin has no OpenAPI 3 document in JSON where OPENAPI says: ours is served");
        openapi::document(catalogue)
    })
}

async fn origins_openapi(visit: &Visit<'_>, path: &str) -> Option<String> {
    let known = OPENAPI.with_borrow(|kept| kept.get(&visit.facts.base).cloned());
    if let Some((text, _)) = known.as_ref().filter(|(_, until)| *until > now()) {
        return Some(text.clone());
    }
    let fetched = async {
        let answer = ask(visit.config, visit.env, &visit.facts.base, path, JSON, ASK_SECONDS).await;
        let answer = answer.map_err(|error| trouble(&error)).ok().filter(|answer| answer.status() == 200)?;
        let bytes = replay::read_up_to(answer.body()?, MOST_DOCUMENT, ASK_SECONDS).await?;
        String::from_utf8(bytes.to_vec()).ok()
    };
    let (text, seconds) = match (fetched.await, known) {
        (Some(text), _) => (text, REMEMBERED_SECONDS),
        // An old one is better than one that does not know what the calls take.
        (None, Some((old, _))) => (old, FAILED_SECONDS),
        (None, None) => return None,
    };
    keep(&OPENAPI, MOST_HOSTS, visit.facts.base.clone(), text.clone(), seconds);
    Some(text)
}
