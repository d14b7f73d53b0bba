//! What is sold: routes, their prices, and the requirements that a buyer is offered for each.

use super::about::{About, about};
use super::bindings::{self, Bindings, Members};
use super::credits::{MOST_CREDITS, Worth};
use super::leaks::quoted;
use super::mistakes::{Area, Mistakes};
use super::offer::{Offer, address, check_ways, networks};
use super::pattern::Pattern;
use super::template::Template;
use crate::evm::Address;
use crate::evm::network::Network;
use crate::money::{Amount, Price};
use crate::x402::requirement::{Flow, Requirement};
use serde_json::Value;

/// When money moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Claim, origin, settle, release: the buyer never pays for a failure.
    After,
    /// Claim, settle, origin: for side effects; advertised as `paymentFlow: "upfront"`.
    Before,
    /// Verify, claim, origin, release; settled in the background.
    Deferred,
}

/// Whether a payment on a route carries a `payment-identifier`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// If the client likes.
    Optional,
    /// Without one it is refused.
    Required,
}

/// What runs before the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Our own checks and recovery.
    Local,
    /// The facilitator's `/verify` as well.
    Facilitator,
}

/// A pattern and what a call under it costs; `None` is `"free"`.
#[derive(Debug)]
pub struct Route {
    /// Which requests.
    pub pattern: Pattern,
    /// On which terms.
    pub terms: Option<Terms>,
}

/// The terms of a paid route.
#[derive(Clone, Debug)]
pub struct Terms {
    /// As the operator wrote it.
    pub price: Price,
    /// What a buyer may choose from; never empty. The first is the default network's.
    pub requirements: Vec<Requirement>,
    /// When money moves.
    pub settle: Settle,
    /// As configured; `None` leaves it to the method and `settle`.
    pub verify: Option<Verify>,
    /// Shown in the challenge.
    pub description: String,
    /// What the answer is.
    pub mime_type: String,
    /// How long the origin may take to begin its answer.
    pub timeout_seconds: u32,
    /// Whether a payment must carry a `payment-identifier`.
    pub identifier: Identifier,
    /// How long an answer is kept for whoever shows its identifier; 0 keeps none.
    pub replay_seconds: u32,
    /// Under `deferred`: what a payer may have had and not paid, as the operator wrote it.
    pub max_exposure: Option<Price>,
    /// What a call costs in prepaid credits; `None` where they are not taken.
    pub credits: Option<u64>,
    /// Whether documents, pages, tools and catalogues tell of it. Where they do not, it is sold to who knows its URL.
    pub listed: bool,
    /// What it takes and gives, for those who look for it.
    pub about: About,
}

impl Terms {
    /// What runs before the origin for a request of this method.
    ///
    /// Local for what only reads: the settlement still decides. Under `before` the settlement itself comes first, and
    /// the standard's `upfront` flow calls no `/verify`.
    #[must_use]
    pub fn verify_for(&self, method: &str) -> Verify {
        self.verify.unwrap_or(match (self.settle, method) {
            // What is served before it is paid is served on the facilitator's word, not on a signature's alone.
            (Settle::Deferred, _) => Verify::Facilitator,
            (Settle::Before, _) | (_, "GET" | "HEAD") => Verify::Local,
            _ => Verify::Facilitator,
        })
    }
}

/// Seconds that a settlement may need once it is begun.
pub const SETTLE_MARGIN_SECONDS: u32 = 30;
const ORIGIN_SECONDS: u32 = 30;
const REPLAY_SECONDS: u32 = 600;
/// A day: what is kept longer is a cache, and belongs elsewhere.
const LONGEST_REPLAY: u32 = 86_400;
/// What a buyer is given beyond what we need: time to sign, and a clock that is off.
const BUYER_SECONDS: u32 = 240;

