//! The documents by which the API is found. At a path that nobody has named the origin's own goes first ([`super::theirs`]).

use super::gateway::Visit;
use super::origin::ask;
pub(super) use super::theirs::origin_serves_mcp;
use super::theirs::{ASK_SECONDS, REMEMBERED_SECONDS, trouble};
use super::{log, now, replay, respond, supported, theirs};
use crate::config::{AtOrigin, Document};
use crate::discovery::{Catalogue, annotate, index, llms, openapi, wellknown};
use crate::pages;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::thread::LocalKey;
use web_sys::Response;
use worker::Result;

/// Seconds for which an old OpenAPI document of the origin's is served on, when there is no new one.
const FAILED_SECONDS: u64 = 15;
/// Seconds for which a document is served as it was drawn up: as long as its copies elsewhere.
const FRESH_SECONDS: u64 = 60;
const MOST_TEXTS: usize = 64;
const MOST_DOCUMENT: u32 = 2 * 1024 * 1024;
/// Of so many hosts the origin's own document is kept.
const MOST_HOSTS: usize = 8;
pub(super) const JSON: &str = "application/json";

thread_local! {
    static TEXTS: RefCell<HashMap<String, (String, u64)>> = RefCell::new(HashMap::new());
    static OPENAPI: RefCell<HashMap<String, (String, u64)>> = RefCell::new(HashMap::new());
}

/// Answers, if a document of ours is there.
pub(super) async fn answer(visit: &Visit<'_>) -> Option<Result<Response>> {
    let facts = visit.facts;
    let placement = visit.config.discovery.at(&facts.path).filter(|placement| placement.document != Document::Mcp)?;
    let reads = matches!(facts.method.as_str(), "GET" | "HEAD");
    let preflight = facts.preflight_for.as_deref();
    if !placement.asked
        && (!(reads || matches!(preflight, Some("GET" | "HEAD"))) || theirs::has_own(visit, placement).await)
    {
        return None;
    }
    // The page at the root is there to be read: what is sent there, and asked by OPTIONS, is still the API's.
    let is_landing = placement.document == Document::Landing;
    if is_landing && !reads && !matches!(preflight, Some("GET" | "HEAD")) {
        return None;
    }
    let document = if is_landing && !wants_page(visit) { Document::Manifest } else { placement.document };
    if let Some(method) = preflight {
        let wanted = visit.request.headers().get("access-control-request-headers").ok().flatten();
        return Some(respond::preflight(method, wanted.as_deref()));
    }
    if !reads {
        return Some(respond::method_not_allowed("GET"));
    }
    let links = Catalogue::links(visit.config);
    // Drawn up once a minute for each host, not for whoever asks: a long price list takes its time.
    let key = format!("{} {}", document.name(), facts.base);
    let kept = TEXTS.with_borrow(|texts| texts.get(&key).filter(|(_, until)| *until > now()).cloned());
    let text = match kept {
        Some((text, _)) => text,
        None => {
            let support = supported::current(visit.config, visit.env, visit.context).await;
            let mut catalogue = Catalogue::new(visit.config, &support, &facts.base);
            // A page is drawn up for each who asks: it is made of what is known.
            if document != Document::Landing {
                theirs::look_around(visit).await;
            }
            catalogue.closed = theirs::closed();
            if document == Document::Landing {
                let page = pages::landing(&index::manifest(&catalogue));
                return Some(respond::page(&pages::Page { links, ..page }).and_then(varying));
            }
            let text = text_of(visit, &catalogue, document).await?;
            keep(&TEXTS, MOST_TEXTS, key, text.clone(), FRESH_SECONDS);
            text
        }
    };
    let answer = respond::document(kind_of(document), &text, links);
    Some(if is_landing { answer.and_then(varying) } else { answer })
}

/// Whether the page at the root is for whoever asks: a program that reads JSON gets the same as JSON.
fn wants_page(visit: &Visit<'_>) -> bool {
    let header = |name| visit.request.headers().get(name).ok().flatten().unwrap_or_default().to_ascii_lowercase();
    let accept = header("accept");
    accept.contains("text/html") || (!accept.contains(JSON) && header("user-agent").contains("mozilla"))
}

/// Of two at one path; a cache that confused them would show a person JSON.
fn varying(answer: Response) -> Result<Response> {
    answer.headers().set("vary", "Accept, User-Agent")?;
    answer.headers().set("cache-control", "no-store")?;
    Ok(answer)
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

pub(super) type Kept<T> = LocalKey<RefCell<HashMap<String, (T, u64)>>>;

/// Remembers something of a host's for so many seconds. Whoever names many hosts must not fill the memory.
pub(super) fn keep<T>(place: &'static Kept<T>, most: usize, key: String, value: T, seconds: u64) {
    place.with_borrow_mut(|kept| {
        if kept.len() >= most {
            kept.clear();
        }
        kept.insert(key, (value, now().saturating_add(seconds)));
    });
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
