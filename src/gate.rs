//! What a request owes and how it pays: [`Facts`] in, one [`Decision`] out. Nothing here does I/O, and nothing outside
//! decides a price.
//!
//! The order of the checks is that of `design.md` section 2, cheapest first: a stranger's garbage costs a comparison, not
//! a signature recovery, and never a call to anybody.

use crate::config::{ChallengeBody, Config, Route, SETTLE_MARGIN_SECONDS, Settle, Terms, Unrouted, Verify};
use crate::evm::recover::recover;
use crate::evm::{B256, U256};
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
    /// It pays with this payment.
    Charge(Box<Charge<'a>>),
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
    /// What is sold.
    pub resource: Resource,
    /// What the claim is bound to: method, path and query. A second use for anything else is refused.
    pub binding: B256,
    /// What is known of its signature.
    pub standing: Standing,
    /// What runs before the origin.
    pub verify: Verify,
    style: ChallengeBody,
    facilitator_url: &'a str,
}

impl Charge<'_> {
    /// A fresh challenge for the same thing, for a payment that is known not to have moved money.
    #[must_use]
    pub fn challenge(&self, problem: Problem) -> Challenge {
        challenge(&self.terms.requirements, &self.resource, self.style, self.facilitator_url, problem)
    }
}

/// Decides.
#[must_use]
pub fn decide<'a>(config: &'a Config, facts: &Facts) -> Decision<'a> {
    let path = match CanonicalPath::new(&facts.path) {
        Ok(path) => path,
        Err(error) => return Decision::Refuse(Problem::new(Code::PathNotCanonical, error.to_string())),
    };
    let method = facts.preflight_for.as_deref().unwrap_or(&facts.method);
    let terms = match config.route(method, &path) {
        Err(_) => {
            return Decision::Refuse(Problem::new(
                Code::PathNotCanonical,
                "`;` parameters, or dots or spaces at the end of a name, decide the path's price",
            ));
        }
        Ok(None) if config.unrouted == Unrouted::Deny => return Decision::Refuse(Code::NoSuchRoute.into()),
        Ok(None | Some(Route { terms: None, .. })) => return Decision::PassThrough,
        Ok(Some(Route { terms: Some(terms), .. })) => terms,
    };
    if facts.preflight_for.is_some() {
        return Decision::Preflight;
    }
    let resource = Resource {
        url: match &facts.query {
            Some(query) => format!("{}{}?{query}", facts.base, path.as_str()),
            None => format!("{}{}", facts.base, path.as_str()),
        },
        description: terms.description.clone(),
        mime_type: terms.mime_type.clone(),
    };
    let facilitator_url = config.facilitators.first().map_or("", |f| f.url.as_str());
    let refused = |problem: Problem, resource: &Resource| {
        if problem.code.status() == 402 {
            let challenge = challenge(&terms.requirements, resource, config.challenge_body, facilitator_url, problem);
            Decision::Challenge(Box::new(challenge))
        } else {
            Decision::Refuse(problem)
        }
    };
    let payment = match credential(config, facts) {
        Ok(Some((carrier, header))) => Payment::decode(carrier, header),
        Ok(None) => Err(Code::PaymentRequired.into()),
        Err(problem) => Err(problem),
    };
    let checked = payment.and_then(|payment| {
        let requirement = requirement(terms, &payment)?;
        check_fields(requirement, &payment)?;
        check_window(terms, requirement, &payment, facts.now)?;
        let standing = check_signature(config, requirement, &payment)?;
        Ok((payment, requirement, standing))
    });
    match checked {
        Err(problem) => refused(problem, &resource),
        Ok((payment, requirement, standing)) => Decision::Charge(Box::new(Charge {
            terms,
            requirement,
            payment,
            binding: binding(&facts.method, &path, facts.query.as_deref()),
            resource,
            standing,
            verify: terms.verify_for(&facts.method),
            style: config.challenge_body,
            facilitator_url,
        })),
    }
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
        // These dialects name no asset. Where a network offers several, the recipient and the value are the same for
        // all, and only the right one's domain lets the signature recover to the payer.
        Choice::Network(network) => {
            let offered: Vec<_> = terms.requirements.iter().filter(|r| Some(r.asset.network) == *network).collect();
            let signed_for = if offered.len() > 1 { offered.iter().find(|r| recovers(r, payment)) } else { None };
            signed_for
                .or_else(|| offered.first())
                .copied()
                .ok_or_else(|| Problem::new(Code::WrongNetwork, "`network` is not one that this route offers"))
        }
    }
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
