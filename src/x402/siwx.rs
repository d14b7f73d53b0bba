//! The extension `sign-in-with-x`: a wallet shows who it is by signing an EIP-4361 text, so that it
//! can spend what it has paid in before.
//!
//! Whoever signs in spends money, so a sign-in is good for one request: for the method, the path and the query that its
//! nonce was issued for, for five minutes, and once. The last is the caller's to keep. The official extension holds a
//! sign-in to the origin alone, takes nonces that nobody issued and chains that nobody offered.

mod instant;
mod nonces;

pub use nonces::Nonces;

use super::BASE64;
use crate::evm::Address;
use crate::evm::recover::recover;
use crate::strict_json::{self, StrictJsonError};
use alloy_primitives::{eip191_hash_message, hex};
use base64::Engine;
use serde_json::{Map, Value, json};
use std::fmt;

/// The extension's key.
pub const SIGN_IN_WITH_X: &str = "sign-in-with-x";

/// What a wallet shows its owner.
pub const STATEMENT: &str = "Use your prepaid credits";

/// The longest header that is read. The address of the request stands in it twice.
pub const MOST_BYTES: usize = 8192;

/// How long a challenge can be answered, in seconds: what the official extension allows.
pub const SECONDS: u64 = 300;

/// The one request that a sign-in is for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Scheme and authority as clients see them, in the form of an `URL.origin`: no default port, no slash at the end.
    /// A client that finds another domain than the one it asked does not sign.
    pub base: &'a str,
    /// The method.
    pub method: &'a str,
    /// Path and query, as they stand in the URL.
    pub target: &'a str,
    /// The EVM chains whose wallets may sign in. A client signs for the first of them.
    pub chains: &'a [u64],
}

impl<'a> Scope<'a> {
    fn domain(&self) -> &'a str {
        self.base.split_once("://").map_or(self.base, |(_, authority)| authority)
    }

    /// The URL, with what RFC 3986 does not allow and URLs hold nevertheless (`|`, `[`, a lone `%`) escaped: the official
    /// client finds it malformed otherwise, and does not sign. That two targets may be written alike is no harm, since
    /// the nonce is for one of them.
    fn uri(&self) -> String {
        let mut uri = self.base.to_owned();
        let mut rest = self.target.as_bytes();
        while let Some((byte, after)) = rest.split_first() {
            let plain = match byte {
                b'%' => matches!(after, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()),
                _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(byte),
            };
            if plain {
                uri.push(char::from(*byte));
            } else {
                uri.push_str(&format!("%{byte:02X}"));
            }
            rest = after;
        }
        uri
    }
}

/// The extension's object for a 402. `now` is in Unix seconds; `random` tells apart what is issued within one of them.
#[must_use]
pub fn advertised(scope: &Scope<'_>, nonces: &Nonces<'_>, now: u64, random: [u8; 8]) -> Value {
    let uri = scope.uri();
    let chains: Vec<Value> =
        scope.chains.iter().map(|chain| json!({ "chainId": format!("eip155:{chain}"), "type": "eip191" })).collect();
    json!({
        "info": {
            "domain": scope.domain(),
            "uri": uri,
            "version": "1",
            "nonce": nonces.issue(scope, now, random),
            "issuedAt": instant::format(now),
            "expirationTime": instant::format(now.saturating_add(SECONDS)),
            "statement": STATEMENT,
            "resources": [uri],
        },
        "supportedChains": chains,
        "schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "domain": { "type": "string" },
                "address": { "type": "string" },
                "statement": { "type": "string" },
                "uri": { "type": "string", "format": "uri" },
                "version": { "type": "string" },
                "chainId": { "type": "string" },
                "type": { "type": "string" },
                "nonce": { "type": "string" },
                "issuedAt": { "type": "string", "format": "date-time" },
                "expirationTime": { "type": "string", "format": "date-time" },
                "notBefore": { "type": "string", "format": "date-time" },
                "requestId": { "type": "string" },
                "resources": { "type": "array", "items": { "type": "string", "format": "uri" } },
                "signature": { "type": "string" },
            },
            "required": ["domain", "address", "uri", "version", "chainId", "type", "nonce", "issuedAt", "signature"],
        },
    })
}

