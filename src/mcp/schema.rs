//! The `outputSchema` of a tool that has a price. MCP has a result's structure match it, and the official client throws where
//! it does not, also of a result that says it failed; the x402 transport has the price in that very structure. So the schema
//! says what is true of the tool behind the gate: its result, or the price, or a refusal.

use serde_json::{Map, Value, json};

/// Members whose values are no schemas.
const VALUES: [&str; 5] = ["enum", "const", "default", "example", "examples"];
/// Members that have schemas by name.
const NAMED: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// The schema of what comes back from a priced tool whose result has this one.
#[must_use]
pub fn or_refusal(result: Value) -> Value {
    let Value::Object(mut own) = result else { return result };
    let mut whole = Map::from_iter([("type".to_owned(), json!("object"))]);
    if let Some(dialect) = own.remove("$schema") {
        whole.insert("$schema".to_owned(), dialect);
    }
    // What some clients read at the root and nowhere else.
    let read_at_root = |name: &str| name.starts_with("x-") || matches!(name, "title" | "description");
    let copied = own.iter().filter(|(name, _)| read_at_root(name)).map(|(name, value)| (name.clone(), value.clone()));
    whole.extend(copied);
    // With an id of its own it is a document of its own, and its references are within that.
    let mut own = if own.contains_key("$id") { Value::Object(own) } else { moved(Value::Object(own), false) };
    if let Some(own) = own.as_object_mut() {
        own.entry("type").or_insert_with(|| json!("object"));
    }
    let price = json!({
        "type": "object", "required": ["x402Version", "accepts"],
        "properties": { "x402Version": { "type": "integer" }, "accepts": { "type": "array" } },
    });
    let problem = json!({
        "type": "object", "required": ["type", "status", "code"],
        "properties": {
            "type": { "type": "string", "pattern": "^urn:edge402:problem:" }, "status": { "type": "integer" },
            "code": { "type": "string" },
        },
    });
    whole.insert("anyOf".to_owned(), json!([own, price, problem]));
    Value::Object(whole)
}

/// A schema with its references led to where it stands now.
fn moved(schema: Value, by_name: bool) -> Value {
    match schema {
        Value::Array(items) => items.into_iter().map(|item| moved(item, false)).collect(),
        Value::Object(members) => {
            let moved = members.into_iter().map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    ("$ref", Value::String(reference)) if !by_name => match reference.strip_prefix('#') {
                        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("#/anyOf/0{rest}").into(),
                        _ => reference.into(),
                    },
                    (member, value) if !by_name && VALUES.contains(&member) => value,
                    (member, value) => moved(value, !by_name && NAMED.contains(&member)),
                };
                (name, value)
            });
            Value::Object(moved.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_a_price_and_a_refusal_fit_and_references_lead_where_they_led() {
        let own = json!({
            "$schema": "http://json-schema.org/draft-07/schema#", "title": "Found", "x-fastmcp-wrap-result": true,
            "type": "object", "required": ["a"], "additionalProperties": false,
            "properties": {
                "a": { "$ref": "#/$defs/A" }, "b": { "$ref": "#/properties/a" }, "c": { "items": [{ "$ref": "#" }] },
                "d": { "$ref": "#anchor" }, "e": { "$ref": "https://x/y#/z" }, "f": { "const": { "$ref": "#/z" } },
                "$ref": { "type": "string" }, "enum": { "$ref": "#/properties/a" },
            },
            "$defs": { "A": { "type": "number" } },
        });
        let whole = or_refusal(own);
        assert_eq!(whole["type"], "object");
        assert_eq!(whole["$schema"], "http://json-schema.org/draft-07/schema#");
        assert_eq!((&whole["title"], &whole["x-fastmcp-wrap-result"]), (&json!("Found"), &json!(true)));
        let first = &whole["anyOf"][0];
        assert_eq!((&first["required"], first.get("$schema")), (&json!(["a"]), None));
        let reference = |name: &str| first["properties"][name]["$ref"].clone();
        assert_eq!((reference("a"), reference("b")), (json!("#/anyOf/0/$defs/A"), json!("#/anyOf/0/properties/a")));
        assert_eq!(first["properties"]["c"]["items"][0]["$ref"], "#/anyOf/0");
        assert_eq!((reference("d"), reference("e")), (json!("#anchor"), json!("https://x/y#/z")));
        assert_eq!(first["properties"]["f"], json!({ "const": { "$ref": "#/z" } }));
        assert_eq!(first["properties"]["$ref"], json!({ "type": "string" }), "a property of this name");
        assert_eq!(reference("enum"), "#/anyOf/0/properties/a");
        let with_id = json!({ "$id": "urn:x", "type": "object", "properties": { "a": { "$ref": "#/properties/b" } } });
        assert_eq!(or_refusal(with_id.clone())["anyOf"][0], with_id);
        assert_eq!(or_refusal(json!(true)), true);
    }
}
