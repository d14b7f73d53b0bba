//! What prepaid credits are sold for: `PACKAGES`, `CREDIT_VALUE` and the secrets that keys are made with.

use super::about::{About, Input, Output};
use super::bindings::{self, Bindings, Members};
use super::cdp::Secrets;
use super::mistakes::Mistakes;
use super::offer::{Offer, check_ways};
use super::parts::{self, Secret};
use super::route::{self, Identifier, Route, Settle, Terms, Verify};
use super::template::Template;
use crate::credits::key::Keys;
use crate::credits::value::CreditValue;
use crate::evm::network::Network;
use crate::money::Amount;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Packages are bought under this path: the package is the path, so that what a payment is bound to is what it buys.
pub const BUY_PREFIX: &str = "/api/buy-credits/";
/// Beyond this a number of credits is a slip.
pub(super) const MOST_CREDITS: u64 = 1_000_000_000;
/// A purchase is settled and written down; nobody else is waited for.
const PURCHASE_SECONDS: u32 = 30;
const LONGEST_DAYS: u32 = 36_500;

/// Prepaid credits. They are honoured as long as there is the secret that their keys were made with, on sale or not.
#[derive(Debug)]
pub struct Credits {
    /// What can be bought and what could be, by price; empty where `PACKAGES` were removed.
    pub packages: Vec<Package>,
    /// `KEY_SECRET`.
    pub secret: Secret,
    /// `KEY_SECRET_PREVIOUS`.
    pub previous: Option<Secret>,
}

/// So many credits for so much money.
#[derive(Debug)]
pub struct Package {
    /// The last segment of its path.
    pub name: String,
    /// How many.
    pub credits: u64,
    /// How many days they last; for ever where it does not say.
    pub expires_days: Option<u32>,
    /// Whether it is sold. Where it is not, what it has sold is honoured all the same.
    pub on_sale: bool,
    /// What they cost; settled before they are given out.
    pub terms: Terms,
}

impl Package {
    /// Where it is bought.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{BUY_PREFIX}{}", self.name)
    }

    /// How long its credits last, in seconds; for ever where it does not say.
    #[must_use]
    pub fn lasts_seconds(&self) -> Option<u64> {
        self.expires_days.map(|days| u64::from(days).saturating_mul(86_400))
    }
}

impl Credits {
    /// What keys are made and recognised with.
    #[must_use]
    pub const fn keys<'a>(&'a self, prefix: &'a str) -> Keys<'a> {
        Keys { prefix, secret: &self.secret, previous: self.previous.as_ref() }
    }

    /// The package of a path.
    #[must_use]
    pub fn package(&self, path: &str) -> Option<&Package> {
        let name = path.strip_prefix(BUY_PREFIX)?;
        self.packages.iter().find(|package| package.name == name)
    }

    /// The packages that are sold, by price.
    pub fn on_sale(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.on_sale)
    }

    /// The smallest package that makes up for a shortfall, or the largest there is.
    #[must_use]
    pub fn package_for(&self, missing: u64) -> Option<&Package> {
        let enough = self.on_sale().filter(|package| package.credits >= missing);
        enough.min_by_key(|package| package.credits).or_else(|| self.on_sale().max_by_key(|p| p.credits))
    }
}

/// What a credit is worth to a route that does not say what it costs in credits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Worth {
    /// No keys are taken at all.
    NoKeys,
    /// Neither `CREDIT_VALUE` nor a package says it.
    Unknown,
    /// So much.
    Each(CreditValue),
}

