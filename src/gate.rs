//! What a request owes and how it pays: [`Facts`] in, one [`Decision`] out. Nothing here does I/O, and nothing outside
//! decides a price.
//!
//! The order of the checks is that of `design.md` section 2, cheapest first: a stranger's garbage costs a comparison, not
//! a signature recovery, and never a call to anybody.

use crate::config::{Config, SETTLE_MARGIN_SECONDS, Settle, Terms, Unrouted, Verify};
use crate::evm::network::Network;
use crate::evm::recover::recover;
use crate::evm::{Address, B256, U256};
use crate::http::path::CanonicalPath;
use crate::http::problem::{Code, Problem};
use crate::x402::challenge::{Challenge, challenge};
use crate::x402::payment::{Carrier, Choice, Payment};
use crate::x402::requirement::{Requirement, Resource, match_accepted};
use alloy_primitives::keccak256;

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
    /// Whether `SIGN-IN-WITH-X` was sent.
    pub sign_in: bool,
    /// `Authorization`.
    pub authorization: Option<String>,
    /// `Access-Control-Request-Method`, when the request is a CORS preflight.
    pub preflight_for: Option<String>,
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
    Doubt(Box<Challenge>, Identity),
    /// It pays with this payment.
    Charge(Box<Charge<'a>>),
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

/// What is sold, on which terms.
#[derive(Debug)]
pub struct Offered<'a> {
    config: &'a Config,
    terms: &'a Terms,
    /// As the challenge describes it.
    pub resource: Resource,
}

impl<'a> Offered<'a> {
    /// Its price, and why it is told.
    #[must_use]
    pub fn challenge(&self, problem: Problem) -> Challenge {
        let facilitator = self.config.facilitators.first().map_or("", |facilitator| facilitator.url.as_str());
        challenge(&self.terms.requirements, &self.resource, self.config.challenge_body, facilitator, problem)
    }

    fn refuse(&self, problem: Problem) -> Decision<'a> {
        if problem.code.status() == 402 {
            Decision::Challenge(Box::new(self.challenge(problem)))
        } else {
            Decision::Refuse(problem)
        }
    }
}

/// Decides.
#[must_use]
pub fn decide<'a>(config: &'a Config, facts: &Facts) -> Decision<'a> {
    let path = match CanonicalPath::new(&facts.path) {
        Ok(path) => path,
        Err(error) => return Decision::Refuse(Problem::new(Code::PathNotCanonical, error.to_string())),
    };
    // An origin that answers TRACE echoes what it got, our secret with it.
    if matches!(facts.method.as_str(), "TRACE" | "CONNECT" | "TRACK") {
        return Decision::Refuse(Code::MethodForbidden.into());
    }
    let terms = match terms(config, &facts.method, &path) {
        Ok(terms) => terms,
        // OPTIONS need not be a route for a browser to ask about another method.
        Err(problem) if problem.code == Code::NoSuchRoute && facts.preflight_for.is_some() => None,
        Err(problem) => return Decision::Refuse(problem),
    };
    if let Some(method) = &facts.preflight_for {
        // Free where either is priced: what the browser asks about, or OPTIONS itself. It never reaches the origin then,
        // or naming a free method would be a way around the price of OPTIONS.
        return match self::terms(config, method, &path) {
            Err(problem) => Decision::Refuse(problem),
            Ok(None) if terms.is_none() => Decision::PassThrough,
            Ok(_) => Decision::Preflight,
        };
    }
    match terms {
        None => Decision::PassThrough,
        Some(terms) => priced(config, terms, facts, &path),
    }
}

/// The terms of the route that a request falls under; `None` where it is free.
fn terms<'a>(config: &'a Config, method: &str, path: &CanonicalPath) -> Result<Option<&'a Terms>, Problem> {
    match config.route(method, path) {
        Err(_) => Err(Problem::new(
            Code::PathNotCanonical,
            "escapes, `;` parameters, or dots or spaces at the end of a name decide the path's price",
        )),
        Ok(None) if config.unrouted == Unrouted::Deny => Err(Code::NoSuchRoute.into()),
        Ok(route) => Ok(route.and_then(|route| route.terms.as_ref())),
    }
}

