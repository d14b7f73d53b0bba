//! `RPC`: the nodes that prove on chain what became of a settlement (`evm::proof`).

use super::bindings::{self, Bindings};
use super::mistakes::Mistakes;
use super::names;
use super::parts::{HTTPS_CURE, Secret, exposed};
use crate::evm::network::Network;
use serde_json::Value;
use url::Url;

const CURE: &str = "write { \"eip155:8453\" = \"https://\u{2026}\" }, or one URL where NETWORKS has one network";

/// Every network's node, in the order of the networks.
pub(super) fn rpc(bindings: &Bindings, mistakes: &mut Mistakes) -> Vec<(Network, Secret)> {
    let Some(value) = bindings.get("RPC") else { return Vec::new() };
    let sold = sold_on(bindings);
    // A secret is a text, whether it holds one URL or a table of them.
    let table = match value {
        Value::String(text) if !text.trim_start().starts_with('{') => {
            let secret = url("RPC", text, mistakes);
            return match (sold.as_slice(), secret) {
                ([network], Some(secret)) => vec![(*network, secret)],
                // Without any, NETWORKS is the mistake.
                ([] | [_], _) => Vec::new(),
                (several, _) => {
                    let names: Vec<String> = several.iter().map(ToString::to_string).collect();
                    mistakes.add("RPC", format!("is one URL for {}", names.join(", ")), CURE);
                    Vec::new()
                }
            };
        }
        value => bindings::structured(value, "RPC", mistakes),
    };
    let members = match table {
        Some(Value::Object(members)) => members,
        Some(_) => {
            mistakes.add("RPC", "is neither a table nor a URL", CURE);
            return Vec::new();
        }
        None => return Vec::new(),
    };
    let mut found = Vec::new();
    for (name, value) in &members {
        let Ok(network) = name.parse::<Network>() else {
            // Whoever writes the pair the wrong way round has a key where its name would be shown.
            let short = name.len() <= 24 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':' || b == b'-');
            let path = if short { format!("RPC.{name:?}") } else { "RPC".to_owned() };
            // A name that is short holds no key; of another the cure shows nothing.
            let shown = if short { Value::String(name.clone()) } else { Value::Null };
            let cure = names::not_a_network(&shown).1;
            mistakes.add(path, "has a name that is not a network", cure);
            continue;
        };
        let path = format!("RPC.{name:?}");
        if !sold.is_empty() && !sold.contains(&network) {
            // It may be left from the test network, or be there before the network that it is for.
            mistakes.warn(&path, "is for a network that nothing is sold on", "remove it, or add it to NETWORKS");
            continue;
        }
        match value.as_str() {
            Some(written) => found.extend(url(&path, written, mistakes).map(|url| (network, url))),
            None => mistakes.add(path, "is not a URL", "write the node's JSON-RPC URL in quotes"),
        }
    }
    found.sort_by_key(|(network, _)| sold.iter().position(|other| other == network));
    found
}

/// The networks that `NETWORKS` and the routes' own `networks` name. As they are written, whatever else is wrong with
/// them: a mistake there is named there, and must not hide one here nor make one.
fn sold_on(bindings: &Bindings) -> Vec<Network> {
    let unheard = &mut Mistakes::default();
    let mut names: Vec<Value> = bindings::list(bindings, "NETWORKS", unheard).into_iter().map(|(_, v)| v).collect();
    for (_, _, route) in bindings::table(bindings, "ROUTES", unheard) {
        names.extend(route.get("networks").and_then(Value::as_array).into_iter().flatten().cloned());
    }
    let mut found = Vec::new();
    for network in names.iter().filter_map(|name| name.as_str()?.parse().ok()) {
        if !found.contains(&network) {
            found.push(network);
        }
    }
    found
}

/// Reads a URL that may hold a key, in its path or its query: no mistake may quote it.
fn url(path: &str, written: &str, mistakes: &mut Mistakes) -> Option<Secret> {
    let Ok(url) = Url::parse(written) else {
        mistakes.add(path, "is not a URL", HTTPS_CURE);
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        mistakes.add(path, "holds a user, a password or a fragment", "write the URL without it: no request is sent so");
        return None;
    }
    if let Some(problem) = exposed(&url) {
        mistakes.add(path, problem, HTTPS_CURE);
        return None;
    }
    Some(Secret::new(url.into()))
}
