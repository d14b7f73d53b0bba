//! What a person sees. One file a page, held together by a policy that allows nothing but what stands in it.

mod chains;
mod embed;
mod landing;
mod paywall;

pub use landing::landing;
pub use paywall::{Visitor, paywall};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::LazyLock;

/// A page and the policy that it is served under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// All of it.
    pub html: Cow<'static, str>,
    /// `Content-Security-Policy`.
    pub policy: &'static str,
}

const DASHBOARD: &str = include_str!("dashboard.html");
static DASHBOARD_POLICY: LazyLock<String> = LazyLock::new(|| policy(DASHBOARD, "data:"));

/// The dashboard. It knows no key: that is in the fragment of its address, which no server sees.
#[must_use]
pub fn dashboard() -> Page {
    Page { html: Cow::Borrowed(DASHBOARD), policy: &DASHBOARD_POLICY }
}

/// By their hashes, the page's one script and one style are let in, and nothing that anybody might smuggle between them.
/// They are the template's: what is put into it later is data, and no data is let in.
fn policy(html: &str, images: &str) -> String {
    let hash = |tag: &str| {
        let inner = inner(html, tag).unwrap_or_default();
        format!("'sha256-{}'", STANDARD.encode(Sha256::digest(inner.as_bytes())))
    };
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src {images}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style"),
    )
}

fn inner<'a>(html: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = html.split_once(&format!("<{tag}>"))?;
    rest.split_once(&format!("</{tag}>")).map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_small_and_needs_nobody_else() {
        for (name, html, most) in
            [("dashboard", DASHBOARD, 40), ("paywall", paywall::TEMPLATE, 34), ("landing", landing::TEMPLATE, 34)]
        {
            assert!(html.len() <= most * 1024, "{name}: {} bytes", html.len());
            for tag in ["script", "style"] {
                assert!(inner(html, tag).is_some_and(|inner| !inner.is_empty()), "{name}: {tag}");
                assert_eq!(html.matches(&format!("<{tag}>")).count(), 1, "{name}: {tag}");
            }
            let outside = ["src=\"", "href=\"http", "url(http", "innerHTML", "insertAdjacent", "style=\"", "onclick="];
            for outside in outside {
                assert!(!html.contains(outside), "{name}: {outside}");
            }
            assert!(!policy(html, "data:").contains("unsafe"));
        }
    }
}
