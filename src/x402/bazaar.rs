//! The `bazaar` extension, by which facilitators make their catalogues, and what v1 has in its place:
//! `outputSchema`.

use crate::config::{About, Input, sample};
use crate::json::put;
use serde_json::{Map, Value, json};

/// Its key among the extensions.
pub const BAZAAR: &str = "bazaar";
/// So much of a challenge's header may be about the call: Node's clients stop at 16 KB for all headers together.
pub const MOST_BYTES: usize = 4_096;

const METHODS: [&str; 6] = ["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH"];
/// The methods by which a body is sent, the likeliest first.
pub const WITH_BODY: [&str; 3] = ["POST", "PUT", "PATCH"];

/// The extension for a call by this method; nothing where the route is not described.
#[must_use]
pub fn of_call(about: &About, method: &str) -> Option<Value> {
    described(about)?;
    if !METHODS.contains(&method) {
        return None;
    }
    let mut input = Map::from_iter([("type".to_owned(), json!("http")), ("method".to_owned(), json!(method))]);
    let mut properties = Map::from_iter([
        ("type".to_owned(), json!({ "type": "string", "const": "http" })),
        ("method".to_owned(), json!({ "type": "string", "enum": [method] })),
    ]);
    let mut required = vec!["type", "method"];
    if let Some(taken) = &about.input {
        let body = taken.body.as_ref().filter(|_| WITH_BODY.contains(&method));
        for (key, schemas) in [("queryParams", &taken.query), ("pathParams", &taken.path), ("headers", &taken.headers)]
        {
            // An empty query says that nothing is taken; without it nothing would be said of the input at all.
            if schemas.is_empty() && (body.is_some() || key != "queryParams") {
                continue;
            }
            let wanted: Vec<&String> =
                schemas.keys().filter(|name| key == "pathParams" || taken.requires(name)).collect();
            input.insert(key.to_owned(), Value::Object(samples(schemas)));
            properties.insert(
                key.to_owned(),
                json!({ "type": "object", "properties": schemas, "required": wanted, "additionalProperties": false }),
            );
        }
        if let Some((kind, schema)) = body {
            input.insert("bodyType".to_owned(), kind.bazaar().into());
            input.insert("body".to_owned(), sample("body", schema).unwrap_or_default());
            properties.insert("bodyType".to_owned(), json!({ "type": "string", "enum": [kind.bazaar()] }));
            properties.insert("body".to_owned(), schema.clone());
            required.extend(["bodyType", "body"]);
        }
    }
    let mut extension = extension(about, &input, &properties, &required);
    if about.template.parameters().next().is_some() {
        put(&mut extension, "routeTemplate", about.template.with_colons());
    }
    Some(extension)
}

/// The extension for a tool of an MCP server.
#[must_use]
pub fn of_tool(about: &About, name: &str, description: &str) -> Option<Value> {
    let taken = about.input.as_ref()?;
    let input = json!({
        "type": "mcp", "toolName": name, "description": description, "transport": "streamable-http",
        "inputSchema": taken.schema(),
    });
    let properties = json!({
        "type": { "type": "string", "const": "mcp" },
        "toolName": { "type": "string" },
        "description": { "type": "string" },
        "transport": { "type": "string", "enum": ["streamable-http"] },
        "inputSchema": { "type": "object" },
    });
    let (Value::Object(input), Value::Object(properties)) = (input, properties) else { return None };
    Some(extension(about, &input, &properties, &["type", "toolName", "inputSchema"]))
}

fn extension(about: &About, input: &Map<String, Value>, properties: &Map<String, Value>, required: &[&str]) -> Value {
    let mut info = json!({ "input": input });
    let given = given(about);
    if let Some((example, _)) = &given {
        put(&mut info, "output", json!({ "type": "json", "example": example }));
    }
    // Also where nothing is said of it: validators of catalogues look for it.
    let schema = given.map_or_else(|| json!({}), |(_, schema)| schema);
    let parts = json!({
        "input": { "type": "object", "properties": properties, "required": required, "additionalProperties": false },
        "output": {
            "type": "object", "properties": { "type": { "type": "string" }, "example": schema }, "required": ["type"],
        },
    });
    json!({
        "info": info,
        "schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object", "properties": parts, "required": ["input"],
        },
    })
}

/// What v1 clients and catalogues read of a call.
#[must_use]
pub fn output_schema(about: &About, method: &str) -> Option<Value> {
    described(about)?;
    let mut input = json!({ "type": "http", "method": method, "discoverable": true });
    if let Some(taken) = &about.input {
        // Texts: the v1 type of both is a record of strings.
        let words = |schemas: &Map<String, Value>| -> Map<String, Value> {
            let text = |schema: &Value, key: &str| schema.get(key).filter(|value| value.is_string()).cloned();
            let word = |schema: &Value| text(schema, "description").or_else(|| text(schema, "type"));
            schemas.iter().map(|(name, schema)| (name.clone(), word(schema).unwrap_or_else(|| "".into()))).collect()
        };
        for (key, schemas) in
            [("queryParams", &taken.query), ("pathParams", &taken.path), ("headerFields", &taken.headers)]
        {
            if !schemas.is_empty() {
                put(&mut input, key, Value::Object(words(schemas)));
            }
        }
        if let Some((kind, schema)) = taken.body.as_ref().filter(|_| WITH_BODY.contains(&method)) {
            put(&mut input, "bodyType", kind.bazaar());
            put(&mut input, "bodyFields", schema.get("properties").cloned().unwrap_or_else(|| schema.clone()));
        }
    }
    let output = given(about).map(|(example, _)| example);
    Some(json!({ "input": input, "output": output }))
}

/// An example of the answer, and its schema.
fn given(about: &About) -> Option<(Value, Value)> {
    let output = about.output.as_ref()?;
    let schema = output.schema.clone().unwrap_or_else(|| json!({}));
    let example = output.example.clone().or_else(|| sample("output", output.schema.as_ref()?))?;
    Some((example, schema))
}

fn samples(schemas: &Map<String, Value>) -> Map<String, Value> {
    schemas.iter().filter_map(|(name, schema)| Some((name.clone(), sample(name, schema)?))).collect()
}

fn described(about: &About) -> Option<()> {
    (about.input.is_some() || about.output.is_some()).then_some(())
}

/// The bytes of the longest form that it takes.
#[must_use]
pub fn longest(about: &About) -> usize {
    let forms = [of_call(about, "POST"), of_tool(about, about.name.as_deref().unwrap_or_default(), "")];
    forms.iter().flatten().map(|form| form.to_string().len()).max().unwrap_or_default()
}

impl Input {
    /// A query of examples for what must be there.
    #[must_use]
    pub fn sample_of(&self, name: &str) -> Option<Value> {
        let schema = self.path.get(name).or_else(|| self.query.get(name)).or_else(|| self.headers.get(name))?;
        sample(name, schema)
    }
}
