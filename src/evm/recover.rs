//! Who signed a digest: secp256k1 public-key recovery with the strictness of the tokens that will check it again.
//!
//! The tokens (USDC v2) revert on a high `s` and on a `v` other than 27 or 28, while common libraries accept both: what
//! passes here and reverts there is an answer given for a payment that cannot settle.

use alloy_primitives::{Address, B256, keccak256};
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};

/// Why a 65-byte signature is refused outright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// `v` is neither 27 nor 28.
    RecoveryByte,
    /// `r` or `s` is zero or not below the curve's order.
    OutOfRange,
    /// `s` is in the upper half: the malleable twin of another signature.
    HighS,
    /// The values name no point on the curve.
    NoPoint,
}

impl std::fmt::Display for SignatureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RecoveryByte => "v is neither 27 nor 28",
            Self::OutOfRange => "r or s is out of range",
            Self::HighS => "s is in the upper half of the curve's order",
            Self::NoPoint => "r and s name no point on the curve",
        })
    }
}

impl std::error::Error for SignatureError {}

/// The address whose key signed `digest`; the signature is `r ‖ s ‖ v`.
///
/// # Errors
/// [`SignatureError`] for a signature that no token would accept, whoever made it.
pub fn recover(digest: B256, signature: &[u8; 65]) -> Result<Address, SignatureError> {
    let [rs @ .., v] = signature;
    let odd_y = match v {
        27 => false,
        28 => true,
        _ => return Err(SignatureError::RecoveryByte),
    };
    let signature = Signature::from_slice(rs).map_err(|_| SignatureError::OutOfRange)?;
    if signature.normalize_s() != signature {
        return Err(SignatureError::HighS);
    }
    let key = VerifyingKey::recover_from_prehash(digest.as_slice(), &signature, RecoveryId::new(odd_y, false))
        .map_err(|_| SignatureError::NoPoint)?;
    let point = key.to_sec1_point(false);
    let public = point.as_bytes().get(1..).ok_or(SignatureError::NoPoint)?;
    let hash = keccak256(public);
    Ok(Address::from_word(hash))
}
