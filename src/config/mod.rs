//! Bindings in, one validated [`Config`] out, or every mistake at once (`design.md` section 5).
//!
//! The same code runs in three places: `make check` before a deployment, the first request after it, and the tests.

mod about;
mod bindings;
mod cdp;
mod credits;
mod discovery;
mod mistakes;
mod offer;
mod parts;
mod pattern;
mod recipients;
mod route;
mod rpc;
mod template;
mod tools;
#[cfg(not(target_family = "wasm"))]
pub mod wrangler;

pub use about::{About, BODY, BodyType, Input, Output, sample};
pub use bindings::Bindings;
pub use credits::{BUY_PREFIX, Credits, Package};
pub use discovery::{AtOrigin, Discovery, Document, Placement};
pub use mistakes::{Mistake, Mistakes};
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
    /// In the operator's order; never empty.
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
    /// Prepaid credits, where packages are sold.
    pub credits: Option<Credits>,
    /// How the API is found.
    pub discovery: Discovery,
    /// The origin's MCP server, whose tools are priced.
    pub tools: Option<Tools>,
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
        Self::resolve_with(bindings, Secrets::Bound).map(|(config, _)| config)
    }

    /// Validates what stands in a file, where secrets do not stand: beside the configuration, the names of those that it
    /// will need. One that is there is validated as well.
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn resolve_file(bindings: &Bindings) -> Result<(Self, Vec<&'static str>), Mistakes> {
        Self::resolve_with(bindings, Secrets::Elsewhere)
    }

    fn resolve_with(bindings: &Bindings, secrets: Secrets) -> Result<(Self, Vec<&'static str>), Mistakes> {
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
        let (credits, value) = credits::credits(bindings, &offer, secrets, &mut unseen, &mut mistakes);
        let routes = route::routes(bindings, &offer, value, &mut mistakes);
        if let Some(credits) = &credits {
            credits::check_networks(credits, &routes, &mut mistakes);
        }
        let mut discovery = discovery::discovery(bindings, &mut mistakes);
        let tools = tools::tools(bindings, &offer, value, &routes, &mut mistakes);
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
        let rpc = rpc::rpc(bindings, &mut mistakes);
        match origin {
            Some(origin) if mistakes.is_empty() => {
                let config = Self {
                    origin,
                    routes,
                    unrouted,
                    facilitators,
                    challenge_body,
                    smart_wallets,
                    key_prefix,
                    origin_secret,
                    admin_token,
                    rpc,
                    credits,
                    discovery,
                    tools,
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
