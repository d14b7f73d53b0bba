//! What stands under `/.well-known/`.

use super::assets::asset;
use super::index::tool_lines;
use super::{Catalogue, amount, price};
use crate::config::Document;
use crate::json::put;
use crate::mcp::{LATEST, tools};
use serde_json::{Value, json};

/// `/.well-known/x402`: the list of resources that x402scan reads and the five fields of the foundation's draft, whose keys
/// do not collide.
#[must_use]
pub fn x402(catalogue: &Catalogue<'_>) -> Value {
    let config = catalogue.config;
    let packages =
        catalogue.packages().map(|package| ("POST", format!("{}{}", catalogue.base, package.path()), &package.terms));
    // Programs call these as they are. A path whose parameters have no example has no such URL, and is given as a template.
    let (made_up, real): (Vec<_>, Vec<_>) = catalogue.calls.iter().partition(|call| call.is_made_up());
    let priced: Vec<(&str, String, _)> = real
        .into_iter()
        .map(|call| (call.method, format!("{}{}", catalogue.base, call.sample), call.terms))
        .chain(packages)
        .collect();
    let mut document = json!({
        "version": 1,
        "resources": priced.iter().map(|(_, url, _)| url).collect::<Vec<_>>(),
        "x402Version": 2,
        "kind": "resource-server",
        "canonical": catalogue.base,
        "facilitator": config.facilitators.first().map(|facilitator| &facilitator.url),
        "assets": catalogue.all_assets().into_iter().map(asset).collect::<Vec<_>>(),
        "openapi": catalogue.url_of(Document::OpenApi),
        "items": priced
            .iter()
            .map(|(method, url, terms)| json!({ "method": method, "url": url, "price": price(terms.price) }))
            .collect::<Vec<_>>(),
        "instructions": "GET or POST a resource without paying: it answers 402 with its price in PAYMENT-REQUIRED.",
    });
    if !made_up.is_empty() {
        let templates = made_up.into_iter().map(|call| {
            let url = format!("{}{}", catalogue.base, call.path());
            json!({ "method": call.method, "url": url, "price": price(call.terms.price) })
        });
        put(&mut document, "templates", templates.collect::<Vec<_>>());
    }
    if let Some(tools) = tool_lines(catalogue) {
        put(&mut document, "tools", tools);
    }
    if !config.discovery.ownership_proofs.is_empty() {
        put(&mut document, "ownershipProofs", config.discovery.ownership_proofs.clone());
    }
    document
}

/// `/.well-known/api-catalog`: RFC 9727, a link set (RFC 9264).
#[must_use]
pub fn api_catalog(catalogue: &Catalogue<'_>) -> Value {
    let link = |document: Document, kind: &str| {
        let href = catalogue.url_of(document)?;
        Some(json!([{ "href": href, "type": kind }]))
    };
    let calls = catalogue.calls.iter().map(|call| {
        let href = format!("{}{}", catalogue.base, call.sample);
        let mut item = json!({
            "href": href, "title": call.summary(), "method": call.methods(), "price": [amount(call.terms.price)],
        });
        // A link's target is a URL, and no template: where one was made up, it says so.
        if call.is_made_up() {
            put(&mut item, "template", json!([format!("{}{}", catalogue.base, call.path())]));
        }
        item
    });
    let packages = catalogue.packages().map(|package| {
        let href = format!("{}{}", catalogue.base, package.path());
        json!({
            "href": href, "title": package.terms.description, "method": ["POST"], "price": [amount(package.terms.price)],
        })
    });
    let mut entry =
        json!({ "anchor": format!("{}/", catalogue.base), "item": calls.chain(packages).collect::<Vec<_>>() });
    let relations = [
        ("service-desc", Document::OpenApi, "application/vnd.oai.openapi+json"),
        ("service-doc", Document::Llms, "text/plain"),
        ("service-meta", Document::Manifest, "application/json"),
    ];
    for (relation, document, kind) in relations {
        if let Some(link) = link(document, kind) {
            put(&mut entry, relation, link);
        }
    }
    json!({ "linkset": [entry] })
}

/// `/.well-known/mcp.json`; nothing where there is no server to point at.
#[must_use]
pub fn mcp_json(catalogue: &Catalogue<'_>) -> Option<Value> {
    let servers = servers(catalogue);
    let (_, tools) = servers.first()?;
    let name = catalogue.name();
    let named = servers.iter().enumerate().map(|(number, (url, _))| {
        let name = if number == 0 { name.to_owned() } else { format!("{name} routes") };
        (name, json!({ "type": "http", "url": url }))
    });
    let endpoints = servers
        .iter()
        .map(|(url, tools)| json!({ "url": url, "transport": "streamable-http", "tools": tools }))
        .collect::<Vec<_>>();
    Some(json!({
        "name": name,
        "description": catalogue.config.discovery.description,
        "mcpServers": named.collect::<serde_json::Map<_, _>>(),
        "endpoints": endpoints,
        "tools": tools,
    }))
}

/// `/.well-known/mcp/server-card.json` (SEP-1649): of one server, the origin's where it has one.
#[must_use]
pub fn server_card(catalogue: &Catalogue<'_>) -> Option<Value> {
    let (url, tools) = servers(catalogue).into_iter().next()?;
    Some(json!({
        "version": "1.0",
        "protocolVersion": LATEST,
        "serverInfo": { "name": catalogue.name(), "title": catalogue.name(), "version": "1" },
        "description": catalogue.config.discovery.description,
        "transport": { "type": "streamable-http", "endpoint": url.strip_prefix(catalogue.base).unwrap_or(&url) },
        "capabilities": { "tools": {} },
        "authentication": { "required": false, "schemes": ["x402", "bearer"] },
        "tools": tools,
    }))
}

/// Every MCP server with its tools: of the origin's the names that cost something, of ours all that `tools/list` says.
fn servers(catalogue: &Catalogue<'_>) -> Vec<(String, Vec<Value>)> {
    let gated = catalogue.gated_server().zip(catalogue.config.tools.as_ref());
    let gated = gated.map(|(url, tools)| {
        let named = tools.listed().filter(|(name, _)| *name != "*");
        let said = named.map(|(name, terms)| {
            let assets: Vec<Value> = catalogue.assets([terms]).into_iter().map(asset).collect();
            json!({ "name": name, "description": terms.description, "price": price(terms.price), "assets": assets })
        });
        (url, said.collect())
    });
    let ours = catalogue.url_of(Document::Mcp).map(|url| (url, tools::listed(catalogue)));
    gated.into_iter().chain(ours).collect()
}
