//! An origin that is itself an MCP server: `MCP = "origin:/mcp"` and what its tools cost, in `TOOLS`.

use super::bindings::{self, Bindings};
use super::credits::Worth;
use super::discovery::at_origin;
use super::mistakes::{Area, Mistakes};
use super::offer::Offer;
use super::parts::Unrouted;
use super::route::{self, Route, Terms};
use super::template::Template;
use crate::http::path::CanonicalPath;
use crate::http::tolerant::fold;

/// An MCP server of the origin's.
#[derive(Debug)]
pub struct Tools {
    /// Where it is, at the origin and here.
    pub path: String,
    /// By their names; `None` is `"free"`.
    tools: Vec<(String, Option<Terms>)>,
    segments: Vec<String>,
    folded: Vec<String>,
}

/// What a tool costs.
#[derive(Clone, Copy, Debug)]
pub enum ToolPrice<'a> {
    /// Nothing.
    Free,
    /// This.
    Priced(&'a Terms),
    /// It is not on the list, and what is not on the list is not there.
    Unknown,
}

/// Where a path lies, seen from the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is the server's.
    Here,
    /// It lies below; at the root nothing does, or everything would.
    Below,
    /// It is one or the other, by how tolerantly it is read.
    Doubtful,
    /// It has nothing to do with it.
    Elsewhere,
}

/// Whoever is not named.
const ANY: &str = "*";

impl Tools {
    /// Where a path lies.
    #[must_use]
    pub fn place(&self, path: &CanonicalPath) -> Place {
        let own = place_of(&self.segments, path.segments());
        // A tolerant origin would take it for another: then it is neither's.
        let doubtful = path.tolerant_readings().any(|segments| place_of(&self.segments, segments) != own)
            || path.folded_readings().any(|segments| place_of(&self.folded, segments) != own);
        if doubtful { Place::Doubtful } else { own }
    }

    /// Whether what is free at a path is so by nobody's naming it. There the server may take messages, too: frameworks mount
    /// one at all that is below its path, at all that ends in it, or at every path.
    #[must_use]
    pub fn reaches(&self, path: &CanonicalPath, route: Option<&Route>, unrouted: Unrouted) -> bool {
        match route {
            Some(route) if self.place(path) == Place::Below => {
                route.terms.is_none() && !route.pattern.is_below(&self.segments)
            }
            // What names everything names no path. (Where it has a price, the configuration is refused.)
            Some(route) => route.terms.is_none() && route.pattern.is_everything(),
            None => unrouted == Unrouted::Pass,
        }
    }

    /// What a tool costs.
    #[must_use]
    pub fn price(&self, name: &str, unrouted: Unrouted) -> ToolPrice<'_> {
        let find = |wanted: &str| self.tools.iter().find(|(known, _)| known == wanted);
        // A server that does not care about case or dots must not be a way around the price; and what is no tool's name by
        // the protocol (spaces, letters of other scripts that look alike) only by its very spelling.
        let alike = || self.tools.iter().find(|(known, _)| folded(known) == folded(name) && !folded(name).is_empty());
        let plain = name.bytes().all(|byte| byte.is_ascii_graphic());
        let shut = unrouted == Unrouted::Deny && find(ANY).is_none();
        let alike = || alike().filter(|_| plain && !shut);
        match find(name).or_else(alike).or_else(|| find(ANY)) {
            // What some servers would trim to the name of another tool has no price of its own.
            Some((known, _)) if known == ANY && !plain => ToolPrice::Unknown,
            Some((_, Some(terms))) => ToolPrice::Priced(terms),
            Some((_, None)) => ToolPrice::Free,
            None if unrouted == Unrouted::Deny || !plain => ToolPrice::Unknown,
            None => ToolPrice::Free,
        }
    }

    /// Those that cost something and that documents tell of, but for whoever is not named.
    pub fn listed(&self) -> impl Iterator<Item = (&str, &Terms)> {
        self.priced().filter(|(_, terms)| terms.listed)
    }

    /// Those that cost something, but for whoever is not named.
    pub fn priced(&self) -> impl Iterator<Item = (&str, &Terms)> {
        self.tools.iter().filter_map(|(name, terms)| Some((name.as_str(), terms.as_ref()?)))
    }
}

fn place_of(server: &[String], path: &[String]) -> Place {
    if path == server {
        Place::Here
    } else if !server.is_empty() && path.starts_with(server) {
        Place::Below
    } else {
        Place::Elsewhere
    }
}

fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

pub(super) fn tools(
    bindings: &Bindings,
    offer: &Offer,
    worth: Worth,
    routes: &[Route],
    mistakes: &mut Mistakes,
) -> Option<Tools> {
    let Some(at) = at_origin(bindings, "MCP", mistakes) else {
        if bindings::is_set(bindings, "TOOLS") && !bindings.contains_key("MCP") {
            mistakes.add("TOOLS", "is set, and MCP is not", "say where the origin's server is: MCP = \"origin:/mcp\"");
        }
        return None;
    };
    let entries = bindings::table(bindings, "TOOLS", mistakes);
    if entries.is_empty() {
        mistakes.add("TOOLS", "names no tool, and MCP is set", "write { search = \"$0.01\" }, or remove MCP");
    }
    let mut tools = Vec::new();
    for (path, name, written) in &entries {
        if name.is_empty() || name.chars().any(char::is_control) || name.len() > 128 {
            mistakes.add(path, "is not a tool's name", "write it as the server lists it");
        }
        let terms = route::terms(path, written, Template::literal(&at.0), offer, worth, mistakes);
        if terms.is_none() && !mistakes.close(Area::Everything) {
            mistakes.add(path, "cannot be priced", "name a price, a network and an address to pay");
        }
        if let Some(Some(terms)) = &terms
            && (terms.about.input.is_some() || terms.about.name.is_some())
        {
            mistakes.warn(path, "describes what its server describes", "remove name and input");
        }
        tools.push((name.clone(), terms.flatten()));
    }
    let segments = CanonicalPath::new(&at.0).map(|path| path.segments().to_vec()).unwrap_or_default();
    for route in routes.iter().filter(|route| route.pattern.is_literally(&segments)) {
        mistakes.add(
            format!("ROUTES.{:?}", route.pattern.as_str()),
            "prices the path of the MCP server: every message would cost, and TOOLS would be for nothing",
            "remove the route, or MCP",
        );
    }
    if tools.iter().any(|(_, terms)| terms.is_some()) {
        for route in routes.iter().filter(|route| route.terms.is_some() && route.pattern.is_everything()) {
            mistakes.add(
                format!("ROUTES.{:?}", route.pattern.as_str()),
                "prices everything: where the server listens at another path as well, its tools would cost this, and not their own",
                "name what is sold by its paths, and set DEFAULT = \"deny\" for the rest",
            );
        }
    }
    let folded = segments.iter().map(|segment| fold(segment)).collect();
    Some(Tools { path: at.0, tools, segments, folded })
}