/// The credits, and what one is worth to a route that does not say.
pub(super) fn credits(
    bindings: &Bindings,
    offer: &Offer,
    secrets: Secrets,
    unseen: &mut Vec<&'static str>,
    mistakes: &mut Mistakes,
) -> (Option<Credits>, Worth) {
    let secret = parts::secret(bindings, "KEY_SECRET", mistakes);
    let previous = parts::secret(bindings, "KEY_SECRET_PREVIOUS", mistakes);
    if !bindings::is_set(bindings, "PACKAGES") {
        return sold_before(bindings, secret, previous, mistakes);
    }
    if !bindings.contains_key("KEY_SECRET") {
        match secrets {
            Secrets::Elsewhere => unseen.push("KEY_SECRET"),
            Secrets::Bound => mistakes.add(
                "KEY_SECRET",
                "is missing, and PACKAGES are sold: keys are made with it",
                "set 32 random characters as a secret: openssl rand -hex 32, kept where it can be found again, and npx wrangler secret put KEY_SECRET",
            ),
        }
    }
    let before = mistakes.iter().count();
    let entries = bindings::table(bindings, "PACKAGES", mistakes);
    if entries.is_empty() && mistakes.iter().count() == before {
        mistakes.add("PACKAGES", "names no package", "write small = { price = \"$1\", credits = 5 }");
    }
    let mut packages: Vec<Package> =
        entries.iter().filter_map(|(path, name, value)| package(path, name, value, offer, mistakes)).collect();
    // The order in which they were written is lost in a table; people read a price list by price.
    let in_units = |package: &Package| package.terms.price.in_units_of(18).map(Amount::atomic).unwrap_or(u128::MAX);
    packages.sort_by_key(|package| (in_units(package), package.credits));
    let worth = value(bindings, &packages, mistakes).map_or(Worth::Unknown, Worth::Each);
    // A file does not show it, and nothing is made with it there. A Worker without it has none of the credits' paths.
    let secret = secret.unwrap_or_else(|| Secret::new(String::new()));
    ((!packages.is_empty()).then_some(Credits { packages, secret, previous }), worth)
}

/// `PACKAGES` are not there: they are not sold yet, or any more. Keys that were sold are honoured while there is the secret
/// that they were made with.
fn sold_before(
    bindings: &Bindings,
    secret: Option<Secret>,
    previous: Option<Secret>,
    mistakes: &mut Mistakes,
) -> (Option<Credits>, Worth) {
    let value = value(bindings, &[], mistakes);
    let Some(secret) = secret else {
        for name in ["CREDIT_VALUE", "KEY_SECRET_PREVIOUS"].into_iter().filter(|name| bindings.contains_key(*name)) {
            let problem =
                "is set, and no PACKAGES are sold: it is for keys that were sold before, while KEY_SECRET is set";
            mistakes.warn(name, problem, "sell some, or remove it when no key has credits any more");
        }
        return (None, Worth::NoKeys);
    };
    let (problem, cure) = match value {
        Some(_) => (
            "is set, and no PACKAGES are sold: keys that were sold before are honoured",
            "sell some, or remove it when no key has credits any more",
        ),
        None => (
            "is set, and no PACKAGES are sold: keys that were sold before are honoured only on routes that say `credits`",
            "write PACKAGES, with on_sale = false for what is sold no more, or CREDIT_VALUE; or remove the secret when no key has credits any more",
        ),
    };
    mistakes.warn("KEY_SECRET", problem, cure);
    (Some(Credits { packages: Vec::new(), secret, previous }), value.map_or(Worth::Unknown, Worth::Each))
}

/// A key says whether real money paid for it; on a network of which that is not known it could not. Alone it can do no
/// harm: there is then but one kind of money.
pub(super) fn check_networks(credits: &Credits, routes: &[Route], mistakes: &mut Mistakes) {
    let packages = credits.packages.iter().map(|package| &package.terms);
    let networks: BTreeSet<Network> = routes
        .iter()
        .filter_map(|route| route.terms.as_ref())
        .chain(packages)
        .flat_map(|terms| &terms.requirements)
        .map(|requirement| requirement.asset.network)
        .collect();
    if networks.len() < 2 {
        return;
    }
    for network in networks.iter().filter(|network| !network.is_live() && !network.is_test()) {
        mistakes.add(
            "PACKAGES",
            format!("credits are sold beside {network}, of which it is not known whether its money is real"),
            "sell credits where it is the only network, or leave it out of NETWORKS and of every route",
        );
    }
}

