//! Pays for one GET by x402 (version 2, scheme "exact", EIP-3009): k256 and alloy-sol-types sign, ureq asks.
//!
//!     PRIVATE_KEY=0x… cargo run -- https://host/path
//!
//! MAX_PRICE is the most that the payment may be, "$0.10" if it is not set.
//! The answer goes to stdout, the receipt to stderr.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{Eip712Domain, SolStruct, sol};
use base64::{Engine, prelude::BASE64_STANDARD};
use k256::ecdsa::SigningKey;
use serde_json::{Value, json};
use std::{env, error::Error, process::ExitCode, thread::sleep, time::Duration};
use ureq::{Agent, http::Response};

sol! {
    struct TransferWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }
}

/// The tokens that are paid in: network, address, EIP-712 name and version. Not what a server says of them.
const USDC: [[&str; 4]; 2] = [
    ["eip155:8453", "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin", "2"],
    ["eip155:84532", "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC", "2"],
];
/// How often one payment is sent while its outcome is unknown.
const TRIES: usize = 12;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("usage: PRIVATE_KEY=0x… edge402-pay URL")?;
    let key = env::var("PRIVATE_KEY")
        .map_err(|_| "no PRIVATE_KEY in the environment: make one, PRIVATE_KEY=0x$(openssl rand -hex 32)")?;
    let key: B256 = key.parse().map_err(|_| "PRIVATE_KEY is no private key: it is 0x and 64 hexadecimal digits")?;
    let key = SigningKey::from_slice(key.as_slice()).map_err(|_| "PRIVATE_KEY is no private key")?;
    let max = env::var("MAX_PRICE").unwrap_or_else(|_| "$0.10".to_owned());
    let max = atoms(&max).ok_or("MAX_PRICE is no amount in dollars, such as $0.10")?;

    // A redirect is an answer; a payment follows none.
    let agent: Agent = Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
    let challenge = ask(&agent, &url, None)?;
    if challenge.status() != 402 {
        return show(&challenge);
    }
    let required = decode(&challenge, "payment-required").ok_or("this 402 is not x402 version 2")?;
    let payment = sign(&required, &key, max)?;

    // One payment is sent until its outcome is known: another signature could pay a second time.
    for _ in 0..TRIES {
        let wait = match ask(&agent, &url, Some(&payment)) {
            Ok(answer) if answer.status() != 503 && !answer.headers().contains_key("retry-after") => {
                return show(&answer);
            }
            Ok(answer) => header(&answer, "retry-after").and_then(|text| text.parse().ok()).unwrap_or(5).min(60),
            Err(_) => 2,
        };
        eprintln!("again    in {wait} s with the same payment");
        sleep(Duration::from_secs(wait));
    }
    Err("the outcome is unknown, and the money may have moved: do not sign again".into())
}

/// One request and all of its answer: one that breaks off in its middle is a lost one.
fn ask(agent: &Agent, url: &str, payment: Option<&str>) -> Result<Response<String>, ureq::Error> {
    let request = agent.get(url);
    let request = match payment {
        Some(payment) => request.header("PAYMENT-SIGNATURE", payment),
        None => request,
    };
    let (parts, mut body) = request.call()?.into_parts();
    Ok(Response::from_parts(parts, body.read_to_string()?))
}

/// Dollars in USDC's smallest units, a millionth each.
fn atoms(dollars: &str) -> Option<U256> {
    let (whole, cents) =
        dollars.trim_start_matches('$').split_once('.').unwrap_or((dollars.trim_start_matches('$'), ""));
    (cents.len() <= 6).then(|| format!("{whole}{cents:0<6}").parse().ok()).flatten()
}

/// The value of PAYMENT-SIGNATURE, for the first offer that is known and within the limit.
fn sign(required: &Value, key: &SigningKey, max: U256) -> Result<String, Box<dyn Error>> {
    let offers = required["accepts"].as_array().ok_or("the 402 offers nothing")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let known = |offer: &Value| {
        let extra = &offer["extra"];
        let method = extra["assetTransferMethod"].as_str().unwrap_or("eip3009");
        let token = [&offer["network"], &offer["asset"], &extra["name"], &extra["version"]].map(text);
        offer["scheme"] == "exact" && method == "eip3009" && USDC.iter().any(|usdc| token == *usdc)
    };
    let amount = |offer: &Value| text(&offer["amount"]).parse::<U256>().ok();
    let offer = offers.iter().find(|offer| known(offer)).ok_or("no offer in a token that is known here")?;
    let value = amount(offer).ok_or("the offer has no amount")?;
    eprintln!("price    {value} atomic units of USDC on {}", text(&offer["network"]));
    if value > max {
        return Err("too dear: nothing was signed".into());
    }

    let mut random = [0; 48];
    getrandom::fill(&mut random)?;
    let (nonce, id) = random.split_at(32);
    let lifetime = offer["maxTimeoutSeconds"].as_u64().unwrap_or(60).min(3600);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
    // An address is a hash of the key's 64 bytes, without the mark before them.
    let public = key.verifying_key().to_sec1_point(false);
    let authorization = TransferWithAuthorization {
        from: Address::from_raw_public_key(public.as_bytes().get(1..).unwrap_or_default()),
        to: text(&offer["payTo"]).parse()?,
        value,
        validAfter: U256::ZERO,
        validBefore: U256::from(now + lifetime),
        nonce: B256::from_slice(nonce),
    };
    let domain = Eip712Domain {
        name: Some(text(&offer["extra"]["name"]).into()),
        version: Some(text(&offer["extra"]["version"]).into()),
        chain_id: Some(text(&offer["network"]).trim_start_matches("eip155:").parse()?),
        verifying_contract: Some(text(&offer["asset"]).parse()?),
        salt: None,
    };
    let (signature, parity) = key.sign_prehash_recoverable(authorization.eip712_signing_hash(&domain).as_slice());
    let mut bytes = signature.to_vec();
    bytes.push(27 + u8::from(parity.is_y_odd()));

    let mut payload = json!({
        "x402Version": 2,
        "resource": required["resource"],
        "accepted": offer,
        "payload": {
            "signature": alloy_primitives::hex::encode_prefixed(bytes),
            "authorization": {
                "from": authorization.from.to_string(),
                "to": authorization.to.to_string(),
                "value": authorization.value.to_string(),
                "validAfter": "0",
                "validBefore": authorization.validBefore.to_string(),
                "nonce": authorization.nonce.to_string(),
            },
        },
    });
    // Who shows the identifier gets an answer again that was lost on its way.
    let mut identifier = required["extensions"]["payment-identifier"].clone();
    if identifier.is_object() {
        identifier["info"]["id"] = format!("pay_{}", alloy_primitives::hex::encode(id)).into();
        payload["extensions"] = json!({ "payment-identifier": identifier });
    }
    Ok(BASE64_STANDARD.encode(payload.to_string()))
}

fn show(answer: &Response<String>) -> Result<(), Box<dyn Error>> {
    if let Some(receipt) = decode(answer, "payment-response") {
        eprintln!("receipt  {receipt}");
    }
    let (status, body) = (answer.status(), answer.body());
    if status.as_u16() >= 400 {
        return Err(format!("{status}: {body}").into());
    }
    println!("{body}");
    Ok(())
}

fn header<'a>(answer: &'a Response<String>, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

fn decode(answer: &Response<String>, name: &str) -> Option<Value> {
    serde_json::from_slice(&BASE64_STANDARD.decode(header(answer, name)?).ok()?).ok()
}
