//! What a person sees. One file a page, held together by a policy that allows nothing but what stands in it.

mod chains;
mod embed;
mod landing;
mod paywall;
mod shorten;

pub use landing::landing;
pub use paywall::{Visitor, paywall};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::LazyLock;

/// No page is longer than this, whatever is configured and asked for: 40 KB.
pub const MOST_BYTES: usize = 40_960;

/// A page and the policy that it is served under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// All of it.
    pub html: Cow<'static, str>,
    /// `Content-Security-Policy`.
    pub policy: &'static str,
    /// `Link`: where programs that land here read the same.
    pub links: Option<String>,
}

const DASHBOARD: &str = include_str!("dashboard.html");
static DASHBOARD_POLICY: LazyLock<String> = LazyLock::new(|| policy(DASHBOARD, "data:"));

/// The dashboard. It knows no key: that is in the fragment of its address, which no server sees.
#[must_use]
pub fn dashboard() -> Page {
    Page { html: Cow::Borrowed(DASHBOARD), policy: &DASHBOARD_POLICY, links: None }
}

/// By their hashes, the page's one script and one style are let in, and nothing that anybody might smuggle between them.
/// They are the template's: what is put into it later is data, and no data is let in.
fn policy(html: &str, images: &str) -> String {
    let hash = |tag: &str| {
        let hash = inner(html, tag).map(|inner| STANDARD.encode(Sha256::digest(inner.as_bytes())));
        hash.map_or_else(|| "'none'".to_owned(), |hash| format!("'sha256-{hash}'"))
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
        // The templates leave room for what is put into them.
        for (name, html, most, scripts) in [
            ("dashboard", DASHBOARD, 40, 1),
            ("paywall", &paywall::TEMPLATE, 34, 1),
            ("landing", &landing::TEMPLATE, 6, 0),
        ] {
            assert!(html.len() <= most * 1024, "{name}: {} bytes", html.len());
            for (tag, count) in [("script", scripts), ("style", 1)] {
                assert_eq!(inner(html, tag).is_some_and(|inner| !inner.is_empty()), count == 1, "{name}: {tag}");
                assert_eq!(html.matches(&format!("<{tag}>")).count(), count, "{name}: {tag}");
            }
            let outside = ["src=\"", "href=\"http", "url(http", "innerHTML", "insertAdjacent", "style=\"", " onclick="];
            for outside in outside {
                assert!(!html.contains(outside), "{name}: {outside}");
            }
            assert!(!policy(html, "data:").contains("unsafe"));
        }
    }
}
