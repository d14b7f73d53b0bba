//! Calls to the facilitator. What its answers mean is [`crate::x402::facilitator`]'s to say.

use super::{log, now, within};
use crate::config::Facilitator;
use crate::http::redirect::same_service;
use crate::x402::facilitator::{Expected, Outcome, Verification, read_settlement, read_verification};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::WorkerGlobalScope;
use worker::{AbortController, AbortSignal, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response};

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
    let controller = AbortController::default();
    let signal = controller.signal();
    let outcome = within(facilitator.timeout_seconds, controller, send(facilitator, endpoint, body, &signal)).await;
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

async fn send(facilitator: &Facilitator, endpoint: &str, body: &str, signal: &AbortSignal) -> worker::Result<Answer> {
    let url = format!("{}/{endpoint}", facilitator.url);
    let first = post(facilitator, &url, body, signal).await?;
    // Well-known facilitators move between a name and its `www.`. A redirect to anywhere else would take the payment, and
    // our key, there: that one is an answer without a verdict.
    let moved = matches!(first.status_code(), 307 | 308);
    let location = if moved { first.headers().get("location")? } else { None };
    let mut response = match location.and_then(|location| same_service(&url, &location)) {
        Some(url) => post(facilitator, &url, body, signal).await?,
        None => first,
    };
    Ok(Answer { status: response.status_code(), body: response.bytes().await? })
}

async fn post(facilitator: &Facilitator, url: &str, body: &str, signal: &AbortSignal) -> worker::Result<Response> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    for (name, value) in &facilitator.headers {
        headers.set(name, value.expose())?;
    }
    if let Some(key) = &facilitator.cdp {
        // Made here and not once a payment: a token is good for one URL, and a facilitator may refuse to see it twice.
        let token = key.token("POST", url, now(), nonce()?).map_err(|error| worker::Error::from(error.to_string()))?;
        headers.set("authorization", &format!("Bearer {token}"))?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(Some(JsValue::from_str(body)))
        .with_redirect(RequestRedirect::Manual);
    Fetch::Request(Request::new_with_init(url, &init)?).send_with_signal(signal).await
}

fn nonce() -> Result<[u8; 16], JsValue> {
    let mut nonce = [0; 16];
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    scope.crypto()?.get_random_values_with_u8_array(&mut nonce)?;
    Ok(nonce)
}
