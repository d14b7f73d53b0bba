//! What a call takes and gives, as its operator describes it: `name`, `input` and `output` of a route. Everything that
//! agents read is made from it.

use super::bindings::Members;
use super::mistakes::Mistakes;
use super::template::{Template, is_name};
use crate::http::headers::{Passage, reaches_origin};
use serde_json::{Map, Value, json};

/// What is said of a call besides its price.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// A tool's name, and an operation's id; made of method and path where it is not given.
    pub name: Option<String>,
    /// What the call takes; a route without it is no tool.
    pub input: Option<Input>,
    /// What it gives.
    pub output: Option<Output>,
    /// The route's paths.
    pub template: Template,
}

/// How a request's body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyType {
    /// `application/json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `text/plain`.
    Text,
}

impl BodyType {
    /// As the `bazaar` extension calls it.
    #[must_use]
    pub const fn bazaar(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Form => "form-data",
            Self::Text => "text",
        }
    }

    /// As HTTP calls it.
    #[must_use]
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Text => "text/plain",
        }
    }
}

/// What a call takes, each argument with its JSON Schema (2020-12).
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// In the path; whatever is not described is a string.
    pub path: Map<String, Value>,
    /// In the query.
    pub query: Map<String, Value>,
    /// In headers.
    pub headers: Map<String, Value>,
    /// As the body.
    pub body: Option<(BodyType, Value)>,
    /// What must be there, besides the path's and a body.
    pub required: Vec<String>,
}

/// What a call gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// One answer.
    pub example: Option<Value>,
    /// Any answer's JSON Schema.
    pub schema: Option<Value>,
}

/// The argument that is the whole body.
pub const BODY: &str = "body";

impl Input {
    /// The arguments in one JSON Schema: what a tool takes.
    #[must_use]
    pub fn schema(&self) -> Value {
        let mut properties = Map::new();
        for (name, schema) in self.path.iter().chain(&self.query).chain(&self.headers) {
            properties.insert(name.clone(), schema.clone());
        }
        if let Some((_, body)) = &self.body {
            properties.insert(BODY.to_owned(), body.clone());
        }
        json!({ "type": "object", "properties": properties, "required": self.all_required(), "additionalProperties": false })
    }

    /// Where each argument goes: the schema alone does not say it.
    #[must_use]
    pub fn places(&self) -> Map<String, Value> {
        let of = |schemas: &Map<String, Value>, place: &'static str| -> Vec<(String, Value)> {
            schemas.keys().map(|name| (name.clone(), place.into())).collect()
        };
        let named = [of(&self.path, "path"), of(&self.query, "query"), of(&self.headers, "header")];
        let body = self.body.iter().map(|_| (BODY.to_owned(), Value::from("body")));
        named.into_iter().flatten().chain(body).collect()
    }

    /// The names of all that it takes.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        let named = self.path.keys().chain(self.query.keys()).chain(self.headers.keys()).map(String::as_str);
        named.chain(self.body.iter().map(|_| BODY))
    }

    /// The names of what must be there.
    #[must_use]
    pub fn all_required(&self) -> Vec<String> {
        let body = self.body.iter().map(|_| BODY.to_owned());
        self.path.keys().cloned().chain(self.required.iter().cloned()).chain(body).collect()
    }

    /// Whether an argument must be there.
    #[must_use]
    pub fn requires(&self, name: &str) -> bool {
        self.required.iter().any(|required| required == name)
    }
}

