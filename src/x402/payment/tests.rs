use super::*;
use proptest::prelude::*;

fn encode(json: &str) -> String {
    BASE64.encode(json)
}

fn v1(authorization: &Value, signature: &str) -> Value {
    json!({
        "x402Version": 1, "scheme": "exact", "network": "base-sepolia",
        "payload": { "signature": signature, "authorization": authorization },
    })
}

fn authorization() -> Value {
    json!({
        "from": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "to": "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
        "value": "10000", "validAfter": "0", "validBefore": "1740672154",
        "nonce": "0xf3746613c2d920b5fdabc0856f2aeb2d4f88ee6037b8cc5d04a71a4462f13480",
    })
}

fn decode_v1(payment: &Value) -> Result<Payment, Code> {
    Payment::decode(Carrier::XPayment, &encode(&payment.to_string())).map_err(|problem| problem.code)
}

#[test]
fn a_payment_is_read_whole() {
    let payment = decode_v1(&v1(&authorization(), "0xabcd")).unwrap();
    assert_eq!(payment.dialect, Dialect::V1);
    assert_eq!(payment.choice, Choice::Network(Some(Network::new(84532))));
    assert_eq!(payment.authorization.value, U256::from(10_000));
    assert_eq!(payment.signature, [0xab, 0xcd]);
}

#[test]
fn the_third_dialect_names_its_network_either_way() {
    for name in ["base-sepolia", "eip155:84532"] {
        let mut payment = v1(&authorization(), "0xabcd");
        payment["x402Version"] = 2.into();
        payment["network"] = name.into();
        let payment = decode_v1(&payment).unwrap();
        assert_eq!(
            (payment.dialect, payment.choice),
            (Dialect::V2InXPayment, Choice::Network(Some(Network::new(84532))))
        );
    }
}

#[test]
fn numbers_have_one_spelling() {
    let two_256 = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    for odd in ["+1", "-1", "0x10", "010", "1.0", "1e3", "", " 1", "1 ", "1_0", "١", two_256, &"9".repeat(79)] {
        for field in ["value", "validAfter", "validBefore"] {
            let mut edited = authorization();
            edited[field] = odd.into();
            assert_eq!(decode_v1(&v1(&edited, "0xab")).unwrap_err(), Code::PaymentMalformed, "{field} {odd:?}");
        }
    }
    let mut edited = authorization();
    edited["value"] = 10_000.into();
    assert_eq!(decode_v1(&v1(&edited, "0xab")).unwrap_err(), Code::PaymentMalformed, "a JSON number");
}

#[test]
fn bytes_have_their_length() {
    for (field, odd) in [
        ("nonce", "0xab"),
        ("nonce", "f3746613c2d920b5fdabc0856f2aeb2d4f88ee6037b8cc5d04a71a4462f13480"),
        ("from", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb9226"),
        ("to", "f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        ("to", "0x0xf39Fd6e51aad88F6F4ce6aB8827279cffFb922"),
    ] {
        let mut edited = authorization();
        edited[field] = odd.into();
        assert_eq!(decode_v1(&v1(&edited, "0xab")).unwrap_err(), Code::PaymentMalformed, "{field} {odd}");
    }
    for odd in ["", "0x", "0xabc", "abcd", "0xzz", "0x0xab"] {
        assert_eq!(decode_v1(&v1(&authorization(), odd)).unwrap_err(), Code::PaymentMalformed, "{odd:?}");
    }
}

#[test]
fn the_envelope_is_strict() {
    let code = |carrier, header: &str| Payment::decode(carrier, header).unwrap_err().code;
    let whole = encode(&v1(&authorization(), "0xab").to_string());
    assert_eq!(code(Carrier::PaymentSignature, &whole), Code::UnsupportedVersion, "v1 in the v2 header");
    assert_eq!(code(Carrier::XPayment, &encode(r#"{"x402Version":3}"#)), Code::UnsupportedVersion);
    assert_eq!(code(Carrier::XPayment, &encode(r#"{"x402Version":"1"}"#)), Code::UnsupportedVersion);
    assert_eq!(code(Carrier::XPayment, &encode(r#"{"x402Version":1.0}"#)), Code::UnsupportedVersion);
    assert_eq!(code(Carrier::XPayment, &encode(r#"{"x402Version":1,"x402Version":1}"#)), Code::PaymentDuplicateKey);
    assert_eq!(code(Carrier::XPayment, &encode("[]")), Code::PaymentNotJson);
    assert_eq!(code(Carrier::XPayment, ""), Code::PaymentNotJson);
    assert_eq!(code(Carrier::XPayment, &encode("{")), Code::PaymentNotJson);
    for odd in ["a", "YQ", "YR==", "-_-_", "YWJj, YWJj", " YWJj", "YWJj\n", "é"] {
        assert_eq!(code(Carrier::XPayment, odd), Code::PaymentNotBase64, "{odd:?}");
    }
    assert_eq!(code(Carrier::XPayment, &"A".repeat(MOST_BYTES + 4)), Code::PaymentTooLarge);
    assert_eq!(code(Carrier::XPayment, &"A".repeat(MOST_BYTES)), Code::PaymentNotJson);
}

proptest! {
    #[test]
    fn no_header_panics(header in ".*", v2 in any::<bool>()) {
        let carrier = if v2 { Carrier::PaymentSignature } else { Carrier::XPayment };
        let _ = Payment::decode(carrier, &header);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Payment::decode(Carrier::XPayment, &BASE64.encode(bytes));
    }

    // One byte of a good payment changed: read as something or refused, and never as the same signed fields with
    // another identity.
    #[test]
    fn no_changed_byte_panics(position in 0_usize..400, byte in any::<u8>()) {
        let mut bytes = v1(&authorization(), "0xabcd").to_string().into_bytes();
        let position = position % bytes.len();
        bytes[position] = byte;
        let _ = Payment::decode(Carrier::XPayment, &BASE64.encode(bytes));
    }
}
