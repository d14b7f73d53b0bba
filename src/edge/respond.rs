//! Our own answers: problems, challenges, preflights. The origin's answers are [`super::origin`]'s.

use super::{environment, theirs};
use crate::http::cors;
use crate::http::headers::PAYMENT_REQUIRED;
use crate::http::problem::{Code, Problem};
use crate::pages::Page;
use crate::x402::challenge::Challenge;
use web_sys::{Headers, Response, ResponseInit};
use worker::Result;

/// A header list on its way out.
pub(super) type Lines = Vec<(&'static str, String)>;

/// A refusal that paying would not cure.
pub(super) fn problem(problem: &Problem, more: Lines) -> Result<Response> {
    let body = serde_json::to_string(&problem.document())?;
    let mut lines = common();
    lines.push(("content-type", "application/problem+json".to_owned()));
    match problem.code {
        Code::KeyUnknown => {
            lines.push(("www-authenticate", "Bearer realm=\"edge402\", error=\"invalid_token\"".to_owned()))
        }
        Code::SignInRequired => lines.push(("www-authenticate", "Bearer realm=\"edge402\"".to_owned())),
        _ => {}
    }
    if let Some(seconds) = problem.code.retry_after() {
        lines.push(("retry-after", seconds.to_string()));
    }
    let status = problem.code.status();
    // Whoever came to the wrong place is led to the right one.
    if (400..500).contains(&status) {
        lines.extend(link(environment::links()));
    }
    lines.extend(more);
    response(status, Some(&body), lines)
}

/// Where the documents are, as far as there are any.
fn link(links: Option<String>) -> Option<(&'static str, String)> {
    theirs::leading(links).map(|links| ("link", links))
}

/// The price.
pub(super) fn challenge(challenge: &Challenge, more: Lines) -> Result<Response> {
    if challenge.empty {
        return problem(&Code::NothingOnOffer.into(), more);
    }
    let mut lines = common();
    lines.push(("content-type", "application/json".to_owned()));
    lines.extend(challenge.header.clone().map(|header| (PAYMENT_REQUIRED, header)));
    lines.extend(link(challenge.links.clone()));
    lines.extend(more);
    response(challenge.problem.code.status(), Some(&challenge.body.to_string()), lines)
}

/// A document of ours.
pub(super) fn json(status: u16, body: &serde_json::Value) -> Result<Response> {
    json_text(status, &body.to_string())
}

/// The same of what is written down already.
pub(super) fn json_text(status: u16, body: &str) -> Result<Response> {
    let mut lines = common();
    lines.push(("content-type", "application/json".to_owned()));
    response(status, Some(body), lines)
}

/// A document of ours that says the same to everybody.
pub(super) fn document(kind: &str, body: &str, links: Option<String>) -> Result<Response> {
    let lines = vec![
        ("content-type", kind.to_owned()),
        ("access-control-allow-origin", "*".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        // Prices change with a deployment, and the live 402 has the last word.
        ("cache-control", "public, max-age=60".to_owned()),
    ];
    response(200, Some(body), lines.into_iter().chain(link(links)).collect())
}

/// Taken, and there is nothing to say.
pub(super) fn accepted() -> Result<Response> {
    response(202, None, common())
}

/// The path is there, and not for this method.
pub(super) fn method_not_allowed(allowed: &str) -> Result<Response> {
    problem(&Code::MethodNotAllowed.into(), vec![("allow", allowed.to_owned())])
}

/// A page, under the policy that lets in what stands in it and nothing else.
pub(super) fn page(page: &Page) -> Result<Response> {
    response(200, Some(&page.html), page_lines(page))
}

/// The price, for a person: the same status and the same header, over a page.
pub(super) fn paywall(challenge: &Challenge, page: &Page, head: bool) -> Result<Response> {
    let mut lines = common();
    lines.extend(challenge.header.clone().map(|header| (PAYMENT_REQUIRED, header)));
    lines.extend(page_lines(page));
    response(challenge.problem.code.status(), (!head).then_some(&page.html), lines)
}

fn page_lines(page: &Page) -> Lines {
    let lines = vec![
        ("content-type", "text/html; charset=utf-8".to_owned()),
        ("content-security-policy", page.policy.to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("x-frame-options", "DENY".to_owned()),
        ("cache-control", "no-store".to_owned()),
    ];
    lines.into_iter().chain(link(page.links.clone())).collect()
}

/// Elsewhere on this host; what is asked for here goes no further.
pub(super) fn redirect(location: &str) -> Result<Response> {
    let lines = vec![
        ("location", location.to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        ("cache-control", "no-store".to_owned()),
    ];
    response(302, None, lines)
}

/// It was answered, and the answer is not here any more, or never was: the receipt alone.
pub(super) fn not_kept(receipt: Lines) -> Result<Response> {
    let body = serde_json::json!({
        "answered": true,
        "kept": false,
        "hint": "this payment was answered and its answer is not kept: it was streamed, too large, or is too old",
    });
    let mut lines = common();
    lines.push(("content-type", "application/json".to_owned()));
    lines.push(("idempotent-replayed", "true".to_owned()));
    lines.extend(receipt);
    response(200, Some(&body.to_string()), lines)
}

/// Yes, a browser may send a payment.
pub(super) fn preflight(requested_method: &str, requested_headers: Option<&str>) -> Result<Response> {
    let lines = vec![
        ("access-control-allow-origin", "*".to_owned()),
        ("access-control-allow-methods", requested_method.to_owned()),
        ("access-control-allow-headers", cors::allowed_headers(requested_headers)),
        ("access-control-max-age", "600".to_owned()),
        ("vary", "Access-Control-Request-Method, Access-Control-Request-Headers".to_owned()),
    ];
    response(204, None, lines)
}

/// On every answer of ours: readable by scripts, kept by no cache. A cached 402 would tell a buyer who has paid to pay.
fn common() -> Lines {
    vec![
        ("access-control-allow-origin", "*".to_owned()),
        ("access-control-expose-headers", cors::exposed()),
        ("cache-control", "no-store".to_owned()),
    ]
}

fn response(status: u16, body: Option<&str>, lines: Lines) -> Result<Response> {
    let headers = Headers::new()?;
    for (name, value) in lines {
        headers.set(name, &value)?;
    }
    let init = ResponseInit::new();
    init.set_status(status);
    init.set_headers(&headers);
    Ok(Response::new_with_opt_str_and_init(body, &init)?)
}
