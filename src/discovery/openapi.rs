//! OpenAPI 3.1 with what indexers of paid APIs read in it: `x-payment-info`, a `402`, `security`, `x-discovery`.

use super::security::Security;
use super::{Call, Catalogue, Way, amount, schema30, unused};
use crate::config::{Document, Input, Package, Terms, sample};
use crate::json::{put, table};
use serde_json::{Map, Value, json};

/// The document.
#[must_use]
pub fn document(catalogue: &Catalogue<'_>) -> Value {
    let discovery = &catalogue.config.discovery;
    let mut info = json!({
        "title": catalogue.name(),
        "version": "1",
        "description": discovery.description,
    });
    if let Some(contact) = &discovery.contact {
        put(&mut info, "contact", json!({ "email": contact }));
    }
    let mut paths = Map::new();
    let frame = Frame::default();
    add_priced(catalogue, &frame, &mut paths);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": info,
        "servers": [{ "url": catalogue.base }],
        "paths": paths,
    });
    complete(catalogue, &frame.security, &mut document);
    document
}

/// What stands beside the paths, in our own document and in the origin's.
pub(super) fn complete(catalogue: &Catalogue<'_>, security: &Security, document: &mut Value) {
    let discovery = &catalogue.config.discovery;
    put(document, "x-discovery", json!({ "ownershipProofs": discovery.ownership_proofs }));
    if !discovery.ownership_proofs.is_empty() {
        put(document, "x-agentcash-provenance", json!({ "ownershipProofs": discovery.ownership_proofs }));
    }
    if let Some(url) = catalogue.url_of(Document::Llms) {
        put(document, "x-agentcash-guidance", json!({ "llmsTxtUrl": url }));
    }
    if let Some(info) = table(document, "info") {
        info.entry("x-guidance").or_insert_with(|| guidance(catalogue).into());
    }
    for (kind, members) in components(catalogue, security) {
        let mut all = table(document, "components").map(|all| Value::Object(std::mem::take(all))).unwrap_or_default();
        if let (Some(target), Value::Object(members)) = (table(&mut all, &kind), members) {
            target.extend(members);
        }
        put(document, "components", all);
    }
}

fn guidance(catalogue: &Catalogue<'_>) -> String {
    let credits = match catalogue.packages().next() {
        Some(package) => {
            format!(" Many calls: buy credits at POST {} and send the key as a bearer token.", package.path())
        }
        None => String::new(),
    };
    format!(
        "Call an operation without paying: it answers 402 with its price in the PAYMENT-REQUIRED header. Sign one of its \
         `accepts` and send the same request again with PAYMENT-SIGNATURE (x402, scheme exact). Below status 400 you are \
         charged, or before the call where `extra.paymentFlow` is upfront. After 503 send the same payment again, never a \
         new one.{credits}"
    )
}

/// The document that the operations come into.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// What its server's URL has behind our host.
    pub(super) prefix: String,
    /// Whether its schemas are those of OpenAPI 3.0.
    pub(super) is_30: bool,
    /// What its operations want beside payments.
    pub(super) security: Security,
}

impl Frame {
    /// Where a path may be written down, and under which server, if it is not the document's.
    fn places(&self, base: &str, path: &str) -> Vec<(String, Option<String>)> {
        let below = path
            .split_at_checked(self.prefix.len())
            .filter(|(start, rest)| start.eq_ignore_ascii_case(&self.prefix) && rest.starts_with('/'));
        if let Some((_, rest)) = below {
            return vec![(rest.to_owned(), None)];
        }
        // One of the document's own paths may be spelled alike under another server: then more of it becomes the server's.
        let splits = path.match_indices('/').map(|(at, _)| path.split_at(at));
        let plain = splits.filter(|(start, _)| !start.contains('{'));
        plain.map(|(start, rest)| (rest.to_owned(), Some(format!("{base}{start}")))).collect()
    }
}

