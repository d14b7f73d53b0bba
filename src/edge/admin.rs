//! The operator's paths, there only with an `ADMIN_TOKEN`: `GET /api/admin/books/{network}/{payer}`. The network
//! is a chain id or CAIP-2.

use super::claims::Ledger;
use super::{admin_credits, header, respond};
use crate::config::{Area, Config};
use crate::evm::Address;
use crate::evm::network::Network;
use crate::gate::Facts;
use crate::http::problem::Code;
use serde_json::json;
use subtle::ConstantTimeEq;
use web_sys::{Request, Response};
use worker::{Env, Result};

const PREFIX: &str = "/api/admin/";

/// Answers, if the path is an operator's.
pub(super) async fn answer(config: &Config, env: &Env, request: &Request, facts: &Facts) -> Option<Result<Response>> {
    let rest = facts.path.strip_prefix(PREFIX)?;
    if config.is_closed(Area::Admin) {
        return Some(respond::problem(&Code::NotConfigured.into(), Vec::new()));
    }
    let token = config.admin_token.as_ref()?;
    let shown = header(&request.headers(), "authorization").unwrap_or_default();
    let shown = shown.strip_prefix("Bearer ").unwrap_or_default();
    if !bool::from(shown.as_bytes().ct_eq(token.expose().as_bytes())) {
        return Some(respond::problem(&Code::Unauthorized.into(), Vec::new()));
    }
    let of_credits = rest.strip_prefix("credits").filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match (&config.credits, of_credits) {
        (None, Some(_)) if config.is_closed(Area::Credits) => {
            return Some(respond::problem(&Code::NotConfigured.into(), Vec::new()));
        }
        (Some(credits), Some(rest)) => {
            return Some(admin_credits::answer(config, credits, env, request, &facts.base, rest).await);
        }
        _ => {}
    }
    let books = (request.method() == "GET").then(|| rest.strip_prefix("books/").and_then(whose)).flatten();
    let Some((network, payer)) = books else {
        return Some(respond::problem(&Code::NoSuchRoute.into(), Vec::new()));
    };
    let listed = Ledger::named(env, &network.to_string(), &payer).list(None).await;
    Some(match listed {
        Ok(entries) => respond::json(200, &json!({ "authorizations": entries })),
        Err(error) => respond::problem(&error.into(), Vec::new()),
    })
}

fn whose(rest: &str) -> Option<(Network, Address)> {
    let (chain, payer) = rest.split_once('/')?;
    Some((Network::from_path(chain)?, payer.parse().ok().filter(|_| payer.starts_with("0x"))?))
}
