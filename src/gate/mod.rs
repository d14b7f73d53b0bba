//! What a request owes and how it pays: [`Facts`] in, one [`Decision`] out. Nothing here does I/O, and nothing outside
//! decides a price.
//!
//! The checks that cost least come first: a stranger's garbage costs a comparison, not
//! a signature recovery, and never a call to anybody.

use crate::config::{Config, Identifier, Terms, Unrouted, Verify, escaped};
use crate::credits::key::Key;
use crate::discovery::Catalogue;
use crate::evm::network::Network;
use crate::evm::{Address, B256};
use crate::http::path::CanonicalPath;
use crate::http::problem::{Code, Problem};
use crate::http::spoofed;
use crate::x402::bazaar::{self, BAZAAR};
use crate::x402::challenge::{Challenge, OnOffer, challenge};
use crate::x402::identifier::{PAYMENT_IDENTIFIER, advertised};
use crate::x402::payment::Payment;
use crate::x402::requirement::{Requirement, Resource};
use crate::x402::siwx::{self, SignIn};
use crate::x402::supported::Support;
use alloy_primitives::keccak256;
use checks::{check, may_have_been_right};
use credential::{Credential, credential};
use serde_json::Value;
use spending::{by_key, by_wallet, sign_in, spend};

mod checks;
mod credential;
mod following;
mod spending;

pub use credential::{holds_our_key, our_key};
pub use following::followed;
pub use spending::{advertised as advertised_sign_in, chains, signed_in, takes_test_money};

/// What the gate needs to know of a request.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// In upper case.
    pub method: String,
    /// Scheme and authority as the client sees them, `https://api.example.com`.
    pub base: String,
    /// The raw path.
    pub path: String,
    /// The raw query, without `?`.
    pub query: Option<String>,
    /// `PAYMENT-SIGNATURE`.
    pub payment_signature: Option<String>,
    /// `X-PAYMENT`.
    pub x_payment: Option<String>,
    /// `SIGN-IN-WITH-X`.
    pub sign_in: Option<String>,
    /// `Authorization`.
    pub authorization: Option<String>,
    /// `Access-Control-Request-Method`, when the request is a CORS preflight.
    pub preflight_for: Option<String>,
    /// The account that a purchase of credits tops up.
    pub tops_up: Option<String>,
    /// The tool of an MCP server that is called, where the call came that way.
    pub tool: Option<String>,
    /// New for each request.
    pub random: [u8; 8],
    /// Unix seconds.
    pub now: u64,
}

impl Facts {
    /// Path and query, as they are forwarded.
    #[must_use]
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

/// Everything that can be done to a request.
#[derive(Debug)]
pub enum Decision<'a> {
    /// It goes to the origin, free.
    PassThrough,
    /// A browser asks whether a paid call may be made: yes, for nothing.
    Preflight,
    /// It is told the price.
    Challenge(Box<Challenge>),
    /// It is refused, and paying would not cure it.
    Refuse(Problem),
    /// It is told the price, unless the books know its payment: then money may have moved by it, and a challenge would
    /// have an honest client pay twice.
    Doubt(Box<Challenge>, Box<Charge<'a>>),
    /// It pays with this payment.
    Charge(Box<Charge<'a>>),
    /// It pays with prepaid credits.
    Spend(Box<Spend<'a>>),
}

/// Which authorization a payment is, and for which request: all that the books need to know to answer for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Where.
    pub network: Network,
    /// In which token.
    pub asset: Address,
    /// Whose.
    pub payer: Address,
    /// Which one.
    pub nonce: B256,
    /// What a claim is bound to: method, path and query. A second use for anything else is refused.
    pub binding: B256,
}

/// What is known of a signature before anyone else is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It recovers to the payer.
    Good,
    /// It may be a smart wallet's: only the facilitator can tell, and until it has, nothing may be claimed by it.
    Undecided,
}

/// A payment that has passed every check that needs nobody else.
#[derive(Debug)]
pub struct Charge<'a> {
    /// The route's terms.
    pub terms: &'a Terms,
    /// Which of our requirements it pays.
    pub requirement: &'a Requirement,
    /// The payment.
    pub payment: Payment,
    /// What is claimed.
    pub identity: Identity,
    /// What is known of its signature.
    pub standing: Standing,
    /// What runs before the origin.
    pub verify: Verify,
    /// What is sold, for a fresh challenge when a payment is known not to have moved money.
    pub offer: Offered<'a>,
}

