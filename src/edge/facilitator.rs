//! Calls to facilitators, and the choice among them. What their answers mean is [`crate::x402::facilitator`]'s to say.
//!
//! # Failover
//!
//! `/verify` moves nothing: whoever answers may be asked. A settlement goes to one facilitator and no other, once it has
//! been sent: the runtime does not tell a connection that was never made from one that broke when the request was through,
//! and two facilitators that both work on one authorization each call the other's success a failure. So the choice is made
//! *before* sending. A facilitator that could not be reached a moment ago is asked for its list first (`GET /supported`),
//! and when that has no answer either, nothing has been sent to it and the next one is asked. It is a `fetch` like any
//! other: a bare connection is refused by the runtime to every address of Cloudflare's own, where many facilitators are.

use super::{log, now, random, within};
use crate::config::{Config, Facilitator};
use crate::evm::network::Network;
use crate::http::redirect::same_service;
use crate::x402::facilitator::{Expected, Outcome, Said, Verification, read_settlement, read_verification};
use crate::x402::supported::{Kind, Support, read_supported};
use std::cell::RefCell;
use std::collections::HashMap;
use wasm_bindgen::JsValue;
use worker::{AbortController, AbortSignal, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response};

/// For so long a facilitator that could not be reached is asked what it supports before it is sent a settlement.
const SUSPECT_SECONDS: u64 = 60;
/// How long that question may take, in seconds.
const PROBE_SECONDS: u32 = 3;
/// How long a second opinion on a settlement may take, in seconds: a lease covers it.
pub(super) const SECOND_OPINION_SECONDS: u32 = 10;
/// How long the list of what a facilitator settles may take: a challenge may be waiting for it.
const SUPPORTED_SECONDS: u32 = 5;

thread_local! {
    // Until when each is suspect: numbers, no promises.
    static SUSPECTS: RefCell<HashMap<String, u64>> = RefCell::new(HashMap::new());
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    retry_after: Option<String>,
}

/// Those that may settle payments of this version there, in the operator's order; all of them when none says that it does.
pub(super) fn candidates<'a>(
    config: &'a Config,
    support: &Support,
    version: u64,
    network: Network,
) -> Vec<&'a Facilitator> {
    let all = || config.facilitators.iter().enumerate();
    let able: Vec<_> =
        all().filter(|(at, _)| support.may_settle(*at, version, network)).map(|(_, facilitator)| facilitator).collect();
    if able.is_empty() { config.facilitators.iter().collect() } else { able }
}

/// `POST /verify`, of each in turn until one has a verdict; and whose it is.
pub(super) async fn verify<'a>(
    candidates: &[&'a Facilitator],
    body: &str,
    expected: Expected,
) -> (Verification, Option<&'a Facilitator>) {
    let mut last = Verification::Unavailable("no facilitator is configured".to_owned());
    for facilitator in candidates {
        let verdict = match call(facilitator, "verify", body).await {
            Ok(answer) => read_verification(answer.status, &answer.body, expected),
            Err(problem) => Verification::Unavailable(problem),
        };
        match verdict {
            Verification::Unavailable(reason) => {
                log::failure("verify", &format!("{}: {reason}", facilitator.url));
                last = Verification::Unavailable(reason);
            }
            verdict => return (verdict, Some(facilitator)),
        }
    }
    (last, None)
}

/// Whom to send a settlement to: the first that can be reached, as far as can be told without sending it.
pub(super) async fn reachable<'a>(candidates: &[&'a Facilitator]) -> Option<&'a Facilitator> {
    let (first, rest) = candidates.split_first()?;
    if rest.is_empty() {
        return Some(first);
    }
    for facilitator in candidates {
        if !is_suspect(facilitator) || answers(facilitator).await {
            return Some(facilitator);
        }
        log::failure("settle", &format!("{}: no answer, so the next is asked", facilitator.url));
    }
    Some(first)
}

/// A settlement's outcome, and what the attempts on the way to it left behind.
pub(super) struct Attempt {
    pub(super) outcome: Outcome,
    /// Whether one of them had no outcome.
    pub(super) lost: bool,
    /// The transaction that it saw fail: nothing of that one can land.
    pub(super) failed: Option<String>,
}

/// `POST /settle`; once more at once when the answer is that it is pending; and `/verify` where the answer is a no that
/// proves nothing by itself.
pub(super) async fn settle(facilitator: &Facilitator, body: &str, expected: Expected) -> Attempt {
    let mut said = settle_once(facilitator, body, expected).await;
    let mut lost = false;
    if let Some(broadcast) = said.pending().map(ToOwned::to_owned) {
        said = settle_once(facilitator, body, expected).await.after_pending(&broadcast);
        lost = matches!(said, Said::Decided(_));
    }
    match said {
        Said::Decided(outcome) => Attempt { outcome, lost, failed: None },
        Said::Denied(denied) => {
            let failed = denied.failed.clone();
            let verdict = second_opinion(facilitator, body, expected).await;
            Attempt { outcome: denied.given(verdict), lost, failed }
        }
    }
}

