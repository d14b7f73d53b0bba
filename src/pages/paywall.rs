//! The price as a page: for a person who has opened a priced URL in a browser. It is the same 402, under the same header.

use super::{Page, chains, embed, policy};
use crate::config::{Config, Package, Terms};
use crate::gate::Facts;
use crate::http::problem::Code;
use crate::x402::challenge::Challenge;
use crate::x402::requirement::Requirement;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::LazyLock;

pub(super) const TEMPLATE: &str = include_str!("paywall.html");
static POLICY: LazyLock<String> = LazyLock::new(|| policy(TEMPLATE, "data: blob:"));
/// In this order in the template.
const STATIC: &str = "<!--static-->";
const OFFER: &str = "{{offer}}";

/// Who asks, as far as headers tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Visitor<'a> {
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
}

impl Visitor<'_> {
    /// Whether a person would rather read a page than JSON. Both headers are asked: a library that accepts anything is no
    /// browser, and neither is a crawler that asks for HTML under a name of its own.
    #[must_use]
    pub fn reads_pages(self) -> bool {
        self.accept.is_some_and(|accept| accept.to_ascii_lowercase().contains("text/html"))
            && self.user_agent.is_some_and(|agent| agent.contains("Mozilla"))
    }

    /// Whether this challenge is answered as a page. Whoever has sent any credential has a program that reads JSON; and only
    /// GET can be asked again by the page as it was.
    #[must_use]
    pub fn is_shown(self, challenge: &Challenge, facts: &Facts) -> bool {
        challenge.problem.code == Code::PaymentRequired
            && !challenge.empty
            && matches!(facts.method.as_str(), "GET" | "HEAD")
            && facts.payment_signature.is_none()
            && facts.x_payment.is_none()
            && facts.sign_in.is_none()
            && facts.authorization.is_none()
            && self.reads_pages()
    }
}

/// The page; nothing where no version 2 client could pay, which the page is one of.
#[must_use]
pub fn paywall(config: &Config, terms: &Terms, challenge: &Challenge) -> Option<Page> {
    let required: Value = serde_json::from_slice(&STANDARD.decode(&challenge.header).ok()?).ok()?;
    let offered = required.get("accepts")?.as_array()?;
    let first = terms.requirements.iter().find(|requirement| offered.contains(&requirement.to_v2()))?;
    let html = embed::fill(
        TEMPLATE,
        &[(STATIC, &in_words(terms, first)), (OFFER, &embed::json(&offer(config, terms, &required)))],
    );
    Some(Page { html: Cow::Owned(html), policy: &POLICY })
}

/// What the page's script is told.
fn offer(config: &Config, terms: &Terms, required: &Value) -> Value {
    // A key is taken here only where the route says what it pays.
    let credits = config.credits.as_ref().filter(|_| terms.credits.is_some());
    let packages: &[Package] = credits.map_or(&[], |credits| &credits.packages);
    let sold = packages.iter().map(|package| {
        json!({
            "name": package.name,
            "credits": package.credits,
            "price": package.terms.price.to_string(),
            "path": package.path(),
        })
    });
    let requirements = terms.requirements.iter().chain(packages.iter().flat_map(|package| &package.terms.requirements));
    let mut tokens: Vec<Value> = Vec::new();
    for token in requirements.map(token) {
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    json!({
        "required": required,
        "price": terms.price.to_string(),
        "tokens": tokens,
        "credits": credits.and(terms.credits),
        "packages": sold.collect::<Vec<_>>(),
        "dashboard": config.credits.is_some().then_some("/dashboard"),
    })
}

/// A token and where it lives, as people and wallets know them.
fn token(requirement: &Requirement) -> Value {
    let asset = &requirement.asset;
    json!({
        "network": asset.network.to_string(),
        "asset": asset.address.to_checksum(None),
        "symbol": asset.symbol,
        "decimals": asset.decimals,
        "chain": chains::described(asset.network),
    })
}

/// For whom the script does not run.
fn in_words(terms: &Terms, requirement: &Requirement) -> String {
    let asset = &requirement.asset;
    format!(
        "<p><strong>{}</strong> in {} on {} for one answer.</p><p>{}</p>",
        embed::text(&terms.price.to_string()),
        embed::text(&asset.symbol),
        embed::text(&chains::name(asset.network)),
        embed::text(&terms.description),
    )
}

#[cfg(test)]
mod tests;
