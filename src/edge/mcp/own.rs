//! Our own MCP server: every priced route of which it is known what it takes is a tool. It keeps no session, and answers in
//! plain JSON.

use super::super::gateway::Visit;
use super::super::{documents, respond, supported};
use super::{Called, ToolSale, content_of, facts_of, read, rpc_error, sell};
use crate::config::{Placement, Route};
use crate::discovery::Catalogue;
use crate::gate::Facts;
use crate::http::path::CanonicalPath;
use crate::mcp::call::{self, ToolCall};
use crate::mcp::message::{CALL, Message};
use crate::mcp::tools::{self, Asked};
use crate::mcp::{LATEST, SPOKEN, answer};
use js_sys::Uint8Array;
use serde_json::{Value, json};
use web_sys::{Headers, Request, RequestInit, Response};
use worker::Result;

pub(super) async fn answer(visit: &Visit<'_>, placement: &Placement) -> Option<Result<Response>> {
    let described = |route: &Route| route.terms.as_ref().is_some_and(|terms| terms.about.input.is_some());
    if !visit.config.routes.iter().any(described)
        || (!placement.asked && documents::origin_serves_mcp(visit, placement).await)
    {
        return None;
    }
    let support = supported::current(visit.config, visit.env, visit.context).await;
    let catalogue = Catalogue::new(visit.config, &support, &visit.facts.base);
    Some(served(visit, &catalogue).await)
}

async fn served(visit: &Visit<'_>, catalogue: &Catalogue<'_>) -> Result<Response> {
    if let Some(method) = &visit.facts.preflight_for {
        let wanted = visit.request.headers().get("access-control-request-headers")?;
        return respond::preflight(method, wanted.as_deref());
    }
    if visit.facts.method != "POST" {
        return respond::method_not_allowed("POST");
    }
    let (upload, message) = match read(visit).await {
        Ok(read) => read,
        Err(refusal) => return refusal,
    };
    let asked_version = visit.request.headers().get("mcp-protocol-version")?;
    if asked_version.is_some_and(|version| !SPOKEN.contains(&version.as_str())) {
        let problem = format!("MCP-Protocol-Version is none of {}", SPOKEN.join(", "));
        return respond::json(400, &answer::error(&Value::Null, -32_600, &problem));
    }
    let Message::Request { id, method, params } = message else { return respond::accepted() };
    match method.as_str() {
        CALL => match call::read(&upload.bytes) {
            Ok(tool) => called(visit, catalogue, &id, &tool).await,
            Err(error) => rpc_error(&visit.route(), &id, -32_602, error.message()),
        },
        "initialize" => result(&id, &initialized(catalogue, &params)),
        "tools/list" => result(&id, &json!({ "tools": tools::listed(catalogue) })),
        "ping" => result(&id, &json!({})),
        _ => respond::json(200, &answer::error(&id, -32_601, "there is no such method here: only tools")),
    }
}

fn result(id: &Value, result: &Value) -> Result<Response> {
    respond::json(200, &json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn initialized(catalogue: &Catalogue<'_>, params: &Value) -> Value {
    let wanted = params.get("protocolVersion").and_then(Value::as_str);
    let version = SPOKEN.into_iter().find(|version| Some(*version) == wanted).unwrap_or(LATEST);
    json!({
        "protocolVersion": version,
        "capabilities": { "tools": { "listChanged": false } },
        "serverInfo": { "name": catalogue.name(), "version": "1" },
        "instructions": "Tools cost money. A call without payment answers with its price as x402 PaymentRequired; send it \
                         again with `_meta[\"x402/payment\"]`, or with the key of prepaid credits as a bearer token.",
    })
}

async fn called(visit: &Visit<'_>, catalogue: &Catalogue<'_>, id: &Value, tool: &ToolCall) -> Result<Response> {
    let route = visit.route();
    let Some(call) = catalogue.tools().find(|call| call.id == tool.name) else {
        return rpc_error(&route, id, -32_602, "there is no such tool");
    };
    let mut facts = facts_of(visit.facts, tool);
    let asked = match tools::asked(catalogue.config, call, tool) {
        Ok(asked) => asked,
        // Who only wants to know the price is told it, whatever the arguments.
        Err(_) if !pays(visit, &facts) => sample(call.method, &call.sample),
        Err(problem) => return rpc_error(&route, id, -32_602, &problem),
    };
    facts.method = asked.method.to_owned();
    facts.path.clone_from(&asked.path);
    facts.query.clone_from(&asked.query);
    let Ok(path) = CanonicalPath::new(&facts.path) else {
        return rpc_error(&route, id, -32_602, "these arguments make no path");
    };
    let request = inner(visit, &asked)?;
    let content = content_of(tool);
    let body = asked.body.as_ref().map(|(_, text)| Uint8Array::from(text.as_bytes()));
    let sale = ToolSale { called: Called::Route, body, content: &content };
    sell(&Visit { request: &request, facts: &facts, tool: Some(&sale), ..*visit }, id, call.terms, &path).await
}

fn pays(visit: &Visit<'_>, facts: &Facts) -> bool {
    let key = crate::gate::our_key(facts.authorization.as_deref(), &visit.config.key_prefix);
    facts.payment_signature.is_some() || facts.x_payment.is_some() || facts.sign_in.is_some() || key.is_some()
}

fn sample(method: &'static str, sample: &str) -> Asked {
    let (path, query) = match sample.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (sample.to_owned(), None),
    };
    Asked { method, path, query, headers: Vec::new(), body: None }
}

/// The request that the origin gets: what the client says of itself, and nothing that was about the message.
fn inner(visit: &Visit<'_>, asked: &Asked) -> Result<Request> {
    let headers = Headers::new_with_headers(&visit.request.headers())?;
    for name in ["content-type", "content-length", "accept", "mcp-protocol-version", "mcp-session-id", "last-event-id"]
    {
        headers.delete(name)?;
    }
    for (name, value) in &asked.headers {
        headers.set(name, value)?;
    }
    if let Some((kind, _)) = &asked.body {
        headers.set("content-type", kind)?;
    }
    let init = RequestInit::new();
    init.set_method(asked.method);
    init.set_headers(&headers);
    // A buyer who hangs up hangs up on this, too.
    init.set_signal(Some(&visit.request.signal()));
    let query = asked.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(Request::new_with_str_and_init(&format!("{}{}{query}", visit.facts.base, asked.path), &init)?)
}