/// A call that is paid for with credits, if there are enough.
#[derive(Debug)]
pub struct Spend<'a> {
    /// The route's terms.
    pub terms: &'a Terms,
    /// What the call costs.
    pub credits: u64,
    /// Whose credits.
    pub by: Spender,
    /// What is sold, for a challenge when there are too few.
    pub offer: Offered<'a>,
}

/// Whose credits a call is paid with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spender {
    /// Of the account that a key names; the key has proved itself.
    Key(Key),
    /// Of what this wallet has bought; it has signed for this very request, and its nonce is not known to be unused yet.
    Wallet(SignIn),
}

/// What is sold, on which terms.
#[derive(Debug)]
pub struct Offered<'a> {
    config: &'a Config,
    support: &'a Support,
    terms: &'a Terms,
    /// As the challenge describes it.
    pub resource: Resource,
    /// For wallets that have bought credits.
    sign_in: Option<Value>,
}

impl<'a> Offered<'a> {
    /// Its price, and why it is told.
    #[must_use]
    pub fn challenge(&self, problem: Problem) -> Challenge {
        let facilitator = self.config.facilitators.first().map_or("", |facilitator| facilitator.url.as_str());
        let required = self.terms.identifier == Identifier::Required;
        let mut extensions = serde_json::json!({ PAYMENT_IDENTIFIER: advertised(required) });
        if let Some(members) = extensions.as_object_mut() {
            let more = [(siwx::SIGN_IN_WITH_X, &self.sign_in), (BAZAAR, &self.resource.bazaar)];
            members.extend(more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))));
        }
        let style = self.config.challenge_body;
        let challenge = challenge(&self.on_offer(), &self.resource, style, facilitator, &extensions, problem);
        // What leads elsewhere must not make the price unreadable.
        let links = Catalogue::links(self.config).filter(|links| links.len() <= LONGEST_LINKS);
        Challenge { links, ..challenge }
    }

    /// What somebody settles.
    fn on_offer(&self) -> OnOffer<'a> {
        let of = |version: u64| {
            let settled = |requirement: &&Requirement| self.support.offers(version, requirement.asset.network);
            self.terms.requirements.iter().filter(settled).collect()
        };
        OnOffer { v1: of(1), v2: of(2) }
    }

    fn refuse(&self, problem: Problem) -> Decision<'a> {
        if problem.code.status() == 402 {
            Decision::Challenge(Box::new(self.challenge(problem)))
        } else {
            Decision::Refuse(problem)
        }
    }
}

/// What a request is, before anything about its payment matters.
#[derive(Debug)]
pub enum Triage<'a> {
    /// It costs nothing, or no payment could help it.
    Decided(Decision<'a>),
    /// It is priced by these terms.
    Priced(&'a Terms, CanonicalPath),
}

/// Finds out whether a request is priced.
#[must_use]
pub fn triage<'a>(config: &'a Config, facts: &Facts) -> Triage<'a> {
    let path = match CanonicalPath::new(&facts.path) {
        Ok(path) => path,
        Err(error) => {
            return Triage::Decided(Decision::Refuse(Problem::new(Code::PathNotCanonical, error.to_string())));
        }
    };
    match unpriced(config, facts, &path) {
        Ok(terms) => Triage::Priced(terms, path),
        Err(decision) => Triage::Decided(decision),
    }
}

