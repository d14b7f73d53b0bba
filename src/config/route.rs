//! What is sold: routes, their prices, and the requirements that a buyer is offered for each.

use super::bindings::{self, Bindings, Members};
use super::mistakes::Mistakes;
use super::pattern::Pattern;
use crate::evm::Address;
use crate::evm::assets::{Asset, default_asset, known_networks};
use crate::evm::network::Network;
use crate::money::Price;
use crate::x402::requirement::{Flow, Requirement};
use serde_json::Value;
use std::borrow::Cow;

/// When money moves (`design.md` section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Claim, origin, settle, release: the buyer never pays for a failure.
    After,
    /// Claim, settle, origin: for side effects; advertised as `paymentFlow: "upfront"`.
    Before,
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
#[derive(Debug)]
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
}

impl Terms {
    /// What runs before the origin for a request of this method.
    ///
    /// Local for what only reads: the settlement still decides. Under `before` the settlement itself comes first, and
    /// the standard's `upfront` flow calls no `/verify`.
    #[must_use]
    pub fn verify_for(&self, method: &str) -> Verify {
        self.verify.unwrap_or(match (self.settle, method) {
            (Settle::Before, _) | (_, "GET" | "HEAD") => Verify::Local,
            _ => Verify::Facilitator,
        })
    }
}

/// Seconds that a settlement may need once it is begun.
pub const SETTLE_MARGIN_SECONDS: u32 = 30;
const ORIGIN_SECONDS: u32 = 30;
/// What a buyer is given beyond what we need: time to sign, and a clock that is off.
const BUYER_SECONDS: u32 = 240;

/// What routes have in common unless they say otherwise.
#[derive(Debug)]
pub(super) struct Offer {
    networks: Vec<Network>,
    extra_assets: Vec<Asset>,
    pay_to: Option<Address>,
}

impl Offer {
    pub(super) fn resolve(bindings: &Bindings, mistakes: &mut Mistakes) -> Self {
        let extra_assets = assets(bindings, mistakes);
        let list = bindings::list(bindings, "NETWORKS", mistakes);
        if list.is_empty() && !matches!(bindings.get("NETWORKS"), Some(value) if !value.is_array()) {
            mistakes.add(
                "NETWORKS",
                "is missing or empty",
                "write [\"eip155:84532\"] (Base Sepolia) or [\"eip155:8453\"] (Base)",
            );
        }
        let networks = networks(&list, &extra_assets, mistakes);
        let pay_to = bindings.get("PAY_TO").and_then(|_| {
            let written = bindings::text(bindings, "PAY_TO", mistakes)?;
            address("PAY_TO", written, mistakes)
        });
        Self { networks, extra_assets, pay_to }
    }

    /// The assets that are taken on a network: the registry's, then the operator's own.
    fn assets_on(&self, network: Network) -> impl Iterator<Item = Asset> + '_ {
        default_asset(network)
            .into_iter()
            .chain(self.extra_assets.iter().filter(move |a| a.network == network).cloned())
    }
}

fn networks(list: &[(String, Value)], extra_assets: &[Asset], mistakes: &mut Mistakes) -> Vec<Network> {
    let mut found = Vec::new();
    for (path, value) in list {
        let Some(network) = value.as_str().and_then(|text| text.parse::<Network>().ok()) else {
            mistakes.add(path, format!("{value} is not a network"), "write it as CAIP-2: \"eip155:84532\"");
            continue;
        };
        if default_asset(network).is_none() && !extra_assets.iter().any(|asset| asset.network == network) {
            let known: Vec<String> = known_networks().map(|n| n.to_string()).collect();
            mistakes.add(
                path,
                format!("no asset is known on {network}"),
                format!("describe one in ASSETS, or use one of: {}", known.join(", ")),
            );
            continue;
        }
        if found.contains(&network) {
            mistakes.add(path, format!("{network} stands twice"), "remove one");
            continue;
        }
        found.push(network);
    }
    found
}