/// An error here is *unknown*: it may have come when the request was through.
async fn settle_once(facilitator: &Facilitator, body: &str, expected: Expected) -> Said {
    match call(facilitator, "settle", body).await {
        Ok(answer) => read_settlement(answer.status, &answer.body, expected).heeding(answer.retry_after.as_deref()),
        Err(reason) => Said::Decided(Outcome::unknown(reason)),
    }
}

/// `POST /verify` of the one that settles, and for no longer than [`SECOND_OPINION_SECONDS`].
pub(super) async fn second_opinion(facilitator: &Facilitator, body: &str, expected: Expected) -> Verification {
    let seconds = facilitator.timeout_seconds.min(SECOND_OPINION_SECONDS);
    match bounded(facilitator, "verify", Some(body), seconds).await {
        Ok(answer) => read_verification(answer.status, &answer.body, expected),
        Err(problem) => Verification::Unavailable(problem),
    }
}

/// The longest that [`settle`] takes, in seconds.
pub(super) fn longest_settlement(facilitator: &Facilitator) -> u64 {
    u64::from(facilitator.timeout_seconds).saturating_mul(2).saturating_add(u64::from(SECOND_OPINION_SECONDS))
}

/// `GET /supported`.
pub(super) async fn supported(facilitator: &Facilitator) -> Option<Vec<Kind>> {
    let answer = bounded(facilitator, "supported", None, SUPPORTED_SECONDS).await.ok()?;
    let kinds = read_supported(answer.status, &answer.body);
    if kinds.is_none() {
        log::failure("supported", &format!("{}: status {} without a list", facilitator.url, answer.status));
    }
    kinds
}

async fn call(facilitator: &Facilitator, endpoint: &str, body: &str) -> Result<Answer, String> {
    bounded(facilitator, endpoint, Some(body), facilitator.timeout_seconds).await
}

async fn bounded(
    facilitator: &Facilitator,
    endpoint: &str,
    body: Option<&str>,
    seconds: u32,
) -> Result<Answer, String> {
    let controller = AbortController::default();
    let signal = controller.signal();
    let result = match within(seconds, controller, send(facilitator, endpoint, body, &signal)).await {
        None => Err(format!("no answer within {seconds} seconds")),
        Some(Err(error)) => {
            // A buyer may be told that it failed, not how.
            log::failure(endpoint, &format!("{}: {error}", facilitator.url));
            Err("the call failed".to_owned())
        }
        Some(Ok(answer)) => Ok(answer),
    };
    let suspect = match &result {
        Ok(answer) => answer.status >= 500,
        Err(problem) => {
            log::failure(endpoint, &format!("{}: {problem}", facilitator.url));
            true
        }
    };
    SUSPECTS.with_borrow_mut(|suspects| match suspect {
        true => suspects.insert(facilitator.url.clone(), now().saturating_add(SUSPECT_SECONDS)),
        false => suspects.remove(&facilitator.url),
    });
    result
}

fn is_suspect(facilitator: &Facilitator) -> bool {
    SUSPECTS.with_borrow(|suspects| suspects.get(&facilitator.url).is_some_and(|until| *until > now()))
}

/// Whether it answers at all. It is asked for what moves nothing: who fails here was never sent a settlement. Below 500 any
/// status will do; above, it is a proxy that speaks for a facilitator that is not there.
async fn answers(facilitator: &Facilitator) -> bool {
    bounded(facilitator, "supported", None, PROBE_SECONDS).await.is_ok_and(|answer| answer.status < 500)
}

async fn send(
    facilitator: &Facilitator,
    endpoint: &str,
    body: Option<&str>,
    signal: &AbortSignal,
) -> worker::Result<Answer> {
    let url = format!("{}/{endpoint}", facilitator.url);
    let first = request(facilitator, &url, body, signal).await?;
    // Well-known facilitators move between a name and its `www.`. A redirect to anywhere else would take the payment, and
    // our key, there: that one is an answer without a verdict.
    let moved = matches!(first.status_code(), 307 | 308);
    let location = if moved { first.headers().get("location")? } else { None };
    let mut response = match location.and_then(|location| same_service(&url, &location)) {
        Some(url) => request(facilitator, &url, body, signal).await?,
        None => first,
    };
    let retry_after = response.headers().get("retry-after")?;
    Ok(Answer { status: response.status_code(), body: response.bytes().await?, retry_after })
}

async fn request(
    facilitator: &Facilitator,
    url: &str,
    body: Option<&str>,
    signal: &AbortSignal,
) -> worker::Result<Response> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    for (name, value) in &facilitator.headers {
        headers.set(name, value.expose())?;
    }
    if let Some(key) = &facilitator.cdp {
        // Made here and not once a payment: a token is good for one URL, and a facilitator may refuse to see it twice.
        let token = key
            .token(if body.is_some() { "POST" } else { "GET" }, url, now(), random::<16>()?)
            .map_err(|error| worker::Error::from(error.to_string()))?;
        headers.set("authorization", &format!("Bearer {token}"))?;
    }
    let mut init = RequestInit::new();
    init.with_method(if body.is_some() { Method::Post } else { Method::Get })
        .with_headers(headers)
        .with_body(body.map(JsValue::from_str))
        .with_redirect(RequestRedirect::Manual);
    Fetch::Request(Request::new_with_init(url, &init)?).send_with_signal(signal).await
}