fn unpriced<'a>(config: &'a Config, facts: &Facts, path: &CanonicalPath) -> Result<&'a Terms, Decision<'a>> {
    // An origin that answers TRACE echoes what it got, our secret with it.
    if matches!(facts.method.as_str(), "TRACE" | "CONNECT" | "TRACK") {
        return Err(Decision::Refuse(Code::MethodForbidden.into()));
    }
    if let Some(problem) = spoofed(config, facts, path) {
        return Err(Decision::Refuse(problem));
    }
    let terms = match terms(config, &facts.method, path) {
        Ok(terms) => terms,
        // OPTIONS need not be a route for a browser to ask about another method.
        Err(problem) if problem.code == Code::NoSuchRoute && facts.preflight_for.is_some() => None,
        Err(problem) => return Err(Decision::Refuse(problem)),
    };
    if let Some(method) = &facts.preflight_for {
        // Free where either is priced: what the browser asks about, or OPTIONS itself. It never reaches the origin then,
        // or naming a free method would be a way around the price of OPTIONS.
        return Err(match self::terms(config, method, path) {
            Err(problem) => Decision::Refuse(problem),
            Ok(None) if terms.is_none() => Decision::PassThrough,
            Ok(_) => Decision::Preflight,
        });
    }
    terms.ok_or(Decision::PassThrough)
}

/// A POST whose query has some frameworks take it for another method, which costs something else here.
fn spoofed(config: &Config, facts: &Facts, path: &CanonicalPath) -> Option<Problem> {
    let query = facts.query.as_deref().filter(|_| facts.method == "POST")?;
    let own = terms(config, "POST", path).map(|terms| terms.map(std::ptr::from_ref)).map_err(|problem| problem.code);
    let differs = |method: &String| {
        let other =
            terms(config, method, path).map(|terms| terms.map(std::ptr::from_ref)).map_err(|problem| problem.code);
        own != other || matches!(method.as_str(), "TRACE" | "CONNECT" | "TRACK")
    };
    let method = spoofed::methods(query).find(differs)?;
    let shown = if method.bytes().all(|byte| byte.is_ascii_alphabetic()) && method.len() < 16 {
        &method
    } else {
        "another method"
    };
    Some(Problem::new(
        Code::MethodForbidden,
        format!("the query asks for {shown}, which is another route here: send that method itself"),
    ))
}

/// The terms of the route that a request falls under; `None` where it is free.
fn terms<'a>(config: &'a Config, method: &str, path: &CanonicalPath) -> Result<Option<&'a Terms>, Problem> {
    match config.route(method, path) {
        Err(_) => Err(Problem::new(
            Code::PathNotCanonical,
            "escapes, `;` parameters, dots or spaces at an end of a name, or letters that some origins take for others decide the path's price",
        )),
        Ok(None) if config.unrouted == Unrouted::Deny => Err(Code::NoSuchRoute.into()),
        Ok(route) => Ok(route.and_then(|route| route.terms.as_ref())),
    }
}

/// Decides about a request that is priced.
#[must_use]
pub fn price<'a>(
    config: &'a Config,
    support: &'a Support,
    terms: &'a Terms,
    facts: &Facts,
    path: &CanonicalPath,
) -> Decision<'a> {
    let offer = Offered {
        config,
        support,
        terms,
        resource: resource(config, terms, facts, path),
        // A sign-in is a header of the very request that it signs, and a tool call has none of its own.
        sign_in: if facts.tool.is_none() { sign_in(config, terms, facts) } else { None },
    };
    let payment = match credential(config, facts) {
        Ok(Credential::Payment(carrier, header)) => Payment::decode(carrier, header),
        Ok(Credential::None) => Err(Code::PaymentRequired.into()),
        Ok(Credential::Key(token)) => {
            return spend(config, terms, offer, |credits| by_key(config, credits, terms, token));
        }
        Ok(Credential::SignIn(header)) => {
            return spend(config, terms, offer, |credits| by_wallet(credits, terms, facts, header));
        }
        Err(problem) => Err(problem),
    };
    let payment = match payment {
        Ok(payment) => payment,
        Err(problem) => return offer.refuse(problem),
    };
    if terms.identifier == Identifier::Required && payment.identifier.is_none() {
        return offer.refuse(Code::IdentifierRequired.into());
    }
    let binding = binding(facts, path);
    let charge = |requirement: &'a Requirement, standing, offer, payment: Payment| {
        let identity = identity(requirement, &payment, binding);
        let verify = terms.verify_for(&facts.method);
        Box::new(Charge { terms, requirement, identity, standing, verify, offer, payment })
    };
    match check(config, terms, &payment, facts.now) {
        Ok((requirement, standing)) => Decision::Charge(charge(requirement, standing, offer, payment)),
        // What was right when it was signed may have settled since, and be wrong now: by time, or by a new price.
        Err(problem) => match may_have_been_right(config, terms, &payment, &problem) {
            Some((requirement, standing)) => {
                let challenge = Box::new(offer.challenge(problem));
                Decision::Doubt(challenge, charge(requirement, standing, offer, payment))
            }
            None => offer.refuse(problem),
        },
    }
}

