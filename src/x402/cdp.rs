//! The tokens by which Coinbase's CDP knows its customers: a JWT a call, good for one method at one
//! address for two minutes, signed with the key that the portal gave out.
//!
//! Signing is deterministic (Ed25519, and RFC 6979 for ES256): two ES256 signatures that share their random number give
//! the key away, so none is drawn. The token's own nonce is an argument, and only has to differ from call to call.

use super::BASE64;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::SecretKey;
use p256::ecdsa::signature::Signer;
use p256::pkcs8::DecodePrivateKey;
use serde_json::{Value, json};
use std::fmt;
use url::Url;

/// How long a token is good for: what CDP's own libraries ask for.
const SECONDS: u64 = 120;

/// A key of CDP's, which never shows its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CdpKey {
    id: String,
    signer: SigningKey,
}

#[derive(Clone, PartialEq, Eq)]
enum SigningKey {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Es256(Box<p256::ecdsa::SigningKey>),
}

/// Why an id and a secret are no key. It says what to do and nothing of what was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CdpKeyError {
    /// The id is empty, or holds what no id holds.
    Id,
    /// The secret is neither base64 nor PEM.
    Encoding,
    /// Base64 of another length than 64 bytes.
    Length,
    /// The public half does not belong to the seed.
    Mismatch,
    /// A PEM block of another kind than an unencrypted private key.
    Label,
    /// The PEM block does not hold a P-256 key.
    Curve,
}

impl CdpKeyError {
    /// Whether it is the id that is wrong, and not the secret.
    #[must_use]
    pub const fn is_of_id(self) -> bool {
        matches!(self, Self::Id)
    }

    /// What to do about it.
    #[must_use]
    pub const fn cure(self) -> &'static str {
        match self {
            Self::Id => "copy the key's id from CDP's portal, without quotes or line breaks",
            Self::Encoding => "copy the secret as CDP gave it: base64 (Ed25519), or PEM from BEGIN to END (ES256)",
            Self::Length => "copy the whole secret: an Ed25519 key of CDP's has 88 characters and ends in ==",
            Self::Mismatch => "copy the secret again, or create a new key: this one is damaged",
            Self::Label => "use the block that begins with BEGIN PRIVATE KEY or BEGIN EC PRIVATE KEY",
            Self::Curve => "create the key in CDP's portal, as Ed25519 or ECDSA",
        }
    }
}

impl fmt::Display for CdpKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "is empty or not printable ASCII without spaces",
            Self::Encoding => "is neither base64 nor PEM",
            Self::Length => "is base64, but not of 64 bytes (a seed and its public key)",
            Self::Mismatch => "holds a public key that does not belong to its seed",
            Self::Label => "is PEM, but not of an unencrypted private key",
            Self::Curve => "is PEM, but not of a sound P-256 key",
        })
    }
}

impl std::error::Error for CdpKeyError {}

/// No token can be made for this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// The URL has no host.
    Url,
    /// The signature failed. It happens for no message that anybody can find; a panic here would take the isolate along.
    Signature,
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "no token for a URL without a host",
            Self::Signature => "the token could not be signed",
        })
    }
}

impl std::error::Error for NoToken {}

impl CdpKey {
    /// Reads a key as CDP's portal gives it out: base64 of an Ed25519 seed and its public key, or an ES256 key in PEM.
    ///
    /// # Errors
    /// [`CdpKeyError`]
    pub fn new(id: &str, secret: &str) -> Result<Self, CdpKeyError> {
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_graphic() && b != b'"') {
            return Err(CdpKeyError::Id);
        }
        let signer = if secret.contains("-----BEGIN") { es256(secret)? } else { ed25519(secret.trim())? };
        Ok(Self { id: id.to_owned(), signer })
    }

    /// A compact JWS for one call; `now` in Unix seconds, `nonce` fresh for every call. The URL's query and scheme are not
    /// a part of what CDP compares.
    ///
    /// # Errors
    /// [`NoToken`]
    pub fn token(&self, method: &str, url: &str, now: u64, nonce: [u8; 16]) -> Result<String, NoToken> {
        let url = Url::parse(url).map_err(|_| NoToken::Url)?;
        let host = url.host_str().ok_or(NoToken::Url)?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        let header = json!({ "alg": self.algorithm(), "kid": self.id, "typ": "JWT", "nonce": nonce });
        let claims = json!({
            "sub": self.id,
            "iss": "cdp",
            // One address and nothing wider: whoever gets hold of a token for /verify cannot settle with it.
            "uris": [format!("{method} {host}{port}{}", url.path())],
            "iat": now,
            "nbf": now,
            "exp": now.saturating_add(SECONDS),
        });
        let mut token = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    const fn algorithm(&self) -> &'static str {
        match self.signer {
            SigningKey::Ed25519(_) => "EdDSA",
            SigningKey::Es256(_) => "ES256",
        }
    }

    /// Both kinds are 64 bytes; of ES256 that is `r ‖ s` (RFC 7518, 3.4) and not DER.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], NoToken> {
        match &self.signer {
            SigningKey::Ed25519(key) => key.try_sign(message).map(|signature| signature.to_bytes()),
            SigningKey::Es256(key) => {
                key.try_sign(message).map(|signature: p256::ecdsa::Signature| signature.to_bytes().into())
            }
        }
        .map_err(|_| NoToken::Signature)
    }
}

impl fmt::Debug for CdpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CdpKey").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn ed25519(secret: &str) -> Result<SigningKey, CdpKeyError> {
    let bytes = BASE64.decode(secret).map_err(|_| CdpKeyError::Encoding)?;
    let pair: [u8; 64] = bytes.try_into().map_err(|_| CdpKeyError::Length)?;
    // Signing with half of a damaged pair makes tokens that CDP refuses, and nobody here would know why.
    let key = ed25519_dalek::SigningKey::from_keypair_bytes(&pair).map_err(|_| CdpKeyError::Mismatch)?;
    Ok(SigningKey::Ed25519(Box::new(key)))
}

/// PEM as an environment variable leaves it: line breaks as they were, as a literal `\n`, or gone.
fn es256(secret: &str) -> Result<SigningKey, CdpKeyError> {
    let text = secret.replace("\\r", "").replace("\\n", "\n");
    // Any of its blocks: OpenSSL writes the curve's parameters before the key.
    let (label, rest) = text
        .split("-----BEGIN ")
        .filter_map(|block| block.split_once("-----"))
        .find(|(label, _)| matches!(*label, "PRIVATE KEY" | "EC PRIVATE KEY"))
        .ok_or(CdpKeyError::Label)?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----")).ok_or(CdpKeyError::Encoding)?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = BASE64.decode(body).map_err(|_| CdpKeyError::Encoding)?;
    let key = match label {
        "PRIVATE KEY" => SecretKey::from_pkcs8_der(&der).map_err(|_| CdpKeyError::Curve)?,
        _ => SecretKey::from_sec1_der(&der).map_err(|_| CdpKeyError::Curve)?,
    };
    Ok(SigningKey::Es256(Box::new(key.into())))
}

#[cfg(test)]
mod tests;
