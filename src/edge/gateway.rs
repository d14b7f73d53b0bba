//! A request comes in, a response goes out: facts to the gate, its decision to whoever carries it out.

use super::charge::Sale;
use super::claims::Ledger;
use super::origin::Call;
use super::{environment, log, now, respond};
use crate::gate::{Decision, Facts, decide};
use crate::http::headers::{PAYMENT_SIGNATURE, SIGN_IN_WITH_X, X_PAYMENT};
use crate::http::problem::{Code, Problem};
use serde_json::json;
use web_sys::{Request, Response};
use worker::{Context, Env, Result};

/// Handles one request.
///
/// # Errors
/// Only when the runtime refuses to build a response; everything foreseen is a response.
pub async fn handle(request: Request, env: Env, context: Context) -> Result<Response> {
    let resolved = environment::config(&env);
    let Ok(config) = resolved.as_ref() else {
        return respond::problem(&Code::NotConfigured.into(), Vec::new());
    };
    let Some(facts) = facts(&request)? else {
        return respond::problem(&Problem::new(Code::PathNotCanonical, "the request has no absolute URL"), Vec::new());
    };
    let target = facts.target();
    let call = Call { config, env: &env, request: &request, base: &facts.base, target: &target };
    let route = format!("{} {}", facts.method, facts.path);
    match decide(config, &facts) {
        Decision::PassThrough => match call.pass_through().await {
            Ok(response) => Ok(response),
            Err(error) => {
                log::failure("origin", &error.to_string());
                respond::problem(&Code::OriginUnreachable.into(), Vec::new())
            }
        },
        Decision::Preflight => {
            let method = facts.preflight_for.as_deref().unwrap_or_default();
            respond::preflight(method, request.headers().get("access-control-request-headers")?.as_deref())
        }
        Decision::Challenge(challenge) => {
            log::decision("challenge", &route, &json!({ "code": challenge.problem.code.as_str() }));
            respond::challenge(&challenge, Vec::new())
        }
        Decision::Refuse(problem) => {
            log::decision("refuse", &route, &json!({ "code": problem.code.as_str() }));
            respond::problem(&problem, Vec::new())
        }
        Decision::Doubt(challenge, identity) => {
            let code = challenge.problem.code.as_str();
            match Ledger::of(&env, &identity).look(&identity).await {
                Ok(()) => {
                    log::decision("challenge", &route, &json!({ "code": code }));
                    respond::challenge(&challenge, Vec::new())
                }
                Err(known) => {
                    let problem = Problem::from(known);
                    log::decision("refuse", &route, &json!({ "code": problem.code.as_str(), "instead_of": code }));
                    respond::problem(&problem, Vec::new())
                }
            }
        }
        Decision::Charge(charge) => {
            let Some(facilitator) = config.facilitators.first() else {
                return respond::problem(&Code::NotConfigured.into(), Vec::new());
            };
            Sale { charge: &charge, call: &call, facilitator, env: &env, context: &context, route: &route }.run().await
        }
    }
}

/// What the gate wants to know. `None` when the URL is not of the form that every HTTP request has.
fn facts(request: &Request) -> Result<Option<Facts>> {
    let headers = request.headers();
    let url = request.url();
    // By hand, not by a URL parser: a parser normalises, and the path must be judged as it came.
    let Some((scheme, rest)) = url.split_once("://") else { return Ok(None) };
    let rest = rest.split('#').next().unwrap_or(rest);
    let (before_query, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query.to_owned())),
        None => (rest, None),
    };
    let (authority, path) = match before_query.find(['/', '\\']) {
        Some(start) => before_query.split_at(start),
        None => (before_query, "/"),
    };
    let method = request.method();
    let preflight = method == "OPTIONS" && headers.has("origin")?;
    let preflight_for = if preflight { headers.get("access-control-request-method")? } else { None };
    Ok(Some(Facts {
        method,
        base: format!("{scheme}://{authority}"),
        path: path.to_owned(),
        query,
        payment_signature: headers.get(PAYMENT_SIGNATURE)?,
        x_payment: headers.get(X_PAYMENT)?,
        sign_in: headers.has(SIGN_IN_WITH_X)?,
        authorization: headers.get("authorization")?,
        preflight_for: preflight_for.map(|method| method.trim().to_ascii_uppercase()),
        now: now(),
    }))
}
