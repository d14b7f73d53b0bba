//! The Worker's variables as values: an inline table of `wrangler.toml`, or the same thing as JSON in a text variable.

use super::leaks::quoted;
use super::mistakes::{Area, Mistakes};
use crate::strict_json;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Variables and secrets by name. The native check fills it from `wrangler.toml`, the Worker from its `env`.
pub type Bindings = BTreeMap<String, Value>;

/// Every variable that means something here.
pub(super) const KNOWN: [&str; 24] = [
    "ORIGIN",
    "PAY_TO",
    "NETWORKS",
    "FACILITATORS",
    "ROUTES",
    "ASSETS",
    "DEFAULT",
    "CHALLENGE_BODY",
    "SMART_WALLETS",
    "KEY_PREFIX",
    "ORIGIN_SECRET",
    "ADMIN_TOKEN",
    "CDP_API_KEY_ID",
    "CDP_API_KEY_SECRET",
    "RPC",
    "PACKAGES",
    "CREDIT_VALUE",
    "KEY_SECRET",
    "KEY_SECRET_PREVIOUS",
    "SERVICE",
    "DISCOVERY",
    "OPENAPI",
    "MCP",
    "TOOLS",
];

/// These may go on in `NAME_1`, `NAME_2`, …
const SPLITTABLE: [&str; 5] = ["ROUTES", "ASSETS", "FACILITATORS", "PACKAGES", "TOOLS"];

/// Variables of the plan that this version does not act on: set, they would promise what does not happen.
const NOT_YET: [&str; 1] = ["ORIGIN_SIGNING_KEY"];

/// Names that are one slip away from one of ours: `ROUTE` for `ROUTES` would leave an API free of charge.
pub(super) fn check_names(bindings: &Bindings, mistakes: &mut Mistakes) {
    for name in bindings.keys() {
        let base = base_name(name);
        if KNOWN.contains(&base) {
            if base != name && !SPLITTABLE.contains(&base) {
                mistakes.add(
                    name,
                    "only ROUTES, ASSETS, FACILITATORS, PACKAGES and TOOLS can be split",
                    format!("write it as {base}"),
                );
            }
        } else if NOT_YET.contains(&base) {
            mistakes.warn(name, "is not there yet in this version, and does nothing", "remove it");
        } else if let Some(split) = SPLITTABLE.iter().find(|known| name.starts_with(&format!("{known}_"))) {
            mistakes.within(Area::of(split), |mistakes| {
                mistakes.add(name, "is not a part of anything", format!("number the parts: {split}_1, {split}_2"));
            });
        } else if let Some(near) =
            KNOWN.iter().find(|known| strsim::levenshtein(&base.to_ascii_uppercase(), known) <= near_enough(known))
        {
            // What was meant is not there: that is as bad as a mistake in it.
            mistakes.within(Area::of(near), |mistakes| {
                mistakes.add(name, "is not a variable of edge402", format!("write {near}, or rename it"));
            });
        }
    }
}

const fn near_enough(known: &str) -> usize {
    if known.len() > 6 { 2 } else { 1 }
}

/// `ROUTES` of `ROUTES_2`.
pub(super) fn base_name(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((base, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => base,
        _ => name,
    }
}

/// Whether a variable is there, whole or in parts.
pub(super) fn is_set(bindings: &Bindings, name: &str) -> bool {
    bindings.keys().any(|key| base_name(key) == name)
}

/// `NAME` and its parts `NAME_1`, `NAME_2`, …, in that order, each parsed if it is JSON text.
pub(super) fn parts<'a>(bindings: &'a Bindings, name: &'a str, mistakes: &mut Mistakes) -> Vec<(String, Value)> {
    let mut names: Vec<(u32, &String)> = bindings
        .keys()
        .filter(|key| base_name(key) == name)
        .map(|key| (key.rsplit_once('_').and_then(|(_, n)| n.parse().ok()).unwrap_or(0), key))
        .collect();
    names.sort();
    names
        .iter()
        .filter_map(|(_, key)| Some(((*key).clone(), structured(bindings.get(*key)?, key, mistakes)?)))
        .collect()
}

