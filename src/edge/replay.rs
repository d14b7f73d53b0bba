//! A lost answer, said again to whoever shows its `payment-identifier`.

use super::upload::{self, Upload};
use super::{respond, within};
use crate::gate::Charge;
use crate::http::budget::Held;
use crate::http::multipart;
use crate::http::problem::Problem;
use crate::http::selection::selection;
use crate::ledger::messages::{Identified, StoredAnswer};
use alloy_primitives::{B256, keccak256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use js_sys::Uint8Array;
use std::collections::BTreeSet;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Headers, ReadableStream, ReadableStreamDefaultReader, Request, Response, ResponseInit};
use worker::{AbortController, Result};

/// The largest answer that is kept.
pub(super) const MOST_BYTES: u32 = 256 * 1024;
/// The largest request body that is read to be bound to an identifier.
const MOST_BODY_BYTES: u32 = 1024 * 1024;
/// The largest request body that is read without one.
const SMALL_BODY_BYTES: u32 = 64 * 1024;
/// How long a copy of a streaming answer may take, in seconds: Cloudflare gives no more after the response.
pub(super) const COPY_SECONDS: u32 = 30;

/// What a request holds beside method, path and query: what is owed for a payment is owed to that as well.
pub(super) enum Content {
    /// This, by its hash; nothing at all is one as well.
    Known(B256),
    /// It streams: nobody can say whether another request holds the same.
    Unknown,
}

impl Content {
    fn of(bytes: &[u8], selected: &str) -> Self {
        Self::Known(hash(bytes, selected))
    }

    /// As the books have it.
    pub(super) fn stored(&self) -> Option<String> {
        match self {
            Self::Known(hash) => Some(hash.to_string()),
            Self::Unknown => None,
        }
    }
}

/// Of a body, with what the headers beside it select. No header that selects leaves the body's own hash.
fn hash(bytes: &[u8], selected: &str) -> B256 {
    let hash = keccak256(bytes);
    if selected.is_empty() { hash } else { keccak256([hash.as_slice(), selected.as_bytes()].concat()) }
}

