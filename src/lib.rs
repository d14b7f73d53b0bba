//! edge402: paid HTTP at the edge. An x402 gateway that stands in front of any HTTP API as a Cloudflare Worker, checks the
//! signed payment itself, has a facilitator settle it on chain, and lets the answer out.
//!
//! Data flows one way: request, [`gate`], one [`gate::Decision`], and [`edge`] does what it says. Only `edge` and this
//! file know the Workers runtime.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]

pub mod config;
pub mod credits;
pub mod discovery;
#[cfg(feature = "edge")]
pub mod edge;
pub mod evm;
pub mod gate;
pub mod http;
pub mod json;
pub mod ledger;
pub mod mcp;
pub mod money;
pub mod pages;
pub mod strict_json;
pub mod x402;

#[cfg(feature = "edge")]
pub use edge::{Account, Payer};

/// The Worker's entry point.
#[cfg(feature = "edge")]
#[worker::event(fetch)]
async fn fetch(
    request: web_sys::Request,
    env: worker::Env,
    context: worker::Context,
) -> worker::Result<web_sys::Response> {
    edge::handle(request, env, context).await
}
