//! What is for sale, as a page: the manifest for people.

use super::{Page, embed, policy};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::LazyLock;

pub(super) const TEMPLATE: &str = include_str!("landing.html");
static POLICY: LazyLock<String> = LazyLock::new(|| policy(TEMPLATE, "data:"));
/// In this order in the template.
const STATIC: &str = "<!--static-->";
const MANIFEST: &str = "{{manifest}}";

/// The page of a manifest (`/.well-known/x402-manifest.json`).
#[must_use]
pub fn landing(manifest: &Value) -> Page {
    let html = embed::fill(TEMPLATE, &[(STATIC, &in_words(manifest)), (MANIFEST, &embed::json(manifest))]);
    Page { html: Cow::Owned(html), policy: &POLICY }
}

/// For whom the script does not run: every method, path and price.
fn in_words(manifest: &Value) -> String {
    let text = |value: Option<&Value>| embed::text(value.and_then(Value::as_str).unwrap_or_default());
    let service = manifest.get("service");
    let mut words = format!(
        "<p>{}</p><p>{}</p><ul>",
        text(service.and_then(|service| service.get("name"))),
        text(service.and_then(|service| service.get("description"))),
    );
    for resource in manifest.get("resources").and_then(Value::as_array).into_iter().flatten() {
        words.push_str(&format!(
            "<li><code>{} {}</code> ${} {}</li>",
            text(resource.get("method")),
            text(resource.get("path")),
            text(resource.get("price").and_then(|price| price.get("amount"))),
            text(resource.get("description")),
        ));
    }
    words.push_str("</ul>");
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HOSTILE: &str = "</script><img src=x onerror=alert(1)> {{manifest}}";

    fn manifest() -> Value {
        json!({
            "version": 1, "x402Version": 2,
            "service": { "name": "Weather", "description": HOSTILE, "url": "https://host" },
            "resources": [{
                "id": "weather", "method": "GET", "path": "/weather/{city}", "url": "https://host/weather/{city}",
                "sample": "https://host/weather/lisbon", "description": HOSTILE,
                "price": { "currency": "USD", "amount": "0.001" }, "accepts": [],
            }],
            "packages": [], "documents": { "openapi": "https://host/openapi.json" },
        })
    }

    #[test]
    fn the_manifest_is_in_the_page_as_it_is_and_as_text() {
        let page = landing(&manifest());
        let (_, rest) = page.html.split_once("<script type=\"application/json\" id=\"manifest\">").unwrap();
        let embedded: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
        assert_eq!(embedded, manifest());
        assert!(!page.html.contains("<img"));
        assert_eq!(page.html.matches("</script>").count(), 2);
    }

    #[test]
    fn without_a_script_the_prices_are_there() {
        let page = landing(&manifest());
        assert!(page.html.contains("<code>GET /weather/{city}</code> $0.001 &lt;/script&gt;"), "{}", page.html);
        assert!(landing(&Value::Null).html.contains("<ul></ul>"));
    }

    #[test]
    fn every_manifest_has_the_same_policy() {
        assert_eq!(landing(&manifest()).policy, landing(&Value::Null).policy);
        assert!(landing(&manifest()).policy.contains("img-src data:;"));
    }
}