/// A value that a schema names as an example, or one of its type; nothing where the schema wants more than a type and names
/// no example.
#[must_use]
pub fn sample(name: &str, schema: &Value) -> Option<Value> {
    const BEYOND_A_TYPE: [&str; 12] = [
        "pattern",
        "format",
        "minLength",
        "minItems",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "minProperties",
    ];
    let first = |key: &str| schema.get(key).and_then(|list| list.as_array()?.first());
    let named = schema.get("example").or_else(|| first("examples")).or_else(|| schema.get("default"));
    if let Some(value) = named.or_else(|| schema.get("const")).or_else(|| first("enum")) {
        return Some(value.clone());
    }
    if BEYOND_A_TYPE.iter().any(|key| schema.get(key).is_some()) {
        return None;
    }
    let of_type = match schema.get("type").and_then(Value::as_str) {
        Some("integer" | "number") => {
            schema.get("minimum").or_else(|| schema.get("maximum")).cloned().unwrap_or_else(|| 1.into())
        }
        Some("boolean") => true.into(),
        Some("array") => Value::Array(Vec::new()),
        Some("object") => {
            let mut members = Map::new();
            let required = schema.get("required").and_then(Value::as_array);
            for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                match sample(key, property) {
                    Some(value) => {
                        members.insert(key.clone(), value);
                    }
                    None if required.is_some_and(|names| names.iter().any(|name| name == key)) => return None,
                    None => {}
                }
            }
            Value::Object(members)
        }
        Some("null") => Value::Null,
        _ if schema.get("maxLength").is_some() => return None,
        _ => name.into(),
    };
    Some(of_type)
}

/// Reads `name`, `input` and `output` of a route's table.
pub(super) fn about(members: &Members<'_>, template: Template, mistakes: &mut Mistakes) -> About {
    let name = members.text("name", mistakes).map(ToOwned::to_owned);
    if name.as_ref().is_some_and(|name| !is_name(name)) {
        mistakes.add(members.path("name"), "is not a name for a tool", "write at most 64 letters, digits, - and _");
    }
    let input = table(members, "input", mistakes).map(|(path, table)| input(&path, &table, &template, mistakes));
    let output = table(members, "output", mistakes).map(|(path, table)| output(&path, &table, mistakes));
    About { name, input, output, template }
}

fn table(members: &Members<'_>, key: &str, mistakes: &mut Mistakes) -> Option<(String, Map<String, Value>)> {
    match members.get(key)? {
        Value::Object(table) => Some((members.path(key), table.clone())),
        _ => {
            mistakes.add(members.path(key), "is not a table", format!("write {key} = {{ … }}"));
            None
        }
    }
}

fn input(path: &str, table: &Map<String, Value>, template: &Template, mistakes: &mut Mistakes) -> Input {
    let members = Members::new(path, table, &["path", "query", "headers", "body", "body_type", "required"], mistakes);
    let mut of_path = schemas(&members, "path", mistakes);
    for name in of_path.keys().filter(|name| !template.parameters().any(|known| known == *name)) {
        let known: Vec<&str> = template.parameters().collect();
        let cure = if known.is_empty() { "remove it".to_owned() } else { format!("use one of: {}", known.join(", ")) };
        mistakes.add(format!("{path}.path.{name:?}"), "is not a parameter of the route's path", cure);
    }
    for name in template.parameters() {
        of_path.entry(name).or_insert_with(|| json!({ "type": "string" }));
    }
    let (query, headers) = (schemas(&members, "query", mistakes), schemas(&members, "headers", mistakes));
    for name in headers.keys().filter(|name| !may_be_sent(name)) {
        mistakes.add(format!("{path}.headers.{name:?}"), "is not a header that a caller may set", "remove it");
    }
    let body_type = match members.text("body_type", mistakes) {
        None | Some("json") => BodyType::Json,
        Some("form") => BodyType::Form,
        Some("text") => BodyType::Text,
        Some(_) => {
            let cure = "write \"json\", \"form\" or \"text\"";
            mistakes.add(members.path("body_type"), "is not a choice", cure);
            BodyType::Json
        }
    };
    let body = members.get("body").map(|schema| (body_type, checked(&members.path("body"), schema, mistakes)));
    let mut names: Vec<&str> = of_path.keys().chain(query.keys()).chain(headers.keys()).map(String::as_str).collect();
    names.extend(body.iter().map(|_| BODY));
    names.sort_unstable();
    for (name, _) in names.iter().zip(names.iter().skip(1)).filter(|(one, other)| one == other) {
        mistakes.add(path, format!("names {name:?} twice"), "give every argument a name of its own");
    }
    let required = required(&members, &query, &headers, mistakes);
    let always = of_path.iter().chain(query.iter().chain(&headers).filter(|(name, _)| required.contains(name)));
    for (name, _) in always.filter(|(name, schema)| sample(name, schema).is_none()) {
        mistakes.add(format!("{path}.{name:?}"), "has no example", format!("add one: {name} = {{ …, example = … }}"));
    }
    if body.as_ref().is_some_and(|(_, schema)| sample(BODY, schema).is_none()) {
        mistakes.add(members.path("body"), "has no example", "add one: body = { …, example = { … } }");
    }
    Input { path: of_path, query, headers, body, required }
}

