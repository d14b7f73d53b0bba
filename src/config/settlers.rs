//! Facilitators that are known not to settle what is sold.

use super::credits::Credits;
use super::mistakes::Mistakes;
use super::parts::Facilitator;
use super::route::{Route, Terms};
use super::tools::Tools;
use crate::evm::network::Network;
use std::collections::BTreeSet;
use url::Url;

/// The foundation's own facilitator, which needs no account and settles test networks only.
const FOR_TESTS: [&str; 2] = ["x402.org", "www.x402.org"];

/// Real money that no facilitator of the list settles: each call would be 503.
pub(super) fn check(
    facilitators: &[Facilitator],
    routes: &[Route],
    credits: Option<&Credits>,
    tools: Option<&Tools>,
    in_a_file: bool,
    mistakes: &mut Mistakes,
) {
    let for_tests = |facilitator: &Facilitator| {
        Url::parse(&facilitator.url).is_ok_and(|url| url.host_str().is_some_and(|host| FOR_TESTS.contains(&host)))
    };
    if facilitators.is_empty() || !facilitators.iter().all(for_tests) {
        return;
    }
    let packages = credits.into_iter().flat_map(|credits| &credits.packages).map(|package| &package.terms);
    let of_tools = tools.into_iter().flat_map(Tools::priced).map(|(_, terms)| terms);
    let sold: Vec<&Terms> =
        routes.iter().filter_map(|route| route.terms.as_ref()).chain(packages).chain(of_tools).collect();
    let networks: BTreeSet<Network> =
        sold.iter().flat_map(|terms| &terms.requirements).map(|requirement| requirement.asset.network).collect();
    let live: Vec<String> = networks.iter().filter(|network| network.is_live()).map(ToString::to_string).collect();
    if live.is_empty() {
        return;
    }
    let problem = format!("x402.org settles test networks only, and {} is sold on", live.join(", "));
    let cure = "name one that settles there, such as { url = \"https://api.cdp.coinbase.com/platform/v2/x402\", auth = \"cdp\" }";
    // A Worker asks each facilitator what it settles, and offers that.
    if in_a_file {
        mistakes.add("FACILITATORS", problem, cure);
    } else {
        mistakes.warn("FACILITATORS", problem, cure);
    }
}
