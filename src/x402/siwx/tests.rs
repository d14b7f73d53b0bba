use super::*;
use k256::ecdsa::SigningKey;
use proptest::prelude::*;

/// 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600;
const SECRETS: &[&[u8]] = &[b"a secret of the tests"];
const NONCES: Nonces<'_> = Nonces::new(SECRETS);
const RANDOM: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const CHAINS: &[u64] = &[84532, 8453];
const SCOPE: Scope<'_> = Scope { base: "https://api.example.com", method: "GET", target: "/data?x=1", chains: CHAINS };
/// Anvil's first.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const WALLET: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
/// Anvil's second.
const OTHER_WALLET: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

fn encode(sent: &Value) -> String {
    BASE64.encode(sent.to_string())
}

fn check(header: &str) -> Result<SignIn, SignInError> {
    verify(header, &SCOPE, &NONCES, NOW)
}

fn sign(message: &str) -> [u8; 65] {
    let key = SigningKey::from_slice(&hex::decode(KEY).unwrap()).unwrap();
    let (signature, id) = key.sign_prehash_recoverable(eip191_hash_message(message).as_slice());
    let mut bytes = [27 + u8::from(id.is_y_odd()); 65];
    bytes[..64].copy_from_slice(&signature.to_bytes());
    bytes
}

/// The text as the official client's `siwe` writes it, from whatever fields there are.
fn siwe(sent: &Value) -> String {
    let text = |key: &str| sent[key].as_str().unwrap_or_default();
    let line = |title: &str, key: &str| sent[key].as_str().map_or(String::new(), |value| format!("\n{title}: {value}"));
    let address = text("address").parse().map_or(text("address").to_owned(), |address: Address| address.to_string());
    let statement = sent["statement"].as_str().map_or(String::new(), |statement| format!("{statement}\n"));
    let chain = text("chainId").strip_prefix("eip155:").unwrap_or_default().trim_start_matches('0');
    let resources = sent["resources"].as_array().map_or(String::new(), |list| {
        let lines: String = list.iter().map(|uri| format!("\n- {}", uri.as_str().unwrap_or_default())).collect();
        format!("\nResources:{lines}")
    });
    [
        format!("{} wants you to sign in with your Ethereum account:\n{address}\n\n{statement}", text("domain")),
        format!("\nURI: {}\nVersion: {}", text("uri"), text("version")),
        format!("\nChain ID: {chain}\nNonce: {}", text("nonce")),
        line("Issued At", "issuedAt"),
        line("Expiration Time", "expirationTime"),
        line("Not Before", "notBefore"),
        line("Request ID", "requestId"),
        resources,
    ]
    .concat()
}

/// What the official client makes of a challenge, unsigned.
fn answer(scope: &Scope<'_>) -> Value {
    let challenge = advertised(scope, &NONCES, NOW, RANDOM);
    let mut sent = challenge["info"].clone();
    for key in ["chainId", "type"] {
        sent[key] = challenge["supportedChains"][0][key].clone();
    }
    sent["address"] = WALLET.into();
    sent
}

fn signed(mut sent: Value) -> String {
    sent["signature"] = hex::encode_prefixed(sign(&siwe(&sent))).into();
    encode(&sent)
}

/// Signed for all of it, with one field as given, or without it.
fn with(key: &str, value: impl Into<Value>) -> Result<SignIn, SignInError> {
    let mut sent = answer(&SCOPE);
    sent[key] = value.into();
    check(&signed(sent))
}

fn without(key: &str) -> Result<SignIn, SignInError> {
    let mut sent = answer(&SCOPE);
    sent.as_object_mut().unwrap().remove(key);
    check(&signed(sent))
}

/// Signed, with one field changed afterwards.
fn tampered(key: &str, value: impl Into<Value>) -> Result<SignIn, SignInError> {
    let mut sent: Value = serde_json::from_slice(&BASE64.decode(signed(answer(&SCOPE))).unwrap()).unwrap();
    sent[key] = value.into();
    check(&encode(&sent))
}

