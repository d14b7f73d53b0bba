//! What a tool's call came to, before it is charged: a JSON-RPC error arrives as a 200, and a 200 would be charged.
//! So the answer is read whole, and its outcome stands in its status.
//!
//! An answer that has begun and that nothing can be made of is an answer all the same: its buyer may have seen to that it
//! is one, by arguments that make it long, or by ending its session in the middle. Taken for silence, it would be owed, and
//! one payment would run the tool until the buyer had enough.

use super::super::origin::NoAnswer;
use super::super::replay::Unread;
use super::super::{log, replay};
use super::{Called, OUTCOME, SESSION};
use crate::http::problem::{Code, Problem};
use crate::mcp::answer::{of_http, refusal};
use crate::mcp::stream::{self, Outcome};
use serde_json::json;
use std::cell::Cell;
use web_sys::{Headers, Response, ResponseInit};

/// The longest answer of a tool: it is one JSON text, held whole, and told twice where it is a tree as well.
const MOST_ANSWER: u32 = 1024 * 1024;
/// A tool that ran and failed; not charged.
const FAILED: u16 = 422;

/// The outcome as an answer: below 400 it is worth its price.
pub(in crate::edge) async fn outcome(called: &Called, answer: &Response, seconds: u32) -> Result<Response, NoAnswer> {
    let unusable = |code: Code| {
        log::failure("origin", code.as_str());
        let problem = serde_json::to_value(Problem::from(code).document()).unwrap_or_default();
        let told = json!({ "result": refusal(&problem), "ours": true }).to_string();
        made(answer, code.status(), &told).map_or_else(
            |error| Err(NoAnswer::Unreachable(error.to_string())),
            |answer| Err(NoAnswer::Unusable(answer)),
        )
    };
    let status = answer.status();
    // Its session is over, it is in trouble, or it wants somebody to log in: no tool has run.
    if matches!(called, Called::Server(_)) && !(200..300).contains(&status) {
        if let Some(body) = answer.body() {
            let _ = body.cancel();
        }
        return Err(NoAnswer::Status(status));
    }
    let kind = answer.headers().get("content-type").ok().flatten().unwrap_or_default();
    let bytes = match answer.body() {
        Some(body) => {
            // A server may leave its stream open behind the answer. What was looked at is not looked at again.
            let seen = Cell::new(0);
            let enough = |read: &[u8]| match called {
                Called::Server(id) if stream::is_stream(&kind) && ends_an_event(read) => {
                    let new = read.get(seen.replace(read.len())..).unwrap_or_default();
                    stream::outcome(&kind, &String::from_utf8_lossy(new), id).is_some()
                }
                _ => false,
            };
            let whole = replay::read_until(body, MOST_ANSWER, seconds, enough).await;
            match whole {
                Ok(bytes) => bytes.to_vec(),
                Err(Unread::TooSlow) => return Err(NoAnswer::TimedOut),
                Err(Unread::TooLarge) => return unusable(Code::AnswerTooLarge),
                Err(Unread::Broken | Unread::NoRoom) => return unusable(Code::AnswerBroken),
            }
        }
        None => Vec::new(),
    };
    let (status, outcome) = match called {
        Called::Route => {
            let status = match status {
                // Also one that may have no body: its result has one.
                200..300 => 200,
                // A redirect leads a program that has asked for a tool nowhere.
                300..400 => FAILED,
                status => status,
            };
            (status, json!({ "result": of_http(status, &kind, &bytes) }).to_string())
        }
        Called::Server(id) => {
            let found = String::from_utf8(bytes).ok().and_then(|text| stream::outcome(&kind, &text, id));
            match found {
                Some(Outcome::Result(result)) => (200, format!(r#"{{"result":{result}}}"#)),
                Some(Outcome::Failed(result)) => (FAILED, format!(r#"{{"result":{result}}}"#)),
                Some(Outcome::Error(error)) => (FAILED, format!(r#"{{"error":{error}}}"#)),
                None => return unusable(Code::AnswerBroken),
            }
        }
    };
    made(answer, status, &outcome).map_err(|error| NoAnswer::Unreachable(error.to_string()))
}

fn ends_an_event(read: &[u8]) -> bool {
    [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"].iter().any(|end| read.ends_with(end))
}

fn made(answer: &Response, status: u16, text: &str) -> worker::Result<Response> {
    let headers = Headers::new()?;
    headers.set("content-type", OUTCOME)?;
    // So that it can be kept for whoever shows its identifier.
    headers.set("content-length", &text.len().to_string())?;
    if let Some(session) = answer.headers().get(SESSION)? {
        headers.set(SESSION, &session)?;
    }
    let init = ResponseInit::new();
    init.set_status(status);
    init.set_headers(&headers);
    Ok(Response::new_with_opt_str_and_init(Some(text), &init)?)
}
