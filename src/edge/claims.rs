//! The Worker's side of the ledger: one payer's Durable Object, asked by type.

use super::{log, now};
use crate::gate::Identity;
use crate::http::problem::{Code, Problem};
use crate::ledger::authorization::{Denial, Event};
use crate::ledger::messages::{Claim, Command, Key, Reply};
use crate::x402::facilitator::says_forbidden;
use wasm_bindgen::JsValue;
use worker::{Env, Method, Request, RequestInit};

/// The binding's name in `wrangler.toml`.
const BINDING: &str = "PAYER";

/// One payer's object.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    env: Env,
    name: String,
}

/// A claim that was granted: the right, and the duty, to say what became of it.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    ledger: Ledger,
    key: Key,
    attempt: u32,
    lease_until: u64,
}

/// Why there is no claim.
#[derive(Clone, Debug)]
pub(super) enum NoClaim {
    /// The object said no.
    Denied { denial: Denial, reason: Option<String> },
    /// The object could not be asked.
    Unreachable,
}

impl NoClaim {
    fn unreachable(error: &worker::Error) -> Self {
        log::failure("ledger", &error.to_string());
        Self::Unreachable
    }

    fn unexpected(reply: &Reply) -> Self {
        log::failure("ledger", &format!("an answer to another question: {reply:?}"));
        Self::Unreachable
    }
}

impl From<NoClaim> for Problem {
    fn from(error: NoClaim) -> Self {
        let NoClaim::Denied { denial, reason } = error else { return Code::StorageUnavailable.into() };
        let reason = reason.unwrap_or_default();
        match denial {
            Denial::InFlight => Code::PaymentInFlight.into(),
            Denial::Used => Code::PaymentAlreadyUsed.into(),
            Denial::Unknown => Code::SettlementUnknown.into(),
            Denial::Owed => Code::AnswerOwed.into(),
            Denial::Refused if says_forbidden(&reason) => Self::new(Code::PayerForbidden, reason),
            Denial::Refused => Self::new(Code::PaymentRefused, reason),
        }
    }
}

/// The authorization's place within its payer's object.
pub(super) fn key(identity: &Identity) -> Key {
    Key { asset: identity.asset.to_checksum(None), nonce: identity.nonce.to_string() }
}

impl Ledger {
    /// Named by network and payer, so that one payer's load is one object's, and one claim one object's turn.
    pub(super) fn of(env: &Env, identity: &Identity) -> Self {
        Self { env: env.clone(), name: format!("{}:{:#x}", identity.network, identity.payer) }
    }

    /// Asks, without changing anything, whether an authorization is one that no fresh challenge may be sent for.
    pub(super) async fn look(&self, identity: &Identity) -> Result<(), NoClaim> {
        let command = Command::Look { key: key(identity), binding: identity.binding.to_string(), now: now() };
        match self.ask(&command).await {
            Ok(Reply::Seen { denial: None }) => Ok(()),
            Ok(Reply::Seen { denial: Some(denial) }) => Err(NoClaim::Denied { denial, reason: None }),
            Ok(reply) => Err(NoClaim::unexpected(&reply)),
            Err(error) => Err(NoClaim::unreachable(&error)),
        }
    }

    pub(super) async fn claim(self, claim: Claim) -> Result<Granted, NoClaim> {
        let (key, lease_until) = (claim.key.clone(), claim.lease_until);
        match self.ask(&Command::Claim(Box::new(claim))).await {
            Ok(Reply::Granted { attempt }) => Ok(Granted { ledger: self, key, attempt, lease_until }),
            Ok(Reply::Denied { denial, reason }) => Err(NoClaim::Denied { denial, reason }),
            Ok(reply) => Err(NoClaim::unexpected(&reply)),
            Err(error) => Err(NoClaim::unreachable(&error)),
        }
    }

    async fn ask(&self, command: &Command) -> worker::Result<Reply> {
        let stub = self.env.durable_object(BINDING)?.id_from_name(&self.name)?.get_stub()?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(JsValue::from_str(&serde_json::to_string(command)?)));
        let request = Request::new_with_init("https://payer.edge402/", &init)?;
        let mut response = stub.fetch_with_request(request).await?;
        if response.status_code() != 200 {
            return Err(worker::Error::RustError(format!("the payer's object answered {}", response.status_code())));
        }
        response.json().await
    }
}

impl Granted {
    /// Says what happened. A failure is logged, not returned: what happened to the money has happened all the same.
    pub(super) async fn record(&self, event: Event) {
        let what = format!("{event:?}");
        let command = Command::Record { key: self.key.clone(), attempt: self.attempt, now: now(), event };
        match self.ledger.ask(&command).await {
            Ok(Reply::Recorded { applied: true }) => {}
            Ok(reply) => {
                log::failure("record", &format!("{what} of nonce {} changed nothing: {reply:?}", self.key.nonce))
            }
            Err(error) => log::failure("record", &format!("{what} of nonce {}: {error}", self.key.nonce)),
        }
    }

    /// Whether there is still time to settle under this claim. Once its lease is over somebody else may hold it, and
    /// two settlements of one authorization would race.
    pub(super) fn may_still_settle(&self) -> bool {
        now() < self.lease_until
    }
}