/// A wallet that has shown who it is, for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Whose key signed.
    pub address: Address,
    /// The chain that it signed for, one of the scope's.
    pub chain: u64,
    /// To be spent once: the same header a second time is somebody else's, or a request served for nothing.
    pub nonce: String,
    /// Unix seconds after which the nonce can be forgotten: it is refused for its age then.
    pub until: u64,
}

/// Why a header is no sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInError {
    /// The header could not be read; with what is wrong with it.
    Malformed(&'static str),
    /// A field is missing, has the wrong type, or says something else than the challenge; with its name.
    Field(&'static str),
    /// Signed for another host.
    DomainMismatch,
    /// Signed for another path or query.
    UriMismatch,
    /// `issuedAt` is no time.
    IssuedAt,
    /// Issued more than [`SECONDS`] ago.
    IssuedAtTooOld,
    /// Issued later than now.
    IssuedAtInFuture,
    /// `expirationTime` is no time.
    ExpirationTime,
    /// `expirationTime` has come.
    Expired,
    /// `notBefore` is no time.
    NotBefore,
    /// `notBefore` has not come.
    NotYetValid,
    /// A nonce that was not issued for this request, or too long ago.
    Nonce,
    /// `chainId` is not `eip155:` and a number.
    ChainId,
    /// A chain whose wallets cannot sign in here.
    UnsupportedChain,
    /// Not 65 bytes or more in hexadecimal.
    MalformedSignature,
    /// Not the signature of the address, or that of a smart wallet: to check one takes a call to its chain.
    Signature,
}

impl SignInError {
    /// The code, as the official extension has it where it has one.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Field(_) => "invalid_siwx_malformed",
            Self::DomainMismatch => "invalid_siwx_domain_mismatch",
            Self::UriMismatch => "invalid_siwx_uri_mismatch",
            Self::IssuedAt => "invalid_siwx_issued_at",
            Self::IssuedAtTooOld => "invalid_siwx_issued_at_too_old",
            Self::IssuedAtInFuture => "invalid_siwx_issued_at_in_future",
            Self::ExpirationTime => "invalid_siwx_expiration_time",
            Self::Expired => "invalid_siwx_expired",
            Self::NotBefore => "invalid_siwx_not_before",
            Self::NotYetValid => "invalid_siwx_not_yet_valid",
            Self::Nonce => "invalid_siwx_nonce",
            Self::ChainId => "invalid_siwx_chain_id",
            Self::UnsupportedChain => "invalid_siwx_unsupported_chain",
            Self::MalformedSignature => "invalid_siwx_malformed_signature",
            Self::Signature => "invalid_siwx_signature",
        }
    }
}

impl fmt::Display for SignInError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(what) => return write!(f, "the sign-in {what}"),
            Self::Field(name) => return write!(f, "`{name}` is missing, malformed, or not what the challenge says"),
            Self::DomainMismatch => "the sign-in is for another host",
            Self::UriMismatch => "the sign-in is for another path or query",
            Self::IssuedAt => "`issuedAt` is not a time like 2026-01-01T00:00:00.000Z",
            Self::IssuedAtTooOld => "the sign-in was issued more than five minutes ago",
            Self::IssuedAtInFuture => "the sign-in is issued in the future",
            Self::ExpirationTime => "`expirationTime` is not a time like 2026-01-01T00:00:00.000Z",
            Self::Expired => "the sign-in has expired",
            Self::NotBefore => "`notBefore` is not a time like 2026-01-01T00:00:00.000Z",
            Self::NotYetValid => "the sign-in is not valid yet",
            Self::Nonce => "the nonce was not issued for this request within the last five minutes",
            Self::ChainId => "`chainId` is not eip155: and a number",
            Self::UnsupportedChain => "wallets of this chain cannot sign in here",
            Self::MalformedSignature => "`signature` is not 0x and 65 bytes in hexadecimal",
            Self::Signature => "the signature is not the address's own (those of smart wallets are not taken)",
        })
    }
}