fn package(path: &str, name: &str, value: &Value, offer: &Offer, mistakes: &mut Mistakes) -> Option<Package> {
    let plain = !name.is_empty()
        && name.len() <= 32
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !plain {
        mistakes.add(path, "is not a name for a path", "write at most 32 lower-case letters, digits and dashes");
    }
    let Value::Object(members) = value else {
        mistakes.add(path, "is not a table", "write { price = \"$1\", credits = 5 }");
        return None;
    };
    let members =
        Members::new(path, members, &["price", "credits", "expires_days", "description", "on_sale"], mistakes);
    let price_path = members.path("price");
    let price = route::price(&price_path, members.get("price"), mistakes);
    if members.get("credits").is_none() {
        mistakes.add(members.path("credits"), "is missing", "write how many the package holds");
    }
    let credits = members.count("credits", MOST_CREDITS, mistakes);
    let days = members.days("expires_days", LONGEST_DAYS, mistakes);
    let on_sale = members.flag("on_sale", true, mistakes);
    let description = route::words(&members, "description", mistakes);
    if offer.pay_to.is_none() && !mistakes.iter().any(|mistake| mistake.path == "PAY_TO") {
        mistakes.add("PAY_TO", "is missing", "set the address that is to be paid");
    }
    let (price, credits) = (price?, credits?);
    // Where nobody can be paid yet, the rest is looked at all the same.
    let pay_to = offer.pay_to.unwrap_or_default();
    let timing = (Settle::Before, PURCHASE_SECONDS);
    let requirements = route::requirements(&price_path, price, pay_to, &offer.networks, timing, offer, mistakes);
    if requirements.is_empty() || offer.pay_to.is_none() {
        return None;
    }
    check_ways(&members, &requirements, mistakes);
    let description = described(&description, credits, days);
    if description.chars().count() > route::MOST_WORDS {
        let path = members.path("description");
        mistakes.add(path, "leaves no room to say when the credits expire", "write some words less");
    }
    Some(Package {
        name: name.to_owned(),
        credits,
        expires_days: days,
        on_sale,
        terms: Terms {
            price,
            requirements,
            settle: Settle::Before,
            verify: Some(Verify::Local),
            description,
            mime_type: "application/json".to_owned(),
            timeout_seconds: PURCHASE_SECONDS,
            identifier: Identifier::Optional,
            // The answer holds a key: it is made again for who proves to be the buyer, and never kept.
            replay_seconds: 0,
            max_exposure: None,
            credits: None,
            listed: true,
            about: about(name, credits),
        },
    })
}

/// What is bought, said before it is paid: in the challenge, the documents and the pages. That credits expire is part of it,
/// whatever the operator says of the package.
fn described(own: &str, credits: u64, days: Option<u32>) -> String {
    let number = format!("{credits} prepaid credit{}", if credits == 1 { "" } else { "s" });
    let what = match own {
        "" => format!("{number}, and the key to spend them with."),
        own => own.to_owned(),
    };
    match days {
        None => what,
        Some(days) => {
            let stop = if what.ends_with(['.', '!', '?']) { "" } else { "." };
            format!(
                "{what}{stop} The credits expire {days} day{} after the purchase.",
                if days == 1 { "" } else { "s" }
            )
        }
    }
}

/// A package is bought by who has never heard of it: its 402 says that nothing needs to be sent, and what comes back.
fn about(name: &str, credits: u64) -> About {
    let nothing = Input { path: Map::new(), query: Map::new(), headers: Map::new(), body: None, required: Vec::new() };
    let schema = json!({
        "type": "object",
        "properties": {
            "key": { "type": "string" }, "credits": { "type": "integer" }, "expiresAt": { "type": ["integer", "null"] },
        },
        "required": ["credits"],
    });
    About {
        name: None,
        input: Some(nothing),
        output: Some(Output { example: Some(json!({ "key": "...", "credits": credits })), schema: Some(schema) }),
        template: Template::literal(&format!("{BUY_PREFIX}{name}")),
    }
}

/// `CREDIT_VALUE`, or the dearest credit of any package: the cheapest would sell calls below their price.
fn value(bindings: &Bindings, packages: &[Package], mistakes: &mut Mistakes) -> Option<CreditValue> {
    if let Some(written) = bindings.get("CREDIT_VALUE") {
        let price = route::price("CREDIT_VALUE", Some(written), mistakes)?;
        return CreditValue::new(price, 1);
    }
    packages
        .iter()
        .filter_map(|package| {
            let value = CreditValue::new(package.terms.price, package.credits);
            if value.is_none() {
                mistakes.add(
                    format!("PACKAGES.{:?}", package.name),
                    "cannot be counted",
                    "write a price below a hundred million dollars",
                );
            }
            value
        })
        .reduce(|dearest, value| if value.is_dearer_than(dearest) { value } else { dearest })
}