fn priced<'a>(config: &'a Config, terms: &'a Terms, facts: &Facts, path: &CanonicalPath) -> Decision<'a> {
    let offer = Offered {
        config,
        terms,
        resource: Resource {
            url: resource_url(facts),
            description: terms.description.clone(),
            mime_type: terms.mime_type.clone(),
        },
    };
    let payment = match credential(config, facts) {
        Ok(Some((carrier, header))) => Payment::decode(carrier, header),
        Ok(None) => Err(Code::PaymentRequired.into()),
        Err(problem) => Err(problem),
    };
    let payment = match payment {
        Ok(payment) => payment,
        Err(problem) => return offer.refuse(problem),
    };
    let binding = binding(&facts.method, path, facts.query.as_deref());
    match check(config, terms, &payment, facts.now) {
        Ok((requirement, standing)) => Decision::Charge(Box::new(Charge {
            terms,
            requirement,
            identity: identity(requirement, &payment, binding),
            standing,
            verify: terms.verify_for(&facts.method),
            offer,
            payment,
        })),
        // What was right when it was signed may have settled since, and be wrong now: by time, or by a new price.
        Err(problem) => match may_have_been_right(config, terms, &payment, &problem) {
            Some(requirement) => {
                Decision::Doubt(Box::new(offer.challenge(problem)), identity(requirement, &payment, binding))
            }
            None => offer.refuse(problem),
        },
    }
}

/// A challenge longer than clients read is none: Node stops at 16 KB of headers, and the query is the caller's to size.
const LONGEST_QUERY: usize = 2_048;

fn resource_url(facts: &Facts) -> String {
    match &facts.query {
        Some(query) if query.len() <= LONGEST_QUERY => format!("{}{}?{query}", facts.base, facts.path),
        _ => format!("{}{}", facts.base, facts.path),
    }
}

/// Every check that needs nobody else, cheapest first.
fn check<'a>(
    config: &Config,
    terms: &'a Terms,
    payment: &Payment,
    now: u64,
) -> Result<(&'a Requirement, Standing), Problem> {
    let requirement = requirement(terms, payment)?;
    check_fields(requirement, payment)?;
    check_window(terms, requirement, payment, now)?;
    let standing = check_signature(config, requirement, payment)?;
    Ok((requirement, standing))
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

/// For a payment that fails by what changes (time, price, recipient): our requirement on its network and in its asset, if
/// its signature may be its payer's. Garbage is not worth a look into the books.
fn may_have_been_right<'a>(
    config: &Config,
    terms: &'a Terms,
    payment: &Payment,
    problem: &Problem,
) -> Option<&'a Requirement> {
    let changes = matches!(
        problem.code,
        Code::WrongAmount
            | Code::WrongRecipient
            | Code::AcceptedMismatch
            | Code::AuthorizationExpired
            | Code::AuthorizationExpiresTooSoon
            | Code::AuthorizationNotYetValid
            | Code::AuthorizationValidTooLong
    );
    let requirement = match &payment.choice {
        _ if !changes => None,
        Choice::Network(network) => on_network(terms, payment, *network),
        Choice::Accepted(accepted) => {
            let is = |key: &str, own: String| {
                accepted
                    .get(key)
                    .and_then(serde_json::Value::as_str)
                    .is_some_and(|text| text.eq_ignore_ascii_case(&own))
            };
            terms.requirements.iter().find(|requirement| {
                is("network", requirement.asset.network.to_string())
                    && is("asset", requirement.asset.address.to_string())
            })
        }
    };
    requirement.filter(|requirement| check_signature(config, requirement, payment).is_ok())
}

/// The one way in which a request pays. Two at once is a 400: whichever was chosen, the other would be a way around it.
fn credential<'a>(config: &Config, facts: &'a Facts) -> Result<Option<(Carrier, &'a str)>, Problem> {
    let our_key = facts.authorization.as_deref().is_some_and(|value| is_our_key(value, &config.key_prefix));
    let sent = [facts.payment_signature.is_some(), facts.x_payment.is_some(), facts.sign_in, our_key];
    if sent.iter().filter(|sent| **sent).count() > 1 {
        return Err(Code::SeveralCredentials.into());
    }
    if facts.sign_in || our_key {
        return Err(Code::CredentialNotSupported.into());
    }
    let v2 = facts.payment_signature.as_deref().map(|header| (Carrier::PaymentSignature, header));
    Ok(v2.or_else(|| facts.x_payment.as_deref().map(|header| (Carrier::XPayment, header))))
}

/// A bearer token is ours if it begins with our prefix; any other `Authorization` is the origin's, and passes.
fn is_our_key(authorization: &str, prefix: &str) -> bool {
    let Some((scheme, token)) = authorization.trim_start().split_once(' ') else { return false };
    scheme.eq_ignore_ascii_case("bearer")
        && token.trim_start().strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'))
}

