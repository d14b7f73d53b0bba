//! Priced routes as tools: what they are called, what they take, and the request that a call makes.

use super::call::ToolCall;
use crate::config::{BODY, BodyType, Config, Input, escaped};
use crate::discovery::assets::of_tool;
use crate::discovery::{Call, Catalogue, text};
use crate::http::path::CanonicalPath;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The `tools` of `tools/list`.
#[must_use]
pub fn listed(catalogue: &Catalogue<'_>) -> Vec<Value> {
    let with_input = catalogue.calls.iter().filter_map(|call| Some((call, call.terms.about.input.as_ref()?)));
    with_input
        .map(|(call, input)| {
            let reads = call.method == "GET";
            let (costs, meta) = of_tool(catalogue.support, call.terms);
            json!({
                "name": call.id,
                "description": format!("{} {costs}", call.sentence()),
                "inputSchema": input.schema(),
                "annotations": { "readOnlyHint": reads, "openWorldHint": true },
                "_meta": meta,
            })
        })
        .collect()
}

/// The HTTP request that a tool's call is.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its method.
    pub method: &'static str,
    /// Its path, in the one spelling that is priced.
    pub path: String,
    /// Its query, without `?`.
    pub query: Option<String>,
    /// Headers from arguments.
    pub headers: Vec<(String, String)>,
    /// Its body, and what it is.
    pub body: Option<(&'static str, String)>,
}

/// The most that the arguments of a path, a query and headers may be together.
const MOST_TARGET: usize = 8 * 1024;

/// Makes the request, or says what is wrong with the arguments.
///
/// # Errors
/// For a caller, in a sentence.
pub fn asked(config: &Config, call: &Call<'_>, tool: &ToolCall) -> Result<Asked, String> {
    let Some(input) = &call.terms.about.input else { return Err("this is no tool".to_owned()) };
    let arguments = &tool.arguments;
    if let Some(unknown) = arguments.keys().find(|name| !takes(input, name)) {
        return Err(format!("there is no argument {unknown:?}"));
    }
    if let Some(missing) = input.all_required().into_iter().find(|name| !arguments.contains_key(name)) {
        return Err(format!("the argument {missing:?} is missing"));
    }
    // Before anything is made of them: whoever has not paid must not have us build a megabyte of path.
    let length: usize = arguments.iter().filter(|(name, _)| *name != BODY).map(|(_, value)| value.get().len()).sum();
    if length > MOST_TARGET {
        return Err("the arguments are over 8 KiB, without the body: no path, query or header is as long".to_owned());
    }
    let value = |name: &str| -> Option<String> { scalar(arguments.get(name)?) };
    let path = call
        .terms
        .about
        .template
        .fill(value)
        .map_err(|name| format!("{name:?} can be no part of the path: it is empty, or not a plain word"))?;
    // Other arguments may be another route's path, at another price: what is called is what was named.
    let same = CanonicalPath::new(&path).ok().and_then(|path| config.route(call.method, &path).ok().flatten());
    if !same.is_some_and(|found| std::ptr::eq(found, call.route)) {
        return Err("these arguments are another route's, which has a price of its own".to_owned());
    }
    let mut pairs = Vec::new();
    for name in input.query.keys() {
        let Some(argument) = arguments.get(name) else { continue };
        pairs.extend(query(name, argument).ok_or_else(|| format!("{name:?} can be no part of a query"))?);
    }
    let mut headers = Vec::new();
    for name in input.headers.keys().filter(|name| arguments.contains_key(*name)) {
        let plain = value(name).filter(|text| text.bytes().all(|b| (b' '..=b'~').contains(&b)));
        headers.push((name.clone(), plain.ok_or_else(|| format!("{name:?} can be no header: write plain ASCII"))?));
    }
    let body = match (&input.body, arguments.get(BODY)) {
        (Some((kind, _)), Some(argument)) => Some((kind.mime(), body(*kind, argument)?)),
        _ => None,
    };
    let query = (!pairs.is_empty()).then(|| pairs.join("&"));
    Ok(Asked { method: call.method, path, query, headers, body })
}

