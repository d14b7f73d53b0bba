//! What the facilitators settle, remembered: in memory, and in KV where `CACHE` is bound. It may be stale, and is served so
//! while it is refreshed.
//!
//! What is shared between requests is plain data. A request that finds nothing asks for itself: a promise that one request
//! made hangs another that awaits it.

use super::{facilitator, now};
use crate::config::{Config, Facilitator};
use crate::x402::supported::{Kind, Support};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::HashMap;
use worker::{Context, Env};

/// So old a list is refreshed, while it is served all the same.
const FRESH_SECONDS: u64 = 600;
/// So long a facilitator that gave no list is not asked for it again: what is configured is offered meanwhile.
const FAILED_SECONDS: u64 = 30;
/// The optional KV namespace.
const BINDING: &str = "CACHE";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    /// `None` when it could not be had.
    kinds: Option<Vec<Kind>>,
    /// When it is asked for again, in Unix seconds.
    stale_at: u64,
}

thread_local! {
    static KNOWN: RefCell<HashMap<String, Known>> = RefCell::new(HashMap::new());
}

/// What is known now, of each facilitator in the operator's order. Waits only for what was never known.
pub(super) async fn current(config: &Config, env: &Env, context: &Context) -> Support {
    let known = config.facilitators.iter().map(|facilitator| async {
        match remembered(facilitator) {
            Some(known) => {
                if known.stale_at <= now() {
                    refresh_later(facilitator, known.kinds.clone(), env, context);
                }
                known.kinds
            }
            None => first(facilitator, env, context).await,
        }
    });
    Support(futures_util::future::join_all(known).await)
}

fn remembered(facilitator: &Facilitator) -> Option<Known> {
    KNOWN.with_borrow(|known| known.get(&facilitator.url).cloned())
}

fn remember(facilitator: &Facilitator, kinds: Option<Vec<Kind>>, seconds: u64) -> Known {
    let known = Known { kinds, stale_at: now().saturating_add(seconds) };
    KNOWN.with_borrow_mut(|all| all.insert(facilitator.url.clone(), known.clone()));
    known
}

async fn first(facilitator: &Facilitator, env: &Env, context: &Context) -> Option<Vec<Kind>> {
    if let Some(known) = from_cache(facilitator, env).await {
        let seconds = known.stale_at.saturating_sub(now());
        let kinds = remember(facilitator, known.kinds, seconds).kinds;
        if seconds == 0 {
            refresh_later(facilitator, kinds.clone(), env, context);
        }
        return kinds;
    }
    // Others that come meanwhile offer what is configured, and do not ask a second time.
    remember(facilitator, None, FAILED_SECONDS);
    fetched(facilitator, None, env).await
}

fn refresh_later(facilitator: &Facilitator, kinds: Option<Vec<Kind>>, env: &Env, context: &Context) {
    // One at a time: whoever comes meanwhile finds it fresh for as long as the call may take.
    remember(facilitator, kinds.clone(), FAILED_SECONDS);
    let (facilitator, env) = (facilitator.clone(), env.clone());
    context.wait_until(async move {
        fetched(&facilitator, kinds, &env).await;
    });
}

/// Asks. What was known before stays known when there is no answer.
async fn fetched(facilitator: &Facilitator, before: Option<Vec<Kind>>, env: &Env) -> Option<Vec<Kind>> {
    let Some(kinds) = facilitator::supported(facilitator).await else {
        return remember(facilitator, before, FAILED_SECONDS).kinds;
    };
    let known = remember(facilitator, Some(kinds), FRESH_SECONDS);
    to_cache(facilitator, &known, env).await;
    known.kinds
}

fn cache_key(facilitator: &Facilitator) -> String {
    format!("supported:{}", facilitator.url)
}

async fn from_cache(facilitator: &Facilitator, env: &Env) -> Option<Known> {
    let cache = env.kv(BINDING).ok()?;
    cache.get(&cache_key(facilitator)).json().await.ok().flatten()
}

async fn to_cache(facilitator: &Facilitator, known: &Known, env: &Env) {
    let Ok(cache) = env.kv(BINDING) else { return };
    if let Ok(put) = cache.put(&cache_key(facilitator), known) {
        // A cache that cannot be written costs a call at the next cold start.
        let _ = put.execute().await;
    }
}
