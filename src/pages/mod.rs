//! What a person sees. One file a page, held together by a policy that allows nothing but what stands in it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// A page and the policy that it is served under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// All of it.
    pub html: &'static str,
    /// `Content-Security-Policy`.
    pub policy: String,
}

const DASHBOARD: &str = include_str!("dashboard.html");

/// The dashboard. It knows no key: that is in the fragment of its address, which no server sees.
#[must_use]
pub fn dashboard() -> Page {
    page(DASHBOARD)
}

/// By their hashes, the page's one script and one style are let in, and nothing that anybody might smuggle between them.
fn page(html: &'static str) -> Page {
    let hash = |tag: &str| {
        let inner = inner(html, tag).unwrap_or_default();
        format!("'sha256-{}'", STANDARD.encode(Sha256::digest(inner.as_bytes())))
    };
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style"),
    );
    Page { html, policy }
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
        let page = dashboard();
        assert!(page.html.len() <= 40 * 1024, "{} bytes", page.html.len());
        for tag in ["script", "style"] {
            assert!(inner(page.html, tag).is_some_and(|inner| !inner.is_empty()), "{tag}");
            assert_eq!(page.html.matches(&format!("<{tag}")).count(), 1, "{tag}");
        }
        for outside in ["src=\"http", "href=\"http", "url(http", "innerHTML", "style=\"", "onclick"] {
            assert!(!page.html.contains(outside), "{outside}");
        }
        assert!(!page.policy.contains("unsafe"));
    }
}
