//! Nonces that need no storage to be recognised.

use super::{SECONDS, Scope};
use alloy_primitives::hex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// The same secret may be used for other things, and none of them makes a nonce.
const LABEL: &[u8] = b"edge402/sign-in-with-x/nonce/1";

/// Issues nonces and recognises them by their MAC, so that a challenge writes nothing.
///
/// The official extension takes any nonce at all, so that a wallet can be made to sign one in advance; here only a nonce
/// that was issued for the same request, less than five minutes ago, is one. That it is used once is the caller's to
/// keep, until [`super::SignIn::until`].
#[derive(Clone, Copy)]
pub struct Nonces<'a> {
    secrets: &'a [&'a [u8]],
}

impl fmt::Debug for Nonces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

impl<'a> Nonces<'a> {
    /// From the current secret and, after it, those that were current within the last five minutes and are only
    /// recognised. Their strength is the caller's to see to; an empty one recognises nothing.
    #[must_use]
    pub const fn new(secrets: &'a [&'a [u8]]) -> Self {
        Self { secrets }
    }

    /// A nonce for one request: 48 lower-case hexadecimal digits (EIP-4361 wants at least eight letters or digits) of
    /// the time in seconds (4 bytes), what is random (8 bytes), and the MAC (12 bytes). Without a secret it is a nonce
    /// that nobody recognises.
    #[must_use]
    pub fn issue(&self, scope: &Scope<'_>, now: u64, random: [u8; 8]) -> String {
        let time = u32::try_from(now).unwrap_or(u32::MAX).to_be_bytes();
        let tag = self.secrets.first().and_then(|secret| tag(secret, scope, time, random)).unwrap_or_default();
        [hex::encode(time), hex::encode(random), hex::encode(tag)].concat()
    }

    /// Whether the nonce was issued for this request, no longer than [`SECONDS`] ago and not in the future.
    #[must_use]
    pub fn issued(&self, scope: &Scope<'_>, nonce: &str, now: u64) -> bool {
        self.issued_at(scope, nonce, now).is_some()
    }

    /// When it was issued, if it was.
    pub(super) fn issued_at(&self, scope: &Scope<'_>, nonce: &str, now: u64) -> Option<u64> {
        // One text for one nonce: spent is remembered by the text.
        if !nonce.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let bytes = hex::decode_to_array::<_, 24>(nonce).ok()?;
        let (time, rest) = bytes.split_first_chunk::<4>()?;
        let (random, shown) = rest.split_first_chunk::<8>()?;
        let mut known = Choice::from(0);
        for secret in self.secrets {
            if let Some(tag) = tag(secret, scope, *time, *random) {
                known |= tag.as_slice().ct_eq(shown);
            }
        }
        let issued = u64::from(u32::from_be_bytes(*time));
        let age = now.checked_sub(issued)?;
        (bool::from(known) && age <= SECONDS).then_some(issued)
    }
}

/// What ties a nonce to its request: the first 12 bytes of the HMAC-SHA256. `None` for an empty secret.
fn tag(secret: &[u8], scope: &Scope<'_>, time: [u8; 4], random: [u8; 8]) -> Option<[u8; 12]> {
    if secret.is_empty() {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    // Each with its length before it, or the end of one could be the beginning of the next.
    for part in [LABEL, &time, &random, scope.method.as_bytes(), scope.base.as_bytes(), scope.target.as_bytes()] {
        mac.update(&u64::try_from(part.len()).ok()?.to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_767_225_600;
    const NONCES: Nonces<'_> = Nonces::new(&[b"a secret of the tests"]);
    const RANDOM: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
    const SCOPE: Scope<'_> = Scope { base: "https://api.example.com", method: "GET", target: "/data?x=1", chains: &[] };

    #[test]
    fn secrets_are_rotated_with_an_overlap() {
        let nonce = NONCES.issue(&SCOPE, NOW, RANDOM);
        let rotated: &[&[u8]] = &[b"the new one", b"a secret of the tests"];
        assert!(Nonces::new(rotated).issued(&SCOPE, &nonce, NOW));
        let new = Nonces::new(rotated).issue(&SCOPE, NOW, RANDOM);
        assert!(Nonces::new(&rotated[..1]).issued(&SCOPE, &new, NOW));
        assert!(!NONCES.issued(&SCOPE, &new, NOW));
        assert!(!Nonces::new(&rotated[..1]).issued(&SCOPE, &nonce, NOW));
        // Without a secret nobody's nonce is known, least of all one that anybody can make.
        for none in [&[][..], &[&b""[..]][..]] {
            let nonces = Nonces::new(none);
            assert!(!nonces.issued(&SCOPE, &nonces.issue(&SCOPE, NOW, RANDOM), NOW));
        }
        assert!(!format!("{NONCES:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn a_nonce_is_of_one_scope(
            method in "GET|POST", path in "/[a-z]{0,3}", other_method in "GET|POST", other_path in "/[a-z]{0,3}",
            random in any::<[u8; 8]>(), age in 0_u64..1000,
        ) {
            let scope = Scope { method: &method, target: &path, ..SCOPE };
            let other = Scope { method: &other_method, target: &other_path, ..SCOPE };
            let nonce = NONCES.issue(&scope, NOW, random);
            prop_assert_eq!(NONCES.issued(&scope, &nonce, NOW + age), age <= 300);
            prop_assert_eq!(NONCES.issued(&other, &nonce, NOW), (&method, &path) == (&other_method, &other_path));
        }

        #[test]
        fn no_other_text_is_a_nonce(at in 0_usize..48, digit in 0_u8..16, text in any::<String>()) {
            let nonce = NONCES.issue(&SCOPE, NOW, RANDOM);
            let mut changed = nonce.clone();
            changed.replace_range(at..=at, &format!("{digit:x}"));
            prop_assert_eq!(NONCES.issued(&SCOPE, &changed, NOW), changed == nonce);
            prop_assert!(!NONCES.issued(&SCOPE, &text, NOW));
        }
    }
}