#[test]
fn the_message_and_its_signature_are_the_standards() {
    let message = Message {
        domain: "api.example.com",
        address: WALLET.parse().unwrap(),
        statement: Some("Use your prepaid credits"),
        uri: "https://api.example.com/data?x=1",
        chain: 84532,
        nonce: "0123456789abcdef0123456789abcdef",
        issued_at: "2026-01-01T00:00:00.000Z",
        expiration_time: None,
        not_before: None,
        resource: true,
    };
    assert_eq!(
        message.to_string(),
        "api.example.com wants you to sign in with your Ethereum account:\n0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n\n\
         Use your prepaid credits\n\nURI: https://api.example.com/data?x=1\nVersion: 1\nChain ID: 84532\n\
         Nonce: 0123456789abcdef0123456789abcdef\nIssued At: 2026-01-01T00:00:00.000Z\n\
         Resources:\n- https://api.example.com/data?x=1"
    );
    let by_viem = "0xf16dfd706ec53f7c1314ce8db5589e688e21af9f709f6358303548f3327c7cb830de469e2a3f36cc56e81dab08ed3db90d9654ddf5896332689dd9198017cc5c1c";
    assert_eq!(hex::encode_prefixed(sign(&message.to_string())), by_viem);
    let recovered = recover(eip191_hash_message(message.to_string()), &signature(by_viem).unwrap());
    assert_eq!(recovered, Ok(message.address));
}

/// Made by `createSIWxClientHook` of @x402/extensions 2.27.0 with viem 2.57.1, from a challenge whose nonce was computed
/// by Node's own HMAC.
#[test]
fn the_official_clients_answer_is_a_sign_in() {
    let scope =
        Scope { base: "http://127.0.0.1:8787", method: "GET", target: "/data?x=1&filter[a]=b|c", chains: CHAINS };
    let nonce = "6955b90001020304050607087b85b4111af2e5a260a6d860";
    let info = &advertised(&scope, &NONCES, NOW, RANDOM)["info"];
    let uri = "http://127.0.0.1:8787/data?x=1&filter%5Ba%5D=b%7Cc";
    assert_eq!(
        *info,
        json!({
            "domain": "127.0.0.1:8787", "uri": uri, "version": "1", "nonce": nonce,
            "issuedAt": "2026-01-01T00:00:00.000Z", "expirationTime": "2026-01-01T00:05:00.000Z",
            "statement": "Use your prepaid credits", "resources": [uri],
        })
    );
    let header = "eyJkb21haW4iOiIxMjcuMC4wLjE6ODc4NyIsImFkZHJlc3MiOiIweGYzOUZkNmU1MWFhZDg4RjZGNGNlNmFCODgyNzI3OWNmZkZiOTIyNjYiLCJzdGF0ZW1lbnQiOiJVc2UgeW91ciBwcmVwYWlkIGNyZWRpdHMiLCJ1cmkiOiJodHRwOi8vMTI3LjAuMC4xOjg3ODcvZGF0YT94PTEmZmlsdGVyJTVCYSU1RD1iJTdDYyIsInZlcnNpb24iOiIxIiwiY2hhaW5JZCI6ImVpcDE1NTo4NDUzMiIsInR5cGUiOiJlaXAxOTEiLCJub25jZSI6IjY5NTViOTAwMDEwMjAzMDQwNTA2MDcwODdiODViNDExMWFmMmU1YTI2MGE2ZDg2MCIsImlzc3VlZEF0IjoiMjAyNi0wMS0wMVQwMDowMDowMC4wMDBaIiwiZXhwaXJhdGlvblRpbWUiOiIyMDI2LTAxLTAxVDAwOjA1OjAwLjAwMFoiLCJyZXNvdXJjZXMiOlsiaHR0cDovLzEyNy4wLjAuMTo4Nzg3L2RhdGE/eD0xJmZpbHRlciU1QmElNUQ9YiU3Q2MiXSwic2lnbmF0dXJlIjoiMHg5Yzk2MGMyZTVjNGJhZjFhMDQzNjczYTVkZDlmMjJhMGZiNTdlZDI4Yjk2NTRlMzBmYzlkYmRlOTVmMjA5MzQ5NDg5M2Y4YTg3ODhhNTNhYzJiMWZmY2Y0YWEzZWRiNDI1YzQ3ZTFmYTE0MDI2YjRlY2Y4NTgyMDUxOWU2NDA3NjFjIn0=";
    let sign_in = SignIn { address: WALLET.parse().unwrap(), chain: 84532, nonce: nonce.into(), until: NOW + SECONDS };
    assert_eq!(verify(header, &scope, &NONCES, NOW + 7), Ok(sign_in));
}

