//! Calls to the facilitator. What its answers mean is [`crate::x402::facilitator`]'s to say.

use super::{log, within};
use crate::config::Facilitator;
use crate::x402::facilitator::{Expected, Outcome, Verification, read_settlement, read_verification};
use wasm_bindgen::JsValue;
use worker::{AbortSignal, Fetch, Headers, Method, Request, RequestInit, RequestRedirect};

struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// `POST /verify`.
pub(super) async fn verify(facilitator: &Facilitator, body: &str, expected: Expected) -> Verification {
    match call(facilitator, "verify", body).await {
        Ok(answer) => read_verification(answer.status, &answer.body, expected),
        Err(problem) => Verification::Unavailable(problem),
    }
}

/// `POST /settle`. An error here is *unknown*: the runtime does not tell a connection that was never made from one that
/// broke after the request was through.
pub(super) async fn settle(facilitator: &Facilitator, body: &str, expected: Expected) -> Outcome {
    match call(facilitator, "settle", body).await {
        Ok(answer) => read_settlement(answer.status, &answer.body, expected),
        Err(reason) => Outcome::Unknown { reason, transaction: None },
    }
}

async fn call(facilitator: &Facilitator, endpoint: &str, body: &str) -> Result<Answer, String> {
    let outcome = within(facilitator.timeout_seconds, |signal| send(facilitator, endpoint, body, signal)).await;
    let result = match outcome {
        None => Err(format!("no answer within {} seconds", facilitator.timeout_seconds)),
        Some(Err(error)) => Err(format!("the call failed: {error}")),
        Some(Ok(answer)) => Ok(answer),
    };
    if let Err(problem) = &result {
        log::failure(endpoint, problem);
    }
    result
}

async fn send(facilitator: &Facilitator, endpoint: &str, body: &str, signal: AbortSignal) -> worker::Result<Answer> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    for (name, value) in &facilitator.headers {
        headers.set(name, value.expose())?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(Some(JsValue::from_str(body)))
        // Never on to another host: a redirect would take the payment, and our key, there.
        .with_redirect(RequestRedirect::Manual);
    let request = Request::new_with_init(&format!("{}/{endpoint}", facilitator.url), &init)?;
    let mut response = Fetch::Request(request).send_with_signal(&signal).await?;
    Ok(Answer { status: response.status_code(), body: response.bytes().await? })
}