/// Reads an address; one in mixed case must carry the right checksum, since a slip in it sends money to nobody.
fn address(path: &str, written: &str, mistakes: &mut Mistakes) -> Option<Address> {
    let digits = written.strip_prefix("0x").unwrap_or_default();
    let one_case = |lower: bool| {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit() || if lower { b.is_ascii_lowercase() } else { b.is_ascii_uppercase() })
    };
    let parsed = if digits.len() == 40 { written.parse::<Address>().ok() } else { None };
    let Some(parsed) = parsed else {
        mistakes.add(path, format!("{written:?} is not an address"), "write 0x and 40 hexadecimal digits");
        return None;
    };
    if parsed == Address::ZERO {
        mistakes.add(path, "is the zero address", "write the address that is to be paid");
        return None;
    }
    if !(one_case(true) || one_case(false)) && parsed.to_checksum(None) != written {
        mistakes.add(path, format!("the checksum of {written} is wrong"), "copy the address again, whole");
        return None;
    }
    Some(parsed)
}

fn assets(bindings: &Bindings, mistakes: &mut Mistakes) -> Vec<Asset> {
    let mut found: Vec<Asset> = Vec::new();
    for (path, value) in bindings::list(bindings, "ASSETS", mistakes) {
        let Some(asset) = asset(&path, &value, mistakes) else { continue };
        let known = default_asset(asset.network).into_iter().chain(found.iter().cloned());
        if known.into_iter().any(|other| other.network == asset.network && other.address == asset.address) {
            mistakes.add(path, "is known already", "remove it");
            continue;
        }
        found.push(asset);
    }
    found
}

