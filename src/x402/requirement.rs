//! What a buyer may choose from: `PaymentRequirements` in both shapes, and the comparison of what the buyer says it chose
//! with what we offered (x402 version 2, section 5.1).

use crate::evm::Address;
use crate::evm::assets::Asset;
use crate::http::problem::{Code, Problem};
use crate::json::put;
use crate::money::Amount;
use serde_json::{Map, Value, json};

/// The only scheme there is here.
pub const EXACT: &str = "exact";

/// When the money moves, as the standard names it (section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Verify, resource, settle; the default, not named on the wire.
    Authorization,
    /// Settle, resource.
    Upfront,
}

/// One way to pay: so much of this asset to that address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// In what, and on which network.
    pub asset: Asset,
    /// Exactly how much.
    pub amount: Amount,
    /// To whom.
    pub pay_to: Address,
    /// When.
    pub flow: Flow,
    /// How long a buyer lets the authorization be valid.
    pub max_timeout_seconds: u32,
}

/// What a challenge says about the thing that is sold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Absolute, as it was asked for.
    pub url: String,
    /// For people and models.
    pub description: String,
    /// Of the answer.
    pub mime_type: String,
    /// `serviceName`, where the whole has a name.
    pub service_name: Option<String>,
    /// What catalogues file it under.
    pub tags: Vec<String>,
    /// A picture.
    pub icon_url: Option<String>,
    /// The `bazaar` extension: what the call takes and gives.
    pub bazaar: Option<Value>,
    /// The same as v1 has it.
    pub output_schema: Option<Value>,
}

impl Resource {
    /// `ResourceInfo`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut resource = json!({ "url": self.url, "description": self.description, "mimeType": self.mime_type });
        if let Some(name) = &self.service_name {
            put(&mut resource, "serviceName", name.clone());
        }
        if !self.tags.is_empty() {
            put(&mut resource, "tags", self.tags.clone());
        }
        if let Some(url) = &self.icon_url {
            put(&mut resource, "iconUrl", url.clone());
        }
        resource
    }
}

impl Requirement {
    /// The v2 object. Clients copy it into `accepted`, so it must be the same for the same request.
    #[must_use]
    pub fn to_v2(&self) -> Value {
        let mut extra = self.domain();
        if self.flow == Flow::Upfront {
            extra.insert("paymentFlow".into(), "upfront".into());
        }
        json!({
            "scheme": EXACT,
            "network": self.asset.network.to_string(),
            "amount": self.amount.to_string(),
            "asset": self.asset.address.to_checksum(None),
            "payTo": self.pay_to.to_checksum(None),
            "maxTimeoutSeconds": self.max_timeout_seconds,
            "extra": extra,
        })
    }

    /// The v1 object, for a network that v1 has a name for. Every field that the strict v1 client wants is there, and
    /// `outputSchema`, on whose `null` it fails, only where there is one.
    #[must_use]
    pub fn to_v1(&self, resource: &Resource) -> Option<Value> {
        let mut entry = json!({
            "scheme": EXACT,
            "network": self.asset.network.v1_name()?,
            "maxAmountRequired": self.amount.to_string(),
            "resource": resource.url,
            "description": resource.description,
            "mimeType": resource.mime_type,
            "payTo": self.pay_to.to_checksum(None),
            "maxTimeoutSeconds": self.max_timeout_seconds,
            "asset": self.asset.address.to_checksum(None),
            "extra": self.domain(),
        });
        if let Some(schema) = &resource.output_schema {
            put(&mut entry, "outputSchema", schema.clone());
        }
        Some(entry)
    }

    /// The v2 object with the v1 field names beside, for clients that look for v2 in the body.
    #[must_use]
    pub fn to_v2_in_body(&self, resource: &Resource) -> Value {
        let mut entry = self.to_v2();
        if let Value::Object(members) = &mut entry {
            members.insert("maxAmountRequired".into(), self.amount.to_string().into());
            members.insert("resource".into(), resource.url.clone().into());
            members.insert("description".into(), resource.description.clone().into());
            members.insert("mimeType".into(), resource.mime_type.clone().into());
        }
        entry
    }

    fn domain(&self) -> Map<String, Value> {
        Map::from_iter([
            ("name".to_owned(), Value::from(self.asset.name.as_ref())),
            ("version".to_owned(), Value::from(self.asset.version.as_ref())),
        ])
    }

    /// Whether `accepted` is this requirement: every field but `extra` equal and none added, our `extra` contained in
    /// theirs. Addresses compare by value: their case carries no meaning.
    fn is_accepted_as(&self, accepted: &Map<String, Value>) -> bool {
        let Value::Object(ours) = self.to_v2() else { return false };
        accepted.keys().all(|key| ours.contains_key(key))
            && ours.iter().all(|(key, own)| match (key.as_str(), accepted.get(key)) {
                ("extra", Some(theirs)) => contains(theirs, own),
                ("asset" | "payTo", Some(theirs)) => same_text_ignoring_case(own, theirs),
                (_, Some(theirs)) => own == theirs,
                (_, None) => false,
            })
    }
}

fn same_text_ignoring_case(a: &Value, b: &Value) -> bool {
    matches!((a.as_str(), b.as_str()), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b))
}

