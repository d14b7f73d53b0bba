//! How the API is found by programs that have never heard of it. Every document is made from the one route table that the
//! gate prices by, so that none can disagree with it.

pub mod annotate;
pub mod assets;
pub mod index;
pub mod llms;
pub mod openapi;
mod schema30;
mod security;
pub mod wellknown;

use crate::config::{Config, Credits, Document, Package, Place, Route, Settle, Terms, escaped, sample};
use crate::http::path::CanonicalPath;
use crate::json::put;
use crate::money::Price;
use crate::x402::supported::Support;
use serde_json::{Map, Value, json};

/// Everything that is for sale, as documents tell it.
#[derive(Debug)]
pub struct Catalogue<'a> {
    /// What it is made from.
    pub config: &'a Config,
    /// What somebody settles now.
    pub support: &'a Support,
    /// Scheme and authority as the client sees them.
    pub base: &'a str,
    /// The priced routes, in the operator's order.
    pub calls: Vec<Call<'a>>,
    /// Paths of documents that are not ours to show, and that nobody is shown: what led there would lead nowhere.
    pub closed: Vec<String>,
}

/// A priced route.
#[derive(Debug)]
pub struct Call<'a> {
    /// Its name: an operation's id, and a tool's.
    pub id: String,
    /// A method by which it is called.
    pub method: &'static str,
    /// The route.
    pub route: &'a Route,
    /// What it costs.
    pub terms: &'a Terms,
    /// A path and query that fall under it.
    pub sample: String,
    /// Whether a value in the sample's path is one that nobody gave as an example.
    invented: bool,
    /// Its path with `{parameters}`.
    path: String,
    /// The other methods that cost the same, where the route names none.
    others: Vec<Way>,
}

/// One operation of a route.
#[derive(Clone, Debug)]
pub struct Way {
    /// The operation's id.
    pub id: String,
    /// Its method.
    pub method: &'static str,
    /// Its path with `{parameters}`.
    pub path: String,
}

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

impl<'a> Catalogue<'a> {
    /// Draws it up.
    #[must_use]
    pub fn new(config: &'a Config, support: &'a Support, base: &'a str) -> Self {
        Self { config, support, base, calls: calls(config), closed: Vec::new() }
    }

    /// What the whole is called: as the operator says, or by its host.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.config.discovery.name.as_str() {
            "" => self.base.split_once("://").map_or(self.base, |(_, host)| host),
            name => name,
        }
    }

    /// A document's URL, where there is one.
    #[must_use]
    pub fn url_of(&self, document: Document) -> Option<String> {
        let there = match document {
            // Only where there is something to call.
            Document::Mcp => self.tools().next().is_some(),
            // They point at a server, and there is nothing of them where none is.
            Document::McpJson | Document::ServerCard => {
                self.gated_server().is_some() || self.url_of(Document::Mcp).is_some()
            }
            _ => true,
        };
        // Where the origin's own server answers, ours does not.
        let is_gated = |path: &str| {
            let path = CanonicalPath::new(path);
            let tools = self.config.tools.as_ref().zip(path.ok());
            tools.is_some_and(|(tools, path)| matches!(tools.place(&path), Place::Here | Place::Doubtful))
        };
        let is_open =
            |path: &&String| there && !self.closed.contains(path) && !(document == Document::Mcp && is_gated(path));
        let placements = self.config.discovery.placements.iter().filter(|placement| placement.document == document);
        placements.map(|placement| &placement.path).find(is_open).map(|path| format!("{}{path}", self.base))
    }

    /// The URL of the origin's own MCP server, whose tools have prices.
    #[must_use]
    pub fn gated_server(&self) -> Option<String> {
        self.config.tools.as_ref().map(|tools| format!("{}{}", self.base, tools.path))
    }

    /// The calls that are tools: those of which it is known what they take.
    pub fn tools(&self) -> impl Iterator<Item = &Call<'a>> {
        self.calls.iter().filter(|call| call.terms.about.input.is_some())
    }

    /// The ways to pay, as the live challenge has them.
    #[must_use]
    pub fn accepts(&self, terms: &Terms) -> Vec<Value> {
        let settled = terms.requirements.iter().filter(|r| self.support.offers(2, r.asset.network));
        settled.map(crate::x402::requirement::Requirement::to_v2).collect()
    }

    fn packages(&self) -> impl Iterator<Item = &'a Package> {
        self.config.credits.iter().flat_map(Credits::on_sale)
    }

    fn documents(&self) -> Map<String, Value> {
        const NAMED: [Document; 10] = [
            Document::OpenApi,
            Document::X402,
            Document::Manifest,
            Document::Llms,
            Document::ApiCatalog,
            Document::Index,
            Document::Mcp,
            Document::McpJson,
            Document::ServerCard,
            Document::Landing,
        ];
        let urls =
            NAMED.into_iter().filter_map(|document| Some((document.name().to_owned(), self.url_of(document)?.into())));
        let mut documents: Map<String, Value> = urls.collect();
        if let Some(gated) = self.gated_server()
            && let Some(ours) = documents.insert(Document::Mcp.name().to_owned(), gated.into())
        {
            documents.insert("mcp_routes".to_owned(), ours);
        }
        documents
    }

    fn service(&self) -> Value {
        let discovery = &self.config.discovery;
        let mut service = json!({ "name": self.name(), "description": discovery.description, "url": self.base });
        if !discovery.tags.is_empty() {
            put(&mut service, "tags", discovery.tags.clone());
        }
        for (key, value) in [("iconUrl", &discovery.icon_url), ("contact", &discovery.contact)] {
            if let Some(value) = value {
                put(&mut service, key, value.clone());
            }
        }
        service
    }

    /// `Link` (RFC 8288) of whatever a program may land on.
    #[must_use]
    pub fn links(config: &Config) -> Option<String> {
        if !config.discovery.links {
            return None;
        }
        let relations = [
            (Document::OpenApi, "service-desc"),
            (Document::ApiCatalog, "api-catalog"),
            (Document::Llms, "describedby"),
        ];
        let links: Vec<String> = relations
            .into_iter()
            .filter_map(|(document, relation)| {
                Some(format!("<{}>; rel=\"{relation}\"", config.discovery.path_of(document)?))
            })
            .collect();
        (!links.is_empty()).then(|| links.join(", "))
    }
}

