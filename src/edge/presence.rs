//! Whether the origin is there at all. The runtime does not tell a connection that was refused from one that broke when the
//! request was through, so this is asked after a failure, of the origin itself, and believed only where two ways agree.
//!
//! A buyer can break its own connection, and what its request may do at the origin, but it cannot have the origin refuse
//! connections afterwards: as long as the origin is there, a failure counts as work that it may have done.

use super::origin::cancel;
use super::within;
use crate::config::{Config, Origin};
use crate::http::relay::says_unreachable;
use wasm_bindgen::JsCast;
use web_sys::{Request, RequestCache, RequestInit, RequestRedirect, Response, WorkerGlobalScope};
use worker::{AbortController, Result, Socket, Url};

/// How long each of the two ways may take, in seconds: a claim outlives the origin's time-out by ten.
const SECONDS: u32 = 3;

/// Whether no connection to the origin can be made now. Not knowing is no.
pub(super) async fn is_gone(config: &Config) -> bool {
    // A bound Worker is always there: what it failed at, it was asked.
    let Origin::Url(root) = &config.origin else { return false };
    let Some(Ok(connected)) = within(SECONDS, AbortController::default(), connects(root)).await else { return false };
    !connected && !answers(root).await
}

/// A bare connection that carries nothing. Within Cloudflare some addresses refuse every one of these.
async fn connects(root: &str) -> Result<bool> {
    let url = Url::parse(root)?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Ok(true) };
    let mut socket = Socket::builder().connect(host.trim_matches(['[', ']']), port)?;
    let connected = socket.opened().await.is_ok();
    if connected {
        let _ = socket.close().await;
    }
    Ok(connected)
}

/// Whether it answers a request that asks for nothing, whatever it answers; too slow is an answer as well.
async fn answers(root: &str) -> bool {
    let controller = AbortController::default();
    let init = RequestInit::new();
    init.set_method("HEAD");
    init.set_redirect(RequestRedirect::Manual);
    init.set_cache(RequestCache::NoStore);
    init.set_signal(Some(&controller.signal()));
    let Ok(request) = Request::new_with_str_and_init(&format!("{root}/"), &init) else { return true };
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let fetched = wasm_bindgen_futures::JsFuture::from(scope.fetch_with_request(&request));
    match within(SECONDS, controller, fetched).await {
        None => true,
        Some(Err(_)) => false,
        Some(Ok(answer)) => answer.dyn_into::<Response>().is_ok_and(|answer| {
            cancel(&answer);
            !says_unreachable(answer.status())
        }),
    }
}
