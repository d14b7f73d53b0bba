//! The price as a page: for a person who has opened a priced URL in a browser. It is the same 402, under the same header.

use super::{MOST_BYTES, Page, chains, embed, policy, shorten};
use crate::config::{BUY_PREFIX, Config, Credits, Package, Terms};
use crate::gate::Facts;
use crate::http::problem::Code;
use crate::json::put;
use crate::x402::challenge::Challenge;
use crate::x402::identifier::PAYMENT_IDENTIFIER;
use crate::x402::requirement::{Flow, Requirement};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::LazyLock;

pub(super) static TEMPLATE: LazyLock<String> = LazyLock::new(|| shorten::shortened(include_str!("paywall.html")));
static POLICY: LazyLock<String> = LazyLock::new(|| policy(&TEMPLATE, "data: blob:"));
/// In this order in the template; the last is what the script is told.
const PLACES: [&str; 6] = ["{{service}}", "{{price}}", "{{description}}", "{{network}}", "{{payee}}", "{{offer}}"];
/// As much of a text as is shown: of the operator's descriptions all, and of a token's symbol what is one.
const MOST_WORDS: usize = 500;
const LONGEST_SYMBOL: usize = 24;

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
    let required: Value = serde_json::from_slice(&STANDARD.decode(challenge.header.as_ref()?).ok()?).ok()?;
    let accepts = required.get("accepts")?.as_array()?;
    let offered: Vec<&Requirement> = terms.requirements.iter().filter(|r| accepts.contains(&r.to_v2())).collect();
    let first = *offered.first()?;
    let asset = &first.asset;
    let symbol: String = asset.symbol.chars().take(LONGEST_SYMBOL).collect();
    let network = format!("{}, in {symbol}", chains::name(asset.network));
    let description: String = terms.description.chars().take(MOST_WORDS).collect();
    let page = |offer: &Value| {
        let service = &config.discovery.name;
        let words = [service, &terms.price.to_string(), &description, &network, &first.pay_to.to_checksum(None)];
        let [service, price, description, network, payee] = words.map(|text| embed::text(text));
        let offer = embed::json(offer);
        let filled = [&service, &price, &description, &network, &payee, &offer].map(String::as_str);
        let places: Vec<(&str, &str)> = PLACES.into_iter().zip(filled).collect();
        embed::fill(&TEMPLATE, &places)
    };

    // A key is taken here only where the route says what it pays.
    let credits = config.credits.as_ref().filter(|_| terms.credits.is_some());
    let packages: Vec<&Package> = credits.into_iter().flat_map(Credits::on_sale).collect();
    let tokens = tokens(terms, &offered, &packages);
    let goods = packages.iter().map(|package| {
        let price = package.terms.price.to_string();
        let mut goods = json!({ "name": package.name, "credits": package.credits, "price": price });
        // Before the money has moved: what is bought does not last.
        if let Some(days) = package.expires_days {
            put(&mut goods, "days", days);
        }
        goods
    });
    let mut offer = json!({
        "price": terms.price.to_string(),
        "payTo": first.pay_to.to_checksum(None),
        "seconds": first.max_timeout_seconds,
        "flow": flow(first),
        "replay": terms.replay_seconds,
        "extensions": { PAYMENT_IDENTIFIER: required.get("extensions").and_then(|known| known.get(PAYMENT_IDENTIFIER)) },
        "credits": credits.and(terms.credits),
        "dashboard": config.credits.is_some().then_some("/dashboard"),
        "purchase": packages.first().and_then(|package| purchase(package)),
        "tokens": [], "packages": [], "more": usize::MAX,
    });
    // What there may be any number of is shown as far as the page stays small: a person needs one way to pay.
    let mut room = MOST_BYTES.saturating_sub(page(&offer).len());
    let all = tokens.len().saturating_add(packages.len());
    let third = if packages.is_empty() { 0 } else { room / 3 };
    room = room.saturating_sub(third);
    let tokens = embed::as_many_as_fit(tokens, &mut room);
    room = room.saturating_add(third);
    let goods = embed::as_many_as_fit(goods, &mut room);
    let left_out = all.saturating_sub(tokens.len()).saturating_sub(goods.len());
    for (key, value) in [("tokens", json!(tokens)), ("packages", json!(goods)), ("more", json!(left_out))] {
        put(&mut offer, key, value);
    }
    Some(Page { html: Cow::Owned(page(&offer)), policy: &POLICY, links: challenge.links.clone() })
}

/// What all packages have in common: they are sold on the same terms but for their price.
fn purchase(package: &Package) -> Option<Value> {
    let any = package.terms.requirements.first()?;
    let pay_to = any.pay_to.to_checksum(None);
    Some(json!({ "path": BUY_PREFIX, "payTo": pay_to, "seconds": any.max_timeout_seconds, "flow": flow(any) }))
}

fn flow(requirement: &Requirement) -> Option<&'static str> {
    (requirement.flow == Flow::Upfront).then_some("upfront")
}

/// What can be paid in, the answer's ways first; where that is not for both the answer and packages, for which.
fn tokens(terms: &Terms, offered: &[&Requirement], packages: &[&Package]) -> Vec<Value> {
    let has = |list: &[Requirement], wanted: &Requirement| list.iter().any(|one| one.asset == wanted.asset);
    let sold: &[Requirement] = packages.first().map_or(&[], |package| &package.terms.requirements);
    let of_answer = offered.iter().map(|r| (*r, (!sold.is_empty() && !has(sold, r)).then_some("answer")));
    // What the answer could be paid in, and is not offered, nobody settles now.
    let of_packages = sold.iter().filter(|r| !has(&terms.requirements, r)).map(|r| (r, Some("packages")));
    of_answer.chain(of_packages).map(|(requirement, only)| token(requirement, only)).collect()
}

/// A token and where it lives, as people, wallets and signatures know them.
fn token(requirement: &Requirement, only: Option<&str>) -> Value {
    let asset = &requirement.asset;
    let mut token = chains::described(asset.network);
    token.extend([
        ("asset".to_owned(), asset.address.to_checksum(None).into()),
        ("name".to_owned(), asset.name.as_ref().into()),
        ("version".to_owned(), asset.version.as_ref().into()),
        ("symbol".to_owned(), asset.symbol.as_ref().into()),
        ("decimals".to_owned(), asset.decimals.into()),
    ]);
    token.extend(only.map(|only| ("only".to_owned(), only.into())));
    token.into()
}

#[cfg(test)]
mod tests;