impl std::error::Error for SignInError {}

/// Who signed in with a `SIGN-IN-WITH-X` header for this request. Nothing in the header is taken at its word: what can be
/// known is compared with what was advertised, and the text that must have been signed is written anew.
///
/// `now` is in Unix seconds, and no skew is allowed: `issuedAt` is our own, so only another of our clocks can be behind
/// it, and the client pays or asks again. That the nonce is used once is left to the caller.
///
/// # Errors
/// The first thing that is wrong: size, base64, JSON, then the fields, then the nonce, then the signature.
pub fn verify(header: &str, scope: &Scope<'_>, nonces: &Nonces<'_>, now: u64) -> Result<SignIn, SignInError> {
    let sent = decode(header)?;
    let uri = scope.uri();
    if text(&sent, "domain")? != scope.domain() {
        return Err(SignInError::DomainMismatch);
    }
    if text(&sent, "uri")? != uri {
        return Err(SignInError::UriMismatch);
    }
    let chain = chain(text(&sent, "chainId")?)?;
    if !scope.chains.contains(&chain) {
        return Err(SignInError::UnsupportedChain);
    }
    require(text(&sent, "version")? == "1", "version")?;
    require(text(&sent, "type")? == "eip191", "type")?;
    let statement = optional(&sent, "statement")?;
    require(statement.is_none_or(|statement| statement == STATEMENT), "statement")?;
    require(!sent.contains_key("requestId"), "requestId")?;
    let resources = sent.get("resources");
    require(resources.is_none_or(|resources| *resources == json!([uri])), "resources")?;
    let address = address(text(&sent, "address")?).ok_or(SignInError::Field("address"))?;

    let issued_at = text(&sent, "issuedAt")?;
    let issued = instant::parse(issued_at).ok_or(SignInError::IssuedAt)?;
    let age = now.checked_sub(issued).ok_or(SignInError::IssuedAtInFuture)?;
    if age > SECONDS {
        return Err(SignInError::IssuedAtTooOld);
    }
    let expiration_time = optional(&sent, "expirationTime")?;
    if let Some(written) = expiration_time {
        let expires = instant::parse(written).ok_or(SignInError::ExpirationTime)?;
        if now >= expires {
            return Err(SignInError::Expired);
        }
    }
    let not_before = optional(&sent, "notBefore")?;
    if let Some(written) = not_before {
        let begins = instant::parse(written).ok_or(SignInError::NotBefore)?;
        if now < begins {
            return Err(SignInError::NotYetValid);
        }
    }
    let nonce = text(&sent, "nonce")?;
    let nonce_issued = nonces.issued_at(scope, nonce, now).ok_or(SignInError::Nonce)?;

    if optional(&sent, "signatureScheme")?.is_some_and(|scheme| scheme != "eip191") {
        return Err(SignInError::Signature);
    }
    let signature = signature(text(&sent, "signature")?)?;
    let message = Message {
        domain: scope.domain(),
        address,
        statement,
        uri: &uri,
        chain,
        nonce,
        issued_at,
        expiration_time,
        not_before,
        resource: resources.is_some(),
    };
    if recover(eip191_hash_message(message.to_string()), &signature) != Ok(address) {
        return Err(SignInError::Signature);
    }
    Ok(SignIn { address, chain, nonce: nonce.to_owned(), until: nonce_issued.saturating_add(SECONDS) })
}