pub(super) fn structured(value: &Value, name: &str, mistakes: &mut Mistakes) -> Option<Value> {
    let Value::String(text) = value else { return Some(value.clone()) };
    // One of a list, written without the list.
    let bare = matches!(base_name(name), "NETWORKS" | "FACILITATORS") && !text.trim_start().starts_with(['[', '{']);
    if bare {
        let items: Vec<String> = text.split([',', ' ']).filter(|item| !item.is_empty()).map(quoted).collect();
        mistakes.add(name, "is a text, and not a list", format!("write a list: [{}]", items.join(", ")));
        return None;
    }
    match strict_json::parse(text.as_bytes()) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            let cure = "write a table, a list, or either as a JSON string";
            mistakes.add(name, format!("is not JSON: {error}"), cure);
            None
        }
    }
}

/// A list that may be split over several variables.
pub(super) fn list(bindings: &Bindings, name: &str, mistakes: &mut Mistakes) -> Vec<(String, Value)> {
    let mut items = Vec::new();
    for (part, value) in parts(bindings, name, mistakes) {
        match value {
            Value::Array(values) => {
                items.extend(values.into_iter().enumerate().map(|(i, value)| (format!("{part}[{i}]"), value)));
            }
            _ => mistakes.add(part, "is not a list", "write [ … ]"),
        }
    }
    items
}

/// A table that may be split over several variables.
pub(super) fn table(bindings: &Bindings, name: &str, mistakes: &mut Mistakes) -> Vec<(String, String, Value)> {
    let mut entries = Vec::new();
    for (part, value) in parts(bindings, name, mistakes) {
        match value {
            Value::Object(members) => {
                entries.extend(members.into_iter().map(|(key, value)| (format!("{part}.{key:?}"), key, value)));
            }
            _ => mistakes.add(part, "is not a table", "write { \"GET /path\" = \"$0.001\" }"),
        }
    }
    entries
}

/// A text variable.
pub(super) fn text<'a>(bindings: &'a Bindings, name: &str, mistakes: &mut Mistakes) -> Option<&'a str> {
    match bindings.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => {
            mistakes.add(name, "is not a text", "write it in quotes");
            None
        }
    }
}

/// The members of a table value, with those that nobody reads noted as mistakes.
pub(super) struct Members<'a> {
    path: &'a str,
    members: &'a Map<String, Value>,
}

impl<'a> Members<'a> {
    pub(super) fn new(path: &'a str, members: &'a Map<String, Value>, known: &[&str], mistakes: &mut Mistakes) -> Self {
        for key in members.keys().filter(|key| !known.contains(&key.as_str())) {
            mistakes.add(format!("{path}.{key}"), "is not a setting", format!("use one of: {}", known.join(", ")));
        }
        Self { path, members }
    }

    pub(super) fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.members.get(key)
    }

    pub(super) fn text(&self, key: &str, mistakes: &mut Mistakes) -> Option<&'a str> {
        match self.get(key)? {
            Value::String(text) => Some(text),
            _ => {
                mistakes.add(self.path(key), "is not a text", "write it in quotes");
                None
            }
        }
    }

    pub(super) fn seconds(&self, key: &str, most: u32, mistakes: &mut Mistakes) -> Option<u32> {
        self.whole(key, most.into(), "seconds", mistakes).and_then(|seconds| u32::try_from(seconds).ok())
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str, default: bool, mistakes: &mut Mistakes) -> bool {
        match self.get(key) {
            None => default,
            Some(Value::Bool(on)) => *on,
            Some(_) => {
                mistakes.add(self.path(key), "is neither true nor false", "write true or false");
                default
            }
        }
    }

    pub(super) fn days(&self, key: &str, most: u32, mistakes: &mut Mistakes) -> Option<u32> {
        self.whole(key, most.into(), "days", mistakes).and_then(|days| u32::try_from(days).ok())
    }

    pub(super) fn count(&self, key: &str, most: u64, mistakes: &mut Mistakes) -> Option<u64> {
        self.whole(key, most, "credits", mistakes)
    }

    fn whole(&self, key: &str, most: u64, of: &str, mistakes: &mut Mistakes) -> Option<u64> {
        let whole = self.get(key)?.as_u64().filter(|number| (1..=most).contains(number));
        if whole.is_none() {
            let cure = format!("write a whole number from 1 to {most}");
            mistakes.add(self.path(key), format!("is not a number of {of}"), cure);
        }
        whole
    }
}
