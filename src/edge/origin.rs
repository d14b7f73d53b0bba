//! The origin: what it gets to see of a request, and what the client gets to see of its answer. Bodies stream both ways
//! and are never held.

use super::mcp::{Called, outcome};
use super::presence;
use super::{now, within};
use crate::config::{Config, Origin, Terms};
use crate::gate::{followed, holds_our_key};
use crate::http::cors;
use crate::http::headers::{
    Passage, X_EDGE402_PAYER, X_EDGE402_PAYMENT, X_EDGE402_SECRET, X_FORWARDED_HOST, named_by_connection,
    origins_cookies, reaches_client, reaches_origin, upgrade_reaches_origin,
};
use crate::http::redirect::{keeps_the_request, leads_back};
use crate::http::relay::{is_final, says_unreachable};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    Headers, ReadableStream, Request, RequestCache, RequestInit, RequestRedirect, Response, ResponseInit,
    WorkerGlobalScope,
};
use worker::{AbortController, Env, Result};

/// What is asked of the origin.
pub(super) struct Call<'a> {
    pub(super) config: &'a Config,
    pub(super) env: &'a Env,
    pub(super) request: &'a Request,
    /// Scheme and authority as the client sees them.
    pub(super) base: &'a str,
    /// Path and query, as they were priced.
    pub(super) target: &'a str,
    /// The request's body, where it had to be read to be known again; else it streams.
    pub(super) body: Option<Uint8Array>,
    /// How the answer is read, where a tool of an MCP server is called: then its outcome is the answer.
    pub(super) tool: Option<&'a Called>,
}

/// Why the origin has no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// It did not get the request: there was no connection to it, and there is none now.
    NeverReached(String),
    /// The connection was refused or broke: it may have worked on the request.
    Unreachable(String),
    /// It answered with a status that is no answer's, and no response can be made of it.
    NotAnAnswer(u16),
    /// No headers in time.
    TimedOut,
    /// An MCP server's transport refused: nothing was run.
    Status(u16),
    /// An answer to a tool's call that nothing can be made of, as what its caller is told instead.
    Unusable(Response),
}

/// A request to the origin, whole but not sent.
pub(super) struct Outgoing {
    request: Request,
    controller: AbortController,
}