pub(super) fn routes(bindings: &Bindings, offer: &Offer, worth: Worth, mistakes: &mut Mistakes) -> Vec<Route> {
    let entries = bindings::table(bindings, "ROUTES", mistakes);
    // Whoever sells the tools of a server alone has no route to name.
    if entries.is_empty()
        && !bindings::is_set(bindings, "TOOLS")
        && bindings::parts(bindings, "ROUTES", &mut Mistakes::default()).iter().all(|(_, v)| v.is_object())
    {
        mistakes.add("ROUTES", "names no route", "write \"GET /weather/*\" = \"$0.001\"");
    }
    let mut routes: Vec<Route> = Vec::new();
    for (path, written, written_terms) in &entries {
        if bindings::KNOWN.contains(&written.as_str()) {
            let cure = format!(
                "move it above the line [vars.ROUTES]: in TOML all that follows belongs to ROUTES, {written} too"
            );
            mistakes.add(path, "is a variable, and no route", cure);
            continue;
        }
        let pattern = match Pattern::parse(written) {
            Ok(pattern) => pattern,
            Err((problem, cure)) => {
                mistakes.add(path, problem, cure);
                continue;
            }
        };
        for other in routes.iter().filter(|other| other.pattern.overlaps(&pattern)) {
            let (inside, outside) = (pattern.within(&other.pattern), other.pattern.within(&pattern));
            if inside == outside {
                mistakes.add(
                    path,
                    format!("{written:?} and {:?} overlap and neither is more specific", other.pattern.as_str()),
                    "write them so that one lies within the other, or none touches the other",
                );
            }
        }
        let terms = terms(path, written_terms, Template::of(&pattern), offer, worth, mistakes);
        if terms.is_none() && !mistakes.close(Area::Everything) {
            // A route without terms is free: whatever kept it from having any must be a mistake, never a gift.
            mistakes.add(path, "cannot be priced", "name a price, a network and an address to pay");
        }
        routes.push(Route { pattern, terms: terms.flatten() });
    }
    routes
}

/// `Some(None)` is a free route, `None` a mistaken one.
pub(super) fn terms(
    path: &str,
    value: &Value,
    template: Template,
    offer: &Offer,
    worth: Worth,
    mistakes: &mut Mistakes,
) -> Option<Option<Terms>> {
    const MEMBERS: [&str; 16] = [
        "price",
        "settle",
        "verify",
        "description",
        "mime_type",
        "pay_to",
        "networks",
        "timeout_seconds",
        "max_exposure",
        "replay",
        "payment_identifier",
        "credits",
        "listed",
        "name",
        "input",
        "output",
    ];
    let bare = serde_json::Map::from_iter([("price".to_owned(), value.clone())]);
    let (members, is_table) = match value {
        Value::Object(members) => (members, true),
        _ => (&bare, false),
    };
    let members = Members::new(path, members, &MEMBERS, mistakes);
    let price_path = if is_table { members.path("price") } else { path.to_owned() };
    if members.get("price").and_then(Value::as_str) == Some("free") {
        return Some(None);
    }
    let price = price(&price_path, members.get("price"), mistakes);
    let settle = setting(
        &members,
        "settle",
        &[("after", Settle::After), ("before", Settle::Before), ("deferred", Settle::Deferred)],
        mistakes,
    );
    let verify =
        setting(&members, "verify", &[("local", Verify::Local), ("facilitator", Verify::Facilitator)], mistakes);
    let description = words(&members, "description", mistakes);
    let mime_type = words(&members, "mime_type", mistakes);
    let timeout_seconds = members.seconds("timeout_seconds", 600, mistakes).unwrap_or(ORIGIN_SECONDS);
    let own_pay_to = members.get("pay_to").is_some();
    let pay_to = match members.text("pay_to", mistakes) {
        Some(written) => address(&members.path("pay_to"), written, mistakes),
        None => offer.pay_to,
    };
    if pay_to.is_none() && !own_pay_to && !mistakes.iter().any(|m| m.path == "PAY_TO") {
        mistakes.add("PAY_TO", "is missing", "set the address that is to be paid");
    }
    let networks = match members.get("networks") {
        None => offer.networks.clone(),
        Some(value) => route_networks(&members.path("networks"), value, offer, mistakes),
    };
    let settle = settle.unwrap_or(Settle::After);
    let identifier = setting(
        &members,
        "payment_identifier",
        &[("optional", Identifier::Optional), ("required", Identifier::Required)],
        mistakes,
    );
    let replay_seconds = replay(&members, mistakes);
    let max_exposure = max_exposure(&members, settle, mistakes);
    if settle == Settle::Deferred && verify == Some(Verify::Local) {
        mistakes.add(
            members.path("verify"),
            "is \"local\" under deferred settlement: whoever has no money is served all the same",
            "remove it, or settle \"after\"",
        );
    }
    let listed = members.flag("listed", true, mistakes);
    let about = about(&members, template, mistakes);
    let price = price?;
    let credits = credits(&members, price, worth, mistakes);
    // Where nobody can be paid yet, the rest is looked at all the same: every mistake is told at once.
    let to = pay_to.unwrap_or_default();
    let requirements = requirements(&price_path, price, to, &networks, (settle, timeout_seconds), offer, mistakes);
    pay_to?;
    check_ways(&members, &requirements, mistakes);
    if let Some(most) = &max_exposure {
        check_exposure(&members.path("max_exposure"), most, &requirements, mistakes);
    }
    // Without one there is a mistake already: no network, or a price that fits none.
    (!requirements.is_empty()).then_some(Some(Terms {
        price,
        requirements,
        settle,
        verify,
        description,
        mime_type,
        timeout_seconds,
        identifier: identifier.unwrap_or(Identifier::Optional),
        replay_seconds,
        max_exposure,
        credits,
        listed,
        about,
    }))
}