/// All that is priced, by path and method; what is there already stays.
pub(super) fn add_priced(catalogue: &Catalogue<'_>, frame: &Frame, paths: &mut Map<String, Value>) {
    let operations = paths.values().filter_map(Value::as_object).flat_map(Map::values);
    let ids = operations.filter_map(|operation| operation.get("operationId")?.as_str().map(ToOwned::to_owned));
    let taken: Vec<String> = ids.collect();
    let mut add = |path: &str, method: &str, make: &dyn Fn(&[String]) -> Value| {
        let fitting = |names: &[String]| {
            let mut operation = make(names);
            let id = operation.get("operationId").and_then(Value::as_str).map(|id| unused(id.to_owned(), &taken));
            put(&mut operation, "operationId", id);
            if frame.is_30 {
                schema30::translate(&mut operation);
            }
            operation
        };
        let places = frame.places(catalogue.base, path);
        let _ = places.into_iter().any(|(place, server)| add(paths, &place, method, server, &fitting));
    };
    for call in &catalogue.calls {
        for way in call.ways() {
            add(&way.path, way.method, &|names| operation(catalogue, &frame.security, call, &way, names));
        }
    }
    for package in catalogue.packages() {
        add(&package.path(), "POST", &|_| purchase(catalogue, &frame.security, package));
    }
    // Keys that were sold are honoured when none is sold any more.
    if catalogue.config.credits.is_some() {
        add("/api/credits", "GET", &|_| balance(&frame.security));
    }
}

/// Two templates that differ in their parameters' names are one path to OpenAPI: the later takes the names of the earlier.
/// Whether the operation is there now; under a server of its own it is not where another is.
fn add(
    paths: &mut Map<String, Value>,
    path: &str,
    method: &str,
    server: Option<String>,
    make: &dyn Fn(&[String]) -> Value,
) -> bool {
    let known = paths.keys().find(|known| shape(known) == shape(path)).cloned();
    let key = known.unwrap_or_else(|| path.to_owned());
    let names: Vec<String> = parameters_of(&key).map(ToOwned::to_owned).collect();
    let item = paths.entry(key).or_insert_with(|| json!({}));
    let Some(item) = item.as_object_mut() else { return false };
    let method = method.to_ascii_lowercase();
    if item.contains_key(&method) {
        return server.is_none();
    }
    let mut operation = make(&names);
    if let Some(server) = server {
        put(&mut operation, "servers", json!([{ "url": server }]));
    }
    item.insert(method, operation);
    true
}

/// A path with its parameters' names taken out.
fn shape(path: &str) -> String {
    let steps = path.split('/').map(|step| if parameter(step).is_some() { "{}" } else { step });
    steps.collect::<Vec<_>>().join("/").to_ascii_lowercase()
}

fn parameter(step: &str) -> Option<&str> {
    step.strip_prefix('{')?.strip_suffix('}').filter(|name| !name.contains(['{', '}']))
}

fn parameters_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(parameter)
}

fn operation(catalogue: &Catalogue<'_>, security: &Security, call: &Call<'_>, way: &Way, names: &[String]) -> Value {
    let about = &call.terms.about;
    let mut operation = json!({
        "operationId": way.id,
        "summary": if call.terms.description.is_empty() { format!("{} {}", way.method, way.path) } else { call.summary() },
        "responses": { "200": answer(call.terms) },
    });
    let mut parameters = Vec::new();
    for (name, own) in names.iter().zip(parameters_of(&way.path)) {
        let schema = about.input.as_ref().and_then(|input| input.path.get(own)).cloned();
        let mut parameter = json!({
            "name": name, "in": "path", "required": true, "schema": schema.unwrap_or_else(|| json!({ "type": "string" })),
        });
        if about.template.is_rest(own) {
            put(&mut parameter, "description", "One segment or several, and none: all that is below.");
        }
        parameters.push(parameter);
    }
    if let Some(input) = &about.input {
        parameters.extend(named_in(input, &input.query, "query"));
        parameters.extend(named_in(input, &input.headers, "header"));
        if let Some((kind, schema)) = input.body.as_ref().filter(|_| !matches!(way.method, "GET" | "OPTIONS")) {
            let content = json!({ kind.mime(): { "schema": schema } });
            put(&mut operation, "requestBody", json!({ "required": true, "content": content }));
        }
    }
    if !parameters.is_empty() {
        put(&mut operation, "parameters", parameters);
    }
    pay(catalogue, security, call.terms, &mut operation);
    operation
}

fn named_in<'a>(input: &'a Input, schemas: &'a Map<String, Value>, place: &'a str) -> impl Iterator<Item = Value> + 'a {
    schemas.iter().map(
        move |(name, schema)| json!({ "name": name, "in": place, "required": input.requires(name), "schema": schema }),
    )
}

