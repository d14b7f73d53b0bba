//! The origin's own OpenAPI document, with our prices in it (`OPENAPI = "origin:/openapi.json"`).

use super::openapi::{Frame, add_priced, complete, pay};
use super::security::Security;
use super::{Catalogue, text, unnamed};
use crate::config::{Origin, Terms, sample};
use crate::http::path::CanonicalPath;
use crate::json::{put, table};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use url::Url;

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// Annotates it; nothing where it is no OpenAPI 3 document. What is priced and not in it is added.
#[must_use]
pub fn annotated(catalogue: &Catalogue<'_>, mut document: Value) -> Option<Value> {
    let is_30 = document.get("openapi")?.as_str().filter(|version| version.starts_with("3."))?.starts_with("3.0");
    if !document.get("info")?.is_object() || !document.get("paths")?.is_object() {
        return None;
    }
    let frame = Frame { prefix: prefix(catalogue, &document), is_30, security: Security::of(&document) };
    let prefix = &frame.prefix;
    // Its own servers are what the gateway stands before: whoever went there would be on a way around it.
    put(&mut document, "servers", json!([{ "url": format!("{}{prefix}", catalogue.base) }]));
    let references = References(document.clone());
    for (path, item) in table(&mut document, "paths").into_iter().flatten() {
        references.written_out(item);
        let Some(item) = item.as_object_mut() else { continue };
        item.remove("servers");
        let shared = item.get("parameters").cloned();
        for method in METHODS {
            let Some(operation) = item.get_mut(method).filter(|operation| operation.is_object()) else { continue };
            let lists = [operation.get("parameters"), shared.as_ref()];
            let parameters = references.parameters(&lists);
            if let Some(members) = operation.as_object_mut() {
                members.remove("servers");
                // Whatever its author wrote of a price: the gate asks for ours, or for none.
                members.remove("x-payment-info");
            }
            let path = format!("{prefix}{path}");
            if let Some(terms) = priced(catalogue, &method.to_ascii_uppercase(), &path, &parameters) {
                pay(catalogue, &frame.security, terms, operation);
            }
        }
    }
    // Every priced route is in it, whether the origin's author has written it down or not.
    if let Some(paths) = table(&mut document, "paths") {
        add_priced(catalogue, &frame, paths);
    }
    complete(catalogue, &frame.security, &mut document);
    Some(document)
}

/// The path that its server has and the gateway's origin has not.
fn prefix(catalogue: &Catalogue<'_>, document: &Value) -> String {
    let server = document.get("servers").and_then(|servers| server(servers.get(0)?)).unwrap_or_default();
    let origin = match &catalogue.config.origin {
        Origin::Url(url) => Url::parse(url).ok(),
        Origin::Service => Url::parse(catalogue.base).ok(),
    };
    let Some(origin) = origin else { return String::new() };
    let Ok(server) = origin.join(&server) else { return String::new() };
    let (own, theirs) = (origin.path().trim_end_matches('/'), server.path().trim_end_matches('/'));
    // By whole steps: `/v1` is no prefix of `/v1beta`, and what is left of one would lengthen our host's name.
    match theirs.strip_prefix(own) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.to_owned(),
        _ => theirs.to_owned(),
    }
}

/// A server's URL with its variables' defaults; nothing where one of them has none.
fn server(server: &Value) -> Option<String> {
    let mut url = server.get("url")?.as_str()?.to_owned();
    for (name, variable) in server.get("variables").and_then(Value::as_object).into_iter().flatten() {
        if let Some(default) = variable.get("default").and_then(text) {
            url = url.replace(&format!("{{{name}}}"), &default);
        }
    }
    // In our URLs a brace would be no variable: nothing would be found there.
    (!url.contains(['{', '}'])).then_some(url)
}

/// What the document refers to within itself (JSON Reference, by JSON Pointer).
struct References(Value);

/// So many references lead from one to the next at most: two that name each other never end.
const MOST_REFERENCES: usize = 4;

impl References {
    fn followed(&self, value: &Value) -> Option<&Value> {
        let mut found = self.named(value)?;
        for _ in 0..MOST_REFERENCES {
            match self.named(found) {
                Some(next) => found = next,
                None => break,
            }
        }
        found.get("$ref").is_none().then_some(found)
    }

    fn named(&self, value: &Value) -> Option<&Value> {
        let fragment = value.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.0.pointer(&percent_decode_str(fragment).decode_utf8().ok()?)
    }

    /// A path that refers to its operations gets them itself: a price beside a `$ref` is one that nobody reads, and in the
    /// place that it names the price would be that of another path.
    fn written_out(&self, item: &mut Value) {
        let Some(Value::Object(found)) = self.followed(item).cloned() else { return };
        let Some(item) = item.as_object_mut() else { return };
        item.remove("$ref");
        for (name, member) in found {
            item.entry(name).or_insert(member);
        }
    }

    fn parameters(&self, lists: &[Option<&Value>]) -> Vec<Value> {
        let all = lists.iter().flatten().filter_map(|list| list.as_array()).flatten();
        all.map(|parameter| self.followed(parameter).unwrap_or(parameter).clone()).collect()
    }
}

/// A path with a value in the place of every parameter.
fn filled(path: &str, value: impl Fn(&str) -> String) -> String {
    let (mut filled, mut rest) = (String::new(), path);
    // `{id}`, and `{id}.json`
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        filled.push_str(before);
        filled.push_str(&crate::config::escaped(&value(name)));
        rest = after;
    }
    filled + rest
}

/// What an operation costs whatever its parameters' values are: an example may be the one that a route of its own names.
/// Only where no route takes them all it is asked what the examples cost.
fn priced<'a>(catalogue: &Catalogue<'a>, method: &str, path: &str, parameters: &[Value]) -> Option<&'a Terms> {
    let config = catalogue.config;
    let found = |path: &str| config.route(method, &CanonicalPath::new(path).ok()?).ok()?;
    let example = |name: &str| {
        let parameter = parameters.iter().find(|parameter| parameter.get("name").is_some_and(|known| known == name))?;
        let given = parameter.get("example").cloned();
        text(&given.or_else(|| sample(name, parameter.get("schema")?))?)
    };
    let any = unnamed(config, "value");
    let route = found(&filled(path, |_| any.clone()));
    let route = route.or_else(|| found(&filled(path, |name| example(name).unwrap_or_else(|| name.to_owned()))));
    route?.terms.as_ref()
}
