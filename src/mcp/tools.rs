//! Priced routes as tools: what they are called, what they take, and the request that a call makes.

use super::message::ToolCall;
use crate::config::{BODY, BodyType, Config, Input, escaped};
use crate::discovery::{Call, Catalogue, amount, text};
use crate::http::path::CanonicalPath;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The `tools` of `tools/list`.
#[must_use]
pub fn listed(catalogue: &Catalogue<'_>) -> Vec<Value> {
    let with_input = catalogue.calls.iter().filter_map(|call| Some((call, call.terms.about.input.as_ref()?)));
    with_input
        .map(|(call, input)| {
            let reads = call.method == "GET";
            json!({
                "name": call.id,
                "description": format!("{} Costs ${}.", call.sentence(), amount(call.terms.price)),
                "inputSchema": input.schema(),
                "annotations": { "readOnlyHint": reads, "openWorldHint": true },
                "_meta": { "x402/price": { "currency": "USD", "amount": amount(call.terms.price) } },
            })
        })
        .collect()
}

/// The HTTP request that a tool's call is.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its method.
    pub method: &'static str,
    /// Its path, in the one spelling that is priced.
    pub path: String,
    /// Its query, without `?`.
    pub query: Option<String>,
    /// Headers from arguments.
    pub headers: Vec<(String, String)>,
    /// Its body, and what it is.
    pub body: Option<(&'static str, String)>,
}

/// Makes the request, or says what is wrong with the arguments.
///
/// # Errors
/// For a caller, in a sentence.
pub fn asked(config: &Config, call: &Call<'_>, tool: &ToolCall) -> Result<Asked, String> {
    let Some(input) = &call.terms.about.input else { return Err("this is no tool".to_owned()) };
    let arguments = &tool.arguments;
    if let Some(unknown) = arguments.keys().find(|name| !takes(input, name)) {
        return Err(format!("there is no argument {unknown:?}"));
    }
    if let Some(missing) = input.all_required().into_iter().find(|name| !arguments.contains_key(name)) {
        return Err(format!("the argument {missing:?} is missing"));
    }
    let value = |name: &str| -> Option<String> { scalar(arguments.get(name)?) };
    let path = call
        .terms
        .about
        .template
        .fill(value)
        .map_err(|name| format!("{name:?} can be no part of the path: it is empty, or not a plain word"))?;
    // Other arguments may be another route's path, at another price: what is called is what was named.
    let same = CanonicalPath::new(&path).ok().and_then(|path| config.route(call.method, &path).ok().flatten());
    if !same.is_some_and(|found| std::ptr::eq(found, call.route)) {
        return Err("these arguments are another route's, which has a price of its own".to_owned());
    }
    let mut pairs = Vec::new();
    for name in input.query.keys() {
        let Some(argument) = arguments.get(name) else { continue };
        pairs.extend(query(name, argument).ok_or_else(|| format!("{name:?} can be no part of a query"))?);
    }
    let mut headers = Vec::new();
    for name in input.headers.keys().filter(|name| arguments.contains_key(*name)) {
        let plain = value(name).filter(|text| text.bytes().all(|b| (b' '..=b'~').contains(&b)));
        headers.push((name.clone(), plain.ok_or_else(|| format!("{name:?} can be no header: write plain ASCII"))?));
    }
    let body = match (&input.body, arguments.get(BODY)) {
        (Some((kind, _)), Some(argument)) => Some((kind.mime(), body(*kind, argument)?)),
        _ => None,
    };
    let query = (!pairs.is_empty()).then(|| pairs.join("&"));
    Ok(Asked { method: call.method, path, query, headers, body })
}

fn takes(input: &Input, name: &str) -> bool {
    [&input.path, &input.query, &input.headers].iter().any(|schemas| schemas.contains_key(name))
        || (name == BODY && input.body.is_some())
}

fn parsed(argument: &RawValue) -> Option<Value> {
    serde_json::from_str(argument.get()).ok()
}

/// A number as it was written.
fn scalar(argument: &RawValue) -> Option<String> {
    match parsed(argument)? {
        Value::Number(_) => Some(argument.get().to_owned()),
        value => text(&value),
    }
}

/// `name=value`, once for each item of a list (OpenAPI's style "form", exploded).
fn query(name: &str, argument: &RawValue) -> Option<Vec<String>> {
    let pair = |value: String| format!("{name}={}", escaped(&value));
    if let Ok(items) = serde_json::from_str::<Vec<Box<RawValue>>>(argument.get()) {
        return items.iter().map(|item| scalar(item).map(pair)).collect();
    }
    match parsed(argument)? {
        Value::Null => Some(Vec::new()),
        _ => Some(vec![pair(scalar(argument)?)]),
    }
}

fn body(kind: BodyType, argument: &RawValue) -> Result<String, String> {
    match kind {
        BodyType::Json => Ok(argument.get().to_owned()),
        BodyType::Text => scalar(argument).ok_or_else(|| "the body is a text".to_owned()),
        BodyType::Form => {
            let members: Result<BTreeMap<String, Box<RawValue>>, _> = serde_json::from_str(argument.get());
            let wrong = || "the body is a table of plain values".to_owned();
            let mut pairs = Vec::new();
            for (name, value) in members.map_err(|_| wrong())? {
                pairs.extend(query(&escaped(&name), &value).ok_or_else(wrong)?);
            }
            Ok(pairs.join("&"))
        }
    }
}
