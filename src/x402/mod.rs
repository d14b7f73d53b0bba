//! The x402 wire, v1 and v2: requirements, challenges, payments, receipts, and the facilitator's language.
//!
//! Section numbers are those of the x402 specification v2 unless said otherwise.

pub mod bazaar;
pub mod cdp;
pub mod challenge;
pub mod facilitator;
pub mod identifier;
pub mod payment;
pub mod reason;
pub mod receipt;
pub mod requirement;
pub mod second_opinion;
pub mod siwx;
pub mod supported;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Standard alphabet, padding required, no stray bits: one text for one meaning.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// A header's value: base64 of JSON.
#[must_use]
pub fn encode_header(value: &serde_json::Value) -> String {
    BASE64.encode(value.to_string())
}

/// The same of JSON that is written down already.
#[must_use]
pub fn encode_header_text(json: &str) -> String {
    BASE64.encode(json)
}