/// What a buyer may choose from: the price in every asset on every network.
pub(super) fn requirements(
    path: &str,
    price: Price,
    pay_to: Address,
    networks: &[Network],
    (settle, timeout_seconds): (Settle, u32),
    offer: &Offer,
    mistakes: &mut Mistakes,
) -> Vec<Requirement> {
    let flow = match settle {
        Settle::After | Settle::Deferred => Flow::Authorization,
        Settle::Before => Flow::Upfront,
    };
    let max_timeout_seconds = timeout_seconds.saturating_add(SETTLE_MARGIN_SECONDS).saturating_add(BUYER_SECONDS);
    let mut requirements = Vec::new();
    for asset in networks.iter().flat_map(|network| offer.assets_on(*network)) {
        match price.in_units_of(asset.decimals) {
            Ok(amount) => requirements.push(Requirement { asset, amount, pay_to, flow, max_timeout_seconds }),
            Err(error) => mistakes.add(
                path,
                format!("{price} {error} ({} on {})", asset.symbol, asset.network),
                format!("write at most {} digits after the point", asset.decimals),
            ),
        }
    }
    requirements
}

/// A route's own number, or its price over what a credit is worth, or nothing where keys are not taken.
fn credits(members: &Members<'_>, price: Price, worth: Worth, mistakes: &mut Mistakes) -> Option<u64> {
    match (members.get("credits"), worth) {
        (Some(none), _) if none == "none" => None,
        (Some(_), Worth::NoKeys) => {
            mistakes.warn(members.path("credits"), "is set, and no PACKAGES are sold", "sell some, or remove it");
            None
        }
        (Some(_), _) => mistakes.within(Area::Credits, |mistakes| members.count("credits", MOST_CREDITS, mistakes)),
        (None, Worth::NoKeys | Worth::Unknown) => None,
        (None, Worth::Each(value)) => {
            let credits = value.credits_for(price).filter(|credits| *credits <= MOST_CREDITS);
            if credits.is_none() {
                mistakes.within(Area::Credits, |mistakes| {
                    mistakes.add(
                        members.path("credits"),
                        "is missing, and the price over CREDIT_VALUE is no number of credits",
                        "write how many, or \"none\"",
                    );
                });
            }
            credits
        }
    }
}