fn answer(terms: &Terms) -> Value {
    let mut answer = json!({ "description": "The answer, with the receipt in PAYMENT-RESPONSE." });
    let output = terms.about.output.as_ref();
    let example = output.and_then(|output| output.example.clone());
    let schema = output.and_then(|output| output.schema.clone());
    if !terms.mime_type.is_empty() || output.is_some() {
        let mime = if terms.mime_type.is_empty() { "application/json" } else { terms.mime_type.as_str() };
        let mut media = json!({ "schema": schema.unwrap_or_else(|| json!({})) });
        if let Some(example) = example.or_else(|| sample("answer", output?.schema.as_ref()?)) {
            put(&mut media, "example", example);
        }
        put(&mut answer, "content", json!({ mime: media }));
    }
    answer
}

/// What makes an operation a priced one, ours or the origin's.
pub(super) fn pay(catalogue: &Catalogue<'_>, security: &Security, terms: &Terms, operation: &mut Value) {
    let mut responses = operation.get("responses").and_then(Value::as_object).cloned().unwrap_or_default();
    responses.insert("402".to_owned(), json!({ "$ref": "#/components/responses/Edge402PaymentRequired" }));
    put(operation, "responses", Value::Object(responses));
    let x402 = json!({ "versions": [1, 2], "scheme": "exact", "accepts": catalogue.accepts(terms) });
    let mut info = json!({
        "price": { "mode": "fixed", "currency": "USD", "amount": amount(terms.price) },
        "protocols": [{ "x402": x402 }],
    });
    let credits = terms.credits.filter(|_| catalogue.config.credits.is_some());
    if let Some(credits) = credits {
        put(&mut info, "credits", credits);
    }
    let wanted = security.of_priced(operation.get("security"), credits.is_some());
    put(operation, "security", wanted);
    put(operation, "x-payment-info", info);
}

fn purchase(catalogue: &Catalogue<'_>, security: &Security, package: &Package) -> Value {
    let mut operation = json!({
        "operationId": format!("buy_credits_{}", package.name.replace('-', "_")),
        "summary": package.terms.description,
        // Nothing needs to be sent; what says nothing of it is passed over as what nobody knows how to call.
        "requestBody": { "required": false, "content": { "application/json": { "schema": { "type": "object", "properties": {} } } } },
        "responses": { "200": {
            "description": "The key, once, with the receipt in PAYMENT-RESPONSE.",
            "content": { "application/json": { "schema": {
                "type": "object",
                "properties": {
                    "key": { "type": "string" }, "credits": { "type": "integer" }, "expiresAt": { "type": ["integer", "null"] },
                },
            } } },
        } },
        // It is ours: what the origin wants for all of its own is not wanted here.
        "security": [],
    });
    pay(catalogue, security, &package.terms, &mut operation);
    operation
}

fn balance(security: &Security) -> Value {
    json!({
        "operationId": "credits_left",
        "summary": "How many prepaid credits are left, and what they went to. Free.",
        "security": [{ security.credits.as_str(): [] }, { security.wallet.as_str(): [] }],
        "responses": {
            "200": { "description": "The balance and the latest entries.", "content": { "application/json": { "schema": { "type": "object" } } } },
            "401": { "$ref": "#/components/responses/Edge402Refused" },
        },
    })
}

fn components(catalogue: &Catalogue<'_>, security: &Security) -> Map<String, Value> {
    let mut kinds = Map::new();
    if catalogue.config.credits.is_some() {
        kinds.insert("securitySchemes".to_owned(), security.schemes());
    }
    let problem = json!({
        "type": "object",
        "description": "A problem (RFC 9457) with a stable code and a hint that a program can act on.",
        "properties": {
            "type": { "type": "string" }, "title": { "type": "string" }, "status": { "type": "integer" },
            "detail": { "type": "string" }, "code": { "type": "string" }, "hint": { "type": "string" },
        },
        "required": ["type", "title", "status", "code"],
    });
    kinds.insert(
        "responses".to_owned(),
        json!({
            "Edge402PaymentRequired": {
                "description": "The price. PAYMENT-REQUIRED holds it as base64 of JSON (x402 v2), the body as v1 has it.",
                "headers": { "PAYMENT-REQUIRED": { "required": true, "schema": { "type": "string" } } },
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Edge402Challenge" } } },
            },
            "Edge402Refused": {
                "description": "A refusal that paying would not cure.",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Edge402Problem" } } },
            },
        }),
    );
    let challenge = json!({
        "allOf": [{ "$ref": "#/components/schemas/Edge402Problem" }],
        "type": "object",
        "properties": { "x402Version": { "type": "integer" }, "accepts": { "type": "array", "items": { "type": "object" } } },
        "required": ["x402Version", "accepts"],
    });
    kinds.insert("schemas".to_owned(), json!({ "Edge402Problem": problem, "Edge402Challenge": challenge }));
    kinds
}
