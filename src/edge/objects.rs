//! Durable Objects, asked by type; and their alarms.

use super::now;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::time::Duration;
use wasm_bindgen::JsValue;
use worker::{Env, Method, Request, RequestInit, Result, Storage};

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
    /// When it rings at the latest, in Unix seconds, as far as this instance knows.
    at: Cell<Option<u64>>,
}

impl Alarm {
    /// It is ringing, or has rung: nothing is set.
    pub(super) fn forget(&self) {
        self.at.set(None);
    }

    /// One alarm is enough, if it is the earliest: the object looks for the next when it rings.
    pub(super) async fn wake_at(&self, storage: &Storage, at: u64) -> Result<()> {
        if self.at.get().is_some_and(|set| set <= at) {
            return Ok(());
        }
        let set = storage.get_alarm().await?.and_then(|milliseconds| u64::try_from(milliseconds.div_euclid(1000)).ok());
        if set.is_none_or(|set| set > at.saturating_add(1)) {
            // A second late rather than a second early: an early alarm finds nothing over and is wasted.
            storage.set_alarm(Duration::from_secs(at.saturating_sub(now()).saturating_add(1))).await?;
        }
        self.at.set(Some(at));
        Ok(())
    }
}