#[test]
fn what_is_advertised_is_what_the_official_client_wants() {
    let challenge = advertised(&SCOPE, &NONCES, NOW, RANDOM);
    assert_eq!(
        challenge["supportedChains"],
        json!([{ "chainId": "eip155:84532", "type": "eip191" }, { "chainId": "eip155:8453", "type": "eip191" }])
    );
    assert_eq!(challenge["info"]["nonce"].as_str().unwrap().len(), 48);
    assert_eq!(challenge["schema"]["required"].as_array().unwrap().len(), 9);
    assert!(check(&signed(answer(&SCOPE))).is_ok());
}

#[test]
fn the_uri_is_one_by_rfc_3986() {
    let uri = |target| Scope { target, ..SCOPE }.uri();
    assert_eq!(uri("/a%2Fb/c?d=%7c&e=~!$'()*+,;:@/?"), "https://api.example.com/a%2Fb/c?d=%7c&e=~!$'()*+,;:@/?");
    assert_eq!(
        uri("/%|%4?[]{}^`\\\"<> #é%"),
        "https://api.example.com/%25%7C%254?%5B%5D%7B%7D%5E%60%5C%22%3C%3E%20%23%C3%A9%25"
    );
}

#[test]
fn a_header_that_cannot_be_read_is_refused() {
    let good = signed(answer(&SCOPE));
    let json = String::from_utf8(BASE64.decode(&good).unwrap()).unwrap();
    assert!(check(&good).is_ok());
    for (header, what) in [
        (format!("{good}{}", " ".repeat(MOST_BYTES)), "is over 8192 bytes"),
        (BASE64.encode(format!("{json}{}", " ".repeat(MOST_BYTES))), "is over 8192 bytes"),
        (String::new(), "is not a JSON object"),
        (format!(" {good}"), "is not standard base64 with padding"),
        (BASE64.encode(format!("{json} ")).trim_end_matches('=').to_owned(), "is not standard base64 with padding"),
        (json.clone(), "is not standard base64 with padding"),
        (BASE64.encode(format!("[{json}]")), "is not a JSON object"),
        (BASE64.encode(format!("{json}{json}")), "is not a JSON object"),
        (BASE64.encode(json.replacen('{', "{\"domain\":\"evil.example\",", 1)), "has a key twice"),
    ] {
        let error = check(&header).unwrap_err();
        assert_eq!(error, SignInError::Malformed(what), "{header}");
        assert_eq!(error.as_str(), "invalid_siwx_malformed");
    }
}

#[test]
fn a_missing_field_or_another_type_is_refused() {
    for key in ["domain", "uri", "chainId", "version", "type", "address", "issuedAt", "nonce"] {
        assert_eq!(without(key), Err(SignInError::Field(key)));
        assert_eq!(tampered(key, 1), Err(SignInError::Field(key)));
    }
    for key in ["statement", "expirationTime", "notBefore", "requestId", "resources", "signatureScheme", "signature"] {
        assert_eq!(tampered(key, Value::Null), Err(SignInError::Field(key)));
        assert_eq!(tampered(key, json!({})), Err(SignInError::Field(key)));
    }
    assert_eq!(check(&encode(&answer(&SCOPE))), Err(SignInError::Field("signature")));
}