fn takes(input: &Input, name: &str) -> bool {
    [&input.path, &input.query, &input.headers].iter().any(|schemas| schemas.contains_key(name))
        || (name == BODY && input.body.is_some())
}

fn parsed(argument: &RawValue) -> Option<Value> {
    serde_json::from_str(argument.get()).ok()
}

/// A number as it was written.
fn scalar(argument: &RawValue) -> Option<String> {
    match parsed(argument)? {
        Value::Number(_) => Some(argument.get().to_owned()),
        value => text(&value),
    }
}

/// `name=value`, once for each item of a list (OpenAPI's style "form", exploded).
fn query(name: &str, argument: &RawValue) -> Option<Vec<String>> {
    let pair = |value: String| format!("{name}={}", escaped(&value));
    if let Ok(items) = serde_json::from_str::<Vec<Box<RawValue>>>(argument.get()) {
        return items.iter().map(|item| scalar(item).map(pair)).collect();
    }
    match parsed(argument)? {
        Value::Null => Some(Vec::new()),
        _ => Some(vec![pair(scalar(argument)?)]),
    }
}

fn body(kind: BodyType, argument: &RawValue) -> Result<String, String> {
    match kind {
        BodyType::Json => Ok(argument.get().to_owned()),
        BodyType::Text => scalar(argument).ok_or_else(|| "the body is a text".to_owned()),
        BodyType::Form => {
            let members: Result<BTreeMap<String, Box<RawValue>>, _> = serde_json::from_str(argument.get());
            let wrong = || "the body is a table of plain values".to_owned();
            let mut pairs = Vec::new();
            for (name, value) in members.map_err(|_| wrong())? {
                pairs.extend(query(&escaped(&name), &value).ok_or_else(wrong)?);
            }
            Ok(pairs.join("&"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Bindings;
    use crate::mcp::call;
    use crate::x402::supported::Support;
    use proptest::prelude::*;

    fn config() -> Config {
        let vars = json!({
            "ORIGIN": "https://api.example.com",
            "PAY_TO": "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
            "NETWORKS": ["eip155:84532"],
            "FACILITATORS": ["https://x402.org/facilitator"],
            "ROUTES": {
                "GET /w/:city": { "price": "$0.001", "name": "weather", "input": {
                    "query": { "days": { "type": "integer" }, "tags": { "type": "array" } },
                    "headers": { "X-Loud": "Yes" }, "required": ["days"] } },
                "GET /w/dear": "$5",
                "GET /files/*": { "price": "$0.002", "name": "files", "input": {} },
                "POST /form": { "price": "$0.01", "name": "form", "input": { "body": { "type": "object" }, "body_type": "form" } },
                "POST /json/:id": { "price": "$0.01", "name": "json", "input": { "body": { "type": "object" } } },
            },
        });
        let bindings: Bindings = vars.as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Config::resolve(&bindings).unwrap()
    }

    fn ask(config: &Config, name: &str, arguments: &str) -> Result<Asked, String> {
        let support = Support::default();
        let catalogue = Catalogue::new(config, &support, "https://host");
        let call = catalogue.tools().find(|call| call.id == name).unwrap();
        let message = format!(r#"{{"params":{{"name":"{name}","arguments":{arguments}}}}}"#);
        asked(config, call, &call::read(message.as_bytes()).unwrap())
    }

    fn target(config: &Config, name: &str, arguments: &str) -> Result<String, String> {
        let asked = ask(config, name, arguments)?;
        Ok(format!("{} {}?{}", asked.method, asked.path, asked.query.unwrap_or_default()))
    }

    #[test]
    fn arguments_become_the_request_that_they_name() {
        let config = config();
        let asked = |name: &str, arguments: &str| target(&config, name, arguments);
        assert_eq!(asked("weather", r#"{"city":"são paulo","days":3}"#), Ok("GET /w/s%C3%A3o%20paulo?days=3".into()));
        // A list is one pair for each of its items, a number stays as it was written.
        assert_eq!(
            asked("weather", r#"{"city":"x","days":10000000000000000000000001,"tags":["a&b","c"]}"#),
            Ok("GET /w/x?days=10000000000000000000000001&tags=a%26b&tags=c".into())
        );
        assert_eq!(asked("files", r#"{"path":"a/b c"}"#), Ok("GET /files/a/b%20c?".into()));
        let form = ask(&config, "form", r#"{"body":{"b":"1 2","a":[1,2]}}"#).unwrap();
        assert_eq!(form.body, Some(("application/x-www-form-urlencoded", "a=1&a=2&b=1%202".into())));
        let json = ask(&config, "json", r#"{"id":7,"body":{"n":1.10}}"#).unwrap();
        assert_eq!((json.path.as_str(), json.body), ("/json/7", Some(("application/json", r#"{"n":1.10}"#.into()))));
        let loud = ask(&config, "weather", r#"{"city":"x","days":1,"X-Loud":"yes"}"#).unwrap();
        assert_eq!(loud.headers, [("X-Loud".to_owned(), "yes".to_owned())]);
    }

    #[test]
    fn what_is_missing_unknown_or_elsewhere_is_refused() {
        let config = config();
        for (name, arguments, why) in [
            ("weather", r#"{"city":"x"}"#, "\"days\" is missing"),
            ("weather", r#"{"days":1}"#, "\"city\" is missing"),
            ("weather", r#"{"city":"x","days":1,"colour":1}"#, "no argument \"colour\""),
            ("weather", r#"{"city":"dear","days":1}"#, "another route's"),
            ("weather", r#"{"city":"DEAR","days":1}"#, "another route's"),
            ("weather", r#"{"city":"a/b","days":1}"#, "no part of the path"),
            ("weather", r#"{"city":"..","days":1}"#, "no part of the path"),
            ("weather", r#"{"city":"","days":1}"#, "no part of the path"),
            ("weather", r#"{"city":["x"],"days":1}"#, "no part of the path"),
            ("weather", r#"{"city":"x","days":{}}"#, "no part of a query"),
            ("weather", r#"{"city":"x","days":1,"X-Loud":"a\r\nb: c"}"#, "no header"),
            ("files", r#"{"path":"a/../b"}"#, "no part of the path"),
            ("form", r#"{"body":[1]}"#, "plain values"),
            ("json", r#"{"id":1}"#, "\"body\" is missing"),
        ] {
            let refused = ask(&config, name, arguments).unwrap_err();
            assert!(refused.contains(why), "{arguments}: {refused}");
        }
        let long = |length: usize| format!(r#"{{"city":"{}","days":1}}"#, "x".repeat(length));
        assert!(ask(&config, "weather", &long(8_000)).is_ok());
        assert!(ask(&config, "weather", &long(8_192)).unwrap_err().contains("over 8 KiB"));
        let body = format!(r#"{{"id":"7","body":"{}"}}"#, "x".repeat(100_000));
        assert!(ask(&config, "json", &body).is_ok(), "a body may be long");
    }

    proptest! {
        // Whatever a stranger calls a city, what is called is the route that was priced.
        #[test]
        fn no_argument_leads_to_another_price(city in ".{0,16}", days in ".{0,8}") {
            let config = config();
            let arguments = json!({ "city": city, "days": days }).to_string();
            if let Ok(asked) = ask(&config, "weather", &arguments) {
                let path = CanonicalPath::new(&asked.path).unwrap();
                let route = config.route("GET", &path).unwrap().unwrap();
                prop_assert_eq!(route.pattern.as_str(), "GET /w/:city");
                prop_assert_eq!(path.segments().len(), 2);
            }
        }
    }
}