fn asset(path: &str, value: &Value, mistakes: &mut Mistakes) -> Option<Asset> {
    const MEMBERS: [&str; 6] = ["network", "address", "name", "version", "decimals", "symbol"];
    let Value::Object(members) = value else {
        mistakes.add(path, "is not a table", format!("write {{ {} }}", MEMBERS.join(" = …, ")));
        return None;
    };
    for missing in MEMBERS.iter().filter(|key| !members.contains_key(**key)) {
        mistakes.add(
            format!("{path}.{missing}"),
            "is missing",
            "describe the token whole: nothing about money is guessed",
        );
    }
    let members = Members::new(path, members, &MEMBERS, &[], mistakes);
    let network = members.text("network", mistakes).and_then(|text| {
        let parsed = text.parse::<Network>().ok();
        if parsed.is_none() {
            mistakes.add(
                members.path("network"),
                format!("{text:?} is not a network"),
                "write it as CAIP-2: \"eip155:8453\"",
            );
        }
        parsed
    });
    let contract = members.text("address", mistakes).and_then(|text| address(&members.path("address"), text, mistakes));
    let mut text = |key: &str| {
        let text = members.text(key, mistakes)?;
        if text.is_empty() || text.chars().any(char::is_control) {
            mistakes.add(members.path(key), "is empty or holds control characters", "write what the contract answers");
            return None;
        }
        Some(Cow::<'static, str>::Owned(text.to_owned()))
    };
    let (name, version, symbol) = (text("name"), text("version"), text("symbol"));
    let decimals = members.get("decimals").and_then(|value| {
        let decimals = value.as_u64().and_then(|d| u8::try_from(d).ok()).filter(|d| *d <= 18);
        if decimals.is_none() {
            mistakes.add(members.path("decimals"), format!("{value} is not a number of decimals"), "write 0 to 18");
        }
        decimals
    });
    Some(Asset {
        network: network?,
        address: contract?,
        name: name?,
        version: version?,
        decimals: decimals?,
        symbol: symbol?,
    })
}

pub(super) fn routes(bindings: &Bindings, offer: &Offer, mistakes: &mut Mistakes) -> Vec<Route> {
    let entries = bindings::table(bindings, "ROUTES", mistakes);
    if entries.is_empty()
        && bindings::parts(bindings, "ROUTES", &mut Mistakes::default()).iter().all(|(_, v)| v.is_object())
    {
        mistakes.add("ROUTES", "names no route", "write \"GET /weather/*\" = \"$0.001\"");
    }
    let mut routes: Vec<Route> = Vec::new();
    for (path, written, value) in &entries {
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
        let terms = terms(path, value, offer, mistakes);
        if terms.is_none() && mistakes.is_empty() {
            // A route without terms is free: whatever kept it from having any must be a mistake, never a gift.
            mistakes.add(path, "cannot be priced", "name a price, a network and an address to pay");
        }
        routes.push(Route { pattern, terms: terms.flatten() });
    }
    routes
}

/// `Some(None)` is a free route, `None` a mistaken one.
fn terms(path: &str, value: &Value, offer: &Offer, mistakes: &mut Mistakes) -> Option<Option<Terms>> {
    const MEMBERS: [&str; 8] =
        ["price", "settle", "verify", "description", "mime_type", "pay_to", "networks", "timeout_seconds"];
    const NOT_YET: [&str; 6] = ["credits", "input", "output", "max_exposure", "replay", "output_schema"];
    let bare = serde_json::Map::from_iter([("price".to_owned(), value.clone())]);
    let (members, is_table) = match value {
        Value::Object(members) => (members, true),
        _ => (&bare, false),
    };
    let members = Members::new(path, members, &MEMBERS, &NOT_YET, mistakes);
    let price_path = if is_table { members.path("price") } else { path.to_owned() };
    if members.get("price").and_then(Value::as_str) == Some("free") {
        return Some(None);
    }
    let price = price(&price_path, members.get("price"), mistakes);
    let settle = setting(&members, "settle", &[("after", Settle::After), ("before", Settle::Before)], mistakes);
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
    let flow = match settle {
        Settle::After => Flow::Authorization,
        Settle::Before => Flow::Upfront,
    };
    let (price, pay_to) = (price?, pay_to?);
    let mut requirements = Vec::new();
    for asset in networks.iter().flat_map(|network| offer.assets_on(*network)) {
        match price.in_units_of(asset.decimals) {
            Ok(amount) => requirements.push(Requirement {
                asset,
                amount,
                pay_to,
                flow,
                max_timeout_seconds: timeout_seconds
                    .saturating_add(SETTLE_MARGIN_SECONDS)
                    .saturating_add(BUYER_SECONDS),
            }),
            Err(error) => mistakes.add(
                &price_path,
                format!("{price} {error} ({} on {})", asset.symbol, asset.network),
                format!("write at most {} digits after the point", asset.decimals),
            ),
        }
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
    }))
}

fn price(path: &str, value: Option<&Value>, mistakes: &mut Mistakes) -> Option<Price> {
    let cure = "write it as a text in dollars: \"$0.001\" (or \"free\")";
    match value {
        None => mistakes.add(path, "is missing", cure),
        Some(Value::String(written)) => match written.parse() {
            Ok(price) => return Some(price),
            Err(error) => mistakes.add(path, format!("{written:?} {error}"), cure),
        },
        Some(Value::Number(number)) => {
            mistakes.add(path, format!("{number} is a number, and a float does not hold a price exactly"), cure);
        }
        Some(_) => mistakes.add(path, "is not a price", cure),
    }
    None
}

fn setting<T: Copy>(members: &Members<'_>, key: &str, values: &[(&str, T); 2], mistakes: &mut Mistakes) -> Option<T> {
    let written = members.text(key, mistakes)?;
    let found = values.iter().find(|(name, _)| *name == written).map(|(_, value)| *value);
    if found.is_none() {
        let [(first, _), (second, _)] = values;
        let problem = if written == "deferred" {
            "deferred settlement is not there yet".to_owned()
        } else {
            format!("{written:?} is not a choice")
        };
        mistakes.add(members.path(key), problem, format!("write \"{first}\" or \"{second}\""));
    }
    found
}

/// CDP refuses a description over 500 characters with an unrelated error, and clients echo ours to it.
const MOST_WORDS: usize = 500;

fn words(members: &Members<'_>, key: &str, mistakes: &mut Mistakes) -> String {
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
