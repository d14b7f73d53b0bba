//! OpenAPI 3.1 with what indexers of paid APIs read in it: `x-payment-info`, a `402`, `security`, `x-discovery`.

use super::{Call, Catalogue, amount};
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
    let mut document = json!({
        "openapi": "3.1.0",
        "info": info,
        "servers": [{ "url": catalogue.base }],
        "paths": paths(catalogue),
    });
    complete(catalogue, &mut document);
    document
}

/// What stands beside the paths, in our own document and in the origin's.
pub(super) fn complete(catalogue: &Catalogue<'_>, document: &mut Value) {
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
    for (kind, members) in components(catalogue) {
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

/// The operations, by path and method.
pub(super) fn paths(catalogue: &Catalogue<'_>) -> Map<String, Value> {
    let mut paths = Map::new();
    for call in &catalogue.calls {
        add(&mut paths, &call.path(), call.method, |names| operation(catalogue, call, names));
    }
    for package in catalogue.packages() {
        add(&mut paths, &package.path(), "POST", |_| purchase(catalogue, package));
    }
    if catalogue.packages().next().is_some() {
        add(&mut paths, "/api/credits", "GET", |_| balance());
    }
    paths
}

/// Two templates that differ in their parameters' names are one path to OpenAPI: the later takes the names of the earlier.
fn add(paths: &mut Map<String, Value>, path: &str, method: &str, make: impl FnOnce(&[String]) -> Value) {
    let known = paths.keys().find(|known| shape(known) == shape(path)).cloned();
    let key = known.unwrap_or_else(|| path.to_owned());
    let operation = make(&parameters_of(&key));
    let item = paths.entry(key).or_insert_with(|| json!({}));
    if let Some(item) = item.as_object_mut() {
        item.entry(method.to_ascii_lowercase()).or_insert(operation);
    }
}

/// A path with its parameters' names taken out.
pub(super) fn shape(path: &str) -> String {
    let steps = path.split('/').map(|step| if step.starts_with('{') { "{}" } else { step });
    steps.collect::<Vec<_>>().join("/").to_ascii_lowercase()
}

fn parameters_of(path: &str) -> Vec<String> {
    let steps = path.split('/').filter_map(|step| step.strip_prefix('{')?.strip_suffix('}'));
    steps.map(ToOwned::to_owned).collect()
}

fn operation(catalogue: &Catalogue<'_>, call: &Call<'_>, names: &[String]) -> Value {
    let about = &call.terms.about;
    let mut operation = json!({
        "operationId": call.id,
        "summary": call.summary(),
        "responses": { "200": answer(call.terms) },
    });
    let mut parameters = Vec::new();
    for (name, own) in names.iter().zip(about.template.parameters()) {
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
        if let Some((kind, schema)) = input.body.as_ref().filter(|_| !matches!(call.method, "GET" | "OPTIONS")) {
            let content = json!({ kind.mime(): { "schema": schema } });
            put(&mut operation, "requestBody", json!({ "required": true, "content": content }));
        }
    }
    if !parameters.is_empty() {
        put(&mut operation, "parameters", parameters);
    }
    pay(catalogue, call.terms, &mut operation);
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
pub(super) fn pay(catalogue: &Catalogue<'_>, terms: &Terms, operation: &mut Value) {
    let mut responses = operation.get("responses").and_then(Value::as_object).cloned().unwrap_or_default();
    responses.insert("402".to_owned(), json!({ "$ref": "#/components/responses/PaymentRequired" }));
    put(operation, "responses", Value::Object(responses));
    let x402 = json!({ "versions": [1, 2], "scheme": "exact", "accepts": catalogue.accepts(terms) });
    let mut info = json!({
        "price": { "mode": "fixed", "currency": "USD", "amount": amount(terms.price) },
        "protocols": [{ "x402": x402 }],
    });
    // No credential is needed to pay; where credits are taken, either of two will do instead.
    let mut security = vec![];
    if let Some(credits) = terms.credits.filter(|_| catalogue.config.credits.is_some()) {
        put(&mut info, "credits", credits);
        security = vec![json!({}), json!({ "credits": [] }), json!({ "wallet": [] })];
    }
    put(operation, "security", security);
    put(operation, "x-payment-info", info);
}

fn purchase(catalogue: &Catalogue<'_>, package: &Package) -> Value {
    let mut operation = json!({
        "operationId": format!("buy_credits_{}", package.name.replace('-', "_")),
        "summary": package.terms.description,
        "responses": { "200": {
            "description": "The key, once, with the receipt in PAYMENT-RESPONSE.",
            "content": { "application/json": { "schema": {
                "type": "object",
                "properties": { "key": { "type": "string" }, "credits": { "type": "integer" } },
            } } },
        } },
    });
    pay(catalogue, &package.terms, &mut operation);
    operation
}

fn balance() -> Value {
    json!({
        "operationId": "credits_left",
        "summary": "How many prepaid credits are left, and what they went to. Free.",
        "security": [{ "credits": [] }, { "wallet": [] }],
        "responses": {
            "200": { "description": "The balance and the latest entries.", "content": { "application/json": { "schema": { "type": "object" } } } },
            "401": { "$ref": "#/components/responses/Refused" },
        },
    })
}

fn components(catalogue: &Catalogue<'_>) -> Map<String, Value> {
    let mut kinds = Map::new();
    if catalogue.packages().next().is_some() {
        kinds.insert(
            "securitySchemes".to_owned(),
            json!({
                "credits": { "type": "http", "scheme": "bearer", "description": "The key of a package of prepaid credits." },
                "wallet": {
                    "type": "apiKey", "in": "header", "name": "SIGN-IN-WITH-X", "x-agentcash-auth-kind": "siwx",
                    "description": "The sign-in of a wallet that has bought credits (CAIP-122).",
                },
            }),
        );
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
            "PaymentRequired": {
                "description": "The price. PAYMENT-REQUIRED holds it as base64 of JSON (x402 v2), the body as v1 has it.",
                "headers": { "PAYMENT-REQUIRED": { "required": true, "schema": { "type": "string" } } },
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Challenge" } } },
            },
            "Refused": {
                "description": "A refusal that paying would not cure.",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            },
        }),
    );
    let challenge = json!({
        "allOf": [{ "$ref": "#/components/schemas/Problem" }],
        "type": "object",
        "properties": { "x402Version": { "type": "integer" }, "accepts": { "type": "array", "items": { "type": "object" } } },
        "required": ["x402Version", "accepts"],
    });
    kinds.insert("schemas".to_owned(), json!({ "Problem": problem, "Challenge": challenge }));
    kinds
}