/// A caller's argument must not become a payment, a key, or what only the gateway says.
fn may_be_sent(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let reserved =
        ["authorization", "cookie", "accept", "content-type", "content-length", "content-encoding", "expect"];
    is_name(name) && reach(&lower) && !reserved.contains(&lower.as_str()) && !lower.starts_with("mcp-")
}

fn reach(name: &str) -> bool {
    reaches_origin(name, Passage::Paid, &[])
}

fn required(
    members: &Members<'_>,
    query: &Map<String, Value>,
    headers: &Map<String, Value>,
    mistakes: &mut Mistakes,
) -> Vec<String> {
    let Some(value) = members.get("required") else { return Vec::new() };
    let names: Option<Vec<String>> =
        value.as_array().and_then(|list| list.iter().map(|name| name.as_str().map(ToOwned::to_owned)).collect());
    let known = |name: &String| query.contains_key(name) || headers.contains_key(name);
    match names {
        Some(names) if names.iter().all(known) => names,
        _ => {
            mistakes.add(members.path("required"), "is not a list of arguments", "name what is in query or headers");
            Vec::new()
        }
    }
}

/// A table of arguments: each a schema, or a text that says what it is.
fn schemas(members: &Members<'_>, key: &str, mistakes: &mut Mistakes) -> Map<String, Value> {
    match members.get(key) {
        None => Map::new(),
        Some(Value::Object(table)) => {
            let path = members.path(key);
            let mut schemas = Map::new();
            for (name, written) in table {
                let at = format!("{path}.{name:?}");
                if !is_name(name) {
                    mistakes.add(&at, "is not a name for an argument", "write at most 64 letters, digits, - and _");
                }
                let schema = match written {
                    Value::String(words) => json!({ "type": "string", "description": words }),
                    schema => checked(&at, schema, mistakes),
                };
                schemas.insert(name.clone(), schema);
            }
            schemas
        }
        Some(_) => {
            mistakes.add(members.path(key), "is not a table", "write { city = \"A city's name\" }");
            Map::new()
        }
    }
}

/// A schema that means the same wherever it is copied to.
fn checked(path: &str, schema: &Value, mistakes: &mut Mistakes) -> Value {
    const TYPES: [&str; 7] = ["string", "integer", "number", "boolean", "object", "array", "null"];
    let named = schema.get("type");
    let known = match named {
        None => true,
        Some(Value::String(name)) => TYPES.contains(&name.as_str()),
        Some(Value::Array(names)) => names.iter().all(|name| name.as_str().is_some_and(|name| TYPES.contains(&name))),
        Some(_) => false,
    };
    if !schema.is_object() || !known {
        mistakes.add(path, "is not a JSON Schema", "write { type = \"string\", description = \"…\" }");
    } else if refers(schema) {
        mistakes.add(path, "refers to something outside of itself", "write the schema out, without $ref and $id");
    }
    schema.clone()
}

fn refers(node: &Value) -> bool {
    match node {
        Value::Array(items) => items.iter().any(refers),
        Value::Object(members) => {
            members.iter().any(|(key, value)| matches!(key.as_str(), "$ref" | "$id" | "$dynamicRef") || refers(value))
        }
        _ => false,
    }
}

fn output(path: &str, table: &Map<String, Value>, mistakes: &mut Mistakes) -> Output {
    let members = Members::new(path, table, &["example", "schema"], mistakes);
    let schema = members.get("schema").map(|schema| checked(&members.path("schema"), schema, mistakes));
    Output { example: members.get("example").cloned(), schema }
}
