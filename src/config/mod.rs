//! Bindings in, one validated [`Config`] out, or every mistake at once.
//!
//! The same code runs in three places: `make check` before a deployment, the first request after it, and the tests.

mod about;
mod bindings;
mod cdp;
mod credits;
mod discovery;
mod hidden;
mod leaks;
mod mistakes;
mod names;
mod offer;
mod parts;
mod pattern;
mod recipients;
mod route;
mod rpc;
mod settlers;
mod template;
mod tools;
#[cfg(not(target_family = "wasm"))]
pub mod wrangler;

pub use about::{About, BODY, BodyType, Input, Output, sample};
pub use bindings::Bindings;
pub use credits::{BUY_PREFIX, Credits, Package};
pub use discovery::{AtOrigin, Discovery, Document, Placement};
pub use mistakes::{Area, Mistake, Mistakes};
pub use parts::{ChallengeBody, Facilitator, Origin, Secret, Unrouted};
pub use pattern::Pattern;
pub use route::{Identifier, Route, SETTLE_MARGIN_SECONDS, Settle, Terms, Verify};
pub use template::{Part, Template, escaped};
pub use tools::{Place, ToolPrice, Tools};

use crate::evm::network::Network;
use crate::http::path::CanonicalPath;
use cdp::Secrets;

/// Everything an operator has decided, checked.
#[derive(Debug)]
pub struct Config {
    /// What stands behind the gateway.
    pub origin: Origin,
    /// What is sold, and what is free by name.
    pub routes: Vec<Route>,
    /// What happens to paths that no route names.
    pub unrouted: Unrouted,
    /// In the operator's order; empty only where mistakes have closed [`Area::Sales`].
    pub facilitators: Vec<Facilitator>,
    /// Which dialect the body of a 402 speaks; its header always speaks v2.
    pub challenge_body: ChallengeBody,
    /// Whether a signature that is not an externally owned account's goes to the facilitator, or is refused here.
    pub smart_wallets: bool,
    /// A bearer token that begins with this and `_` is ours.
    pub key_prefix: String,
    /// Sent to the origin, so that it can tell our requests from those that go around us.
    pub origin_secret: Option<Secret>,
    /// Opens the operator's paths; without it they are not there.
    pub admin_token: Option<Secret>,
    /// Nodes that are asked what became of a settlement whose outcome was lost; their URLs may hold keys. In the order of
    /// the networks that are sold on.
    pub rpc: Vec<(Network, Secret)>,
    /// Prepaid credits, where packages are sold or keys that were sold are honoured.
    pub credits: Option<Credits>,
    /// How the API is found.
    pub discovery: Discovery,
    /// The origin's MCP server, whose tools are priced.
    pub tools: Option<Tools>,
    /// What is worth a warning, and, in a Worker that runs all the same, the mistakes that have closed a part of it.
    pub findings: Mistakes,
}

/// A path whose price depends on how tolerantly the origin reads it (`/free;x`, `/paid.`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmbiguousRoute;

impl Config {
    /// Validates.
    ///
    /// # Errors
    /// All that is wrong, each with its path and its cure.
    pub fn resolve(bindings: &Bindings) -> Result<Self, Mistakes> {
        Self::resolve_with(bindings, Secrets::Bound, Mistakes::is_empty).map(|(config, _)| config)
    }

    /// Validates what a Worker was deployed with. A mistake closes the part that it can make wrong, and no more: see
    /// [`Config::is_closed`].
    ///
    /// # Errors
    /// All that is wrong, where any of it can make a call free, cheaper, or paid to another address.
    pub fn deployed(bindings: &Bindings) -> Result<Self, Mistakes> {
        let runs = |mistakes: &Mistakes| !mistakes.close(Area::Everything);
        Self::resolve_with(bindings, Secrets::Bound, runs).map(|(config, _)| config)
    }

    /// Whether mistakes have closed a part: what is asked there is 503.
    #[must_use]
    pub fn is_closed(&self, area: Area) -> bool {
        self.findings.close(area)
    }

    /// Validates what stands in a file, where secrets do not stand: beside the configuration, the names of those that it
    /// will need. One that is there is validated as well.
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn resolve_file(bindings: &Bindings) -> Result<(Self, Vec<&'static str>), Mistakes> {
        Self::resolve_with(bindings, Secrets::Elsewhere, Mistakes::is_empty)
    }

