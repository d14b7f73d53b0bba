//! Every check of a payment that needs nobody else, cheapest first.

use super::Standing;
use crate::config::{Config, SETTLE_MARGIN_SECONDS, Settle, Terms};
use crate::evm::U256;
use crate::evm::network::Network;
use crate::evm::recover::recover;
use crate::http::problem::{Code, Problem};
use crate::x402::payment::{Choice, Payment};
use crate::x402::requirement::{Requirement, match_accepted};

/// Every check that needs nobody else, cheapest first.
pub(super) fn check<'a>(
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

/// For a payment that fails by what changes (time, price, recipient): our requirement on its network and in its asset, if
/// its signature may be its payer's. Garbage is not worth a look into the books.
pub(super) fn may_have_been_right<'a>(
    config: &Config,
    terms: &'a Terms,
    payment: &Payment,
    problem: &Problem,
) -> Option<(&'a Requirement, Standing)> {
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
    requirement.and_then(|requirement| Some((requirement, check_signature(config, requirement, payment).ok()?)))
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
/// The same of what is answered before it is settled: as long as it is valid, a wallet that has been emptied is asked again.
const MOST_AHEAD_DEFERRED_SECONDS: u64 = 3_600;

fn check_window(terms: &Terms, requirement: &Requirement, payment: &Payment, now: u64) -> Result<(), Problem> {
    let authorization = &payment.authorization;
    let origin = match terms.settle {
        Settle::After | Settle::Deferred => terms.timeout_seconds,
        Settle::Before => 0,
    };
    let needed = u64::from(origin.saturating_add(SETTLE_MARGIN_SECONDS));
    let ahead = if terms.settle == Settle::Deferred { MOST_AHEAD_DEFERRED_SECONDS } else { MOST_AHEAD_SECONDS };
    let most = now.saturating_add(u64::from(requirement.max_timeout_seconds)).saturating_add(ahead);
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
