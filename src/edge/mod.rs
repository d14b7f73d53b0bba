//! Everything that touches the Workers runtime. The rest of the crate does not know that it exists.

mod account;
mod accounts;
mod admin;
mod admin_credits;
mod charge;
mod claims;
mod collect;
mod credits;
mod debts;
mod documents;
mod environment;
mod facilitator;
mod gateway;
mod goods;
mod keeping;
mod log;
mod mcp;
mod objects;
mod origin;
mod payer;
mod presence;
mod purchase;
mod replay;
mod respond;
mod rpc;
mod sale;
mod settlement;
mod spend;
mod supported;
mod theirs;
mod upload;

pub use account::Account;
pub use gateway::handle;
pub use payer::Payer;

use crate::http::headers::trimmed;
use futures_channel::oneshot::{Sender, channel};
use std::future::Future;
use std::time::Duration;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Headers, WorkerGlobalScope};
use worker::{AbortController, Context, Date, Delay};

/// Unix seconds. The clock of a Worker stands still between I/O, which is as fine as money needs.
fn now() -> u64 {
    Date::now().as_millis().checked_div(1000).unwrap_or_default()
}

/// Keeps a request's work going until the guard is dropped, though the client may have gone.
fn stay_awake(context: &Context) -> Sender<()> {
    let (guard, dropped) = channel();
    context.wait_until(async move {
        // Only ever ends by the guard being dropped.
        let _ = dropped.await;
    });
    guard
}

/// Bytes that nobody can guess.
fn random<const N: usize>() -> Result<[u8; N], JsValue> {
    let mut bytes = [0; N];
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    scope.crypto()?.get_random_values_with_u8_array(&mut bytes)?;
    Ok(bytes)
}

/// A header's value without the white space around it.
fn header(headers: &Headers, name: &str) -> Option<String> {
    let value = headers.get(name).ok().flatten()?;
    let plain = trimmed(&value);
    Some(if plain.len() == value.len() { value } else { plain.to_owned() })
}

/// Runs a call with an end: the controller aborts what is on the wire, so that nothing lingers behind an answer.
async fn within<T>(seconds: u32, controller: AbortController, call: impl Future<Output = T>) -> Option<T> {
    let call = std::pin::pin!(call);
    let timer = std::pin::pin!(Delay::from(Duration::from_secs(u64::from(seconds))));
    match futures_util::future::select(call, timer).await {
        futures_util::future::Either::Left((result, _)) => Some(result),
        futures_util::future::Either::Right(((), _)) => {
            controller.abort();
            None
        }
    }
}
