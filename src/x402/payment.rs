//! A payment header, decoded strictly: v1, v2 and the dialect in between.
//!
//! Whatever a stranger sends is read once, here, into our own types. What goes to the facilitator is written anew from
//! them, so it cannot read another payment than the one that was checked.

use super::BASE64;
use super::bazaar::BAZAAR;
use super::identifier;
use super::requirement::{EXACT, Requirement, Resource};
use crate::evm::eip3009::Authorization;
use crate::evm::network::Network;
use crate::evm::{Address, B256, U256};
use crate::http::problem::{Code, Problem};
use crate::json::put;
use crate::strict_json::{self, StrictJsonError};
use alloy_primitives::hex;
use base64::Engine;
use serde_json::{Map, Value, json};

/// The longest payment header that is read.
pub const MOST_BYTES: usize = 16_384;

/// Which dialect a payment was written in; the receipt answers in the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `X-PAYMENT` with `x402Version: 1`.
    V1,
    /// `PAYMENT-SIGNATURE` with `x402Version: 2` and `accepted`.
    V2,
    /// `X-PAYMENT` with `x402Version: 2`, in the wild with `scheme` and `network` at the top and no `accepted`.
    V2InXPayment,
}

/// Which header a payment came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// `PAYMENT-SIGNATURE`.
    PaymentSignature,
    /// `X-PAYMENT`.
    XPayment,
}

/// What a buyer says it chose.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// The echo of one of our requirements, not trusted.
    Accepted(Map<String, Value>),
    /// A network alone.
    Network(Option<Network>),
}

/// A decoded payment: well-formed, and nothing more is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    /// How it was written.
    pub dialect: Dialect,
    /// What it says it pays.
    pub choice: Choice,
    /// What is signed.
    pub authorization: Authorization,
    /// 65 bytes of an externally owned account, or whatever a smart wallet makes.
    pub signature: Vec<u8>,
    /// The client's own id for it, if it sent one.
    pub identifier: Option<String>,
}

impl Payment {
    /// Decodes a header's value.
    ///
    /// # Errors
    /// The first thing that is wrong: size, base64, JSON, version, scheme, then the fields.
    pub fn decode(carrier: Carrier, header: &str) -> Result<Self, Problem> {
        if header.len() > MOST_BYTES {
            return Err(Code::PaymentTooLarge.into());
        }
        let bytes = BASE64.decode(header).map_err(|_| Code::PaymentNotBase64)?;
        let value = strict_json::parse(&bytes).map_err(|error| match error {
            StrictJsonError::Syntax => Problem::from(Code::PaymentNotJson),
            StrictJsonError::DuplicateKey => Code::PaymentDuplicateKey.into(),
        })?;
        let Value::Object(payment) = value else { return Err(Code::PaymentNotJson.into()) };
        let dialect = match (carrier, payment.get("x402Version").and_then(Value::as_u64)) {
            (Carrier::PaymentSignature, Some(2)) => Dialect::V2,
            (Carrier::XPayment, Some(1)) => Dialect::V1,
            (Carrier::XPayment, Some(2)) => Dialect::V2InXPayment,
            _ => return Err(Code::UnsupportedVersion.into()),
        };
        let choice = match dialect {
            Dialect::V2 => Choice::Accepted(object(&payment, "accepted")?.clone()),
            // A v2 client that merely uses the old header: what it says it accepted is held to it.
            Dialect::V2InXPayment if payment.contains_key("accepted") => {
                Choice::Accepted(object(&payment, "accepted")?.clone())
            }
            Dialect::V1 | Dialect::V2InXPayment => {
                if text(&payment, "scheme", "scheme")? != EXACT {
                    return Err(Code::UnsupportedScheme.into());
                }
                let name = text(&payment, "network", "network")?;
                let caip_2 = if dialect == Dialect::V1 { None } else { name.parse().ok() };
                Choice::Network(caip_2.or_else(|| Network::from_v1_name(name)))
            }
        };
        let payload = object(&payment, "payload")?;
        let fields = object(payload, "authorization")?;
        let authorization = Authorization {
            from: address(fields, "from")?,
            to: address(fields, "to")?,
            value: integer(fields, "value")?,
            valid_after: integer(fields, "validAfter")?,
            valid_before: integer(fields, "validBefore")?,
            nonce: nonce(fields)?,
        };
        let signature = hexadecimal(text(payload, "signature", "payload.signature")?)
            .filter(|bytes| !bytes.is_empty())
            .ok_or_else(|| malformed("payload.signature", "is not 0x and an even number of hexadecimal digits"))?;
        // Version 1 has no extensions.
        let identifier = if dialect == Dialect::V1 { None } else { identifier::read(&payment)? };
        Ok(Self { dialect, choice, authorization, signature, identifier })
    }

