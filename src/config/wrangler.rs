//! `wrangler.toml` as [`Bindings`], for the native check: the same values that the Worker's `env` will hold.

use super::bindings::{self, Bindings, KNOWN};
use super::leaks;
use super::mistakes::Mistakes;
use serde_json::Value;
use toml::Table;

/// Reads a `wrangler.toml`: the variables of an environment (of the top level without one), the bindings that matter, and
/// what is wrong with those.
///
/// # Errors
/// The text is not TOML, or has no such environment.
pub fn read(text: &str, environment: Option<&str>) -> Result<(Bindings, Mistakes), String> {
    let file: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let mut mistakes = Mistakes::default();
    // Neither variables nor bindings are inherited by an environment; the migrations are.
    let (scope, prefix) = match environment {
        None => (&file, String::new()),
        Some(name) => {
            let scope = file.get("env").and_then(|env| env.get(name)).and_then(toml::Value::as_table);
            (scope.ok_or_else(|| format!("there is no [env.{name}]"))?, format!("env.{name}."))
        }
    };
    let mut bindings = Bindings::new();
    if environment.is_some() && !scope.contains_key("vars") && file.contains_key("vars") {
        mistakes.add(
            format!("{prefix}vars"),
            "is missing: an environment does not inherit [vars], and wrangler deploys it without any",
            format!("write [{prefix}vars] with all the variables that it needs"),
        );
    }
    for (name, value) in scope.get("vars").and_then(toml::Value::as_table).into_iter().flatten() {
        bindings.insert(name.clone(), json(value));
    }
    if named(scope.get("services"), "binding", "ORIGIN_SERVICE").is_some() {
        bindings.insert("ORIGIN_SERVICE".to_owned(), Value::Object(serde_json::Map::new()));
    }
    let objects = scope.get("durable_objects").and_then(|objects| objects.get("bindings"));
    match named(objects, "name", "PAYER").and_then(|object| object.get("class_name")?.as_str()) {
        Some("Payer") => {}
        _ => mistakes.add(
            format!("{prefix}durable_objects.bindings"),
            "does not bind PAYER to the class Payer",
            "add { name = \"PAYER\", class_name = \"Payer\" }: without it no payment can be claimed",
        ),
    }
    let sells_credits = bindings::is_set(&bindings, "PACKAGES") || bindings.contains_key("KEY_SECRET");
    if sells_credits {
        match named(objects, "name", "ACCOUNT").and_then(|object| object.get("class_name")?.as_str()) {
            Some("Account") => {}
            _ => mistakes.add(
                format!("{prefix}durable_objects.bindings"),
                "does not bind ACCOUNT to the class Account, and PACKAGES are sold",
                "add { name = \"ACCOUNT\", class_name = \"Account\" }: without it no credit can be counted",
            ),
        }
    }
    let migrations = scope.get("migrations").or_else(|| file.get("migrations")).and_then(toml::Value::as_array);
    let on_sqlite = |name: &str| {
        migrations.into_iter().flatten().any(|migration| {
            let classes = migration.get("new_sqlite_classes").and_then(toml::Value::as_array);
            classes.into_iter().flatten().any(|class| class.as_str() == Some(name))
        })
    };
    // A class that is bound and was never created is refused by Cloudflare, after the upload.
    let account_is_bound = named(objects, "name", "ACCOUNT").is_some();
    for (tag, class, needed) in [("v1", "Payer", true), ("v2", "Account", sells_credits || account_is_bound)] {
        if needed && !on_sqlite(class) {
            mistakes.add(
                "migrations",
                format!("does not create {class} as an SQLite class"),
                format!("add [[migrations]] tag = \"{tag}\", new_sqlite_classes = [\"{class}\"]"),
            );
        }
    }
    leaks::check(&bindings, &mut mistakes);
    let either = |key: &str| scope.get(key).or_else(|| file.get(key));
    for (key, problem, cure) in [
        ("main", "is missing: there is nothing to deploy", "main = \"build/index.js\""),
        (
            "compatibility_date",
            "is missing: wrangler takes the oldest runtime there is",
            "compatibility_date = \"2026-04-01\"",
        ),
    ] {
        if either(key).is_none() {
            mistakes.add(key, problem, format!("write {cure}"));
        }
    }
    let flags = either("compatibility_flags").and_then(toml::Value::as_array);
    if !flags.into_iter().flatten().any(|flag| flag.as_str() == Some("enable_request_signal")) {
        mistakes.add(
            "compatibility_flags",
            "does not hold enable_request_signal: nobody would notice that a buyer has hung up, and what was paid and not heard \
             would count as answered",
            "write compatibility_flags = [\"enable_request_signal\"]",
        );
    }
    for name in file.keys().filter(|name| KNOWN.contains(&name.as_str())) {
        mistakes.add(
            name,
            "stands outside of [vars], where nobody reads it",
            format!("write it below [vars], or as [vars.{name}]"),
        );
    }
    Ok((bindings, mistakes))
}

fn named<'a>(list: Option<&'a toml::Value>, key: &str, name: &str) -> Option<&'a toml::Value> {
    list?.as_array()?.iter().find(|entry| entry.get(key).and_then(toml::Value::as_str) == Some(name))
}

/// As wrangler turns it into JSON.
fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text.clone()),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number).map_or(Value::Null, Value::Number),
        toml::Value::Boolean(on) => Value::Bool(*on),
        toml::Value::Datetime(at) => Value::String(at.to_string()),
        toml::Value::Array(items) => Value::Array(items.iter().map(json).collect()),
        toml::Value::Table(members) => {
            Value::Object(members.iter().map(|(key, value)| (key.clone(), json(value))).collect())
        }
    }
}
