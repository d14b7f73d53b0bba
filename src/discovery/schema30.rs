//! Our operations in a document of the origin's that is OpenAPI 3.0: its schemas are an older dialect than JSON Schema, in
//! which numbers where it wants truth values make the whole document invalid.

use serde_json::{Map, Value, json};

/// What OpenAPI 3.0 knows of JSON Schema, as it is.
const KEPT: [&str; 25] = [
    "title",
    "description",
    "default",
    "example",
    "format",
    "pattern",
    "multipleOf",
    "maximum",
    "minimum",
    "maxLength",
    "minLength",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxProperties",
    "minProperties",
    "required",
    "enum",
    "deprecated",
    "readOnly",
    "writeOnly",
    "nullable",
    "externalDocs",
    "xml",
    "discriminator",
];

/// Translates every schema of an operation.
pub(super) fn translate(node: &mut Value) {
    match node {
        Value::Object(members) => {
            for (key, value) in members {
                match key.as_str() {
                    "schema" => *value = translated(value),
                    // Data, whatever its members are called.
                    "example" | "examples" | "x-payment-info" => {}
                    _ => translate(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(translate),
        _ => {}
    }
}

/// The same in the older dialect, or something wider: what it has no word for is left out.
fn translated(schema: &Value) -> Value {
    let Some(schema) = schema.as_object() else {
        // `false` takes nothing, and `true` all.
        return if schema == &Value::Bool(false) { json!({ "not": {} }) } else { json!({}) };
    };
    let mut older = Map::new();
    for (key, value) in schema {
        let value = match (key.as_str(), value) {
            // An empty list is none to it.
            ("required" | "enum", Value::Array(list)) if list.is_empty() => continue,
            ("$ref", _) => value.clone(),
            ("properties", Value::Object(properties)) => {
                properties.iter().map(|(name, schema)| (name.clone(), translated(schema))).collect()
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(list)) => list.iter().map(translated).collect(),
            ("not" | "items", Value::Object(_) | Value::Bool(_)) => translated(value),
            ("additionalProperties", Value::Object(_)) => translated(value),
            ("additionalProperties", Value::Bool(_)) => value.clone(),
            (key, _) if KEPT.contains(&key) || key.starts_with("x-") => value.clone(),
            _ => continue,
        };
        older.insert(key.clone(), value);
    }
    if let Some(value) = schema.get("const") {
        older.insert("enum".to_owned(), json!([value]));
    }
    if let Some(first) = schema.get("examples").and_then(|examples| examples.as_array()?.first()) {
        older.entry("example").or_insert_with(|| first.clone());
    }
    exclusive(schema, &mut older, "exclusiveMinimum", "minimum", |exclusive, bound| exclusive >= bound);
    exclusive(schema, &mut older, "exclusiveMaximum", "maximum", |exclusive, bound| exclusive <= bound);
    types(schema, &mut older);
    if older.get("type").is_some_and(|kind| kind == "array") {
        older.entry("items").or_insert_with(|| json!({}));
    }
    Value::Object(older)
}

/// A bound of its own there, a word about the other bound here: the tighter of the two stays.
fn exclusive(
    schema: &Map<String, Value>,
    older: &mut Map<String, Value>,
    key: &str,
    bound: &str,
    is_tighter: impl Fn(f64, f64) -> bool,
) {
    let Some(value) = schema.get(key).filter(|value| value.is_number()) else { return };
    let other = schema.get(bound).and_then(Value::as_f64);
    if other.is_none_or(|other| value.as_f64().is_some_and(|value| is_tighter(value, other))) {
        older.insert(bound.to_owned(), value.clone());
        older.insert(key.to_owned(), true.into());
    }
}

/// One type and whether it may be null, in the place of a list.
fn types(schema: &Map<String, Value>, older: &mut Map<String, Value>) {
    let named: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let mut others = named.iter().filter(|name| **name != "null");
    match (others.next(), others.next()) {
        (Some(one), None) => {
            older.insert("type".to_owned(), (*one).into());
            if named.contains(&"null") {
                older.insert("nullable".to_owned(), true.into());
            }
        }
        // Null alone.
        (None, _) => {
            older.insert("nullable".to_owned(), true.into());
            older.entry("enum").or_insert_with(|| json!([null]));
        }
        // Several cannot be said beside what else is said of them.
        (Some(_), Some(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_older_dialect_has_no_word_for_is_said_otherwise_or_left_out() {
        for (newer, older) in [
            (
                json!({ "type": "integer", "exclusiveMinimum": 0 }),
                json!({ "type": "integer", "minimum": 0, "exclusiveMinimum": true }),
            ),
            (json!({ "minimum": 7, "exclusiveMinimum": 0 }), json!({ "minimum": 7 })),
            (json!({ "maximum": 7, "exclusiveMaximum": 7 }), json!({ "maximum": 7, "exclusiveMaximum": true })),
            (json!({ "type": ["string", "null"] }), json!({ "type": "string", "nullable": true })),
            (json!({ "type": ["string", "integer"] }), json!({})),
            (json!({ "type": "null" }), json!({ "nullable": true, "enum": [null] })),
            (json!({ "const": 1, "examples": [1, 2], "$comment": "x" }), json!({ "enum": [1], "example": 1 })),
            (json!({ "type": "array", "prefixItems": [{}] }), json!({ "type": "array", "items": {} })),
            (json!({ "items": { "const": 1 }, "contains": true }), json!({ "items": { "enum": [1] } })),
            (
                json!({ "type": "object", "properties": { "const": { "const": 1 }, "any": true, "none": false }, "required": [] }),
                json!({ "type": "object", "properties": { "const": { "enum": [1] }, "any": {}, "none": { "not": {} } } }),
            ),
            (
                json!({ "anyOf": [{ "type": ["null", "number"] }], "if": {} }),
                json!({ "anyOf": [{ "type": "number", "nullable": true }] }),
            ),
        ] {
            assert_eq!(translated(&newer), older, "{newer}");
        }
    }

    #[test]
    fn only_schemas_are_translated() {
        let newer = json!({ "const": 1 });
        let mut operation = json!({
            "parameters": [{ "name": "x", "schema": newer }],
            "requestBody": { "content": { "application/json": { "schema": newer, "example": { "schema": newer } } } },
        });
        translate(&mut operation);
        let older = json!({ "enum": [1] });
        assert_eq!(operation["parameters"][0]["schema"], older);
        let content = &operation["requestBody"]["content"]["application/json"];
        assert_eq!((&content["schema"], &content["example"]["schema"]), (&older, &newer));
    }
}
