//! What is for sale, as a page: the manifest for people. It needs no script, so it has none.

use super::{MOST_BYTES, Page, embed, policy, shorten};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::LazyLock;

pub(super) static TEMPLATE: LazyLock<String> = LazyLock::new(|| shorten::shortened(include_str!("landing.html")));
static POLICY: LazyLock<String> = LazyLock::new(|| policy(&TEMPLATE, "data:"));
/// In this order in the template.
const PLACES: [&str; 5] = ["{{title}}", "{{name}}", "{{description}}", "{{sold}}", "{{beside}}"];
/// A host may be called anything by whoever asks.
const LONGEST_NAME: usize = 253;
/// What headings and what is said of the rest take, at most: three sections and the links of their rests.
const AROUND: usize = 4_096;
/// The documents in the order in which they are listed; the first that is there tells the rest of a list.
const DOCUMENTS: [(&str, &str); 9] = [
    ("manifest", "Everything here, as JSON"),
    ("openapi", "OpenAPI"),
    ("llms", "For language models"),
    ("index", "Index"),
    ("mcp", "MCP server"),
    ("api_catalog", "API catalogue"),
    ("x402", "x402 resources"),
    ("mcp_json", "Where the MCP server is"),
    ("server_card", "MCP server card"),
];
const LONGEST_PATH: usize = 128;
const ANY_OTHER: &str = "*";

/// The page of a manifest (`/.well-known/x402-manifest.json`). It is for people, and small: of long lists it has the
/// beginning, and leads to the documents for the rest.
#[must_use]
pub fn landing(manifest: &Value) -> Page {
    let nothing = Value::Null;
    let service = manifest.get("service").unwrap_or(&nothing);
    let name: String = string(service, "name").chars().take(LONGEST_NAME).collect();
    let name = embed::text(&name);
    let description = match string(service, "description") {
        "" => String::new(),
        words => format!("<p class=\"lead\">{}</p>", embed::text(words)),
    };
    let local = |url: &str| url.strip_prefix(string(service, "url")).unwrap_or(url).to_owned();
    let documents: Vec<(&str, String)> = DOCUMENTS
        .iter()
        .map(|(key, title)| (*title, local(string(manifest.get("documents").unwrap_or(&nothing), key))))
        .filter(|(_, path)| path.starts_with('/') && path.len() <= LONGEST_PATH)
        .collect();
    let rest = documents.first().map(|(_, path)| path.as_str());
    let listed = documents.iter().map(|(title, path)| {
        let path = embed::text(path);
        format!("<li><a href=\"{path}\">{title}</a> <code>{path}</code></li>")
    });
    let documents = section("documents", "For programs", &listed.collect::<Vec<_>>(), &mut (MOST_BYTES / 4), None);

    let around = [&name, &name, &description, &documents].map(String::len).into_iter().sum::<usize>();
    let room = MOST_BYTES.saturating_sub(TEMPLATE.len()).saturating_sub(around).saturating_sub(AROUND);
    // Whatever there is many of leaves room for the others.
    let (mut of_packages, mut of_tools) = (room / 4, room / 4);
    let packages: Vec<String> = list(manifest, "packages").map(package).collect();
    let packages = section("packages", "Credits, for many calls", &packages, &mut of_packages, rest);
    // Whoever is not named comes after all that are.
    let (others, named): (Vec<&Value>, Vec<&Value>) =
        list(manifest, "tools").partition(|tool| string(tool, "tool") == ANY_OTHER);
    let tools: Vec<String> = named.into_iter().chain(others).map(tool).collect();
    let endpoint = list(manifest, "tools").next().map(|tool| local(string(tool, "endpoint"))).unwrap_or_default();
    let endpoint: String = endpoint.chars().take(LONGEST_PATH).collect();
    let title = format!("Tools of the MCP server at {}", embed::text(&endpoint));
    let tools = section("tools", &title, &tools, &mut of_tools, rest);
    let mut of_calls = (room / 2).saturating_add(of_packages).saturating_add(of_tools);
    let calls: Vec<String> = list(manifest, "resources").map(|resource| call(resource, &local)).collect();
    let mut sold = section("resources", "For sale", &calls, &mut of_calls, rest);
    sold.push_str(&tools);
    if sold.is_empty() {
        sold.push_str("<section><h2>For sale</h2><p class=\"soft\">Nothing, now.</p></section>");
    }

    let beside = format!("{packages}{documents}");
    let filled = [&name, &name, &description, &sold, &beside].map(String::as_str);
    let places: Vec<(&str, &str)> = PLACES.into_iter().zip(filled).collect();
    Page { html: Cow::Owned(embed::fill(&TEMPLATE, &places)), policy: &POLICY, links: None }
}

