//! How the API is found: `SERVICE`, `DISCOVERY`, `OPENAPI`, and for MCP `MCP` and `TOOLS`.

use super::bindings::{self, Bindings, Members};
use super::mistakes::Mistakes;
use super::route::{Route, words};
use super::tools::Tools;
use crate::http::path::CanonicalPath;
use crate::x402::bazaar;
use serde_json::Value;
use url::Url;

/// A document that is made from the routes, or a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// OpenAPI 3.1.
    OpenApi,
    /// `/.well-known/x402`, in both shapes that are read.
    X402,
    /// The catalogue.
    Manifest,
    /// For models.
    Llms,
    /// RFC 9727.
    ApiCatalog,
    /// The index for programs.
    Index,
    /// The tools themselves, over streamable HTTP.
    Mcp,
    /// Where they are.
    McpJson,
    /// The same, as SEP-1649 has it.
    ServerCard,
    /// For people.
    Landing,
}

impl Document {
    const ALL: [(&'static str, Self, &'static [&'static str]); 10] = [
        ("openapi", Self::OpenApi, &["/openapi.json", "/api/openapi.json"]),
        ("x402", Self::X402, &["/.well-known/x402"]),
        ("manifest", Self::Manifest, &["/.well-known/x402-manifest.json"]),
        ("llms", Self::Llms, &["/llms.txt"]),
        ("api_catalog", Self::ApiCatalog, &["/.well-known/api-catalog"]),
        ("index", Self::Index, &["/api/v1"]),
        ("mcp", Self::Mcp, &["/mcp"]),
        ("mcp_json", Self::McpJson, &["/.well-known/mcp.json"]),
        ("server_card", Self::ServerCard, &["/.well-known/mcp/server-card.json"]),
        ("landing", Self::Landing, &["/"]),
    ];

    /// Its name in `DISCOVERY`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, document, _)| *document == self).map_or("", |(name, ..)| name)
    }
}

/// Where a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Which.
    pub document: Document,
    /// Where.
    pub path: String,
    /// Whether the operator has named the path: else the origin's own goes first.
    pub asked: bool,
}

/// An origin's document or server that is taken over: `"origin:/openapi.json"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtOrigin(pub String);

/// How the API is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// What the whole is called; the host's name where it is empty.
    pub name: String,
    /// What it is.
    pub description: String,
    /// At most five words.
    pub tags: Vec<String>,
    /// A picture.
    pub icon_url: Option<String>,
    /// Whom to write to.
    pub contact: Option<String>,
    /// What registries ask for to see that the host is the operator's.
    pub ownership_proofs: Vec<String>,
    /// What is where, the documents in the order in which README lists them.
    pub placements: Vec<Placement>,
    /// Whether a browser gets a page where a program gets JSON.
    pub paywall: bool,
    /// Whether challenges say where the documents are.
    pub links: bool,
    /// The origin's own OpenAPI document, which is annotated.
    pub openapi: Option<AtOrigin>,
}

impl Discovery {
    /// The first path of a document, where there is one.
    #[must_use]
    pub fn path_of(&self, document: Document) -> Option<&str> {
        self.placements.iter().find(|placement| placement.document == document).map(|placement| placement.path.as_str())
    }

    /// What stands at a path.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Placement> {
        self.placements.iter().find(|placement| placement.path == path)
    }
}

/// The bazaar's limits: beyond them a catalogue drops the field.
const MOST_NAME: usize = 32;
const MOST_TAGS: usize = 5;
const LONGEST_URL: usize = 2_048;

