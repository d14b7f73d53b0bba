//! Keys: `<prefix>_live_<account><generation><tag>`, or `_test_` for accounts that test money paid for.
//!
//! The tag is an HMAC over the rest, so that a forged key dies at the edge without anybody being asked, and nothing secret
//! is stored anywhere: the account is named by 16 bytes that are no secret, and whoever holds `KEY_SECRET` can write its key
//! again.

use crate::config::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// Hexadecimal digits of an account's name.
pub const ACCOUNT_DIGITS: usize = 32;
const GENERATION_DIGITS: usize = 4;
const TAG_DIGITS: usize = 32;

/// A key that proves itself. Its text is a bearer's: never logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Whether real money paid for the account.
    pub live: bool,
    /// 32 hexadecimal digits.
    pub account: String,
    /// Rotation ends one and begins the next.
    pub generation: u16,
}

/// What keys are made and recognised with.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    /// `KEY_PREFIX`.
    pub prefix: &'a str,
    /// `KEY_SECRET`: keys are made with it.
    pub secret: &'a Secret,
    /// `KEY_SECRET_PREVIOUS`: keys are still recognised by it.
    pub previous: Option<&'a Secret>,
}

impl Keys<'_> {
    /// The key's text.
    #[must_use]
    pub fn write(&self, key: &Key) -> String {
        let name = self.name(key);
        let tag = tag(self.secret, &name);
        format!("{name}{tag}")
    }

    /// Reads a bearer token that begins with our prefix; nothing if it is no key of ours. All of it is compared in constant
    /// time, against both secrets whichever fits.
    #[must_use]
    pub fn read(&self, token: &str) -> Option<Key> {
        let rest = token.strip_prefix(self.prefix)?.strip_prefix('_')?;
        let (live, rest) = match rest.split_once('_')? {
            ("live", rest) => (true, rest),
            ("test", rest) => (false, rest),
            _ => return None,
        };
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if rest.len() != ACCOUNT_DIGITS + GENERATION_DIGITS + TAG_DIGITS || !digits(rest) {
            return None;
        }
        let (account, rest) = rest.split_at_checked(ACCOUNT_DIGITS)?;
        let (generation, shown) = rest.split_at_checked(GENERATION_DIGITS)?;
        let generation = u16::from_str_radix(generation, 16).ok()?;
        let key = Key { live, account: account.to_owned(), generation };
        let name = self.name(&key);
        let fits = |secret: &Secret| tag(secret, &name).as_bytes().ct_eq(shown.as_bytes());
        let genuine = fits(self.secret) | self.previous.map_or(Choice::from(0), fits);
        bool::from(genuine).then_some(key)
    }

    /// The account that a purchase makes, for a holder who has not named one before.
    #[must_use]
    pub fn account_of(&self, reference: &str) -> String {
        digits(self.secret, "account", reference)
    }

    fn name(&self, key: &Key) -> String {
        let kind = if key.live { "live" } else { "test" };
        format!("{}_{kind}_{}{:04x}", self.prefix, key.account, key.generation)
    }
}

/// Whether a bearer token claims to be a key: then it is judged as one, and is nobody else's.
#[must_use]
pub fn claims_to_be_key(token: &str, prefix: &str) -> bool {
    token.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'))
}

fn tag(secret: &Secret, name: &str) -> String {
    digits(secret, "key", name)
}

/// The first 16 bytes of an HMAC, under a label of its own: what is made for one purpose is good for no other.
fn digits(secret: &Secret, purpose: &str, text: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return String::new() };
    mac.update(format!("edge402 {purpose}\n{text}").as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().take(TAG_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}
