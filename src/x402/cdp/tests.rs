use super::*;
use p256::ecdsa::signature::Verifier;
use proptest::prelude::*;

// Made by Node's crypto for these tests; nobody's.
const ED25519: &str = "EQsBtSzuAjPKHnxtNu1HaFb9Yd/94MoF3zgq042FRju7uRvG0xmPYpVLnaygJkwrjBx6xQYlAuovEcIKXmmcVg==";
const PKCS8: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDbnqpu/Ad7g5IDCi
HaWw9jfVJA9nukTsYjTp4StfWWuhRANCAAS9UzR+48oP66+vVcM3yCGAo7ue35HF
0yDi6NwNfovFFfTpq4CVrXaEhEeQAEP7zYna221rZZmOJ3XFOcS4Fk9E
-----END PRIVATE KEY-----
";
const SEC1: &str = "-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIA256qbvwHe4OSAwoh2lsPY31SQPZ7pE7GI06eErX1lroAoGCCqGSM49
AwEHoUQDQgAEvVM0fuPKD+uvr1XDN8ghgKO7nt+RxdMg4ujcDX6LxRX06auAla12
hIRHkABD+82J2ttta2WZjid1xTnEuBZPRA==
-----END EC PRIVATE KEY-----
";
const PUBLIC_X: &str = "vVM0fuPKD-uvr1XDN8ghgKO7nt-RxdMg4ujcDX6LxRU";
const PUBLIC_Y: &str = "9OmrgJWtdoSER5AAQ_vNidrbbWtlmY4ndcU5xLgWT0Q";
// A secp256k1 key: what buyers sign with, and CDP does not.
const OTHER_CURVE: &str = "-----BEGIN EC PRIVATE KEY-----
MHQCAQEEIMSYQ7qYKqhwYWqfRMS+BQ+8EHKnrRrrXD03fzoMixmOoAcGBSuBBAAK
oUQDQgAEi9XKwvqdy2C1aRYN+JPhU8QoqMrdftODg4IAx7L2Tk6xUkRPvwzrwUVq
jw+5jQuoAhGGRcYJAt2cw33mb8dUUQ==
-----END EC PRIVATE KEY-----
";
const ID: &str = "organizations/7f3c/apiKeys/19ab";
const URL: &str = "https://api.cdp.coinbase.com/platform/v2/x402/verify";
const NOW: u64 = 1_790_000_000;
const NONCE: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255];

fn key(secret: &str) -> CdpKey {
    CdpKey::new(ID, secret).unwrap()
}

/// The three parts: two of JSON, and the signature.
fn parts(token: &str) -> (Value, Value, [u8; 64]) {
    let parts: Vec<Vec<u8>> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    assert_eq!(parts.len(), 3);
    let json = |part: &[u8]| serde_json::from_slice(part).unwrap();
    (json(&parts[0]), json(&parts[1]), parts[2].as_slice().try_into().unwrap())
}

fn signed(token: &str) -> &[u8] {
    token.rsplit_once('.').unwrap().0.as_bytes()
}

fn uri(url: &str) -> String {
    let token = key(ED25519).token("POST", url, NOW, NONCE).unwrap();
    parts(&token).1["uris"][0].as_str().unwrap().to_owned()
}

#[test]
fn a_token_says_who_calls_what_and_for_how_long() {
    for (secret, algorithm) in [(ED25519, "EdDSA"), (PKCS8, "ES256"), (SEC1, "ES256")] {
        let (header, claims, _) = parts(&key(secret).token("POST", URL, NOW, NONCE).unwrap());
        assert_eq!(
            header,
            json!({ "alg": algorithm, "kid": ID, "typ": "JWT", "nonce": "000102030405060708090a0b0c0d0eff" })
        );
        assert_eq!(
            claims,
            json!({
                "sub": ID,
                "iss": "cdp",
                "uris": ["POST api.cdp.coinbase.com/platform/v2/x402/verify"],
                "iat": NOW,
                "nbf": NOW,
                "exp": NOW + 120,
            })
        );
    }
}

#[test]
fn the_public_key_verifies_an_ed25519_token() {
    let public: [u8; 32] = BASE64.decode(ED25519).unwrap()[32..].try_into().unwrap();
    let public = ed25519_dalek::VerifyingKey::from_bytes(&public).unwrap();
    let token = key(ED25519).token("POST", URL, NOW, NONCE).unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(&parts(&token).2);
    public.verify_strict(signed(&token), &signature).unwrap();
    let other = key(ED25519).token("POST", URL, NOW + 1, NONCE).unwrap();
    public.verify_strict(signed(&other), &signature).unwrap_err();
}

#[test]
fn the_public_key_verifies_an_es256_token() {
    let point: Vec<u8> =
        [&[4][..], &URL_SAFE_NO_PAD.decode(PUBLIC_X).unwrap(), &URL_SAFE_NO_PAD.decode(PUBLIC_Y).unwrap()].concat();
    let public = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).unwrap();
    for secret in [PKCS8, SEC1] {
        let token = key(secret).token("POST", URL, NOW, NONCE).unwrap();
        let signature = p256::ecdsa::Signature::from_slice(&parts(&token).2).unwrap();
        public.verify(signed(&token), &signature).unwrap();
        let other = key(secret).token("POST", URL, NOW + 1, NONCE).unwrap();
        public.verify(signed(&other), &signature).unwrap_err();
    }
}

