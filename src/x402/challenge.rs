//! The 402 itself: `PaymentRequired` in the header (v2) and a body that v1 clients read (section 5.1; `protocol.md` 2.1).

use super::encode_header;
use super::requirement::{Requirement, Resource};
use crate::config::ChallengeBody;
use crate::http::problem::{Code, Problem};
use serde_json::{Map, Value, json};

/// A challenge, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Why; [`Code::PaymentRequired`] when nothing was sent.
    pub problem: Problem,
    /// The value of `PAYMENT-REQUIRED`.
    pub header: String,
    /// The JSON body: the x402 members with the problem's beside them.
    pub body: Value,
    /// Whether there is nothing to choose from: then it is no challenge, and is not sent.
    pub empty: bool,
    /// `Link`: where more is said.
    pub links: Option<String>,
}

/// What a buyer may choose from, by the protocol's version.
#[derive(Clone, Debug, Default)]
pub struct OnOffer<'a> {
    /// For clients that pay by version 1.
    pub v1: Vec<&'a Requirement>,
    /// For all others.
    pub v2: Vec<&'a Requirement>,
}

/// Builds the challenge for what is offered.
#[must_use]
pub fn challenge(
    offered: &OnOffer<'_>,
    resource: &Resource,
    style: ChallengeBody,
    facilitator_url: &str,
    extensions: &Value,
    problem: Problem,
) -> Challenge {
    let error = match problem.code {
        Code::PaymentRequired => "Payment required",
        code => code.as_str(),
    };
    let v2 = json!({
        "x402Version": 2,
        "error": error,
        "resource": resource.to_json(),
        "accepts": offered.v2.iter().map(|r| r.to_v2()).collect::<Vec<_>>(),
        "extensions": extensions,
    });
    let mut body = match style {
        // Entries that v1 has no name for would make the strict client throw before it chooses: they are v2's alone.
        ChallengeBody::V1 => json!({
            "x402Version": 1,
            "error": error,
            "accepts": offered.v1.iter().filter_map(|r| r.to_v1(resource)).collect::<Vec<_>>(),
        }),
        ChallengeBody::V2 => json!({
            "x402Version": 2,
            "error": error,
            "resource": resource.to_json(),
            "accepts": offered.v2.iter().map(|r| r.to_v2_in_body(resource)).collect::<Vec<_>>(),
            "facilitatorUrl": facilitator_url,
        }),
    };
    if let (Value::Object(members), Ok(Value::Object(document))) = (&mut body, serde_json::to_value(problem.document()))
    {
        merge(members, document);
    }
    let empty = offered.v1.is_empty() && offered.v2.is_empty();
    Challenge { problem, header: encode_header(&v2), body, empty, links: None }
}

fn merge(members: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        members.entry(key).or_insert(value);
    }
}