    /// The protocol's version as its facilitator is told.
    #[must_use]
    pub const fn version(&self) -> u64 {
        match self.dialect {
            Dialect::V1 => 1,
            Dialect::V2 | Dialect::V2InXPayment => 2,
        }
    }

    /// The signature of an externally owned account, if it has that length.
    #[must_use]
    pub fn ecdsa_signature(&self) -> Option<&[u8; 65]> {
        self.signature.as_slice().try_into().ok()
    }

    /// The body of `/verify` and `/settle`: this payment, and *our* requirement. The dialect in
    /// between is told to the facilitator as v2.
    #[must_use]
    pub fn facilitator_request(&self, requirement: &Requirement, resource: &Resource) -> Value {
        let authorization = &self.authorization;
        let payload = json!({
            "signature": hex::encode_prefixed(&self.signature),
            "authorization": {
                "from": authorization.from.to_checksum(None),
                "to": authorization.to.to_checksum(None),
                "value": authorization.value.to_string(),
                "validAfter": authorization.valid_after.to_string(),
                "validBefore": authorization.valid_before.to_string(),
                "nonce": authorization.nonce.to_string(),
            },
        });
        let v1 = if self.dialect == Dialect::V1 { requirement.to_v1(resource) } else { None };
        match v1 {
            Some(requirements) => json!({
                "x402Version": 1,
                "paymentPayload": {
                    "x402Version": 1, "scheme": EXACT, "network": requirement.asset.network.v1_name(), "payload": payload,
                },
                "paymentRequirements": requirements,
            }),
            None => {
                let mut payment = json!({
                    "x402Version": 2, "accepted": requirement.to_v2(), "payload": payload, "resource": resource.to_json(),
                });
                // Ours, not the client's echo: a catalogue is made from it.
                if let Some(bazaar) = &resource.bazaar {
                    put(&mut payment, "extensions", json!({ BAZAAR: bazaar }));
                }
                json!({ "x402Version": 2, "paymentPayload": payment, "paymentRequirements": requirement.to_v2() })
            }
        }
    }
}

fn malformed(path: &str, problem: &str) -> Problem {
    Problem::new(Code::PaymentMalformed, format!("`{path}` {problem}"))
}

fn object<'a>(members: &'a Map<String, Value>, key: &str) -> Result<&'a Map<String, Value>, Problem> {
    members.get(key).and_then(Value::as_object).ok_or_else(|| malformed(key, "is not an object"))
}

fn text<'a>(members: &'a Map<String, Value>, key: &str, path: &str) -> Result<&'a str, Problem> {
    members.get(key).and_then(Value::as_str).ok_or_else(|| malformed(path, "is not a string"))
}

/// A decimal string below 2^256, as `JSON.stringify` of a bigint would write it: no sign, no leading zero, no hex.
fn integer(fields: &Map<String, Value>, key: &str) -> Result<U256, Problem> {
    let path = format!("payload.authorization.{key}");
    let written = text(fields, key, &path)?;
    let plain = !written.is_empty()
        && written.len() <= 78
        && written.bytes().all(|b| b.is_ascii_digit())
        && (written == "0" || !written.starts_with('0'));
    let parsed = if plain { U256::from_str_radix(written, 10).ok() } else { None };
    parsed.ok_or_else(|| malformed(&path, "is not a decimal integer below 2^256 without sign or leading zeros"))
}

fn address(fields: &Map<String, Value>, key: &str) -> Result<Address, Problem> {
    let path = format!("payload.authorization.{key}");
    hexadecimal(text(fields, key, &path)?)
        .and_then(|bytes| Address::try_from(bytes.as_slice()).ok())
        .ok_or_else(|| malformed(&path, "is not 0x and 40 hexadecimal digits"))
}

fn nonce(fields: &Map<String, Value>) -> Result<B256, Problem> {
    let path = "payload.authorization.nonce";
    hexadecimal(text(fields, "nonce", path)?)
        .and_then(|bytes| B256::try_from(bytes.as_slice()).ok())
        .ok_or_else(|| malformed(path, "is not 0x and 64 hexadecimal digits"))
}

/// `0x` and an even number of digits; without the prefix a text has two readings.
fn hexadecimal(written: &str) -> Option<Vec<u8>> {
    let digits = written.strip_prefix("0x").filter(|digits| !digits.starts_with("0x"))?;
    hex::decode(digits).ok()
}

#[cfg(test)]
mod tests;
