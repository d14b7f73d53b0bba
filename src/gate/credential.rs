//! The one way in which a request pays.

use super::Facts;
use crate::config::Config;
use crate::http::problem::{Code, Problem};
use crate::x402::payment::Carrier;

/// The one way in which a request pays. Two at once is a 400: whichever was chosen, the other would be a way around it.
pub(super) fn credential<'a>(config: &Config, facts: &'a Facts) -> Result<Option<(Carrier, &'a str)>, Problem> {
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