/// Whether `theirs` holds all that `ours` holds; lists must be equal.
fn contains(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            ours.iter().all(|(key, value)| theirs.get(key).is_some_and(|other| contains(other, value)))
        }
        _ => theirs == ours,
    }
}

/// The requirement of ours that an `accepted` object names.
///
/// # Errors
/// [`Code::PaymentMalformed`] for a field that is no string where one must be; else the first field that leads away from
/// all of them, so that an agent learns what to change.
pub fn match_accepted<'a>(
    offered: &'a [Requirement],
    accepted: &Map<String, Value>,
) -> Result<&'a Requirement, Problem> {
    if let Some(found) = offered.iter().find(|requirement| requirement.is_accepted_as(accepted)) {
        return Ok(found);
    }
    for key in ["scheme", "network", "asset", "payTo", "amount"] {
        if accepted.get(key).and_then(Value::as_str).is_none() {
            return Err(Problem::new(Code::PaymentMalformed, format!("`accepted.{key}` is not a string")));
        }
    }
    let text = |key: &str| accepted.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("scheme") != EXACT {
        return Err(Code::UnsupportedScheme.into());
    }
    let named = |left: Vec<&'a Requirement>, code: Code, key: &str| {
        if left.is_empty() {
            Err(Problem::new(code, format!("`accepted.{key}` is not one that this route offers")))
        } else {
            Ok(left)
        }
    };
    let all: Vec<_> = offered.iter().collect();
    let keep = |left: &[&'a Requirement], test: &dyn Fn(&Requirement) -> bool| -> Vec<&'a Requirement> {
        left.iter().copied().filter(|requirement| test(requirement)).collect()
    };
    let left = named(keep(&all, &|r| r.asset.network.to_string() == text("network")), Code::WrongNetwork, "network")?;
    let left = named(
        keep(&left, &|r| r.asset.address.to_string().eq_ignore_ascii_case(text("asset"))),
        Code::WrongAsset,
        "asset",
    )?;
    let left = named(
        keep(&left, &|r| r.pay_to.to_string().eq_ignore_ascii_case(text("payTo"))),
        Code::WrongRecipient,
        "payTo",
    )?;
    named(keep(&left, &|r| r.amount.to_string() == text("amount")), Code::WrongAmount, "amount")?;
    Err(Code::AcceptedMismatch.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evm::assets::default_asset;
    use crate::evm::network::Network;

    fn requirement(chain: u64, flow: Flow) -> Requirement {
        Requirement {
            asset: default_asset(Network::new(chain)).unwrap(),
            amount: Amount::new(1_000),
            pay_to: "0x209693Bc6afc0C5328bA36FaF03C514EF312287C".parse().unwrap(),
            flow,
            max_timeout_seconds: 300,
        }
    }

    fn accepted(chain: u64) -> Map<String, Value> {
        requirement(chain, Flow::Authorization).to_v2().as_object().unwrap().clone()
    }

    #[test]
    fn our_own_object_is_accepted_and_so_are_additions_to_extra() {
        let offered = [requirement(84532, Flow::Authorization), requirement(8453, Flow::Authorization)];
        assert_eq!(match_accepted(&offered, &accepted(8453)), Ok(&offered[1]));
        let mut more = accepted(84532);
        more["extra"]["client"] = "x".into();
        more["payTo"] = more["payTo"].as_str().unwrap().to_lowercase().into();
        assert_eq!(match_accepted(&offered, &more), Ok(&offered[0]));
    }

    #[test]
    fn an_edit_is_named() {
        let offered = [requirement(84532, Flow::Upfront)];
        let cases: [(&str, Value, Code); 10] = [
            ("scheme", "upto".into(), Code::UnsupportedScheme),
            ("network", "eip155:1".into(), Code::WrongNetwork),
            ("asset", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913".into(), Code::WrongAsset),
            ("payTo", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913".into(), Code::WrongRecipient),
            ("amount", "999".into(), Code::WrongAmount),
            ("amount", 1000.into(), Code::PaymentMalformed),
            ("maxTimeoutSeconds", 301.into(), Code::AcceptedMismatch),
            ("maxTimeoutSeconds", "300".into(), Code::AcceptedMismatch),
            ("added", 1.into(), Code::AcceptedMismatch),
            ("extra", json!({ "name": "USDC", "version": "2" }), Code::AcceptedMismatch),
        ];
        for (key, value, code) in cases {
            let mut edited = offered[0].to_v2().as_object().unwrap().clone();
            edited.insert(key.into(), value);
            assert_eq!(match_accepted(&offered, &edited).unwrap_err().code, code, "{key}");
        }
    }

    #[test]
    fn v1_has_what_the_strict_client_wants() {
        let resource = Resource { url: "https://x/y".into(), ..Resource::default() };
        let v1 = requirement(84532, Flow::Upfront).to_v1(&resource).unwrap();
        assert_eq!(v1["network"], "base-sepolia");
        assert_eq!(v1["asset"], "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "checksummed, or v1 does not see USDC");
        assert!(v1.get("outputSchema").is_none() && v1["extra"].get("paymentFlow").is_none());
        assert_eq!(requirement(42161, Flow::Authorization).to_v1(&resource), None, "v1 has no name for it");
    }
}
