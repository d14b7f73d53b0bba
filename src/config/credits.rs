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
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Packages are bought under this path: the package is the path, so that what a payment is bound to is what it buys.
pub const BUY_PREFIX: &str = "/api/buy-credits/";
/// Beyond this a number of credits is a slip.
pub(super) const MOST_CREDITS: u64 = 1_000_000_000;
/// A purchase is settled and written down; nobody else is waited for.
const PURCHASE_SECONDS: u32 = 30;
const LONGEST_DAYS: u32 = 36_500;

/// Prepaid credits.
#[derive(Debug)]
pub struct Credits {
    /// What can be bought, in the order of its names; never empty.
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
    /// How long they last, in seconds; for ever where it does not say.
    pub lasts_seconds: Option<u64>,
    /// What they cost; settled before they are given out.
    pub terms: Terms,
}

impl Package {
    /// Where it is bought.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{BUY_PREFIX}{}", self.name)
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

    /// The smallest package that makes up for a shortfall, or the largest there is.
    #[must_use]
    pub fn package_for(&self, missing: u64) -> Option<&Package> {
        let enough = self.packages.iter().filter(|package| package.credits >= missing);
        enough.min_by_key(|package| package.credits).or_else(|| self.packages.iter().max_by_key(|p| p.credits))
    }
}

/// The credits, and what one is worth to a route that does not say.
pub(super) fn credits(
    bindings: &Bindings,
    offer: &Offer,
    secrets: Secrets,
    unseen: &mut Vec<&'static str>,
    mistakes: &mut Mistakes,
) -> (Option<Credits>, Option<CreditValue>) {
    let secret = parts::secret(bindings, "KEY_SECRET", mistakes);
    let previous = parts::secret(bindings, "KEY_SECRET_PREVIOUS", mistakes);
    if !bindings.contains_key("PACKAGES") {
        for name in ["CREDIT_VALUE", "KEY_SECRET", "KEY_SECRET_PREVIOUS"] {
            if bindings.contains_key(name) {
                mistakes.add(name, "is set, and no PACKAGES are sold", "sell some, or remove it");
            }
        }
        return (None, None);
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
    let packages: Vec<Package> =
        entries.iter().filter_map(|(path, name, value)| package(path, name, value, offer, mistakes)).collect();
    let value = value(bindings, &packages, mistakes);
    let secret = secret.unwrap_or_else(|| Secret::new(String::new()));
    ((!packages.is_empty()).then_some(Credits { packages, secret, previous }), value)
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
    let members = Members::new(path, members, &["price", "credits", "expires_days", "description"], mistakes);
    let price_path = members.path("price");
    let price = route::price(&price_path, members.get("price"), mistakes);
    if members.get("credits").is_none() {
        mistakes.add(members.path("credits"), "is missing", "write how many the package holds");
    }
    let credits = members.count("credits", MOST_CREDITS, mistakes);
    let days = members.days("expires_days", LONGEST_DAYS, mistakes);
    let description = route::words(&members, "description", mistakes);
    if offer.pay_to.is_none() && !mistakes.iter().any(|mistake| mistake.path == "PAY_TO") {
        mistakes.add("PAY_TO", "is missing", "set the address that is to be paid");
    }
    let (price, credits, pay_to) = (price?, credits?, offer.pay_to?);
    let timing = (Settle::Before, PURCHASE_SECONDS);
    let requirements = route::requirements(&price_path, price, pay_to, &offer.networks, timing, offer, mistakes);
    if requirements.is_empty() {
        return None;
    }
    check_ways(&members, &requirements, mistakes);
    let description = if description.is_empty() {
        format!("{credits} prepaid credits, and the key to spend them with.")
    } else {
        description
    };
    Some(Package {
        name: name.to_owned(),
        credits,
        lasts_seconds: days.map(|days| u64::from(days).saturating_mul(86_400)),
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
            about: about(name, credits),
        },
    })
}

/// A package is bought by who has never heard of it: its 402 says that nothing needs to be sent, and what comes back.
fn about(name: &str, credits: u64) -> About {
    let nothing = Input { path: Map::new(), query: Map::new(), headers: Map::new(), body: None, required: Vec::new() };
    let schema = json!({
        "type": "object",
        "properties": { "key": { "type": "string" }, "credits": { "type": "integer" } },
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
