//! The documents by which the API is found. At a path that nobody has named the origin's own goes first.

use super::gateway::Visit;
use super::origin::{NoAnswer, ask};
use super::{log, now, replay, respond, supported};
use crate::config::{AtOrigin, Document, Placement, Unrouted};
use crate::discovery::{Catalogue, annotate, index, llms, openapi, wellknown};
use crate::http::path::CanonicalPath;
use crate::pages;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::thread::LocalKey;
use web_sys::Response;
use worker::Result;

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
            if placement.document == Document::Landing {
                return Some(respond::page(&pages::landing(&index::manifest(&catalogue))));
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
    // A page is no document: single-page applications answer with one to everything.
    remembered(visit, &placement.path, "*/*", |answer| {
        let kind = answer.headers().get("content-type").ok().flatten().unwrap_or_default();
        let is_page = answer.status() < 400 && kind.starts_with("text/html");
        !is_page && !matches!(answer.status(), 404 | 405 | 410)
    })
    .await
    // Of an origin that is down it is not known what it has.
    .unwrap_or(true)
}

/// Whether the origin has an MCP server there: it answers a GET by refusing it, or by a stream.
pub(super) async fn origin_serves_mcp(visit: &Visit<'_>, placement: &Placement) -> bool {
    if shut(visit, &placement.path) {
        return false;
    }
    let there = remembered(visit, &placement.path, "text/event-stream", |answer| {
        let kind = answer.headers().get("content-type").ok().flatten().unwrap_or_default();
        !matches!(answer.status(), 404 | 410) && !kind.starts_with("text/html")
    });
    // Without an origin no tool could be called; and perhaps it is its server that would be hidden.
    there.await.unwrap_or(true)
}

/// Whether no request for this path gets to the origin for nothing, and nobody has priced it by name.
fn shut(visit: &Visit<'_>, path: &str) -> bool {
    let routed = CanonicalPath::new(path).ok().and_then(|path| visit.config.route("GET", &path).ok().flatten());
    visit.config.unrouted == Unrouted::Deny && routed.is_none()
}

async fn remembered(visit: &Visit<'_>, path: &str, accept: &str, test: impl Fn(&Response) -> bool) -> Option<bool> {
    // An origin may have another answer for each of its hosts.
    let key = format!("{}{path}", visit.facts.base);
    let known = TAKEN.with_borrow(|taken| taken.get(&key).copied());
    if let Some((there, _)) = known.filter(|(_, until)| *until > now()) {
        return Some(there);
    }
    match ask(visit.config, visit.env, &visit.facts.base, path, accept, ASK_SECONDS).await {
        Ok(answer) => {
            let there = test(&answer);
            if let Some(body) = answer.body() {
                let _ = body.cancel();
            }
            if answer.status() >= 500 {
                // A server that is in trouble says nothing about what it has: what was known stays known.
                return Some(known.map_or(there, |(there, _)| there));
            }
            keep(&TAKEN, MOST_REMEMBERED, key, there, REMEMBERED_SECONDS);
            Some(there)
        }
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
