//! The Worker's side of the ledger: one payer's Durable Object, asked by type.

use super::settlement::last_heard;
use super::{log, now, objects};
use crate::gate::Identity;
use crate::http::problem::{Code, Problem};
use crate::ledger::authorization::{Denial, Event, Movement};
use crate::ledger::messages::{Claim, Command, Entry, Exposure, Identified, Kept, Key, Reply, Right, StoredAnswer};
use crate::x402::reason::says_forbidden;
use worker::Env;

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

/// What came of asking for a claim.
#[derive(Clone, Debug)]
pub(super) enum Claimed {
    /// It is ours, for this.
    Granted(Granted, Right),
    /// It was answered before, and may be heard again.
    Again { answer: Option<StoredAnswer>, movement: Option<Movement> },
}

/// Why there is no claim.
#[derive(Clone, Debug)]
pub(super) enum NoClaim {
    /// The object said no.
    Denied { denial: Denial, reason: Option<String>, debt: Option<Box<Entry>>, exposure: Option<Exposure> },
    /// The object could not be asked.
    Unreachable,
}

impl NoClaim {
    fn unreachable(error: &worker::Error) -> Self {
        log::failure("ledger", &error.to_string());
        Self::Unreachable
    }

    fn unexpected() -> Self {
        log::failure("ledger", "an answer to another question");
        Self::Unreachable
    }
}

impl From<NoClaim> for Problem {
    fn from(error: NoClaim) -> Self {
        let NoClaim::Denied { denial, reason, debt, exposure } = error else { return Code::StorageUnavailable.into() };
        let reason = reason.unwrap_or_default();
        match denial {
            Denial::InFlight => Code::PaymentInFlight.into(),
            Denial::Used => Code::PaymentAlreadyUsed.into(),
            Denial::Unknown => last_heard(Code::SettlementUnknown, &reason),
            Denial::Lapsed => last_heard(Code::SettlementUnconfirmed, &reason),
            Denial::Owed => Code::AnswerOwed.into(),
            Denial::OtherContent => Self::new(
                Code::PaymentAlreadyUsed,
                "what it has paid for is owed, and to the same body or arguments only: send those again",
            ),
            Denial::IdentifierTaken => Code::IdentifierTaken.into(),
            Denial::Guarded => Code::PurchaseUnclaimed.into(),
            Denial::Exposed => match exposure {
                Some(Exposure { outstanding, most }) => Self::new(
                    Code::TooMuchUnsettled,
                    format!("{outstanding} atomic units of this payer's are not settled yet, of {most} that may be"),
                )
                .with("outstanding", outstanding.into())
                .with("maxExposure", most.into()),
                None => Code::TooMuchUnsettled.into(),
            },
            Denial::InDebt => match debt {
                Some(debt) => Self::new(
                    Code::PaymentOverdue,
                    format!(
                        "the payment with nonce {} ({} atomic units of {} on {}) was refused after its answer: {}",
                        debt.nonce,
                        debt.value,
                        debt.asset,
                        debt.network,
                        debt.reason.as_deref().unwrap_or("no reason given"),
                    ),
                )
                .with("debt", debt_of(&debt)),
                None => Code::PaymentOverdue.into(),
            },
            Denial::Refused if says_forbidden(&reason) => Self::new(Code::PayerForbidden, reason),
            Denial::Refused => Self::new(Code::PaymentRefused, reason),
        }
    }
}

/// What a payer is told of what it owes, and where it can be paid.
fn debt_of(debt: &Entry) -> serde_json::Value {
    serde_json::json!({
        "network": debt.network,
        "asset": debt.asset,
        "amount": debt.value,
        "payTo": debt.pay_to,
        "nonce": debt.nonce,
        "retriedUntil": debt.valid_before,
        "payPath": super::debts::path(&debt.network, &debt.payer, &debt.nonce),
    })
}

/// The authorization's place within its payer's object.
pub(super) fn key(identity: &Identity) -> Key {
    Key { asset: identity.asset.to_checksum(None), nonce: identity.nonce.to_string() }
}

impl Ledger {
    /// Named by network and payer, so that one payer's load is one object's, and one claim one object's turn.
    pub(super) fn of(env: &Env, identity: &Identity) -> Self {
        Self::named(env, &identity.network.to_string(), &identity.payer)
    }

    pub(super) fn named(env: &Env, network: &str, payer: &crate::evm::Address) -> Self {
        Self { env: env.clone(), name: format!("{network}:{payer:#x}") }
    }