pub(super) fn discovery(bindings: &Bindings, mistakes: &mut Mistakes) -> Discovery {
    let mut discovery = service(bindings, mistakes);
    discovery.openapi = at_origin(bindings, "OPENAPI", mistakes);
    (discovery.paywall, discovery.links) = (true, true);
    let table = match bindings.get("DISCOVERY") {
        None => Value::Null,
        Some(value) => bindings::structured(value, "DISCOVERY", mistakes).unwrap_or_default(),
    };
    match table {
        Value::Bool(false) => {
            (discovery.paywall, discovery.links) = (false, false);
            if discovery.openapi.is_some() {
                mistakes.warn("OPENAPI", "is set, and DISCOVERY is off", "remove one of them");
            }
            return discovery;
        }
        Value::Null | Value::Object(_) => {}
        _ => mistakes.add("DISCOVERY", "is not a table", "write { llms = \"/about.txt\", landing = true }, or false"),
    }
    let empty = serde_json::Map::new();
    let known: Vec<&str> = Document::ALL.iter().map(|(name, ..)| *name).chain(["paywall", "links"]).collect();
    let members = Members::new("DISCOVERY", table.as_object().unwrap_or(&empty), &known, mistakes);
    for (name, flag) in [("paywall", &mut discovery.paywall), ("links", &mut discovery.links)] {
        match members.get(name) {
            None => {}
            Some(Value::Bool(on)) => *flag = *on,
            Some(_) => mistakes.add(members.path(name), "is neither true nor false", "write true or false"),
        }
    }
    for (name, document, defaults) in Document::ALL {
        // `OPENAPI` asks for the first path, and for the one that it takes over.
        let first = defaults.first().copied().unwrap_or_default();
        let theirs = discovery.openapi.as_ref().filter(|_| document == Document::OpenApi).map(|at| at.0.clone());
        let by_openapi = |path: &str| theirs.as_ref().is_some_and(|theirs| path == first || path == theirs);
        // A page at the root is the one document that nobody expects.
        let by_default = document != Document::Landing;
        let usual = || defaults.iter().map(|path| (*path).to_owned()).collect();
        let (paths, by_name): (Vec<String>, bool) = match members.get(name) {
            None if by_default => (usual(), false),
            None | Some(Value::Bool(false)) => continue,
            Some(Value::Bool(true)) => (usual(), true),
            Some(value) => (paths(&members.path(name), value, mistakes), true),
        };
        for path in paths {
            if discovery.at(&path).is_some() {
                mistakes.add(
                    members.path(name),
                    format!("is at {path:?}, where another document is"),
                    "move one of them",
                );
            }
            let asked = by_name || by_openapi(&path);
            discovery.placements.push(Placement { document, path, asked });
        }
    }
    discovery
}

