//! The catalogue as JSON: the manifest, all that is known of every call, and the index, what it takes to choose one.

use super::assets::asset;
use super::{Call, Catalogue, price};
use crate::config::{Identifier, Package, Settle};
use crate::json::put;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `/.well-known/x402-manifest.json`.
#[must_use]
pub fn manifest(catalogue: &Catalogue<'_>) -> Value {
    let mut manifest = json!({
        "version": 1,
        "x402Version": 2,
        "service": catalogue.service(),
        "resources": catalogue.calls.iter().map(|call| resource(catalogue, call)).collect::<Vec<_>>(),
        "packages": catalogue.packages().map(|package| offered(catalogue, package)).collect::<Vec<_>>(),
        "documents": catalogue.documents(),
    });
    if let Some(tools) = tools(catalogue) {
        put(&mut manifest, "tools", tools);
    }
    manifest
}

fn resource(catalogue: &Catalogue<'_>, call: &Call<'_>) -> Value {
    let terms = call.terms;
    let mut resource = json!({
        "id": call.id,
        "method": call.method,
        "path": call.path(),
        "url": format!("{}{}", catalogue.base, call.path()),
        "description": terms.description,
        "mimeType": terms.mime_type,
        "price": price(terms.price),
        "accepts": catalogue.accepts(terms),
        "charged": if terms.settle == Settle::Before { "before" } else { "below status 400" },
        "paymentIdentifier": if terms.identifier == Identifier::Required { "required" } else { "optional" },
    });
    if !call.is_made_up_and_charged() {
        put(&mut resource, "sample", format!("{}{}", catalogue.base, call.sample));
        if call.is_made_up() {
            put(&mut resource, "sampleMadeUp", true);
        }
    }
    // A route without a method takes any.
    if call.route.pattern.method().is_none() {
        put(&mut resource, "anyMethod", true);
        put(&mut resource, "methods", call.methods());
    }
    if let Some(credits) = terms.credits.filter(|_| catalogue.config.credits.is_some()) {
        put(&mut resource, "credits", credits);
    }
    if let Some(input) = &terms.about.input {
        put(&mut resource, "input", input.schema());
        put(&mut resource, "in", input.places());
        if let Some((kind, _)) = &input.body {
            put(&mut resource, "bodyType", kind.mime());
        }
    }
    if let Some(output) = &terms.about.output {
        let parts = [("example", &output.example), ("schema", &output.schema)];
        let given = parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)));
        put(&mut resource, "output", Value::Object(given.collect()));
    }
    resource
}

fn offered(catalogue: &Catalogue<'_>, package: &Package) -> Value {
    let mut offered = json!({
        "name": package.name,
        "method": "POST",
        "path": package.path(),
        "url": format!("{}{}", catalogue.base, package.path()),
        "description": package.terms.description,
        "price": price(package.terms.price),
        "credits": package.credits,
        "accepts": catalogue.accepts(&package.terms),
    });
    put_expiry(&mut offered, package);
    offered
}

/// That they expire is told before they are bought.
fn put_expiry(offered: &mut Value, package: &Package) {
    if let Some(days) = package.expires_days {
        put(offered, "expiresDays", days);
    }
}

/// Those of the origin's own MCP server; `*` is every other one.
fn tools(catalogue: &Catalogue<'_>) -> Option<Value> {
    let tools = catalogue.config.tools.as_ref()?;
    let url = catalogue.gated_server();
    let priced = tools.listed().map(|(name, terms)| {
        json!({
            "tool": name, "endpoint": url, "transport": "streamable-http", "description": terms.description,
            "price": price(terms.price), "accepts": catalogue.accepts(terms),
        })
    });
    Some(priced.collect::<Vec<_>>().into())
}

/// `/api/v1`: small enough to be read whole.
#[must_use]
pub fn index(catalogue: &Catalogue<'_>) -> Value {
    let calls = catalogue.calls.iter().map(|call| {
        let mut line = json!({
            "id": call.id, "method": call.method, "path": call.path(), "price": price(call.terms.price),
            "description": call.terms.description,
        });
        if call.route.pattern.method().is_none() {
            put(&mut line, "methods", call.methods());
        }
        if let Some(credits) = call.terms.credits.filter(|_| catalogue.config.credits.is_some()) {
            put(&mut line, "credits", credits);
        }
        line
    });
    let packages = catalogue.packages().map(|package| {
        let mut line = json!({
            "name": package.name, "method": "POST", "path": package.path(), "price": price(package.terms.price),
            "credits": package.credits, "description": package.terms.description,
        });
        put_expiry(&mut line, package);
        line
    });
    let assets = catalogue.all_assets();
    let networks: BTreeSet<String> = assets.iter().map(|asset| asset.network.to_string()).collect();
    let mut index = json!({
        "service": catalogue.service(),
        "payment": {
            "protocol": "x402", "versions": [1, 2], "scheme": "exact",
            "how": "call without paying: the 402 says the price in PAYMENT-REQUIRED; sign it, send it as PAYMENT-SIGNATURE",
            "networks": networks,
            "assets": assets.into_iter().map(asset).collect::<Vec<_>>(),
        },
        "resources": calls.collect::<Vec<_>>(),
        "packages": packages.collect::<Vec<_>>(),
        "documents": catalogue.documents(),
    });
    if let Some(tools) = tool_lines(catalogue) {
        put(&mut index, "tools", tools);
    }
    index
}

/// The same without the ways to pay.
pub(super) fn tool_lines(catalogue: &Catalogue<'_>) -> Option<Value> {
    let Some(Value::Array(mut tools)) = tools(catalogue) else { return None };
    for tool in tools.iter_mut().filter_map(Value::as_object_mut) {
        tool.remove("accepts");
    }
    Some(tools.into())
}