#[test]
fn what_may_be_left_out_may_be_left_out() {
    for key in ["statement", "expirationTime", "resources"] {
        assert!(without(key).is_ok(), "{key}");
    }
    assert!(tampered("signatureScheme", "eip191").is_ok());
    assert!(tampered("something", "new").is_ok());
    assert_eq!(with("chainId", "eip155:8453").unwrap().chain, 8453);
}

#[test]
fn another_host_is_refused() {
    for domain in ["", "example.com", "API.example.com", "api.example.com:443", "api.example.com.", "evil.example"] {
        assert_eq!(with("domain", domain), Err(SignInError::DomainMismatch), "{domain}");
    }
}

#[test]
fn another_path_or_query_is_refused() {
    for uri in [
        "https://api.example.com/other?x=1",
        "https://api.example.com/data?x=2",
        "https://api.example.com/data",
        "https://api.example.com/data?x=1#",
        "https://api.example.com/data?x=%31",
        "http://api.example.com/data?x=1",
        "https://api.example.com:443/data?x=1",
    ] {
        assert_eq!(with("uri", uri), Err(SignInError::UriMismatch), "{uri}");
    }
}

#[test]
fn a_chain_that_is_not_offered_is_refused() {
    for chain in ["eip155:1", "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"] {
        assert_eq!(with("chainId", chain), Err(SignInError::UnsupportedChain), "{chain}");
    }
    for chain in ["", "84532", "eip155", "eip155:", "eip155:084532", "eip155:+84532", "eip155:84532 ", "eip155:0x14a34"]
    {
        assert_eq!(with("chainId", chain), Err(SignInError::ChainId), "{chain}");
    }
}

#[test]
fn what_the_challenge_fixes_cannot_be_changed() {
    let uri = "https://api.example.com/data?x=1";
    assert_eq!(with("version", "2"), Err(SignInError::Field("version")));
    assert_eq!(with("type", "ed25519"), Err(SignInError::Field("type")));
    assert_eq!(with("requestId", "1"), Err(SignInError::Field("requestId")));
    for statement in ["", "Log in", "Use your prepaid credits\n\nURI: https://evil.example/"] {
        assert_eq!(with("statement", statement), Err(SignInError::Field("statement")));
    }
    for resources in [json!([]), json!([uri, uri]), json!(["https://evil.example/"]), json!([format!("{uri}\n- x")])] {
        assert_eq!(with("resources", resources), Err(SignInError::Field("resources")));
    }
    for scheme in ["eip1271", "eip6492", "siws", ""] {
        assert_eq!(tampered("signatureScheme", scheme), Err(SignInError::Signature));
    }
}