/// A list under its heading, as far as there is room for it; nothing where nothing is on it.
fn section(id: &str, title: &str, items: &[String], room: &mut usize, rest: Option<&str>) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut shown = 0_usize;
    let mut html = format!("<section aria-labelledby=\"h-{id}\"><h2 id=\"h-{id}\">{title}</h2><ul id=\"{id}\">");
    for item in items {
        let Some(left) = room.checked_sub(item.len()) else { break };
        *room = left;
        html.push_str(item);
        shown = shown.saturating_add(1);
    }
    html.push_str("</ul>");
    match (items.len().saturating_sub(shown), rest) {
        (0, _) => {}
        (more, None) => html.push_str(&format!("<p class=\"soft\">And {more} more.</p>")),
        (more, Some(path)) => html.push_str(&format!(
            "<p class=\"soft\">And {more} more: <a href=\"{}\">the list of all of them, for programs</a>.</p>",
            embed::text(path)
        )),
    }
    html.push_str("</section>");
    html
}

fn call(resource: &Value, local: &impl Fn(&str) -> String) -> String {
    let any = resource.get("anyMethod").is_some();
    let name = format!("{} {}", if any { "any method" } else { string(resource, "method") }, string(resource, "path"));
    let name = embed::text(&name);
    let mut lines = described(resource);
    if let Some(credits) = resource.get("credits").and_then(Value::as_u64) {
        lines.push_str(&format!("<p class=\"soft\">or {}</p>", counted(credits)));
    }
    let sample = local(string(resource, "sample"));
    if string(resource, "method") == "GET" && sample.starts_with('/') {
        let href = embed::text(&sample);
        lines.push_str(&format!("<p class=\"soft\"><a href=\"{href}\" aria-label=\"Try it: {name}\">Try it</a></p>"));
    }
    item(&name, resource, &lines)
}

fn tool(tool: &Value) -> String {
    let name = match string(tool, "tool") {
        ANY_OTHER => "any other tool",
        name => name,
    };
    item(&embed::text(name), tool, &described(tool))
}

fn package(package: &Value) -> String {
    let credits = counted(package.get("credits").and_then(Value::as_u64).unwrap_or_default());
    let how = format!("{} {}", string(package, "method"), string(package, "path"));
    // What it is, with how long the credits last, before anybody pays for it.
    let about = described(package);
    let lines = format!("<p class=\"soft\">{credits}</p>{about}<p class=\"soft\">{}</p>", embed::text(&how));
    item(&embed::text(string(package, "name")), package, &lines)
}

/// The name is markup already.
fn item(name: &str, of: &Value, lines: &str) -> String {
    let amount = of.get("price").map(|price| embed::text(string(price, "amount"))).unwrap_or_default();
    format!("<li><p><code>{name}</code><strong>${amount}</strong></p>{lines}</li>")
}

fn described(of: &Value) -> String {
    match string(of, "description") {
        "" => String::new(),
        words => format!("<p class=\"soft\">{}</p>", embed::text(words)),
    }
}

fn counted(credits: u64) -> String {
    format!("{credits} credit{}", if credits == 1 { "" } else { "s" })
}