impl Call<'_> {
    /// The path with `{parameters}`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The methods by which the path is called at this price.
    #[must_use]
    pub fn methods(&self) -> Vec<&'static str> {
        let others = self.others.iter().filter(|way| way.path == self.path).map(|way| way.method);
        std::iter::once(self.method).chain(others).collect()
    }

    /// All its operations.
    pub fn ways(&self) -> impl Iterator<Item = Way> {
        let first = Way { id: self.id.clone(), method: self.method, path: self.path.clone() };
        std::iter::once(first).chain(self.others.iter().cloned())
    }

    /// Whether a value in the sample's path was made up here: the URL has the price, and the origin most likely has nothing
    /// there.
    #[must_use]
    pub const fn is_made_up(&self) -> bool {
        self.invented
    }

    /// Whether a call of such a sample is charged even if the origin has nothing there.
    #[must_use]
    pub fn is_made_up_and_charged(&self) -> bool {
        self.invented && self.terms.settle == Settle::Before
    }

    /// What it is, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.terms.description.as_str() {
            "" => format!("{} {}", self.method, self.path()),
            description => description.to_owned(),
        }
    }

    /// The same with a full stop.
    #[must_use]
    pub fn sentence(&self) -> String {
        let summary = self.summary();
        if summary.ends_with(['.', '!', '?']) { summary } else { format!("{summary}.") }
    }
}

/// `1 credit`, `2 credits`.
fn credits(number: u64) -> String {
    format!("{number} credit{}", if number == 1 { "" } else { "s" })
}

/// `{"currency":"USD","amount":"0.001"}`: what is paid in counts as dollars, unit for unit.
fn price(price: Price) -> Value {
    json!({ "currency": "USD", "amount": amount(price) })
}

/// The same as digits alone.
#[must_use]
pub fn amount(price: Price) -> String {
    price.to_string().trim_start_matches('$').to_owned()
}

fn calls(config: &Config) -> Vec<Call<'_>> {
    let mut calls: Vec<Call<'_>> = Vec::new();
    // Names that are made stay clear of all that are given, wherever those stand.
    let mut taken: Vec<String> =
        config.routes.iter().filter_map(|route| route.terms.as_ref()?.about.name.clone()).collect();
    for route in &config.routes {
        let Some(terms) = route.terms.as_ref().filter(|terms| terms.listed) else { continue };
        // One that others have taken every request from is priced for nobody.
        let methods = methods_of(route, terms);
        let mut found = methods.into_iter().filter_map(|method| Some((method, reached(config, route, terms, method)?)));
        let Some((method, Reached { path, sample, invented })) = found.next() else { continue };
        let id = terms.about.name.clone().unwrap_or_else(|| unused(named(method, terms), &taken));
        taken.push(id.clone());
        // Nobody calls by OPTIONS what can be called otherwise.
        let others = found.filter(|(method, _)| *method != "OPTIONS");
        let others = others.map(|(method, found)| Way { id: String::new(), method, path: found.path }).collect();
        calls.push(Call { id, method, route, terms, sample, invented, path, others });
    }
    // Named last: the first operation of each route has its name from the route alone.
    for call in &mut calls {
        for way in &mut call.others {
            let wanted = match &call.terms.about.name {
                Some(name) => format!("{name}_{}", way.method.to_ascii_lowercase()),
                None => named(way.method, call.terms),
            };
            way.id = unused(wanted, &taken);
            taken.push(way.id.clone());
        }
    }
    calls
}