/// A longer query, which is the caller's to size, is told in no challenge; a shorter one gives way where the header would
/// be longer than [`crate::x402::challenge::LONGEST_HEADER`].
const LONGEST_QUERY: usize = 2_048;
/// Of `Link`, whose paths are the operator's.
const LONGEST_LINKS: usize = 1_024;

fn resource(config: &Config, terms: &Terms, facts: &Facts, path: &CanonicalPath) -> Resource {
    let discovery = &config.discovery;
    let method = advertised_method(config, terms, &facts.method, path);
    let (url, bazaar) = match (&facts.tool, &facts.query) {
        // As x402's transport over MCP names a tool.
        (Some(tool), _) => {
            (format!("mcp://tool/{}", escaped(tool)), bazaar::of_tool(&terms.about, tool, &terms.description))
        }
        (None, query) => {
            let query = query.as_ref().filter(|query| query.len() <= LONGEST_QUERY);
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            (format!("{}{}{query}", facts.base, facts.path), bazaar::of_call(&terms.about, method))
        }
    };
    // A catalogue lists what says how it is found.
    let bazaar = bazaar.filter(|_| terms.listed);
    Resource {
        url,
        description: terms.description.clone(),
        mime_type: terms.mime_type.clone(),
        service_name: (!discovery.name.is_empty()).then(|| discovery.name.clone()),
        tags: discovery.tags.clone(),
        icon_url: discovery.icon_url.clone(),
        output_schema: if facts.tool.is_none() && terms.listed {
            bazaar::output_schema(&terms.about, method)
        } else {
            None
        },
        bazaar,
    }
}

/// The method that a description of the call names. Catalogues probe by GET: of a route that takes a body and leaves the method
/// open they would hear of a call without one.
fn advertised_method<'f>(config: &Config, terms: &Terms, asked: &'f str, path: &CanonicalPath) -> &'f str {
    let takes_body = terms.about.input.as_ref().is_some_and(|input| input.body.is_some());
    if !takes_body || bazaar::WITH_BODY.contains(&asked) {
        return asked;
    }
    let found = |method: &str| config.route(method, path).ok().flatten();
    match found(asked) {
        Some(route) if route.pattern.method().is_none() => {
            let leads_here = |method: &&&str| found(method).is_some_and(|other| std::ptr::eq(other, route));
            bazaar::WITH_BODY.iter().find(leads_here).copied().unwrap_or(asked)
        }
        _ => asked,
    }
}

const fn identity(requirement: &Requirement, payment: &Payment, binding: B256) -> Identity {
    Identity {
        network: requirement.asset.network,
        asset: requirement.asset.address,
        payer: payment.authorization.from,
        nonce: payment.authorization.nonce,
        binding,
    }
}

/// What the signature does not cover and the claim does: EIP-3009 signs neither method nor resource, so one header would
/// be good on every equally priced route. HEAD is bound apart from GET, though priced as it.
///
/// A top-up is bound to its account as well: its payment is public once it is settled, and would else fill another's.
fn binding(facts: &Facts, path: &CanonicalPath) -> B256 {
    let account = facts.tops_up.as_ref().map(|account| format!("\n{account}")).unwrap_or_default();
    // All tools of a server have one path. A line break is in no path, query or account.
    let tool = facts.tool.as_ref().map(|tool| format!("\n\n{tool}")).unwrap_or_default();
    bound(&facts.method, path, facts.query.as_deref(), &format!("{account}{tool}"))
}

fn bound(method: &str, path: &CanonicalPath, query: Option<&str>, more: &str) -> B256 {
    let query = query.map_or_else(|| "-".to_owned(), |query| format!("?{query}"));
    keccak256(format!("{method}\n{}\n{query}{more}", path.as_str()))
}

#[cfg(test)]
mod tests;