fn list<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn string<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const HOSTILE: &str = "</li><img src=x onerror=alert(1)> {{sold}} \" '";

    fn manifest() -> Value {
        json!({
            "service": { "name": "Weather", "description": HOSTILE, "url": "https://host" },
            "resources": [{
                "method": "GET", "path": "/weather/{city}", "sample": "https://host/weather/lisbon?units=c&days=1",
                "description": HOSTILE, "credits": 1, "price": { "currency": "USD", "amount": "0.001" },
            }],
            "packages": [{
                "name": "small", "method": "POST", "path": "/api/buy-credits/small", "credits": 5,
                "price": { "currency": "USD", "amount": "1" },
            }],
            "tools": [
                { "tool": "*", "endpoint": "https://host/mcp", "price": { "amount": "0.02" } },
                { "tool": "search", "endpoint": "https://host/mcp", "description": "Finds.", "price": { "amount": "0.01" } },
            ],
            "documents": { "openapi": "https://host/openapi.json", "landing": "https://host/", "llms": "https://host/llms.txt" },
        })
    }

    #[test]
    fn everything_that_is_for_sale_is_there_and_no_text_is_markup() {
        let html = landing(&manifest()).html;
        for part in [
            "<title>Weather</title>",
            "<h1>Weather</h1>",
            "<code>GET /weather/{city}</code><strong>$0.001</strong>",
            "or 1 credit<",
            "<a href=\"/weather/lisbon?units=c&amp;days=1\" aria-label=\"Try it: GET /weather/{city}\">",
            "<code>small</code><strong>$1</strong></p><p class=\"soft\">5 credits</p>",
            "POST /api/buy-credits/small",
            "Tools of the MCP server at /mcp",
            "<code>search</code><strong>$0.01</strong></p><p class=\"soft\">Finds.</p></li><li><p><code>any other tool</code>\
             <strong>$0.02</strong>",
            "<a href=\"/openapi.json\">OpenAPI</a>",
            "&lt;/li&gt;&lt;img src=x onerror=alert(1)&gt; {{sold}} &quot; &#39;",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains("<img") && !html.contains("more:") && !html.contains("Nothing, now"));
    }

    #[test]
    fn where_nothing_is_for_sale_it_says_so_and_tools_are_something() {
        assert!(landing(&Value::Null).html.contains("Nothing, now."));
        let tools = json!({ "tools": manifest()["tools"] });
        let html = landing(&tools).html;
        assert!(html.contains("<code>search</code>") && !html.contains("Nothing, now."), "{html}");
    }

    #[test]
    fn every_manifest_has_the_same_policy_and_no_script() {
        assert_eq!(landing(&manifest()).policy, landing(&Value::Null).policy);
        assert!(landing(&manifest()).policy.contains("script-src 'none'; style-src 'sha256-"));
    }

    #[test]
    fn of_what_is_too_much_it_shows_the_beginning_and_leads_to_the_rest() {
        let mut many = manifest();
        many["resources"] = vec![many["resources"][0].clone(); 400].into();
        let html = landing(&many).html;
        let shown = html.matches("<code>GET /weather/{city}</code>").count();
        assert!(shown > 50, "{shown}");
        let rest = format!("And {} more: <a href=\"/openapi.json\">", 400 - shown);
        assert!(html.contains(&rest), "{rest}");
        assert!(html.contains("<code>small</code>") && html.contains("<code>search</code>"));
        many["documents"] = json!({});
        assert!(landing(&many).html.contains(" more.</p></section>"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn it_is_never_large(
            calls in 0_usize..300, packages in 0_usize..300, tools in 0_usize..300, words in 0_usize..=500,
            letter in "[a&\"\u{1f4b8}]", name in 0_usize..2_000, path in 0_usize..3_000,
        ) {
            let mut many = manifest();
            let text = letter.repeat(words);
            many["service"] = json!({ "name": "&".repeat(name), "description": text, "url": "https://host" });
            for (key, count) in [("resources", calls), ("packages", packages), ("tools", tools)] {
                let mut one = many[key][0].clone();
                one["description"] = text.clone().into();
                one["path"] = format!("/{}", "&".repeat(path)).into();
                one["endpoint"] = format!("https://host/{}", "&".repeat(path)).into();
                many[key] = vec![one; count].into();
            }
            for (key, _) in DOCUMENTS {
                many["documents"][key] = format!("https://host/{}", "&".repeat(path)).into();
            }
            let html = landing(&many).html;
            prop_assert!(html.len() <= MOST_BYTES, "{}", html.len());
        }
    }
}
