//! Durable Objects, asked by type; and their alarms.

use super::{log, now};
use crate::ledger::bell::Bell;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use wasm_bindgen::JsValue;
use worker::{Delay, Env, Method, Request, RequestInit, Result, Storage};

/// Asks the object of this name a command.
pub(super) async fn ask<R: DeserializeOwned>(
    env: &Env,
    binding: &str,
    name: &str,
    command: &impl Serialize,
) -> Result<R> {
    let stub = env.durable_object(binding)?.id_from_name(name)?.get_stub()?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(JsValue::from_str(&serde_json::to_string(command)?)));
    let request = Request::new_with_init("https://object.edge402/", &init)?;
    let mut response = stub.fetch_with_request(request).await?;
    if response.status_code() != 200 {
        return Err(worker::Error::RustError(format!("a {binding} object answered {}", response.status_code())));
    }
    response.json().await
}

/// An object's one alarm.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    bell: Bell,
}

/// When an alarm that has failed rings again, in seconds.
pub(super) const AFTER_FAILURE_SECONDS: u64 = 60;
/// Storage that has refused once may be there a moment later: the pauses before it is tried again, in milliseconds.
const PAUSES: [u64; 3] = [100, 1_000, 5_000];

impl Alarm {
    /// Nothing is known of it: it is ringing, or has rung, or more is due than was.
    pub(super) fn forget(&self) {
        self.bell.forget();
    }

    /// Whether the books must be asked what is due.
    pub(super) fn is_unknown(&self) -> bool {
        self.bell.is_unknown(now())
    }

    /// Sees to it that it rings by then; at `None` there is nothing that it would have to ring for.
    pub(super) async fn wake_at(&self, storage: &Storage, at: Option<u64>) -> Result<()> {
        let Some(at) = at else {
            self.bell.is_set(None);
            return Ok(());
        };
        if self.bell.covers(at, now()) {
            return Ok(());
        }
        let stored =
            storage.get_alarm().await?.and_then(|milliseconds| u64::try_from(milliseconds.div_euclid(1000)).ok());
        if let Some(at) = Bell::setting(stored, at, now()) {
            self.bell.forget();
            storage.set_alarm(Duration::from_secs(at.saturating_sub(now()))).await?;
        }
        self.bell.is_set(Some(at));
        Ok(())
    }

    /// The same, for a caller that has no one to report a failure to. If it fails for good, the caller must fail too: then the runtime
    /// rings again by itself, a few times, and after that the next request finds that nothing is set.
    pub(super) async fn insist_on(&self, storage: &Storage, at: Option<u64>) -> Result<()> {
        for pause in PAUSES {
            match self.wake_at(storage, at).await {
                Ok(()) => return Ok(()),
                Err(error) => log::failure("alarm", &format!("it cannot be set: {error}")),
            }
            Delay::from(Duration::from_millis(pause)).await;
        }
        self.wake_at(storage, at).await
    }
}
