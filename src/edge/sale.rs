//! What a paid call is made of, and how it claims its payment.

use super::claims::{Claimed, Ledger, NoClaim, key};
use super::goods::Goods;
use super::replay::Content;
use super::{log, now, respond};
use crate::config::{Config, Facilitator, Settle, Verify};
use crate::gate::Charge;
use crate::http::problem::Problem;
use crate::ledger::messages::{Claim, Identified, Mode};
use serde_json::json;
use web_sys::Response;
use worker::{Context, Env, Result};

/// Seconds that a claim outlives the origin's time-out by.
pub(super) const LEASE_SLACK_SECONDS: u32 = 10;

/// Everything a paid call needs.
pub(super) struct Sale<'a> {
    pub(super) config: &'a Config,
    pub(super) charge: &'a Charge<'a>,
    pub(super) goods: Goods<'a>,
    /// Those that may settle it, in the operator's order.
    pub(super) facilitators: Vec<&'a Facilitator>,
    /// The client's id for the payment, with what it stands for.
    pub(super) identified: Option<Identified>,
    /// What the request holds beside method, path and query.
    pub(super) content: Content,
    pub(super) env: &'a Env,
    pub(super) context: &'a Context,
    pub(super) route: &'a str,
}

impl Sale<'_> {
    /// Asks the books for the payment, for this request.
    pub(super) async fn claim(
        &self,
        settle_request: String,
        only_what_is_owed: bool,
    ) -> std::result::Result<Claimed, NoClaim> {
        let (authorization, requirement) = (&self.charge.payment.authorization, self.charge.requirement);
        let at = now();
        let mode = match (&self.goods, self.charge.terms.settle) {
            (Goods::Debt(_), _) => Mode::Debt,
            (_, Settle::After) => Mode::After,
            (_, Settle::Before) => Mode::Before,
            (_, Settle::Deferred) => {
                let most =
                    self.charge.terms.max_exposure.and_then(|most| most.in_units_of(requirement.asset.decimals).ok());
                // The configuration has refused what cannot be counted: without a bound nothing is deferred.
                Mode::Deferred { max_exposure: most.map_or_else(|| "0".to_owned(), |most| most.to_string()) }
            }
        };
        let claim = Claim {
            key: key(&self.charge.identity),
            network: self.charge.identity.network.to_string(),
            payer: self.charge.identity.payer.to_checksum(None),
            pay_to: requirement.pay_to.to_checksum(None),
            binding: self.charge.identity.binding.to_string(),
            content: self.content.stored(),
            mode,
            identified: self.identified.clone(),
            now: at,
            lease_until: at.saturating_add(u64::from(self.lease_seconds())),
            // The gate has refused what lies far ahead.
            valid_before: authorization.valid_before.saturating_to(),
            value: authorization.value.to_string(),
            facilitator: self.facilitators.first().map(|facilitator| facilitator.url.clone()).unwrap_or_default(),
            settle_request,
            only_what_is_owed,
            purchase: match &self.goods {
                Goods::Package(purchase) => Some(purchase.claimed(self.charge)),
                Goods::Call(_) | Goods::Debt(_) => None,
            },
        };
        Ledger::of(self.env, &self.charge.identity).claim(claim).await
    }

    pub(super) fn lease_seconds(&self) -> u32 {
        let verify_seconds = match self.charge.verify {
            Verify::Facilitator => {
                self.longest_call().saturating_mul(u32::try_from(self.facilitators.len()).unwrap_or(1))
            }
            Verify::Local => 0,
        };
        self.charge.terms.timeout_seconds.saturating_add(LEASE_SLACK_SECONDS).saturating_add(verify_seconds)
    }

    fn longest_call(&self) -> u32 {
        self.facilitators.iter().map(|facilitator| facilitator.timeout_seconds).max().unwrap_or_default()
    }

    pub(super) fn refuse(&self, problem: Problem, lines: respond::Lines) -> Result<Response> {
        self.note("refuse", &json!({ "code": problem.code.as_str(), "detail": problem.detail }));
        if problem.code.status() == 402 {
            respond::challenge(&self.charge.offer.challenge(problem), lines)
        } else {
            respond::problem(&problem, lines)
        }
    }

    pub(super) fn note(&self, what: &str, details: &serde_json::Value) {
        let payer = self.charge.payment.authorization.from.to_checksum(None);
        let amount = self.charge.requirement.amount.to_string();
        log::decision(what, self.route, &json!({ "payer": payer, "amount": amount, "outcome": details }));
    }
}