fn replay(members: &Members<'_>, mistakes: &mut Mistakes) -> u32 {
    match members.get("replay") {
        Some(value) if value.as_u64() == Some(0) => 0,
        _ => members.seconds("replay", LONGEST_REPLAY, mistakes).unwrap_or(REPLAY_SECONDS),
    }
}

fn max_exposure(members: &Members<'_>, settle: Settle, mistakes: &mut Mistakes) -> Option<Price> {
    let path = members.path("max_exposure");
    match (settle, members.get("max_exposure")) {
        (Settle::Deferred, None) => {
            mistakes.add(
                path,
                "is missing under deferred settlement: what a payer may have before it has paid",
                "write it in dollars, at least the price: \"$0.01\"",
            );
            None
        }
        (Settle::Deferred, value) => price(&path, value, mistakes),
        (_, None) => None,
        (_, Some(_)) => {
            mistakes.warn(path, "is set without deferred settlement", "remove it, or settle = \"deferred\"");
            None
        }
    }
}

/// Less than one call is none, and the books add it up in 64 bits.
fn check_exposure(path: &str, most: &Price, requirements: &[Requirement], mistakes: &mut Mistakes) {
    for requirement in requirements {
        let units = most.in_units_of(requirement.asset.decimals).ok().map(Amount::atomic);
        if units.is_none_or(|units| units > u128::from(u64::MAX >> 2)) {
            mistakes.add(path, format!("{most} cannot be counted in {}", requirement.asset.symbol), "write less of it");
        } else if units < Some(requirement.amount.atomic()) {
            mistakes.add(path, format!("{most} is less than the price"), "write at least the price");
        }
    }
}

pub(super) fn price(path: &str, value: Option<&Value>, mistakes: &mut Mistakes) -> Option<Price> {
    let cure = "write it as a text in dollars: \"$0.001\" (or \"free\")";
    match value {
        None => mistakes.add(path, "is missing", cure),
        Some(Value::String(written)) => match written.parse() {
            Ok(price) => return Some(price),
            Err(error) => mistakes.add(path, format!("{} {error}", quoted(written)), cure),
        },
        Some(Value::Number(number)) => {
            mistakes.add(path, format!("{number} is a number, and a float does not hold a price exactly"), cure);
        }
        Some(_) => mistakes.add(path, "is not a price", cure),
    }
    None
}

fn setting<T: Copy>(members: &Members<'_>, key: &str, values: &[(&str, T)], mistakes: &mut Mistakes) -> Option<T> {
    let written = members.text(key, mistakes)?;
    let found = values.iter().find(|(name, _)| *name == written).map(|(_, value)| *value);
    if found.is_none() {
        let choices: Vec<String> = values.iter().map(|(name, _)| format!("{name:?}")).collect();
        mistakes.add(
            members.path(key),
            format!("{} is not a choice", quoted(written)),
            format!("write {}", choices.join(" or ")),
        );
    }
    found
}

/// CDP refuses a description over 500 characters with an unrelated error, and clients echo ours to it.
pub(super) const MOST_WORDS: usize = 500;

pub(super) fn words(members: &Members<'_>, key: &str, mistakes: &mut Mistakes) -> String {
    let written = members.text(key, mistakes).unwrap_or_default();
    if written.chars().count() > MOST_WORDS || written.chars().any(char::is_control) {
        mistakes.add(
            members.path(key),
            "is too long or holds control characters",
            format!("write at most {MOST_WORDS} characters on one line"),
        );
    }
    written.to_owned()
}

fn route_networks(path: &str, value: &Value, offer: &Offer, mistakes: &mut Mistakes) -> Vec<Network> {
    let Value::Array(values) = value else {
        mistakes.add(path, "is not a list", "write [\"eip155:84532\"]");
        return Vec::new();
    };
    let list: Vec<_> = values.iter().enumerate().map(|(i, value)| (format!("{path}[{i}]"), value.clone())).collect();
    if list.is_empty() {
        mistakes.add(path, "is empty", "name a network, or remove it to take those of NETWORKS");
    }
    networks(&list, &offer.extra_assets, mistakes)
}
