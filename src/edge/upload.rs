//! Bodies of requests that have to be read: within a budget for the whole isolate, and not from those who drip.

use super::replay::{Unread, next};
use super::{now, within};
use crate::http::budget::{Budget, Held, MAX_HELD, is_too_slow};
use crate::http::problem::{Code, Problem};
use wasm_bindgen::JsCast;
use web_sys::{ReadableStream, ReadableStreamDefaultReader, Request};
use worker::AbortController;

/// How long a request's body may take, in seconds.
const BODY_SECONDS: u32 = 30;
/// How long one piece of it may, in seconds.
const PIECE_SECONDS: u32 = 8;

thread_local! {
    static BUDGET: Budget = Budget::new(MAX_HELD);
}

/// A body in memory, and its room there: what is made of it is held as long as that is.
pub(super) struct Upload {
    pub(super) bytes: Vec<u8>,
    pub(super) held: Held,
}

/// All of a request's body within so many bytes.
pub(super) async fn read(stream: ReadableStream, max: u32) -> Result<Upload, Unread> {
    let reader = stream.get_reader().dyn_into::<ReadableStreamDefaultReader>().map_err(|_| Unread::Broken)?;
    let whole = within(BODY_SECONDS, AbortController::default(), pieces(&reader, max)).await;
    let whole = whole.unwrap_or(Err(Unread::TooSlow));
    // What has ended is not moved by it.
    let _ = reader.cancel();
    whole
}

async fn pieces(reader: &ReadableStreamDefaultReader, max: u32) -> Result<Upload, Unread> {
    let started = now();
    let mut upload = Upload { bytes: Vec::new(), held: BUDGET.with(Budget::hold) };
    loop {
        let piece = within(PIECE_SECONDS, AbortController::default(), next(reader)).await.ok_or(Unread::TooSlow)?;
        let Some(piece) = piece.ok_or(Unread::Broken)? else { return Ok(upload) };
        let before = upload.bytes.len();
        let length = usize::try_from(piece.length()).ok().and_then(|length| length.checked_add(before));
        let length =
            length.filter(|length| u32::try_from(*length).is_ok_and(|length| length <= max)).ok_or(Unread::TooLarge)?;
        // What a growing list takes is up to twice what is in it.
        let capacity = upload.bytes.capacity();
        let most = usize::try_from(max).unwrap_or(usize::MAX);
        let grown =
            if length > capacity { capacity.saturating_mul(2).clamp(length, most.max(length)) } else { capacity };
        if !upload.held.resize(grown) {
            return Err(Unread::NoRoom);
        }
        upload.bytes.reserve_exact(grown.saturating_sub(before));
        upload.bytes.resize(length, 0);
        if let Some(end) = upload.bytes.get_mut(before..) {
            piece.copy_to(end);
        }
        if is_too_slow(length, now().saturating_sub(started)) {
            return Err(Unread::TooSlow);
        }
    }
}

/// A request's body, if it is a text of at most so many bytes.
pub(super) async fn text(request: &Request, max: u32) -> Option<String> {
    let Upload { bytes, .. } = read(request.body()?, max).await.ok()?;
    String::from_utf8(bytes).ok()
}

impl Upload {
    /// Makes room for as many copies of it, itself counted.
    pub(super) fn times(&mut self, copies: usize) -> Result<(), Unread> {
        if self.held.resize(self.bytes.len().saturating_mul(copies)) { Ok(()) } else { Err(Unread::NoRoom) }
    }
}

/// What an uploader is told.
pub(super) fn refusal(why: Unread) -> Problem {
    match why {
        Unread::NoRoom => Code::Overloaded.into(),
        Unread::TooLarge => Code::BodyTooLarge.into(),
        Unread::TooSlow => Problem::new(Code::RequestMalformed, "the body took too long"),
        Unread::Broken => Problem::new(Code::RequestMalformed, "the body broke off"),
    }
}
