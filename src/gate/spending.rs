//! Calls that are paid for with prepaid credits.

use super::{Decision, Facts, Offered, Spend, Spender};
use crate::config::{Area, Config, Credits, Terms};
use crate::credits::key::Key;
use crate::http::problem::{Code, Problem};
use crate::x402::siwx::{self, Nonces, Scope, SignIn};
use serde_json::Value;

/// Decides about a key or a sign-in, where the route takes credits.
pub(super) fn spend<'a>(
    config: &'a Config,
    terms: &'a Terms,
    offer: Offered<'a>,
    by: impl FnOnce(&Credits) -> Result<Spender, Problem>,
) -> Decision<'a> {
    if config.is_closed(Area::Credits) {
        return Decision::Refuse(Code::NotConfigured.into());
    }
    let (Some(known), Some(credits)) = (&config.credits, terms.credits) else {
        return Decision::Refuse(Code::CredentialNotSupported.into());
    };
    match by(known) {
        Ok(by) => Decision::Spend(Box::new(Spend { terms, credits, by, offer })),
        Err(problem) => offer.refuse(problem),
    }
}

/// A key dies here if it is none: no Durable Object is asked about it.
pub(super) fn by_key(config: &Config, credits: &Credits, terms: &Terms, token: &str) -> Result<Spender, Problem> {
    let key: Key = credits.keys(&config.key_prefix).read(token).ok_or(Problem::from(Code::KeyUnknown))?;
    if key.live || takes_test_money(terms) { Ok(Spender::Key(key)) } else { Err(Code::KeyOfAnotherKind.into()) }
}

pub(super) fn by_wallet(credits: &Credits, terms: &Terms, facts: &Facts, header: &str) -> Result<Spender, Problem> {
    signed_in(credits, &chains(terms), facts, header).map(Spender::Wallet)
}

/// The wallet that has signed for this very request.
///
/// # Errors
/// [`Code::SignInInvalid`], with the reason's own code.
pub fn signed_in(credits: &Credits, chains: &[u64], facts: &Facts, header: &str) -> Result<SignIn, Problem> {
    let target = facts.target();
    let scope = Scope { base: &facts.base, method: &facts.method, target: &target, chains };
    let (current, previous) = secrets(credits);
    let secrets = [current, previous];
    siwx::verify(header, &scope, &Nonces::new(&secrets), facts.now)
        .map_err(|error| Problem::new(Code::SignInInvalid, format!("{}: {error}", error.as_str())))
}

/// What a challenge says of signing in; nothing where no credits are taken.
pub(super) fn sign_in(config: &Config, terms: &Terms, facts: &Facts) -> Option<Value> {
    terms.credits?;
    Some(advertised(config.credits.as_ref()?, &chains(terms), facts))
}

/// The extension for this very request.
#[must_use]
pub fn advertised(credits: &Credits, chains: &[u64], facts: &Facts) -> Value {
    let target = facts.target();
    let scope = Scope { base: &facts.base, method: &facts.method, target: &target, chains };
    let (current, previous) = secrets(credits);
    let secrets = [current, previous];
    siwx::advertised(&scope, &Nonces::new(&secrets), facts.now, facts.random)
}

/// Both secrets; the current one twice where there is no other.
fn secrets(credits: &Credits) -> (&[u8], &[u8]) {
    let current = credits.secret.expose().as_bytes();
    (current, credits.previous.as_ref().map_or(current, |previous| previous.expose().as_bytes()))
}

/// The chains on which a route can be paid.
#[must_use]
pub fn chains(terms: &Terms) -> Vec<u64> {
    let mut chains: Vec<u64> = terms.requirements.iter().map(|r| r.asset.network.chain_id()).collect();
    chains.dedup();
    chains
}

/// Whether a call can be paid in money that is worth nothing: then a key that such money has bought buys it, too.
#[must_use]
pub fn takes_test_money(terms: &Terms) -> bool {
    terms.requirements.iter().any(|requirement| !requirement.asset.network.is_live())
}