/// The methods by which a route may be called, the likeliest first.
fn methods_of(route: &Route, terms: &Terms) -> Vec<&'static str> {
    let mut methods = METHODS.to_vec();
    if terms.about.input.as_ref().is_some_and(|input| input.body.is_some()) {
        methods.sort_by_key(|method| *method != "POST");
    }
    methods.retain(|method| route.pattern.method().is_none_or(|own| own == *method));
    methods
}

struct Reached {
    path: String,
    sample: String,
    invented: bool,
}

/// A path with `{parameters}`, and one with values in their places (and the query), for which the gate finds this very route
/// and no more specific one; nothing where there is none by this method.
///
/// It is found if there is one: a route that takes a word which no route names takes every word in its place, and below the
/// deepest path that is named one is as good as another.
fn reached(config: &Config, route: &Route, terms: &Terms, method: &str) -> Option<Reached> {
    let about = &terms.about;
    let described = |name: &str| {
        let schema = about.input.as_ref()?.path.get(name)?;
        text(&sample(name, schema)?)
    };
    let deepest = config.routes.iter().map(|route| route.pattern.depth()).max().unwrap_or_default();
    let most = deepest.saturating_sub(route.pattern.depth()).saturating_add(1);
    let has_rest = about.template.parameters().any(|name| about.template.is_rest(name));
    let steps = (1..=if has_rest { most } else { 1 }).chain(has_rest.then_some(0));
    for template in steps.map(|steps| about.template.stretched(steps)) {
        // The example, and then words that other routes are less and less likely to name.
        for attempt in 0..3_u8 {
            let value = |name: &str| match attempt {
                0 => described(name).or_else(|| Some(name.to_owned())),
                1 => Some(format!("a-{name}")),
                _ => Some(unnamed(config, name)),
            };
            let Ok(path) = template.fill(value) else { continue };
            let Ok(canonical) = CanonicalPath::new(&path) else { continue };
            if config.route(method, &canonical).is_ok_and(|found| found.is_some_and(|found| std::ptr::eq(found, route)))
            {
                let given = |name: &str| {
                    let schema = about.input.as_ref().and_then(|input| input.path.get(name));
                    attempt == 0 && schema.is_some_and(has_example)
                };
                return Some(Reached {
                    path: template.with_braces(),
                    sample: format!("{path}{}", query_of(terms)),
                    invented: !template.parameters().all(given),
                });
            }
        }
    }
    None
}

/// Whether its author has named a value, and not its type alone.
fn has_example(schema: &Value) -> bool {
    ["example", "examples", "default", "const", "enum"].iter().any(|key| schema.get(key).is_some())
}

/// A word that stands for any: no route names it.
fn unnamed(config: &Config, name: &str) -> String {
    let words = (2_u32..).map(|number| format!("any-{name}-{number}"));
    let is_named = |word: &String| {
        let lower = word.to_ascii_lowercase();
        config.routes.iter().any(|route| route.pattern.has_literal(&lower))
    };
    words.into_iter().find(|word| !is_named(word)).unwrap_or_default()
}

fn query_of(terms: &Terms) -> String {
    let Some(input) = &terms.about.input else { return String::new() };
    let required = input.query.iter().filter(|(name, _)| input.requires(name));
    let pairs: Vec<String> = required
        .filter_map(|(name, schema)| Some(format!("{name}={}", escaped(&text(&sample(name, schema)?)?))))
        .collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// A value as it stands in a path or a query; a list or a table has no one form there.
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `get_weather_city`.
fn named(method: &str, terms: &Terms) -> String {
    let words = terms.about.template.words().map(|word| {
        let kept: String = word.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        kept.trim_matches('_').to_ascii_lowercase()
    });
    let name = std::iter::once(method.to_ascii_lowercase()).chain(words).filter(|word| !word.is_empty());
    name.collect::<Vec<_>>().join("_").chars().take(MOST_NAME).collect()
}

/// As long as MCP clients take a tool's name, less what makes two of them differ.
const MOST_NAME: usize = 60;

fn unused(wanted: String, taken: &[String]) -> String {
    if !taken.contains(&wanted) {
        return wanted;
    }
    (2_u32..).map(|number| format!("{wanted}_{number}")).find(|name| !taken.contains(name)).unwrap_or(wanted)
}

#[cfg(test)]
mod tests;