fn paths(at: &str, value: &Value, mistakes: &mut Mistakes) -> Vec<String> {
    let written: Option<Vec<&str>> = match value {
        Value::String(path) => Some(vec![path]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let paths: Vec<String> = written.unwrap_or_default().into_iter().map(ToOwned::to_owned).collect();
    if paths.is_empty() || paths.iter().any(|path| !is_plain(path)) {
        let cure = "write \"/path\", a list of paths, true or false; of letters, digits and -._~@:+=$!&";
        mistakes.add(at, "is not a plain path", cure);
        return Vec::new();
    }
    paths
}

/// A path that is compared as it is, so it must have one spelling.
fn is_plain(path: &str) -> bool {
    CanonicalPath::new(path).is_ok_and(|path| path.tolerant_readings().next().is_none())
        // As it is it stands in `Link`, in Markdown and in URLs: nothing in it may end one.
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~@:+=$!&".contains(&b))
        && (path == "/" || !path.ends_with('/'))
}

/// `"origin:/path"`.
pub(super) fn at_origin(bindings: &Bindings, name: &str, mistakes: &mut Mistakes) -> Option<AtOrigin> {
    bindings.get(name)?;
    let written = bindings::text(bindings, name, mistakes)?;
    match written.strip_prefix("origin:").filter(|path| is_plain(path)) {
        Some(path) => Some(AtOrigin(path.to_owned())),
        None => {
            mistakes.add(name, "does not say where at the origin it is", "write \"origin:/path\"");
            None
        }
    }
}

fn service(bindings: &Bindings, mistakes: &mut Mistakes) -> Discovery {
    let Some(value) = bindings.get("SERVICE") else { return Discovery::default() };
    let Some(Value::Object(table)) = bindings::structured(value, "SERVICE", mistakes) else {
        mistakes.add("SERVICE", "is not a table", "write { name = \"Weather\", description = \"…\" }");
        return Discovery::default();
    };
    const KNOWN: [&str; 6] = ["name", "description", "tags", "icon_url", "contact", "ownership_proofs"];
    let members = Members::new("SERVICE", &table, &KNOWN, mistakes);
    let name = members.text("name", mistakes).unwrap_or_default().to_owned();
    if !name.is_empty() && !is_short_ascii(&name) {
        let cure = format!("write at most {MOST_NAME} printable ASCII characters: catalogues drop any other");
        mistakes.add(members.path("name"), "is too long or not ASCII", cure);
    }
    let tags = texts(&members, "tags", mistakes);
    if tags.len() > MOST_TAGS || tags.iter().any(|tag| !is_short_ascii(tag)) {
        let cure = format!("write at most {MOST_TAGS} of at most {MOST_NAME} printable ASCII characters");
        mistakes.add(members.path("tags"), "are too many, too long or not ASCII", cure);
    }
    let icon_url = members.text("icon_url", mistakes).map(ToOwned::to_owned);
    if icon_url.as_ref().is_some_and(|url| !is_public(url)) {
        mistakes.add(members.path("icon_url"), "is not a public https URL", "write \"https://example.com/icon.png\"");
    }
    let contact = members.text("contact", mistakes).map(ToOwned::to_owned);
    if contact.as_ref().is_some_and(|contact| !contact.contains('@') || contact.chars().any(char::is_whitespace)) {
        mistakes.add(members.path("contact"), "is not an e-mail address", "write \"api@example.com\"");
    }
    let description = words(&members, "description", mistakes);
    let ownership_proofs = texts(&members, "ownership_proofs", mistakes);
    Discovery { name, description, tags, icon_url, contact, ownership_proofs, ..Discovery::default() }
}

fn is_short_ascii(text: &str) -> bool {
    (1..=MOST_NAME).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

fn is_public(written: &str) -> bool {
    written.len() <= LONGEST_URL
        && Url::parse(written).is_ok_and(|url| {
            url.scheme() == "https"
                && url.username().is_empty()
                && matches!(url.host(), Some(url::Host::Domain(name)) if name.contains('.'))
        })
}

fn texts(members: &Members<'_>, key: &str, mistakes: &mut Mistakes) -> Vec<String> {
    let Some(value) = members.get(key) else { return Vec::new() };
    let list: Option<Vec<String>> =
        value.as_array().and_then(|list| list.iter().map(|text| text.as_str().map(ToOwned::to_owned)).collect());
    list.unwrap_or_else(|| {
        mistakes.add(members.path(key), "is not a list of texts", "write [\"…\"]");
        Vec::new()
    })
}

/// Where documents meet each other, the routes and the tools.
pub(super) fn check(discovery: &mut Discovery, tools: Option<&Tools>, routes: &[Route], mistakes: &mut Mistakes) {
    const RESERVED: [&str; 5] = ["/api/admin", "/api/debts", "/api/credits", "/api/buy-credits", "/dashboard"];
    for placement in discovery.placements.iter().filter(|placement| placement.asked) {
        let (path, name) = (format!("DISCOVERY.{}", placement.document.name()), placement.path.as_str());
        let segments = CanonicalPath::new(name).map(|path| path.segments().to_vec()).unwrap_or_default();
        // Only the page at the root leaves the other methods to the API.
        let shares = |route: &Route| {
            placement.document == Document::Landing && route.pattern.method().is_some_and(|method| method != "GET")
        };
        let named = routes.iter().filter(|route| route.pattern.is_literally(&segments));
        if let Some(route) = named.into_iter().find(|route| !shares(route)) {
            let problem = format!("is at {name:?}, which ROUTES.{:?} names", route.pattern.as_str());
            mistakes.add(&path, problem, "move one of them");
        }
        if tools.is_some_and(|tools| tools.path == name) {
            mistakes.add(&path, format!("is at {name:?}, where the origin's MCP server is"), "move it");
        }
        if RESERVED.iter().any(|reserved| name == *reserved || name.starts_with(&format!("{reserved}/"))) {
            mistakes.add(&path, format!("is at {name:?}, which is the gateway's own"), "move it");
        }
    }
    // Unasked it gives way: to the origin's server, and to a route that names its very path.
    discovery.placements.retain(|placement| {
        let segments = CanonicalPath::new(&placement.path).map(|path| path.segments().to_vec()).unwrap_or_default();
        let taken = tools.is_some_and(|tools| tools.path == placement.path)
            || routes.iter().any(|route| route.pattern.is_literally(&segments));
        placement.asked || !taken
    });
    let mut names: Vec<&str> = Vec::new();
    for route in routes {
        let Some(terms) = &route.terms else { continue };
        let path = format!("ROUTES.{:?}", route.pattern.as_str());
        if let Some(name) = &terms.about.name {
            if names.contains(&name.as_str()) {
                mistakes.add(format!("{path}.name"), format!("{name:?} is another route's name"), "write another");
            }
            names.push(name);
        }
        if bazaar::longest(&terms.about) > bazaar::MOST_BYTES {
            let cure = format!("write less: in the challenge's header there is room for {} bytes", bazaar::MOST_BYTES);
            mistakes.add(format!("{path}.input"), "and `output` are too long", cure);
        }
    }
}
