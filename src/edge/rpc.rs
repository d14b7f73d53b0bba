//! Calls to a network's node. What its answers prove is [`crate::evm::proof`]'s to say.

use super::within;
use crate::config::Secret;
use crate::evm::proof::{Proof, Prover, Question, Step, is_error};
use futures_util::StreamExt;
use std::cell::Cell;
use wasm_bindgen::JsValue;
use worker::{AbortController, AbortSignal, Fetch, Headers, Method, Request, RequestInit, RequestRedirect};

/// For one call; nodes answer in milliseconds, and a proof takes up to 35 of them.
const SECONDS: u32 = 10;
/// The largest answers are receipts of crowded transactions and blocks with the hashes of theirs: some hundred KB.
const MOST_BYTES: usize = 1 << 20;

/// What became of an authorization, as the chain has it.
///
/// # Errors
/// Why nothing is proved: the node cannot be reached, or its answers do not suffice. The texts hold nothing of the URL,
/// which may be a key, and so no word of the runtime's own errors either: some of them quote it. `made` counts the calls.
pub(super) async fn prove(rpc: &Secret, question: Question, made: &Cell<u32>) -> Result<Proof, String> {
    let mut prover = Prover::new(question);
    let mut step = prover.next(None);
    loop {
        match step {
            Step::Ask(body) => {
                made.set(made.get().saturating_add(1));
                step = prover.next(Some(&call(rpc, &body).await?));
            }
            Step::Done(proof) => return Ok(proof),
            Step::Inconclusive(reason) => return Err(reason),
        }
    }
}

async fn call(rpc: &Secret, body: &str) -> Result<Vec<u8>, String> {
    let controller = AbortController::default();
    let signal = controller.signal();
    match within(SECONDS, controller, send(rpc, body, &signal)).await {
        None => Err(format!("the node did not answer within {SECONDS} seconds")),
        Some(Err(_)) => Err("the call to the node failed".to_owned()),
        Some(Ok(answer)) => answer,
    }
}

async fn send(rpc: &Secret, body: &str, signal: &AbortSignal) -> worker::Result<Result<Vec<u8>, String>> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    let mut init = RequestInit::new();
    // A redirect is not followed: what answers there is not the node that the operator trusts.
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(Some(JsValue::from_str(body)))
        .with_redirect(RequestRedirect::Manual);
    let request = Request::new_with_init(rpc.expose(), &init)?;
    let mut response = Fetch::Request(request).send_with_signal(signal).await?;
    let status = response.status_code();
    let mut chunks = response.stream()?;
    let mut answer = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if answer.len().saturating_add(chunk.len()) > MOST_BYTES {
            return Ok(Err("the node's answer is too long".to_owned()));
        }
        answer.extend_from_slice(&chunk);
    }
    // Many nodes send errors with such a status, "too wide a range" among them, to which the prover has an answer. A
    // result that comes with one is none.
    if (200..300).contains(&status) || (matches!(status, 400 | 413) && is_error(&answer)) {
        Ok(Ok(answer))
    } else {
        Ok(Err(format!("the node answered with the status {status}")))
    }
}