impl Call<'_> {
    /// An unpriced request: as the client sent it, less what would deceive the origin.
    pub(super) async fn pass_through(&self) -> Result<Response> {
        let answer = send(self.config, self.env, &self.prepare(Passage::Free, None, None)?.request).await?;
        // A WebSocket's `101` is headers for this hop only, and no new response can be made of it.
        if answer.status() == 101 && is_websocket(&answer) {
            return Ok(answer);
        }
        // Handed on, it would bring the real answer along as it came, with what the origin echoes of our secret.
        if !is_final(answer.status()) {
            cancel(&answer);
            return Err(format!("the origin answered with the status {}", answer.status()).into());
        }
        let untouched = names(&answer.headers()).iter().all(|name| reaches_client(name, Passage::Free));
        // The very object that the runtime gave: a new one would lose a WebSocket, and cost a copy of every header.
        if untouched && self.rewritten(&answer).is_none() {
            Ok(answer)
        } else {
            rebuilt(&answer, answer.body().as_ref(), &self.filtered(&answer, Passage::Free)?)
        }
    }

    /// Sends a paid request, for the answer's head. `certain`: where it cannot be had, it matters whether the origin got the
    /// request.
    pub(super) async fn paid(
        &self,
        outgoing: Outgoing,
        timeout_seconds: u32,
        certain: bool,
    ) -> std::result::Result<Response, NoAnswer> {
        let Outgoing { request, controller } = outgoing;
        let deadline = now().saturating_add(u64::from(timeout_seconds));
        let answer = within(timeout_seconds, controller, send(self.config, self.env, &request))
            .await
            .ok_or(NoAnswer::TimedOut)?;
        let answer = match answer {
            Ok(answer) if certain && says_unreachable(answer.status()) && presence::is_gone(self.config).await => {
                cancel(&answer);
                return Err(NoAnswer::NeverReached(format!("status {}", answer.status())));
            }
            Ok(answer) => answer,
            Err(error) if certain && presence::is_gone(self.config).await => {
                return Err(NoAnswer::NeverReached(error.to_string()));
            }
            Err(error) => return Err(NoAnswer::Unreachable(error.to_string())),
        };
        if !is_final(answer.status()) {
            cancel(&answer);
            return Err(NoAnswer::NotAnAnswer(answer.status()));
        }
        match self.tool {
            // Read within what is left of the same time: a claim and a hold last no longer.
            Some(called) => {
                let left = u32::try_from(deadline.saturating_sub(now())).unwrap_or_default().max(1);
                outcome(called, &answer, left).await
            }
            None => Ok(answer),
        }
    }

    /// The headers of the origin's answer to a call that was priced, with what we add.
    pub(super) fn paid_headers(&self, answer: &Response) -> Result<Headers> {
        let headers = self.filtered(answer, Passage::Paid)?;
        headers.set("cache-control", "private, no-store")?;
        if !headers.has("access-control-allow-origin")? {
            headers.set("access-control-allow-origin", "*")?;
        }
        let exposed = cors::exposed_with(headers.get("access-control-expose-headers")?.as_deref());
        headers.set("access-control-expose-headers", &exposed)?;
        Ok(headers)
    }

    fn filtered(&self, answer: &Response, passage: Passage) -> Result<Headers> {
        let original = answer.headers();
        let headers = Headers::new_with_headers(&original)?;
        for name in names(&original).iter().filter(|name| !reaches_client(name, passage)) {
            headers.delete(name)?;
        }
        if let Some(location) = self.rewritten(answer) {
            headers.set("location", &location)?;
        }
        Ok(headers)
    }

    /// Where a redirect leads within the gateway.
    fn leads_back(&self, answer: &Response) -> Option<String> {
        if !(300..400).contains(&answer.status()) {
            return None;
        }
        let location = answer.headers().get("location").ok().flatten()?;
        leads_back(root(self.config, self.base), self.base, self.target, &location)
    }

    /// `Location`, where it names the origin and would lead around the gateway. What would only lead to where it comes from
    /// stays: it has another meaning.
    fn rewritten(&self, answer: &Response) -> Option<String> {
        let location = answer.headers().get("location").ok().flatten()?;
        let Origin::Url(_) = self.config.origin else { return None };
        let back = self.leads_back(answer)?;
        // A relative one is right as it is, unless it begins with the origin's own path.
        let named = location.contains("://") || location.starts_with('/');
        let ours = location.strip_prefix(self.base).is_some_and(|rest| rest.starts_with('/'));
        (named && !ours && back != location && back != self.target).then_some(back)
    }

    /// The binding of the request that the same payment is good for as well, where the answer is a redirect to it.
    pub(super) fn led_to(&self, terms: &Terms, answer: &Response) -> Option<String> {
        let method = self.request.method();
        if self.tool.is_some() || !keeps_the_request(answer.status(), &method) {
            return None;
        }
        followed(self.config, terms, &method, &self.leads_back(answer)?).map(|binding| binding.to_string())
    }

    /// Builds what the origin gets. Nothing that can fail here may fail after money has moved.
    pub(super) fn prepare(&self, passage: Passage, payer: Option<&str>, payment: Option<&str>) -> Result<Outgoing> {
        let incoming = self.request.headers();
        let headers = Headers::new_with_headers(&incoming)?;
        let named = named_by_connection(incoming.get("connection")?.as_deref());
        for name in names(&incoming).iter().filter(|name| !reaches_origin(name, passage, &named)) {
            headers.delete(name)?;
        }
        if headers.get("upgrade")?.is_some_and(|protocol| !upgrade_reaches_origin(&protocol)) {
            headers.delete("upgrade")?;
        }
        if self.body.is_some() {
            // That of the body that came, which may not be the one that goes.
            headers.delete("content-length")?;
        }
        // A key is money: on whatever path it was sent, it is nobody's but ours.
        if incoming.get("authorization")?.is_some_and(|value| holds_our_key(&value, &self.config.key_prefix)) {
            headers.delete("authorization")?;
        }
        if let Some(cookies) = headers.get("cookie")? {
            match origins_cookies(&cookies) {
                Some(theirs) if theirs != cookies => headers.set("cookie", &theirs)?,
                Some(_) => {}
                None => headers.delete("cookie")?,
            }
        }
        if let Some((_, host)) = self.base.split_once("://") {
            headers.set(X_FORWARDED_HOST, host)?;
        }
        if let Some(secret) = &self.config.origin_secret {
            headers.set(X_EDGE402_SECRET, secret.expose())?;
        }
        if let Some(payer) = payer {
            headers.set(X_EDGE402_PAYER, payer)?;
        }
        if let Some(payment) = payment {
            headers.set(X_EDGE402_PAYMENT, payment)?;
        }
        let base = root(self.config, self.base);
        let controller = AbortController::default();
        let init = RequestInit::new();
        init.set_headers(&headers);
        init.set_signal(Some(&controller.signal()));
        // Never followed: the secret, and the answer that was paid for, belong to the configured host.
        init.set_redirect(RequestRedirect::Manual);
        if passage == Passage::Paid {
            init.set_cache(RequestCache::NoStore);
        }
        let url = format!("{base}{}", self.target);
        if let Some(body) = &self.body {
            init.set_method(&self.request.method());
            init.set_body(body);
            return Ok(Outgoing { request: Request::new_with_str_and_init(&url, &init)?, controller });
        }
        // Taken over from the incoming request, not set anew: method and body come along as they are, a GET's body too.
        let elsewhere = Request::new_with_str_and_init(&url, self.request.unchecked_ref())?;
        Ok(Outgoing { request: Request::new_with_request_and_init(&elsewhere, &init)?, controller })
    }
}

