//! An account as its holder sees it: `GET /api/credits`, and what the dashboard shows.

use super::messages::Shown;
use crate::config::Package;
use crate::evm::network::Network;
use serde_json::{Map, Value, json};

/// Lines of each kind.
pub const LINES: u64 = 50;

/// The JSON document. `base` is scheme and authority as the client sees them.
#[must_use]
pub fn document<'a>(account: &str, shown: &Shown, packages: impl Iterator<Item = &'a Package>, base: &str) -> Value {
    let held = shown.holds.iter().fold(0_u64, |sum, hold| sum.saturating_add(hold.credits));
    json!({
        "account": account,
        "live": shown.live,
        "revoked": shown.revoked,
        "available": shown.available,
        "held": held,
        "calls": shown.calls,
        "succeeded": shown.succeeded,
        "expiring": shown.expiring.iter().map(|(credits, at)| json!({ "credits": credits, "at": at })).collect::<Vec<_>>(),
        "activity": shown.activity,
        "purchases": shown.entries.iter().map(purchase).collect::<Vec<_>>(),
        "packages": offers(packages, base),
    })
}

/// What credits can be bought.
#[must_use]
pub fn offers<'a>(packages: impl Iterator<Item = &'a Package>, base: &str) -> Value {
    let offer = |package: &Package| {
        json!({
            "name": package.name,
            "price": package.terms.price.to_string(),
            "credits": package.credits,
            "description": package.terms.description,
            "expiresDays": package.expires_days,
            "url": format!("{base}{}", package.path()),
        })
    };
    packages.map(offer).collect()
}

fn purchase(entry: &super::messages::Entry) -> Value {
    let note: Map<String, Value> = serde_json::from_str(&entry.note).unwrap_or_default();
    let text = |name: &str| note.get(name).and_then(Value::as_str);
    let (network, transaction) = (text("network"), text("transaction"));
    json!({
        "at": entry.at,
        "kind": entry.kind,
        "credits": entry.credits,
        "expiresAt": entry.expires_at,
        "package": text("package"),
        "amount": text("amount"),
        "symbol": text("symbol"),
        "network": network,
        "transaction": transaction,
        "explorerUrl": network
            .and_then(|network| network.parse::<Network>().ok())
            .and_then(|network| network.explorer_url(transaction?)),
    })
}