#[test]
fn the_same_arguments_make_the_same_token_and_each_of_them_changes_it() {
    for secret in [ED25519, PKCS8] {
        let token = |url, now, nonce| key(secret).token("POST", url, now, nonce).unwrap();
        let first = token(URL, NOW, NONCE);
        assert_eq!(first, token(URL, NOW, NONCE));
        assert_ne!(first, token("https://api.cdp.coinbase.com/platform/v2/x402/settle", NOW, NONCE));
        assert_ne!(first, token(URL, NOW + 1, NONCE));
        assert_ne!(first, token(URL, NOW, [7; 16]));
        assert_ne!(first, key(secret).token("GET", URL, NOW, NONCE).unwrap());
    }
}

#[test]
fn a_uri_is_host_and_path_and_the_port_only_where_it_is_not_the_schemes() {
    assert_eq!(uri("https://api.example.com:443/v2/x402/verify?a=b#c"), "POST api.example.com/v2/x402/verify");
    assert_eq!(uri("http://127.0.0.1:4021/verify"), "POST 127.0.0.1:4021/verify");
    assert_eq!(uri("http://[::1]:80/verify"), "POST [::1]/verify");
    assert_eq!(uri("https://API.example.com"), "POST api.example.com/");
    for odd in ["", "/verify", "data:,x"] {
        assert_eq!(key(ED25519).token("POST", odd, NOW, NONCE), Err(NoToken::Url), "{odd}");
    }
}

#[test]
fn a_key_survives_what_environment_variables_do_to_it() {
    for pem in [PKCS8, SEC1] {
        let plain = key(pem);
        for mangled in [
            pem.replace('\n', "\\n"),
            pem.replace('\n', "\r\n"),
            pem.replace('\n', "\\r\\n"),
            pem.replace('\n', " "),
            pem.replace('\n', ""),
            format!("\n  {}", pem.trim_end()),
            // What `openssl ecparam -genkey` writes before the key.
            format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{pem}"),
        ] {
            assert!(CdpKey::new(ID, &mangled) == Ok(plain.clone()), "{mangled:?}");
        }
    }
    assert!(key(&format!(" {ED25519}\n")) == key(ED25519));
}

#[test]
fn what_is_no_key_is_refused_with_a_cure() {
    let bytes = BASE64.decode(ED25519).unwrap();
    let mut damaged = bytes.clone();
    damaged[40] ^= 1;
    let other_pair = [&[9; 32], &bytes[32..]].concat();
    let encrypted = PKCS8.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let mut cut: String = PKCS8.lines().take(3).collect();
    cut.push_str("-----END PRIVATE KEY-----");
    for (secret, error) in [
        ("", CdpKeyError::Length),
        ("not a key", CdpKeyError::Encoding),
        (&BASE64.encode(&bytes[..32]), CdpKeyError::Length),
        (&ED25519[..80], CdpKeyError::Length),
        (&BASE64.encode(damaged), CdpKeyError::Mismatch),
        (&BASE64.encode(other_pair), CdpKeyError::Mismatch),
        (&encrypted, CdpKeyError::Label),
        (&PKCS8.replace("PRIVATE", "PUBLIC"), CdpKeyError::Label),
        (&PKCS8[..120], CdpKeyError::Encoding),
        (&PKCS8.replace('M', "!"), CdpKeyError::Encoding),
        (&cut, CdpKeyError::Curve),
        (OTHER_CURVE, CdpKeyError::Curve),
        (&PKCS8.replace("PRIVATE", "EC PRIVATE"), CdpKeyError::Curve),
        (&SEC1.replace("MHcCAQEEIA", "MHcCAQEEIB"), CdpKeyError::Curve),
    ] {
        assert_eq!(CdpKey::new(ID, secret).unwrap_err(), error, "{secret}");
    }
    for id in ["", " ", "a b", "id\n", "\"id\"", "ключ"] {
        assert_eq!(CdpKey::new(id, ED25519).unwrap_err(), CdpKeyError::Id, "{id:?}");
    }
}

#[test]
fn nobody_is_shown_the_secret() {
    for secret in [ED25519, PKCS8] {
        let shown = format!("{:?} {:#?}", key(secret), key(secret));
        assert!(shown.contains("CdpKey"), "{shown}");
        let bytes = match key(secret).signer {
            SigningKey::Ed25519(key) => key.to_bytes().to_vec(),
            SigningKey::Es256(key) => key.to_bytes().to_vec(),
        };
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for form in [secret.to_owned(), hex, format!("{bytes:?}"), BASE64.encode(&bytes)] {
            assert!(!shown.to_ascii_lowercase().contains(&form.to_ascii_lowercase()), "{shown}");
        }
    }
}

proptest! {
    #[test]
    fn no_secret_panics(id in ".{0,8}", secret in ".{0,120}") {
        let _ = CdpKey::new(&id, &secret);
    }

    #[test]
    fn no_pem_panics(label in "(EC |)PRIVATE KEY", body in "[A-Za-z0-9+/]{0,80}={0,2}") {
        let _ = CdpKey::new(ID, &format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----"));
    }
}
