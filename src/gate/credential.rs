//! The one way in which a request pays.

use super::Facts;
use crate::config::Config;
use crate::credits::key::claims_to_be_key;
use crate::http::problem::{Code, Problem};
use crate::x402::payment::Carrier;

/// How a request pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// Not at all: it is told the price.
    None,
    /// By a payment header.
    Payment(Carrier, &'a str),
    /// By a bearer token that claims to be one of our keys.
    Key(&'a str),
    /// By a wallet's sign-in.
    SignIn(&'a str),
}

/// The one way in which a request pays. Two at once is a 400: whichever was chosen, the other would be a way around it.
/// Only a top-up has two, and its key names an account and pays nothing.
pub(super) fn credential<'a>(config: &Config, facts: &'a Facts) -> Result<Credential<'a>, Problem> {
    // A sign-in signs for one URL, and a tool's call has none of its own.
    if facts.tool.is_some() && facts.sign_in.is_some() {
        return Err(Code::CredentialNotSupported.into());
    }
    let key = match facts.tops_up {
        Some(_) => None,
        None => our_key(facts.authorization.as_deref(), &config.key_prefix),
    };
    let v2 = facts.payment_signature.as_deref().map(|header| Credential::Payment(Carrier::PaymentSignature, header));
    let v1 = facts.x_payment.as_deref().map(|header| Credential::Payment(Carrier::XPayment, header));
    let sent = [v2, v1, key.map(Credential::Key), facts.sign_in.as_deref().map(Credential::SignIn)];
    let mut sent = sent.into_iter().flatten();
    match (sent.next(), sent.next()) {
        (_, Some(_)) => Err(Code::SeveralCredentials.into()),
        (one, None) => Ok(one.unwrap_or(Credential::None)),
    }
}

/// Whether a key of ours stands anywhere in an `Authorization`, however oddly: what is no key to us in that dress is money to
/// whoever reads it.
#[must_use]
pub fn holds_our_key(authorization: &str, prefix: &str) -> bool {
    our_key(Some(authorization), prefix).is_some()
        || ["live", "test"].iter().any(|kind| authorization.contains(&format!("{prefix}_{kind}_")))
}

/// A bearer token is ours if it begins with our prefix; any other `Authorization` is the origin's, and passes.
#[must_use]
pub fn our_key<'a>(authorization: Option<&'a str>, prefix: &str) -> Option<&'a str> {
    let (scheme, token) = authorization?.trim_start().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && claims_to_be_key(token, prefix)).then_some(token)
}
