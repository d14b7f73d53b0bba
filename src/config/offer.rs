//! What every route offers unless it says otherwise: networks, assets, and who is paid.

use super::bindings::{self, Bindings, Members};
use super::leaks::{EXPOSED_CURE, private, quoted};
use super::mistakes::Mistakes;
use super::names;
use crate::evm::Address;
use crate::evm::assets::{Asset, default_asset, known_networks};
use crate::evm::network::Network;
use crate::x402::challenge::fits;
use crate::x402::requirement::Requirement;
use serde_json::Value;
use std::borrow::Cow;

/// What routes have in common unless they say otherwise.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) networks: Vec<Network>,
    pub(super) extra_assets: Vec<Asset>,
    pub(super) pay_to: Option<Address>,
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
    pub(super) fn assets_on(&self, network: Network) -> impl Iterator<Item = Asset> + '_ {
        default_asset(network)
            .into_iter()
            .chain(self.extra_assets.iter().filter(move |a| a.network == network).cloned())
    }
}

/// Reads a network as it is written in `NETWORKS`, in a route or in an asset.
pub(super) fn network(path: &str, value: &Value, mistakes: &mut Mistakes) -> Option<Network> {
    let parsed = value.as_str().and_then(|text| text.parse::<Network>().ok());
    if parsed.is_none() {
        let (problem, cure) = names::not_a_network(value);
        mistakes.add(path, problem, cure);
    }
    parsed
}

pub(super) fn networks(list: &[(String, Value)], extra_assets: &[Asset], mistakes: &mut Mistakes) -> Vec<Network> {
    let mut found = Vec::new();
    for (path, value) in list {
        let Some(network) = network(path, value, mistakes) else { continue };
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
            mistakes.warn(path, format!("{network} stands twice"), "remove one");
            continue;
        }
        found.push(network);
    }
    found
}

/// All the ways to pay travel in the challenge's header, and none is ever left out of it.
pub(super) fn check_ways(members: &Members<'_>, requirements: &[Requirement], mistakes: &mut Mistakes) {
    let own = members.get("networks").is_some();
    let path = if own { members.path("networks") } else { "NETWORKS".to_owned() };
    if !fits(requirements) && !mistakes.iter().any(|mistake| mistake.path == path) {
        let problem = format!("makes {} ways to pay, and clients do not read so long a header", requirements.len());
        mistakes.add(path, problem, "name fewer networks, or fewer ASSETS on them");
    }
}

/// Reads an address; one in mixed case must carry the right checksum, since a slip in it sends money to nobody.
pub(super) fn address(path: &str, written: &str, mistakes: &mut Mistakes) -> Option<Address> {
    let digits = written.strip_prefix("0x").unwrap_or_default();
    let one_case = |lower: bool| {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit() || if lower { b.is_ascii_lowercase() } else { b.is_ascii_uppercase() })
    };
    let parsed = if digits.len() == 40 { written.parse::<Address>().ok() } else { None };
    let Some(parsed) = parsed else {
        match private(written) {
            Some(what) => mistakes.add(path, format!("is {what}, and not an address"), EXPOSED_CURE),
            None => {
                let cure = "write 0x and 40 hexadecimal digits";
                mistakes.add(path, format!("{} is not an address", quoted(written)), cure);
            }
        }
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
        let mut known = default_asset(asset.network).into_iter().chain(found.iter().cloned());
        match known.find(|other| other.network == asset.network && other.address == asset.address) {
            Some(same) if same == asset => mistakes.warn(path, "is known already", "remove it"),
            // With other decimals it would be another price.
            Some(_) => mistakes.add(path, "is known already, and described in another way", "remove it"),
            None => found.push(asset),
        }
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
    let members = Members::new(path, members, &MEMBERS, mistakes);
    let written = members.get("network");
    let network = written.and_then(|value| network(&members.path("network"), value, mistakes));
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