    /// Asks, without changing anything, whether an authorization is one that no fresh challenge may be sent for.
    pub(super) async fn look(&self, identity: &Identity, identified: Option<&Identified>) -> Result<(), NoClaim> {
        let (key, binding) = (key(identity), identity.binding.to_string());
        match self.ask(&Command::Look { key, binding, identified: identified.cloned(), now: now() }).await {
            Ok(Reply::Seen { denial: None }) => Ok(()),
            Ok(Reply::Seen { denial: Some(denial) }) => {
                Err(NoClaim::Denied { denial, reason: None, debt: None, exposure: None })
            }
            Ok(_) => Err(NoClaim::unexpected()),
            Err(error) => Err(NoClaim::unreachable(&error)),
        }
    }

    pub(super) async fn claim(self, claim: Claim) -> Result<Claimed, NoClaim> {
        let (key, lease_until) = (claim.key.clone(), claim.lease_until);
        match self.ask(&Command::Claim(Box::new(claim))).await {
            Ok(Reply::Granted { attempt, right }) => {
                Ok(Claimed::Granted(Granted { ledger: self, key, attempt, lease_until }, right))
            }
            Ok(Reply::Again { answer, movement }) => Ok(Claimed::Again { answer, movement }),
            Ok(Reply::Denied { denial, reason, debt, exposure }) => {
                Err(NoClaim::Denied { denial, reason, debt, exposure })
            }
            Ok(_) => Err(NoClaim::unexpected()),
            Err(error) => Err(NoClaim::unreachable(&error)),
        }
    }

    /// What is in the books, or one nonce of it.
    pub(super) async fn list(&self, nonce: Option<String>) -> Result<Vec<Entry>, NoClaim> {
        self.listed(&Command::List { nonce }).await
    }

    /// The purchases that are settled and were never answered.
    pub(super) async fn owed_purchases(&self) -> Result<Vec<Entry>, NoClaim> {
        self.listed(&Command::Owed).await
    }

    async fn listed(&self, command: &Command) -> Result<Vec<Entry>, NoClaim> {
        match self.ask(command).await {
            Ok(Reply::Listed { entries }) => Ok(entries),
            Ok(_) => Err(NoClaim::unexpected()),
            Err(error) => Err(NoClaim::unreachable(&error)),
        }
    }

    /// Notes an event of an authorization that no claim of ours stands for.
    pub(super) async fn record(&self, key: Key, event: Event) -> worker::Result<bool> {
        match self.ask(&Command::Record { key, attempt: 0, now: now(), event, kept: None }).await? {
            Reply::Recorded { applied } => Ok(applied),
            _ => Ok(false),
        }
    }

    async fn ask(&self, command: &Command) -> worker::Result<Reply> {
        objects::ask(&self.env, BINDING, &self.name, command).await
    }
}

impl Granted {
    /// Says what happened, and whether the books took it. What must be in the books before something else may happen
    /// (a settlement sent, an answer released) happens only on `true`.
    pub(super) async fn record(&self, event: Event) -> bool {
        self.record_and_keep(event, None).await
    }

    /// The same, with what is kept of the answer that the event releases.
    pub(super) async fn record_and_keep(&self, event: Event, kept: Option<Kept>) -> bool {
        let what = format!("{event:?}");
        let command = Command::Record { key: self.key.clone(), attempt: self.attempt, now: now(), event, kept };
        match self.ledger.ask(&command).await {
            Ok(Reply::Recorded { applied: true }) => true,
            Ok(_) => {
                log::failure("record", &format!("{what} of nonce {} changed nothing", self.key.nonce));
                false
            }
            Err(error) => {
                log::failure("record", &format!("{what} of nonce {}: {error}", self.key.nonce));
                false
            }
        }
    }

    /// Keeps the answer. A failure costs the buyer the replay, and nobody money.
    pub(super) async fn store(&self, answer: Option<StoredAnswer>) {
        if let Err(error) = self.ledger.ask(&Command::Store { key: self.key.clone(), now: now(), answer }).await {
            log::failure("store", &error.to_string());
        }
    }

    /// Whether there is still time to settle under this claim. Once its lease is over somebody else may hold it, and
    /// two settlements of one authorization would race.
    pub(super) fn may_still_settle(&self) -> bool {
        now() < self.lease_until
    }
}
