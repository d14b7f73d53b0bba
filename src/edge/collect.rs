//! The alarm's work on one open settlement: look at the chain where there is one to look at, ask `/verify` where nothing of
//! what was sent can land any more, send the settlement again, and say what that means. What it means is [`crate::ledger::outcome`]'s to say.

use super::facilitator::{Attempt, candidates, reachable, second_opinion, settle};
use super::rpc::prove;
use super::{environment, log, now};
use crate::config::{Area, Config, Facilitator};
use crate::evm::Address;
use crate::evm::network::Network;
use crate::evm::proof::{CLOCK_TOLERANCE_SECONDS, Proof, Question};
use crate::ledger::authorization::{Event, State};
use crate::ledger::books::Outstanding;
use crate::ledger::calls::{A_CALL, Calls};
use crate::ledger::outcome::{
    CLOCK_SECONDS, Open, Shown, Step, after_attempt, after_attempt_elsewhere, after_look, asks_first, still_lost,
};
use crate::x402::facilitator::Expected;
use crate::x402::second_opinion::before_sending;
use crate::x402::supported::Support;
use serde_json::Value;
use std::cell::Cell;
use worker::Env;

/// What was found out.
pub(super) struct Resolved {
    pub(super) event: Event,
    /// Whether an earlier attempt's end is still unknown.
    pub(super) lost: bool,
}

/// The most calls that [`resolve`] makes.
pub(super) fn most_calls(env: &Env, outstanding: &Outstanding) -> u32 {
    let resolved = environment::config(env);
    let Ok(config) = resolved.as_ref() else { return 0 };
    let provable = expected(outstanding).is_some_and(|expected| config.rpc(expected.network).is_some());
    Calls::most(provable, config.facilitators.len())
}

/// What has become of it, and how many calls that took; nothing when this Worker cannot ask, and the books' own time brings
/// it up again.
pub(super) async fn resolve(env: &Env, outstanding: &Outstanding) -> (Option<Resolved>, u32) {
    let made = Cell::new(0);
    let resolved = found_out(env, outstanding, &made).await;
    (resolved, made.get())
}

async fn found_out(env: &Env, outstanding: &Outstanding, made: &Cell<u32>) -> Option<Resolved> {
    let resolved = environment::config(env);
    // Without the facilitator or the node that was meant, no settlement is judged.
    let config = resolved.as_ref().as_ref().ok().filter(|config| !config.is_closed(Area::Sales))?;
    let Some(expected) = expected(outstanding) else {
        log::failure("resolve", &format!("the settlement of nonce {} cannot be read", outstanding.key.nonce));
        return None;
    };
    let open = outstanding.open;
    let provable = config.rpc(expected.network).is_some();
    let over = now() > open.valid_before.saturating_add(CLOCK_SECONDS);
    // Whatever is unknown may have been used; what is due and was never sent has not.
    let doubtful = open.lost || open.state == State::Unknown;
    let shown =
        if provable && (doubtful || over) { look(config, outstanding, expected, made).await } else { Shown::Nothing };
    let found = |event| Some(Resolved { event, lost: open.lost });
    match after_look(&open, shown, provable, now()) {
        Step::Record(event) => found(event),
        Step::Wait(again_at) => {
            let reason = "the chain could not be asked".to_owned();
            found(Event::LostTrack { reason, transaction: None, again_at, lost: false })
        }
        Step::Send => {
            let facilitator = whom(config, outstanding, expected).await?;
            let count = |calls: u32| made.set(made.get().saturating_add(calls));
            count(Calls::probes(config.facilitators.len()));
            let request = &outstanding.settle_request;
            if asks_first(&open) {
                count(A_CALL);
                if let Some(outcome) = before_sending(second_opinion(facilitator, request, expected).await) {
                    return found(after_attempt(&open, &outcome, provable, now()));
                }
            }
            let Attempt { outcome, lost, failed } = settle(facilitator, request, expected).await;
            count(Calls::sent(lost));
            let lost_before = still_lost(&open, outstanding.transaction.as_deref(), failed.as_deref());
            let open = Open { lost: lost_before || lost, ..open };
            let asked_before = outstanding.facilitator == facilitator.url || !open.lost;
            let read = if asked_before { after_attempt } else { after_attempt_elsewhere };
            Some(Resolved { event: read(&open, &outcome, provable, now()), lost: open.lost })
        }
    }
}

/// What the chain shows, where there is a node to ask.
async fn look(config: &Config, outstanding: &Outstanding, expected: Expected, made: &Cell<u32>) -> Shown {
    let (Some(node), Some(question)) = (config.rpc(expected.network), question(outstanding, expected)) else {
        return Shown::Nothing;
    };
    match prove(node, question, made).await {
        Ok(Proof::Settled { transaction }) => Shown::Settled(transaction),
        Ok(Proof::SpentBefore { .. }) => Shown::SpentBefore,
        Ok(Proof::Void { reason }) => Shown::Void(reason.to_owned()),
        Ok(Proof::Expired) => Shown::Expired,
        Ok(Proof::Unused) => Shown::Unused,
        Err(reason) => {
            log::failure("prove", &reason);
            Shown::Nothing
        }
    }
}

/// All of it from what is sent, but for the times: those are ours.
fn question(outstanding: &Outstanding, expected: Expected) -> Option<Question> {
    let request: Value = serde_json::from_str(&outstanding.settle_request).ok()?;
    let signed = |name: &str| request.pointer("/paymentPayload/payload/authorization")?.get(name)?.as_str();
    Some(Question {
        network: expected.network,
        asset: outstanding.key.asset.parse().ok()?,
        payer: expected.payer,
        nonce: outstanding.key.nonce.parse().ok()?,
        pay_to: signed("to")?.parse().ok()?,
        value: signed("value")?.parse().ok()?,
        valid_before: outstanding.open.valid_before,
        // After no lost attempt of ours, a use is ours only if it is later than our claim without any tolerance: what was
        // used a moment before was used elsewhere.
        claimed_at: if outstanding.open.lost {
            outstanding.claimed_at
        } else {
            outstanding.claimed_at.saturating_add(CLOCK_TOLERANCE_SECONDS)
        },
        transaction: outstanding.transaction.clone(),
    })
}

/// To whom it was sent before, if that one is still configured and can be reached; else the next.
async fn whom<'a>(config: &'a Config, outstanding: &Outstanding, expected: Expected) -> Option<&'a Facilitator> {
    let mut order: Vec<&Facilitator> = candidates(config, &Support::default(), 2, expected.network);
    order.sort_by_key(|facilitator| facilitator.url != outstanding.facilitator);
    reachable(&order).await
}

/// Who pays, and where: read from what is sent, so that what the answer is compared with is what was asked.
fn expected(outstanding: &Outstanding) -> Option<Expected> {
    let request: Value = serde_json::from_str(&outstanding.settle_request).ok()?;
    let payer = request.pointer("/paymentPayload/payload/authorization/from")?.as_str()?;
    let network = request.pointer("/paymentRequirements/network")?.as_str()?;
    Some(Expected {
        payer: payer.parse::<Address>().ok()?,
        network: network.parse().ok().or_else(|| Network::from_v1_name(network))?,
    })
}