#[test]
fn times_are_held_to() {
    let at = |offset: i64| instant::format(NOW.checked_add_signed(offset).unwrap());
    assert!(with("issuedAt", at(-300)).is_ok());
    assert_eq!(with("issuedAt", at(-301)), Err(SignInError::IssuedAtTooOld));
    assert_eq!(with("issuedAt", at(1)), Err(SignInError::IssuedAtInFuture));
    assert!(with("expirationTime", at(1)).is_ok());
    assert_eq!(with("expirationTime", at(0)), Err(SignInError::Expired));
    assert!(with("notBefore", at(0)).is_ok());
    assert_eq!(with("notBefore", at(1)), Err(SignInError::NotYetValid));
    for odd in
        ["", "now", "2026-01-01", "1767225600", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00Z\nRequest ID: 1"]
    {
        assert_eq!(with("issuedAt", odd), Err(SignInError::IssuedAt));
        assert_eq!(with("expirationTime", odd), Err(SignInError::ExpirationTime));
        assert_eq!(with("notBefore", odd), Err(SignInError::NotBefore));
    }
}

#[test]
fn only_a_nonce_of_this_request_is_taken() {
    for nonce in ["", "0123456789abcdef0123456789abcdef", &"0".repeat(48), "x\nIssued At: 2026-01-01T00:00:00.000Z"] {
        assert_eq!(with("nonce", nonce), Err(SignInError::Nonce));
    }
    for scope in [
        Scope { method: "POST", ..SCOPE },
        Scope { target: "/data?x=2", ..SCOPE },
        Scope { target: "/dat%61?x=1", ..SCOPE },
        Scope { base: "https://other.example", ..SCOPE },
        Scope { base: "http://api.example.com", ..SCOPE },
        // The same bytes, parted otherwise.
        Scope { base: "https://api.example.com/data", target: "?x=1", ..SCOPE },
        Scope { method: "GEThttps://api", base: ".example.com", ..SCOPE },
    ] {
        assert_eq!(with("nonce", NONCES.issue(&scope, NOW, RANDOM)), Err(SignInError::Nonce), "{scope:?}");
    }
    let shouted = NONCES.issue(&SCOPE, NOW, RANDOM).to_uppercase();
    assert_eq!(with("nonce", shouted), Err(SignInError::Nonce), "one nonce in two spellings is spent twice");
    assert!(with("nonce", NONCES.issue(&SCOPE, NOW, [9; 8])).is_ok());
}

#[test]
fn a_nonce_lives_five_minutes_and_is_remembered_as_long() {
    let nonce = NONCES.issue(&SCOPE, NOW, RANDOM);
    for (now, known) in
        [(NOW - 1, false), (NOW, true), (NOW + 300, true), (NOW + 301, false), (u64::MAX, false), (0, false)]
    {
        assert_eq!(NONCES.issued(&SCOPE, &nonce, now), known, "{now}");
    }
    // An older nonce in a fresh text: forgotten by its own age.
    let sign_in = with("nonce", NONCES.issue(&SCOPE, NOW - 100, RANDOM)).unwrap();
    assert_eq!(sign_in.until, NOW + 200);
    assert_eq!(with("nonce", NONCES.issue(&SCOPE, NOW - 301, RANDOM)), Err(SignInError::Nonce));
    assert_eq!(with("nonce", NONCES.issue(&SCOPE, NOW + 1, RANDOM)), Err(SignInError::Nonce));
    // A clock that is out of range panics nowhere.
    assert_eq!(NONCES.issue(&SCOPE, u64::MAX, RANDOM).len(), 48);
}

#[test]
fn the_address_is_the_signers_own() {
    assert_eq!(with("address", OTHER_WALLET), Err(SignInError::Signature));
    assert_eq!(tampered("address", OTHER_WALLET), Err(SignInError::Signature));
    for spelling in [WALLET.to_lowercase(), format!("0x{}", WALLET[2..].to_uppercase())] {
        assert_eq!(with("address", spelling).unwrap().address, WALLET.parse::<Address>().unwrap());
    }
    for odd in [
        "",
        "0x",
        &WALLET[2..],
        &WALLET[..41],
        &format!("{WALLET}0"),
        &format!("0x{WALLET}"),
        &format!("{WALLET}\n"),
        &WALLET.replace("Fd", "fd"),
        "0Xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
    ] {
        assert_eq!(with("address", odd), Err(SignInError::Field("address")), "{odd:?}");
    }
}

#[test]
fn a_signature_is_65_bytes_with_a_low_s() {
    let good = sign(&siwe(&answer(&SCOPE)));
    let v = |v: u8| tampered("signature", hex::encode_prefixed([&good[..64], &[v]].concat()));
    assert!(v(good[64]).is_ok());
    assert!(v(good[64] - 27).is_ok(), "as some hardware wallets write it");
    for odd in [2, 26, 29, 35, 255, 27 + 28 - good[64]] {
        assert_eq!(v(odd), Err(SignInError::Signature), "{odd}");
    }
    let high = {
        let (r, s) = good[..64].split_at(32);
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        let s = crate::evm::U256::from_str_radix(order, 16).unwrap() - crate::evm::U256::from_be_slice(s);
        [r, &s.to_be_bytes::<32>(), &[27 + 28 - good[64]]].concat()
    };
    assert_eq!(tampered("signature", hex::encode_prefixed(high)), Err(SignInError::Signature));
    assert_eq!(tampered("signature", hex::encode_prefixed([0; 65])), Err(SignInError::Signature));
    // A smart wallet's.
    assert_eq!(
        tampered("signature", hex::encode_prefixed([&good[..], &good[..]].concat())),
        Err(SignInError::Signature)
    );
    let digits = hex::encode(good);
    for odd in
        ["", "0x", &digits, &format!("0x0x{digits}"), &format!("0x{digits}0"), &format!("0x{}", &digits[2..]), "0xzz"]
    {
        assert_eq!(tampered("signature", odd), Err(SignInError::MalformedSignature), "{odd}");
    }
}

#[test]
fn every_refusal_has_a_code_and_a_sentence() {
    use std::collections::BTreeSet;
    let all = [
        SignInError::Malformed("is not base64"),
        SignInError::DomainMismatch,
        SignInError::UriMismatch,
        SignInError::IssuedAt,
        SignInError::IssuedAtTooOld,
        SignInError::IssuedAtInFuture,
        SignInError::ExpirationTime,
        SignInError::Expired,
        SignInError::NotBefore,
        SignInError::NotYetValid,
        SignInError::Nonce,
        SignInError::ChainId,
        SignInError::UnsupportedChain,
        SignInError::MalformedSignature,
        SignInError::Signature,
    ];
    assert!(all.iter().all(|error| error.as_str().starts_with("invalid_siwx_") && error.to_string().len() > 20));
    assert_eq!(all.iter().map(|error| error.as_str()).collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!(all.iter().map(ToString::to_string).collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!(SignInError::Field("nonce").as_str(), "invalid_siwx_malformed");
}

#[test]
fn no_bit_can_be_flipped() {
    let good = BASE64.decode(signed(answer(&SCOPE))).unwrap();
    for at in 0..good.len() {
        // 0x20 is the case of the signature's digits, the one thing that means nothing.
        for bit in [0x01, 0x02, 0x10, 0x40] {
            let mut json = good.clone();
            json[at] ^= bit;
            assert!(check(&BASE64.encode(json)).is_err(), "bit {bit} of byte {at}");
        }
    }
}

proptest! {
    #[test]
    fn no_string_is_a_sign_in(header in any::<String>(), base64 in any::<Vec<u8>>()) {
        prop_assert!(check(&header).is_err());
        prop_assert!(check(&BASE64.encode(base64)).is_err());
    }

    #[test]
    fn no_value_of_any_field_panics(key in 0_usize..15, value in prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<Vec<String>>().prop_map(Value::from),
        "0x[0-9a-fA-F]{130}".prop_map(Value::from),
        "eip155:[0-9]{1,30}".prop_map(Value::from),
    ]) {
        let key = ["domain", "address", "statement", "uri", "version", "chainId", "type", "nonce", "issuedAt",
            "expirationTime", "notBefore", "requestId", "resources", "signatureScheme", "signature"][key];
        prop_assert!(tampered(key, value).is_err());
    }

    #[test]
    fn no_byte_can_be_changed(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let mut json = BASE64.decode(signed(answer(&SCOPE))).unwrap();
        let at = at.index(json.len());
        // The case of the signature's digits means nothing.
        prop_assume!(!json[at].eq_ignore_ascii_case(&byte));
        json[at] = byte;
        prop_assert!(check(&BASE64.encode(json)).is_err());
    }

    #[test]
    fn any_target_is_signed_for_and_only_that(target in "/\\PC{0,30}", other in "/\\PC{0,30}") {
        let scope = Scope { target: &target, ..SCOPE };
        let header = signed(answer(&scope));
        prop_assert!(verify(&header, &scope, &NONCES, NOW).is_ok());
        let elsewhere = verify(&header, &Scope { target: &other, ..SCOPE }, &NONCES, NOW);
        prop_assert_eq!(elsewhere.is_ok(), target == other);
    }
}