async fn send(config: &Config, env: &Env, request: &Request) -> Result<Response> {
    match config.origin {
        Origin::Url(_) => {
            let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
            let answer = wasm_bindgen_futures::JsFuture::from(scope.fetch_with_request(request)).await?;
            Ok(answer.dyn_into::<Response>()?)
        }
        // Another handle of the same object: `Request::clone` would be JavaScript's, which keeps the whole body for a
        // second reader who never comes.
        Origin::Service => {
            let request = worker::Request::from(Clone::clone(request));
            Ok(env.service("ORIGIN_SERVICE")?.fetch_request(request).await?.into())
        }
    }
}

/// Asks the origin something of our own, on nobody's behalf.
pub(super) async fn ask(
    config: &Config,
    env: &Env,
    base: &str,
    path: &str,
    accept: &str,
    seconds: u32,
) -> std::result::Result<Response, NoAnswer> {
    let unreachable = |error: worker::Error| NoAnswer::Unreachable(error.to_string());
    let controller = AbortController::default();
    let prepared = || -> Result<Request> {
        let headers = Headers::new()?;
        headers.set("accept", accept)?;
        if let Some((_, host)) = base.split_once("://") {
            headers.set(X_FORWARDED_HOST, host)?;
        }
        if let Some(secret) = &config.origin_secret {
            headers.set(X_EDGE402_SECRET, secret.expose())?;
        }
        let init = RequestInit::new();
        init.set_headers(&headers);
        init.set_signal(Some(&controller.signal()));
        init.set_redirect(RequestRedirect::Manual);
        Ok(Request::new_with_str_and_init(&format!("{}{path}", root(config, base)), &init)?)
    };
    let request = prepared().map_err(unreachable)?;
    within(seconds, controller, send(config, env, &request)).await.ok_or(NoAnswer::TimedOut)?.map_err(unreachable)
}

/// What a path is put behind.
fn root<'a>(config: &'a Config, base: &'a str) -> &'a str {
    match &config.origin {
        Origin::Url(url) => url,
        Origin::Service => base,
    }
}

/// The answer under other headers, with this body.
pub(super) fn rebuilt(answer: &Response, body: Option<&ReadableStream>, headers: &Headers) -> Result<Response> {
    let init = ResponseInit::new();
    init.set_status(answer.status());
    init.set_status_text(&answer.status_text());
    init.set_headers(headers);
    let body = if bodiless(answer.status()) { None } else { body };
    Ok(Response::new_with_opt_readable_stream_and_init(body, &init)?)
}

/// Statuses that may have no body, not even an empty one.
pub(super) const fn bodiless(status: u16) -> bool {
    matches!(status, 101 | 204 | 205 | 304)
}

/// Lets go of an answer that is not shown, and of the connection that it came on.
pub(super) fn cancel(answer: &Response) {
    if let Some(body) = answer.body() {
        let _ = body.cancel();
    }
}

/// Whether the runtime has made a WebSocket of it; web-sys does not know Cloudflare's member.
fn is_websocket(answer: &Response) -> bool {
    Reflect::get(answer, &JsValue::from_str("webSocket")).is_ok_and(|socket| socket.is_object())
}

/// The names of a header list, in lower case.
pub(super) fn names(headers: &Headers) -> Vec<String> {
    let names = headers.keys().into_iter().flatten().filter_map(|name: JsValue| name.as_string());
    names.map(|name| name.to_ascii_lowercase()).collect()
}
