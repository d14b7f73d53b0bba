//! `/api/debts/{chain id}/{payer}/{nonce}`: a payment that failed after its answer, as a thing that can be paid for by any
//! client and from any wallet, for exactly what is owed.

use super::claims::Ledger;
use super::{log, now, respond};
use crate::config::{About, Config, Identifier, Settle, Terms, Verify};
use crate::evm::network::Network;
use crate::evm::{Address, B256};
use crate::http::problem::{Code, Problem};
use crate::ledger::authorization::{Event, Movement, State};
use crate::ledger::messages::{Entry, Key};
use crate::money::Amount;
use crate::x402::requirement::{Flow, Requirement};
use serde_json::json;
use web_sys::Response;
use worker::{Env, Result};

pub(super) const PREFIX: &str = "/api/debts/";
/// To sign, and to settle.
const PAYABLE_SECONDS: u32 = 300;

/// Where a debt is paid.
pub(super) fn path(network: &str, payer: &str, nonce: &str) -> String {
    format!("{PREFIX}{}/{payer}/{nonce}", network.rsplit(':').next().unwrap_or(network))
}

/// A debt that can be paid.
pub(super) struct Debt {
    ledger: Ledger,
    key: Key,
}

/// What a path under `/api/debts/` leads to.
pub(super) enum Found {
    /// Not ours: no such path, no such payment, or nothing is deferred here.
    NotHere,
    /// There is nothing to pay, or not yet.
    Answer(Result<Response>),
    /// This, on these terms.
    Payable(Debt, Box<Terms>),
}

/// Looks a debt up.
pub(super) async fn find(config: &Config, env: &Env, path: &str, pays: bool) -> Found {
    let deferred = |terms: &Terms| terms.settle == Settle::Deferred;
    if !config.routes.iter().any(|route| route.terms.as_ref().is_some_and(deferred)) {
        return Found::NotHere;
    }
    let Some((network, payer, nonce)) = parse(path) else { return Found::NotHere };
    let ledger = Ledger::named(env, &network.to_string(), &payer);
    let entries = match ledger.list(Some(nonce.to_string())).await {
        Ok(entries) => entries,
        Err(error) => return Found::Answer(respond::problem(&error.into(), Vec::new())),
    };
    let Some(entry) = entries.into_iter().find(|entry| entry.mode == "deferred") else {
        return Found::NotHere;
    };
    match entry.state {
        State::Failed if entry.again_at.is_some() => {
            let problem = Problem::from(Code::DebtNotDue).with("retriedUntil", entry.valid_before.into());
            Found::Answer(respond::problem(&problem, Vec::new()))
        }
        // Whoever asks now must not be invited to pay what somebody is paying. That one itself comes with its payment.
        State::Failed if entry.lease_until > now() && !pays => {
            Found::Answer(respond::problem(&Code::PaymentInFlight.into(), Vec::new()))
        }
        State::Failed => match terms(config, network, &entry) {
            Some(terms) => {
                let key = Key { asset: entry.asset, nonce: entry.nonce };
                Found::Payable(Debt { ledger, key }, Box::new(terms))
            }
            None => Found::Answer(respond::problem(&Code::NothingOnOffer.into(), Vec::new())),
        },
        State::MadeGood | State::Settled => Found::Answer(respond::json(200, &made_good(entry.transaction.as_deref()))),
        _ => Found::Answer(respond::problem(&Code::NoSuchRoute.into(), Vec::new())),
    }
}

fn parse(path: &str) -> Option<(Network, Address, B256)> {
    let mut parts = path.strip_prefix(PREFIX)?.split('/');
    let (chain, payer, nonce) = (parts.next()?, parts.next()?, parts.next()?);
    let network = Network::new(chain.parse().ok()?);
    if parts.next().is_some() || !payer.starts_with("0x") || !nonce.starts_with("0x") {
        return None;
    }
    Some((network, payer.parse().ok()?, nonce.parse().ok()?))
}

/// Exactly what is owed, in the token that it is owed in, to whom it is owed; the money first.
fn terms(config: &Config, network: Network, entry: &Entry) -> Option<Terms> {
    let asset = config
        .routes
        .iter()
        .filter_map(|route| route.terms.as_ref())
        .flat_map(|terms| &terms.requirements)
        .map(|requirement| &requirement.asset)
        .find(|asset| asset.network == network && asset.address.to_checksum(None) == entry.asset)?
        .clone();
    let amount = Amount::new(entry.value.parse().ok()?);
    Some(Terms {
        price: amount.price(asset.decimals),
        requirements: vec![Requirement {
            asset,
            amount,
            pay_to: entry.pay_to.parse().ok()?,
            flow: Flow::Upfront,
            max_timeout_seconds: PAYABLE_SECONDS,
        }],
        settle: Settle::Before,
        verify: Some(Verify::Local),
        description: "A payment that failed after its answer was given.".to_owned(),
        mime_type: "application/json".to_owned(),
        timeout_seconds: 30,
        identifier: Identifier::Optional,
        replay_seconds: 0,
        max_exposure: None,
        credits: None,
        // It is its payer's alone.
        listed: false,
        about: About::default(),
    })
}

impl Debt {
    /// Keeps others from paying it until then: two who pay one debt at once would each have paid it.
    pub(super) async fn reserve(&self, by: String, until: u64) -> std::result::Result<(), Problem> {
        match self.ledger.record(self.key.clone(), Event::Reserve { by, until }).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Code::PaymentInFlight.into()),
            Err(_) => Err(Code::StorageUnavailable.into()),
        }
    }

    /// The payment came to nothing: others may pay.
    pub(super) async fn let_go(&self, by: String) {
        if let Err(error) = self.ledger.record(self.key.clone(), Event::LetGo { by }).await {
            log::failure("debt", &error.to_string());
        }
    }

    /// Strikes it out. Done twice it is still struck out; what cannot be written stays owed to the buyer, who sends the
    /// same payment again.
    pub(super) async fn make_good(&self, paid: Option<&Movement>) -> std::result::Result<Response, Problem> {
        let transaction = paid.and_then(|movement| movement.transaction.clone()).unwrap_or_default();
        let event = Event::MakeGood { transaction: transaction.clone() };
        match self.ledger.record(self.key.clone(), event).await {
            Ok(true) => {}
            // Only after a reservation that ran out while this payment was still under way.
            Ok(false) => {
                log::failure("debt", &format!("nonce {} was made good before, by another payment", self.key.nonce))
            }
            Err(_) => return Err(Code::StorageUnavailable.into()),
        }
        respond::json(200, &made_good(Some(&transaction))).map_err(|_| Code::StorageUnavailable.into())
    }
}

fn made_good(transaction: Option<&str>) -> serde_json::Value {
    json!({ "madeGood": true, "transaction": transaction })
}
