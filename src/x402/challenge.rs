//! The 402 itself: `PaymentRequired` in the header (v2) and a body that v1 clients read (x402 version 2, section 5.1).

use super::bazaar::BAZAAR;
use super::encode_header;
use super::identifier::{PAYMENT_IDENTIFIER, advertised};
use super::requirement::{Requirement, Resource};
use super::siwx::SIGN_IN_WITH_X;
use crate::config::ChallengeBody;
use crate::http::problem::{Code, Problem};
use serde_json::{Map, Value, json};

/// The longest value of `PAYMENT-REQUIRED`. Node's clients stop at 16 KB for all headers together: a longer challenge is
/// none, and the API could not be bought by them. A quarter is left to what else an answer carries, here and on its way.
pub const LONGEST_HEADER: usize = 12_288;

/// A challenge, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Why; [`Code::PaymentRequired`] when nothing was sent.
    pub problem: Problem,
    /// The value of `PAYMENT-REQUIRED`; none where no client of version 2 could pay.
    pub header: Option<String>,
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
    // Entries that v1 has no name for would make the strict client throw before it chooses: they are v2's alone.
    let v1: Vec<Value> = offered.v1.iter().filter_map(|requirement| requirement.to_v1(resource)).collect();
    let empty = v1.is_empty() && offered.v2.is_empty();
    // Neither in the header nor in the body a version that nothing is offered under: it would hide the other one.
    let style = match style {
        ChallengeBody::V1 if v1.is_empty() => ChallengeBody::V2,
        ChallengeBody::V2 if offered.v2.is_empty() => ChallengeBody::V1,
        style => style,
    };
    let mut body = match style {
        ChallengeBody::V1 => json!({
            "x402Version": 1,
            "error": error,
            "accepts": v1,
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
    let header = (!offered.v2.is_empty()).then(|| header(&offered.v2, resource, error, extensions));
    Challenge { problem, header, body, empty, links: None }
}

/// What is left out of a header that is too long, one after the other until it is not: what a caller makes long (a query, a
/// path) must not hide the price. Never the ways to pay, nor that an identifier is wanted.
const LEFT_OUT: [fn(&mut Resource, &mut Value); 5] = [
    |_, extensions| without(extensions, BAZAAR),
    |resource, _| cut(&mut resource.url, resource_query),
    |_, extensions| without(extensions, SIGN_IN_WITH_X),
    |resource, _| *resource = Resource { url: std::mem::take(&mut resource.url), ..Resource::default() },
    |resource, _| cut(&mut resource.url, resource_path),
];

fn header(offered: &[&Requirement], resource: &Resource, error: &str, extensions: &Value) -> String {
    let accepts: Vec<Value> = offered.iter().map(|requirement| requirement.to_v2()).collect();
    let write = |resource: &Resource, extensions: &Value| {
        encode_header(&json!({
            "x402Version": 2,
            "error": error,
            "resource": resource.to_json(),
            "accepts": accepts,
            "extensions": extensions,
        }))
    };
    let mut header = write(resource, extensions);
    let (mut resource, mut extensions) = (resource.clone(), extensions.clone());
    for leave_out in LEFT_OUT {
        if header.len() <= LONGEST_HEADER {
            break;
        }
        leave_out(&mut resource, &mut extensions);
        header = write(&resource, &extensions);
    }
    header
}

/// Whether a challenge with these ways to pay can be short enough, whatever is asked for.
#[must_use]
pub fn fits(requirements: &[Requirement]) -> bool {
    let longest_error = Code::ALL.iter().map(|code| code.as_str()).max_by_key(|code| code.len());
    // As long as a host's name can be, with a port.
    let resource = Resource { url: format!("https://{}:65535", "h".repeat(253)), ..Resource::default() };
    let offered: Vec<&Requirement> = requirements.iter().collect();
    let extensions = json!({ PAYMENT_IDENTIFIER: advertised(false) });
    header(&offered, &resource, longest_error.unwrap_or_default(), &extensions).len() <= LONGEST_HEADER
}

fn without(extensions: &mut Value, name: &str) {
    if let Value::Object(members) = extensions {
        members.remove(name);
    }
}

fn cut(url: &mut String, at: fn(&str) -> Option<usize>) {
    if let Some(at) = at(url) {
        url.truncate(at);
    }
}

fn resource_query(url: &str) -> Option<usize> {
    url.find('?')
}

/// Where the path begins, behind scheme and host.
fn resource_path(url: &str) -> Option<usize> {
    url.match_indices('/').nth(2).map(|(at, _)| at)
}

fn merge(members: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        members.entry(key).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evm::assets::{Asset, default_asset, known_networks};
    use crate::money::Amount;
    use crate::x402::requirement::Flow;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    fn requirement(asset: Asset) -> Requirement {
        let pay_to = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C".parse().unwrap();
        Requirement { asset, amount: Amount::new(1_000), pay_to, flow: Flow::Upfront, max_timeout_seconds: 300 }
    }

    fn all() -> Vec<Requirement> {
        known_networks().filter_map(default_asset).map(requirement).collect()
    }

    fn read(header: &str) -> Value {
        serde_json::from_slice(&STANDARD.decode(header).unwrap()).unwrap()
    }

    fn told(requirements: &[Requirement], resource: &Resource, extensions: &Value) -> String {
        let offered = OnOffer { v1: Vec::new(), v2: requirements.iter().collect() };
        challenge(&offered, resource, ChallengeBody::V1, "", extensions, Code::PaymentRequired.into()).header.unwrap()
    }

    #[test]
    fn no_version_is_announced_that_nothing_is_offered_under() {
        let one = [requirement(default_asset(crate::evm::network::Network::new(84532)).unwrap())];
        let all: Vec<&Requirement> = one.iter().collect();
        let resource = Resource { url: "https://x/y".into(), ..Resource::default() };
        for style in [ChallengeBody::V1, ChallengeBody::V2] {
            let of = |v1: &[&'static str], v2: &[&'static str]| {
                let take = |named: &[&str]| if named.is_empty() { Vec::new() } else { all.clone() };
                let offered = OnOffer { v1: take(v1), v2: take(v2) };
                challenge(&offered, &resource, style, "", &json!({}), Code::PaymentRequired.into())
            };
            let old = of(&["base-sepolia"], &[]);
            assert_eq!((old.header.as_ref(), &old.body["x402Version"], old.empty), (None, &json!(1), false));
            assert_eq!(old.body["accepts"][0]["network"], "base-sepolia");
            let new = of(&[], &["eip155:84532"]);
            assert_eq!((&new.body["x402Version"], new.empty), (&json!(2), false));
            assert_eq!(new.body["accepts"][0]["network"], "eip155:84532");
            assert_eq!(read(&new.header.unwrap())["accepts"].as_array().unwrap().len(), 1);
            assert!(of(&[], &[]).empty);
        }
    }

    #[test]
    fn a_short_challenge_is_told_whole() {
        let resource = Resource { url: "https://x/y?z".into(), description: "words".into(), ..Resource::default() };
        let extensions = json!({ BAZAAR: "b", SIGN_IN_WITH_X: "s" });
        let read = read(&told(&all(), &resource, &extensions));
        assert_eq!((&read["resource"], &read["extensions"]), (&resource.to_json(), &extensions));
    }

    #[test]
    fn what_is_left_out_first_is_what_the_call_takes() {
        let resource = Resource { url: format!("https://x/y?{}", "q".repeat(2_048)), ..Resource::default() };
        let extensions = json!({ BAZAAR: "b".repeat(4_096), SIGN_IN_WITH_X: "s" });
        let read = read(&told(&all(), &resource, &extensions));
        assert_eq!(read["resource"]["url"], resource.url);
        assert_eq!(read["extensions"], json!({ SIGN_IN_WITH_X: "s" }));
    }

    #[test]
    fn every_network_that_is_known_may_be_sold_on_and_not_just_any_number_of_assets() {
        assert!(fits(&all()));
        assert!(!fits(&[all(), all()].concat()));
        let long = Asset {
            name: "n".repeat(LONGEST_HEADER).into(),
            ..default_asset(crate::evm::network::Network::new(1)).unwrap()
        };
        assert!(!fits(&[requirement(long)]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_header_is_too_long_and_no_way_to_pay_is_left_out(
            path in 0_usize..20_000, query in 0_usize..20_000, words in 0_usize..=500, bazaar in 0_usize..5_000,
            sign_in in 0_usize..20_000, tool in any::<bool>(),
        ) {
            let host = if tool { "mcp://tool".to_owned() } else { format!("https://{}", "h".repeat(253)) };
            let resource = Resource {
                url: format!("{host}/{}?{}", "p/".repeat(path / 2), "q".repeat(query)),
                description: "\u{1f4b8}".repeat(words), mime_type: "m".repeat(words), service_name: Some("n".repeat(32)),
                tags: vec!["t".repeat(32); 5], icon_url: Some("i".repeat(2_048)), ..Resource::default()
            };
            let identifier = advertised(true);
            let extensions = json!({
                PAYMENT_IDENTIFIER: identifier, BAZAAR: "b".repeat(bazaar), SIGN_IN_WITH_X: "s".repeat(sign_in),
            });
            let header = told(&all(), &resource, &extensions);
            prop_assert!(header.len() <= LONGEST_HEADER, "{}", header.len());
            let read = read(&header);
            let accepts: Vec<Value> = all().iter().map(Requirement::to_v2).collect();
            prop_assert_eq!(&read["accepts"], &json!(accepts));
            prop_assert_eq!(&read["extensions"][PAYMENT_IDENTIFIER], &identifier);
            prop_assert!(resource.url.starts_with(read["resource"]["url"].as_str().unwrap()));
            prop_assert!(read["resource"]["url"].as_str().unwrap().starts_with(&host));
        }
    }
}
