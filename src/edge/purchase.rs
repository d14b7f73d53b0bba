//! A package of credits, as goods: the money first, then the key.

use super::accounts::{Accounts, Paid, unexpected};
use super::claims::Ledger;
use super::respond;
use crate::config::{Credits, Package, Terms};
use crate::credits::key::{Key, Keys};
use crate::evm::network::Network;
use crate::gate::Charge;
use crate::http::problem::{Code, Problem};
use crate::ledger::authorization::Movement;
use crate::ledger::messages;
use serde_json::{Value, json};
use web_sys::Response;
use worker::Env;

/// A package that is being bought.
pub(super) struct Purchase<'a> {
    pub(super) credits: &'a Credits,
    pub(super) prefix: &'a str,
    pub(super) package: &'a Package,
    /// The key whose account is topped up.
    pub(super) tops_up: Option<Key>,
    /// Why nothing is sold, where only what was paid for before is delivered: its key is revoked, or its package is gone.
    pub(super) only_what_is_owed: Option<Code>,
    pub(super) env: &'a Env,
    /// Scheme and authority as the client sees them.
    pub(super) base: &'a str,
}

impl Purchase<'_> {
    /// The package's terms. What tops up a key is paid for in the kind of money that bought it: test money would else fill
    /// an account that real calls are paid from.
    pub(super) fn terms(&self) -> Terms {
        let mut terms = self.package.terms.clone();
        if let Some(key) = &self.tops_up {
            terms.requirements.retain(|requirement| requirement.asset.network.is_live() == key.live);
        }
        terms
    }

    /// What the books are told that this payment buys.
    pub(super) fn claimed(&self, charge: &Charge<'_>) -> messages::Purchase {
        messages::Purchase {
            package: self.package.name.clone(),
            credits: self.package.credits,
            lasts_seconds: self.package.lasts_seconds(),
            amount: self.package.terms.price.to_string().trim_start_matches('$').to_owned(),
            symbol: charge.requirement.asset.symbol.to_string(),
            account: self.tops_up.as_ref().map(|key| key.account.clone()),
        }
    }

    /// What was claimed, and when: packages may have changed since.
    async fn bought(&self, charge: &Charge<'_>) -> Result<(messages::Purchase, u64), Problem> {
        let (asset, nonce) = (charge.identity.asset.to_checksum(None), charge.identity.nonce.to_string());
        let entries = Ledger::of(self.env, &charge.identity).list(Some(nonce)).await?;
        let entry = entries.into_iter().find(|entry| entry.asset == asset);
        entry.and_then(|entry| Some((entry.purchase?, entry.claimed_at))).ok_or_else(unexpected)
    }

    /// The credits, and the key. The same again however often it is called for one payment: who may hear it is decided
    /// before.
    pub(super) async fn deliver(&self, charge: &Charge<'_>, paid: Option<&Movement>) -> Result<Response, Problem> {
        let keys = self.credits.keys(self.prefix);
        let identity = &charge.identity;
        let (purchase, at) = self.bought(charge).await?;
        let transaction = paid.and_then(|movement| movement.transaction.as_deref());
        let (asset, nonce) = (identity.asset.to_checksum(None), identity.nonce.to_string());
        let paid = Paid {
            network: identity.network,
            asset: &asset,
            payer: &identity.payer,
            nonce: &nonce,
            transaction,
            purchase: &purchase,
            at,
        };
        let credited = Accounts::new(self.env).credit(&keys, &paid).await?;
        // A key that was rotated is not said by its purchase any more: whoever overheard that must not have the next one.
        let with_key = self.tops_up.is_none() && credited.own && credited.key.generation == 0;
        let mut body = described(&keys, &credited.key, self.base, with_key);
        if let Some(members) = body.as_object_mut() {
            let more = json!({
                "package": purchase.package,
                "credits": credited.credits,
                "available": credited.available,
                "balance": credited.available,
                "expiresAt": credited.expires_at,
                "payment": payment(identity.network, transaction, &purchase, &charge.requirement.amount.to_string()),
                "topUpUrl": format!("{}{}", self.base, self.package.path()),
            });
            members.extend(more.as_object().cloned().unwrap_or_default());
        }
        respond::json(200, &body).map_err(|_| Code::StorageUnavailable.into())
    }
}

/// The receipt, for whoever reads bodies and not headers.
fn payment(network: Network, transaction: Option<&str>, purchase: &messages::Purchase, atomic: &str) -> Value {
    json!({
        "network": network.to_string(),
        "transaction": transaction,
        "explorerUrl": transaction.and_then(|transaction| network.explorer_url(transaction)),
        "price": purchase.amount,
        "symbol": purchase.symbol,
        "amount": atomic,
    })
}

/// A key and how it is used. A key that was there before is not said again: whoever shows it has it.
pub(super) fn described(keys: &Keys<'_>, key: &Key, base: &str, with_key: bool) -> Value {
    let text = keys.write(key);
    let mut body = json!({
        "account": key.account,
        "live": key.live,
        "creditsUrl": format!("{base}/api/credits"),
        "usage": "send `Authorization: Bearer <key>` with any priced request; X-Credits-Remaining says what is left",
        "topUp": "buy again with the same Authorization header beside the payment",
    });
    if let (Some(members), true) = (body.as_object_mut(), with_key) {
        members.insert("dashboardUrl".to_owned(), format!("{base}/dashboard#{text}").into());
        members.insert("key".to_owned(), text.into());
    }
    body
}