/// The EIP-4361 text. No member can hold a line break: each is ours, or was parsed.
struct Message<'a> {
    domain: &'a str,
    address: Address,
    statement: Option<&'a str>,
    uri: &'a str,
    chain: u64,
    nonce: &'a str,
    issued_at: &'a str,
    expiration_time: Option<&'a str>,
    not_before: Option<&'a str>,
    /// Whether the URI stands again as the only resource.
    resource: bool,
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, uri, chain, nonce, issued_at, .. } = self;
        let address = self.address.to_checksum(None);
        write!(f, "{domain} wants you to sign in with your Ethereum account:\n{address}\n\n")?;
        if let Some(statement) = self.statement {
            writeln!(f, "{statement}")?;
        }
        write!(f, "\nURI: {uri}\nVersion: 1\nChain ID: {chain}\nNonce: {nonce}\nIssued At: {issued_at}")?;
        if let Some(time) = self.expiration_time {
            write!(f, "\nExpiration Time: {time}")?;
        }
        if let Some(time) = self.not_before {
            write!(f, "\nNot Before: {time}")?;
        }
        if self.resource {
            write!(f, "\nResources:\n- {uri}")?;
        }
        Ok(())
    }
}

fn decode(header: &str) -> Result<Map<String, Value>, SignInError> {
    if header.len() > MOST_BYTES {
        return Err(SignInError::Malformed("is over 8192 bytes"));
    }
    let bytes = BASE64.decode(header).map_err(|_| SignInError::Malformed("is not standard base64 with padding"))?;
    match strict_json::parse(&bytes) {
        Ok(Value::Object(sent)) => Ok(sent),
        Err(StrictJsonError::DuplicateKey) => Err(SignInError::Malformed("has a key twice")),
        Ok(_) | Err(StrictJsonError::Syntax) => Err(SignInError::Malformed("is not a JSON object")),
    }
}

const fn require(holds: bool, field: &'static str) -> Result<(), SignInError> {
    if holds { Ok(()) } else { Err(SignInError::Field(field)) }
}

fn text<'a>(sent: &'a Map<String, Value>, key: &'static str) -> Result<&'a str, SignInError> {
    sent.get(key).and_then(Value::as_str).ok_or(SignInError::Field(key))
}

fn optional<'a>(sent: &'a Map<String, Value>, key: &'static str) -> Result<Option<&'a str>, SignInError> {
    if sent.contains_key(key) { text(sent, key).map(Some) } else { Ok(None) }
}

/// The message holds the number: it has one spelling.
fn chain(written: &str) -> Result<u64, SignInError> {
    let number = match written.split_once(':') {
        Some(("eip155", number)) => number,
        Some(_) => return Err(SignInError::UnsupportedChain),
        None => return Err(SignInError::ChainId),
    };
    number.parse().ok().filter(|chain: &u64| chain.to_string() == number).ok_or(SignInError::ChainId)
}

/// Clients send their signer's own spelling, in one case, and sign the one with the checksum.
fn address(written: &str) -> Option<Address> {
    let digits = written.strip_prefix("0x").filter(|digits| digits.len() == 40)?;
    let address = Address::from(hex::decode_to_array::<_, 20>(digits).ok()?);
    let one_case = !digits.bytes().any(|b| b.is_ascii_lowercase()) || !digits.bytes().any(|b| b.is_ascii_uppercase());
    (one_case || address.to_checksum(None) == written).then_some(address)
}

fn signature(written: &str) -> Result<[u8; 65], SignInError> {
    let digits = written.strip_prefix("0x").filter(|digits| !digits.starts_with("0x"));
    let bytes = digits.and_then(|digits| hex::decode(digits).ok());
    let bytes = bytes.filter(|bytes| bytes.len() >= 65).ok_or(SignInError::MalformedSignature)?;
    let mut signature = <[u8; 65]>::try_from(bytes.as_slice()).map_err(|_| SignInError::Signature)?;
    // No token sees this one: the recovery byte is taken as hardware wallets write it, too.
    if let [.., v @ (0 | 1)] = &mut signature {
        *v = v.saturating_add(27);
    }
    Ok(signature)
}

#[cfg(test)]
mod tests;