/// What a request's headers select.
fn selected_by(request: &Request, reads: impl Fn(&str) -> bool) -> String {
    let headers = request.headers();
    let names = super::origin::names(&headers);
    let lines: Vec<(String, String)> = names
        .into_iter()
        .filter(|name| reads(name))
        .filter_map(|name| headers.get(&name).ok().flatten().map(|value| (name, value)))
        .collect();
    selection(lines.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// A request as it is claimed for.
pub(super) struct Read {
    /// What the payment's identifier stands for: method, path, query, and the content.
    pub(super) identified: Option<Identified>,
    pub(super) content: Content,
    /// The body, where it was read; else it streams.
    pub(super) body: Option<Uint8Array>,
    /// Its room in memory.
    pub(super) held: Option<Held>,
}

/// Reads a request's body where the payment has an identifier, which stands for it, and where it is small: larger ones
/// stream.
pub(super) async fn identify(charge: &Charge<'_>, request: &Request) -> std::result::Result<Read, Problem> {
    let id = charge.payment.identifier.clone();
    let unread = |content| Read { identified: None, content, body: None, held: None };
    let selected = selected_by(request, |_| true);
    let identified = |id, bytes: &[u8]| identified(charge, id, bytes, &selected);
    let stream = request.body();
    // Theirs says nothing (RFC 9110, 9.3.1), and no request can be made anew with one; but the origin gets it.
    if stream.is_some() && matches!(request.method().as_str(), "GET" | "HEAD") {
        return Ok(Read { identified: id.map(|id| identified(id, &[])), ..unread(Content::Unknown) });
    }
    let Some(stream) = stream else {
        return Ok(Read { identified: id.map(|id| identified(id, &[])), ..unread(Content::of(&[], &selected)) });
    };
    let length = super::header(&request.headers(), "content-length").and_then(|length| length.parse::<u32>().ok());
    if id.is_none() && length.is_none_or(|length| length > SMALL_BODY_BYTES) {
        return Ok(unread(Content::Unknown));
    }
    let mut upload = upload::read(stream, MOST_BODY_BYTES).await.map_err(upload::refusal)?;
    upload.times(2).map_err(upload::refusal)?;
    let Upload { bytes, mut held } = upload;
    let body = Uint8Array::from(bytes.as_slice());
    let identified = id.map(|id| identified(id, &bytes));
    let kind = request.headers().get("content-type").ok().flatten().unwrap_or_default();
    let content = Content::of(&multipart::unbound(&kind, bytes), &selected);
    // What is left of it is the runtime's copy.
    let _ = held.resize(usize::try_from(body.length()).unwrap_or_default());
    Ok(Read { identified, content, body: Some(body), held: Some(held) })
}

/// The same for what is not the request's own body: the call of a tool.
pub(super) fn identify_by(charge: &Charge<'_>, request: &Request, content: &[u8], body: Option<Uint8Array>) -> Read {
    // What a message is written in is the transport's, and may be another when the call is made again.
    let selected = selected_by(request, |name| name != "accept" && !name.starts_with("content-"));
    let id = charge.payment.identifier.clone();
    let identified = id.map(|id| identified(charge, id, content, &selected));
    Read { identified, content: Content::of(content, &selected), body, held: None }
}

fn identified(charge: &Charge<'_>, id: String, content: &[u8], selected: &str) -> Identified {
    let content = hash(content, selected);
    Identified {
        id,
        fingerprint: keccak256([charge.identity.binding.as_slice(), content.as_slice()].concat()).to_string(),
    }
}

/// Says it again, or, where it was not kept, that it was said, with the receipt.
pub(super) fn again(answer: Option<StoredAnswer>, receipt: respond::Lines) -> Result<Response> {
    let Some(answer) = answer else { return respond::not_kept(receipt) };
    let headers = Headers::new()?;
    for (name, value) in &answer.headers {
        headers.append(name, value)?;
    }
    headers.set("idempotent-replayed", "true")?;
    for (name, value) in receipt {
        headers.set(name, &value)?;
    }
    let init = ResponseInit::new();
    init.set_status(answer.status);
    init.set_headers(&headers);
    let bytes = STANDARD.decode(&answer.body).unwrap_or_default();
    let body = Uint8Array::from(bytes.as_slice());
    let body = if super::origin::bodiless(answer.status) { None } else { Some(&body) };
    Ok(Response::new_with_opt_js_u8_array_and_init(body, &init)?)
}

/// An answer as it is kept.
pub(super) fn stored(status: u16, headers: Vec<(String, String)>, body: &Uint8Array, until: u64) -> StoredAnswer {
    StoredAnswer { status, headers, body: STANDARD.encode(body.to_vec()), until }
}

/// What of a header list is kept: the body is kept as the runtime gives it, which unpacks what it can, whatever its length
/// was on the wire.
pub(super) fn header_list(headers: &Headers) -> Vec<(String, String)> {
    let unpacked = headers
        .get("content-encoding")
        .ok()
        .flatten()
        .is_some_and(|coding| matches!(coding.trim().to_ascii_lowercase().as_str(), "gzip" | "x-gzip" | "br"));
    // A name stands in the list as often as it has values.
    let names: BTreeSet<String> = super::origin::names(headers).into_iter().collect();
    names
        .into_iter()
        .filter(|name| !matches!(name.as_str(), "content-length" | "transfer-encoding"))
        .filter(|name| name != "content-encoding" || !unpacked)
        .flat_map(|name| {
            // Joined with commas several cookies would be none.
            let values: Vec<String> = if name == "set-cookie" {
                cookies(headers).unwrap_or_default()
            } else {
                headers.get(&name).ok().flatten().into_iter().collect()
            };
            values.into_iter().map(move |value| (name.clone(), value))
        })
        .collect()
}

/// `getSetCookie`, which web-sys has no name for.
fn cookies(headers: &Headers) -> Option<Vec<String>> {
    let method = js_sys::Reflect::get(headers, &JsValue::from_str("getSetCookie")).ok()?;
    let list = method.dyn_into::<js_sys::Function>().ok()?.call0(headers).ok()?;
    Some(js_sys::Array::from(&list).iter().filter_map(|cookie| cookie.as_string()).collect())
}

/// All of a body within [`MOST_BYTES`]; nothing if it breaks off, or is larger, or slower.
pub(super) async fn read(stream: ReadableStream, seconds: u32) -> Option<Uint8Array> {
    read_up_to(stream, MOST_BYTES, seconds).await
}

/// All of a body within so many bytes; nothing if it breaks off, or is larger, or slower.
pub(super) async fn read_up_to(stream: ReadableStream, most: u32, seconds: u32) -> Option<Uint8Array> {
    read_until(stream, most, seconds, |_| false).await.ok()
}

/// Why a body is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is larger.
    TooLarge,
    /// Its time was over first.
    TooSlow,
    /// It broke off.
    Broken,
    /// Others fill the memory that there is.
    NoRoom,
}

/// The same, or as much of it as is `enough`: some streams never end.
pub(super) async fn read_until(
    stream: ReadableStream,
    most: u32,
    seconds: u32,
    enough: impl Fn(&[u8]) -> bool,
) -> std::result::Result<Uint8Array, Unread> {
    let reader = stream.get_reader().dyn_into::<ReadableStreamDefaultReader>().map_err(|_| Unread::Broken)?;
    let read = within(seconds, AbortController::default(), chunks(&reader, most, enough)).await;
    let read = read.unwrap_or(Err(Unread::TooSlow));
    // What has ended is not moved by it.
    let _ = reader.cancel();
    read
}

async fn chunks(
    reader: &ReadableStreamDefaultReader,
    most: u32,
    enough: impl Fn(&[u8]) -> bool,
) -> std::result::Result<Uint8Array, Unread> {
    let mut bytes: Vec<u8> = Vec::new();
    while let Some(chunk) = next(reader).await.ok_or(Unread::Broken)? {
        let length = u32::try_from(bytes.len()).ok().and_then(|length| length.checked_add(chunk.length()));
        if length.is_none_or(|length| length > most) {
            return Err(Unread::TooLarge);
        }
        bytes.extend(chunk.to_vec());
        if enough(&bytes) {
            break;
        }
    }
    Ok(Uint8Array::from(bytes.as_slice()))
}

/// The next piece, or that there is none; nothing where it broke off.
pub(super) async fn next(reader: &ReadableStreamDefaultReader) -> Option<Option<Uint8Array>> {
    let result = wasm_bindgen_futures::JsFuture::from(reader.read()).await.ok()?;
    let member = |name: &str| js_sys::Reflect::get(&result, &JsValue::from_str(name)).ok();
    if member("done")?.as_bool()? {
        return Some(None);
    }
    Some(Some(member("value")?.dyn_into::<Uint8Array>().ok()?))
}