fn requirement<'a>(terms: &'a Terms, payment: &Payment) -> Result<&'a Requirement, Problem> {
    match &payment.choice {
        Choice::Accepted(accepted) => match_accepted(&terms.requirements, accepted),
        Choice::Network(network) => on_network(terms, payment, *network)
            .ok_or_else(|| Problem::new(Code::WrongNetwork, "`network` is not one that this route offers")),
    }
}

/// For the dialects that name no asset. Where a network offers several, the recipient and the value are the same for all,
/// and only the right one's domain lets the signature recover to the payer.
fn on_network<'a>(terms: &'a Terms, payment: &Payment, network: Option<Network>) -> Option<&'a Requirement> {
    let offered: Vec<_> = terms.requirements.iter().filter(|r| Some(r.asset.network) == network).collect();
    let signed_for = if offered.len() > 1 { offered.iter().find(|r| recovers(r, payment)) } else { None };
    signed_for.or_else(|| offered.first()).copied()
}

fn recovers(requirement: &Requirement, payment: &Payment) -> bool {
    let digest = payment.authorization.digest(&requirement.asset.domain());
    payment.ecdsa_signature().and_then(|s| recover(digest, s).ok()) == Some(payment.authorization.from)
}

fn check_fields(requirement: &Requirement, payment: &Payment) -> Result<(), Problem> {
    let authorization = &payment.authorization;
    if authorization.to != requirement.pay_to {
        return Err(Problem::new(Code::WrongRecipient, "`authorization.to` is not `payTo`"));
    }
    if authorization.value != U256::from(requirement.amount.atomic()) {
        return Err(Problem::new(
            Code::WrongAmount,
            format!("`authorization.value` is {}, the price is {}", authorization.value, requirement.amount),
        ));
    }
    Ok(())
}

/// Beyond what clients ask for, this is how far ahead `validBefore` may lie: a claim is remembered until then.
const MOST_AHEAD_SECONDS: u64 = 86_400;

fn check_window(terms: &Terms, requirement: &Requirement, payment: &Payment, now: u64) -> Result<(), Problem> {
    let authorization = &payment.authorization;
    let origin = match terms.settle {
        Settle::After => terms.timeout_seconds,
        Settle::Before => 0,
    };
    let needed = u64::from(origin.saturating_add(SETTLE_MARGIN_SECONDS));
    let most = now.saturating_add(u64::from(requirement.max_timeout_seconds)).saturating_add(MOST_AHEAD_SECONDS);
    if authorization.valid_before <= U256::from(now) {
        return Err(Code::AuthorizationExpired.into());
    }
    // The token wants strictly after, and the block that settles comes later than now.
    if authorization.valid_after > U256::from(now) {
        return Err(Code::AuthorizationNotYetValid.into());
    }
    if authorization.valid_before < U256::from(now.saturating_add(needed)) {
        return Err(Problem::new(
            Code::AuthorizationExpiresTooSoon,
            format!("`validBefore` must be at least {needed} seconds from now"),
        ));
    }
    if authorization.valid_before > U256::from(most) {
        return Err(Problem::new(Code::AuthorizationValidTooLong, format!("`validBefore` must not be after {most}")));
    }
    Ok(())
}

fn check_signature(config: &Config, requirement: &Requirement, payment: &Payment) -> Result<Standing, Problem> {
    let undecided = |detail: &str| {
        if config.smart_wallets { Ok(Standing::Undecided) } else { Err(Problem::new(Code::InvalidSignature, detail)) }
    };
    let Some(signature) = payment.ecdsa_signature() else {
        return undecided("it is not 65 bytes long");
    };
    match recover(payment.authorization.digest(&requirement.asset.domain()), signature) {
        Ok(signer) if signer == payment.authorization.from => Ok(Standing::Good),
        Ok(_) => undecided("it was made by another key, or under another EIP-712 domain"),
        Err(error) => Err(Problem::new(Code::InvalidSignature, error.to_string())),
    }
}

/// What the signature does not cover and the claim does: EIP-3009 signs neither method nor resource, so one header would
/// be good on every equally priced route (`anchors.md` 4.1, 2). HEAD is bound apart from GET, though priced as it.
fn binding(method: &str, path: &CanonicalPath, query: Option<&str>) -> B256 {
    let query = query.map_or_else(|| "-".to_owned(), |query| format!("?{query}"));
    keccak256(format!("{method}\n{}\n{query}", path.as_str()))
}

#[cfg(test)]
mod tests;
