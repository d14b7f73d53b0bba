//! `tools/list` of the origin's server: passed on with the prices in it.

use super::super::gateway::Visit;
use super::super::{replay, supported};
use super::MOST_MESSAGE;
use super::gated::pass;
use crate::config::{ToolPrice, Tools};
use crate::discovery::assets::of_tool;
use crate::mcp::listing::{Mark, listed};
use crate::mcp::stream;
use serde_json::Value;
use wasm_bindgen::JsCast;
use web_sys::{Headers, ReadableStream, Response, ResponseInit};
use worker::Result;

/// Seconds for which a list is read before it is passed on as it comes.
const READ_SECONDS: u32 = 30;

/// The origin's list with our prices in it; as it comes where nothing can be made of it.
pub(super) async fn passed(visit: &Visit<'_>, tools: &Tools, message: &[u8], id: &Value) -> Result<Response> {
    let answer = pass(visit, message).await?;
    let Some(body) = answer.body().filter(|_| answer.status() == 200) else { return Ok(answer) };
    let kind = answer.headers().get("content-type")?.unwrap_or_default();
    // Both of them see the whole: what cannot be read goes out as it is.
    let halves = body.tee();
    let half = |index: u32| halves.get(index).dyn_into::<ReadableStream>();
    let (Ok(seen), Ok(kept)) = (half(0), half(1)) else { return Ok(answer) };
    let support = supported::current(visit.config, visit.env, visit.context).await;
    let mark = |name: &str| match tools.price(name, visit.config.unrouted) {
        ToolPrice::Free => Mark::Leave,
        ToolPrice::Unknown => Mark::Remove,
        ToolPrice::Priced(terms) => {
            let (sentence, meta) = of_tool(&support, terms);
            Mark::Price { sentence, meta }
        }
    };
    let list = read(seen, &kind, id, mark).await;
    let headers = Headers::new_with_headers(&answer.headers())?;
    let init = ResponseInit::new();
    init.set_status(200);
    init.set_headers(&headers);
    let Some(list) = list else {
        return Ok(Response::new_with_opt_readable_stream_and_init(Some(&kept), &init)?);
    };
    let _ = kept.cancel();
    // Those of the body as it was; the runtime has unpacked it.
    for name in ["content-length", "content-encoding", "etag", "digest", "content-digest", "repr-digest"] {
        headers.delete(name)?;
    }
    Ok(Response::new_with_opt_str_and_init(Some(&list), &init)?)
}

async fn read(body: ReadableStream, kind: &str, id: &Value, mark: impl Fn(&str) -> Mark) -> Option<String> {
    // A server may leave its stream open behind the list.
    let enough = |read: &[u8]| {
        let ends = || [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"].iter().any(|end| read.ends_with(end));
        stream::is_stream(kind) && ends() && stream::outcome(kind, &String::from_utf8_lossy(read), id).is_some()
    };
    let bytes = replay::read_until(body, MOST_MESSAGE, READ_SECONDS, enough).await.ok()?;
    listed(kind, &String::from_utf8(bytes.to_vec()).ok()?, id, mark)
}