    fn resolve_with(
        bindings: &Bindings,
        secrets: Secrets,
        runs: impl FnOnce(&Mistakes) -> bool,
    ) -> Result<(Self, Vec<&'static str>), Mistakes> {
        let mut mistakes = Mistakes::default();
        bindings::check_names(bindings, &mut mistakes);
        let origin = parts::origin(bindings, &mut mistakes);
        let (facilitators, mut unseen) = parts::facilitators(bindings, secrets, &mut mistakes);
        let unrouted = parts::unrouted(bindings, &mut mistakes);
        let challenge_body = parts::challenge_body(bindings, &mut mistakes);
        let smart_wallets = parts::smart_wallets(bindings, &mut mistakes);
        let key_prefix = parts::key_prefix(bindings, &mut mistakes);
        let origin_secret = parts::secret(bindings, "ORIGIN_SECRET", &mut mistakes);
        let admin_token = parts::secret(bindings, "ADMIN_TOKEN", &mut mistakes);
        let offer = offer::Offer::resolve(bindings, &mut mistakes);
        let (credits, worth) = credits::credits(bindings, &offer, secrets, &mut unseen, &mut mistakes);
        let routes = route::routes(bindings, &offer, worth, &mut mistakes);
        if let Some(credits) = &credits {
            credits::check_networks(credits, &routes, &mut mistakes);
        }
        let mut discovery = discovery::discovery(bindings, &mut mistakes);
        let tools = tools::tools(bindings, &offer, worth, &routes, &mut mistakes);
        discovery::check(&mut discovery, tools.as_ref(), &routes, &mut mistakes);
        let sold = routes
            .iter()
            .filter_map(|route| Some((format!("ROUTES.{:?}", route.pattern.as_str()), route.terms.as_ref()?)));
        let packages = credits.iter().flat_map(|credits| &credits.packages);
        let packages = packages.map(|package| (format!("PACKAGES.{}", package.name), &package.terms));
        let tool = |(name, terms)| (format!("TOOLS.{name}"), terms);
        let tools_sold = tools.iter().flat_map(|tools| tools.priced().map(tool));
        // The protocol's own vectors are signed for the example's address: only who writes a file is told.
        let written = secrets == Secrets::Elsewhere;
        recipients::check(sold.chain(packages).chain(tools_sold), offer.pay_to, written, &mut mistakes);
        if !bindings.contains_key("PAY_TO")
            && !mistakes.is_empty()
            && !mistakes.iter().any(|mistake| mistake.path == "PAY_TO")
            && !routes.iter().any(|route| route.terms.is_some())
        {
            // Whatever it is that keeps the routes from being read, they will want it.
            mistakes.add("PAY_TO", "is missing", "set the address that is to be paid");
        }
        settlers::check(&facilitators, &routes, credits.as_ref(), tools.as_ref(), written, &mut mistakes);
        hidden::check(&routes, credits.is_some(), admin_token.is_some(), written, &mut mistakes);
        let rpc = rpc::rpc(bindings, &mut mistakes);
        match origin {
            Some(origin) if runs(&mistakes) => {
                // Half of what is wrong is not used: a part is there whole, or closed.
                if mistakes.close(Area::Documents) {
                    discovery = Discovery::default();
                }
                let config = Self {
                    origin,
                    routes,
                    unrouted,
                    facilitators: if mistakes.close(Area::Sales) { Vec::new() } else { facilitators },
                    challenge_body,
                    smart_wallets,
                    key_prefix,
                    origin_secret,
                    admin_token,
                    rpc,
                    credits: credits.filter(|_| !mistakes.close(Area::Credits)),
                    discovery,
                    tools,
                    findings: mistakes,
                };
                Ok((config, unseen))
            }
            _ => Err(mistakes),
        }
    }

    /// The route that a request falls under.
    ///
    /// # Errors
    /// [`AmbiguousRoute`] when a tolerant origin would see a path under another route: it may be tolerant, or not.
    pub fn route(&self, method: &str, path: &CanonicalPath) -> Result<Option<&Route>, AmbiguousRoute> {
        let route = self.most_specific(method, path.segments());
        for segments in path.tolerant_readings() {
            let other = self.most_specific(method, segments);
            if route.map(std::ptr::from_ref) != other.map(std::ptr::from_ref) {
                return Err(AmbiguousRoute);
            }
        }
        if path.is_ascii() && self.routes.iter().all(|route| route.pattern.is_ascii()) {
            return Ok(route);
        }
        let same = path.folded_readings().all(|reading| self.is_same_folded(method, path.segments(), route, reading));
        if same { Ok(route) } else { Err(AmbiguousRoute) }
    }

    /// Whether an origin that folds what it compares, or any part of that, would see a path under the same route.
    fn is_same_folded(&self, method: &str, path: &[String], route: Option<&Route>, reading: &[String]) -> bool {
        let shifted = reading.len() != path.len();
        let mut found = false;
        for other in self.routes.iter().filter(|other| other.pattern.matches_folded(method, reading)) {
            let Some(route) = route else { return false };
            let own = std::ptr::eq(route, other);
            // Less specific than the path's own, or named beside it: two spellings that are two routes are two paths.
            let beaten =
                other.pattern.matches(method, path) || (!shifted && route.pattern.tells_apart(&other.pattern, path));
            if !own && !beaten {
                return false;
            }
            found |= own;
        }
        found || route.is_none()
    }

    /// The JSON-RPC URL of a network's node, where there is one.
    #[must_use]
    pub fn rpc(&self, network: Network) -> Option<&Secret> {
        self.rpc.iter().find(|(known, _)| *known == network).map(|(_, url)| url)
    }

    /// Whether what is sold is paid for in real money (`true`) or in test money (`false`); nothing where it is in both.
    #[must_use]
    pub fn takes_live_money(&self) -> Option<bool> {
        let tools = self.tools.iter().flat_map(Tools::priced).map(|(_, terms)| terms);
        let packages = self.credits.iter().flat_map(|credits| &credits.packages).map(|package| &package.terms);
        let sold = self.routes.iter().filter_map(|route| route.terms.as_ref()).chain(tools).chain(packages);
        let mut kinds = sold.flat_map(|terms| &terms.requirements).map(|r| r.asset.network.is_live());
        let first = kinds.next()?;
        kinds.all(|kind| kind == first).then_some(first)
    }

    fn most_specific(&self, method: &str, segments: &[String]) -> Option<&Route> {
        // Any two that match overlap, so one of them is within the other: resolve() has refused the rest.
        self.routes
            .iter()
            .filter(|route| route.pattern.matches(method, segments))
            .reduce(|best, route| if route.pattern.within(&best.pattern) { route } else { best })
    }
}

#[cfg(test)]
mod tests;
