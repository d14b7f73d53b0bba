//! What is paid in: the token and the network beside a price in dollars.

use super::{Catalogue, amount, price};
use crate::config::Terms;
use crate::evm::assets::Asset;
use crate::x402::supported::Support;
use serde_json::{Map, Value, json};

impl<'a> Catalogue<'a> {
    /// What is paid in, each once: the tokens of these terms that somebody settles now.
    #[must_use]
    pub fn assets<'t>(&self, terms: impl IntoIterator<Item = &'t Terms>) -> Vec<&'t Asset> {
        settled(self.support, terms)
    }

    /// The same of all that is for sale.
    pub(super) fn all_assets(&self) -> Vec<&'a Asset> {
        let tools = self.config.tools.iter().flat_map(|tools| tools.listed().map(|(_, terms)| terms));
        let packages = self.packages().map(|package| &package.terms);
        self.assets(self.calls.iter().map(|call| call.terms).chain(packages).chain(tools))
    }
}

fn settled<'t>(support: &Support, terms: impl IntoIterator<Item = &'t Terms>) -> Vec<&'t Asset> {
    let mut assets: Vec<&Asset> = Vec::new();
    for requirement in terms.into_iter().flat_map(|terms| &terms.requirements) {
        let asset = &requirement.asset;
        let known = assets.iter().any(|known| (known.network, known.address) == (asset.network, asset.address));
        if !known && support.offers(2, asset.network) {
            assets.push(asset);
        }
    }
    assets
}

/// What `tools/list` says of a price: behind a description, and in `_meta`.
#[must_use]
pub fn of_tool(support: &Support, terms: &Terms) -> (String, Map<String, Value>) {
    let assets: Vec<Value> = settled(support, [terms]).into_iter().map(asset).collect();
    let meta = [("x402/price".to_owned(), price(terms.price)), ("x402/assets".to_owned(), assets.into())];
    (format!("Costs ${}.", amount(terms.price)), Map::from_iter(meta))
}

/// A token as documents name it.
#[must_use]
pub fn asset(asset: &Asset) -> Value {
    json!({
        "network": asset.network.to_string(), "asset": asset.address.to_checksum(None), "symbol": asset.symbol,
        "decimals": asset.decimals,
    })
}

/// `USDC on eip155:84532 (base-sepolia, test money)`.
pub(super) fn way(asset: &Asset) -> String {
    let network = asset.network;
    let known = [network.v1_name(), network.is_test().then_some("test money")];
    let known: Vec<&str> = known.into_iter().flatten().collect();
    let known = if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) };
    format!("{} on {network}{known}", asset.symbol)
}
