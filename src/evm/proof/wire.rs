//! What is asked of a node, and what of its answers is believed.
//!
//! Only what a proof rests on is read, and that strictly: an answer that leaves anything of it open is a [`Doubt`], never
//! half a proof.

use crate::strict_json;
use alloy_primitives::{Address, B256, U256, hex};
use serde_json::{Value, json};
use std::fmt;

/// Why nothing is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Not an answer to what was asked, or this part of it cannot be read.
    Malformed(&'static str),
    /// The node says that it cannot tell. Of its error only the number: its text may repeat the key in the URL.
    Refused(i64),
    /// The node does not have it.
    Absent,
    /// A block is no longer the one that an earlier answer spoke of.
    Reorganised,
    /// The node serves another network than the payment's.
    OtherNetwork,
    /// The authorization is used, and the blocks that were searched do not say where.
    NotFound,
    /// Its transaction paid us, but not by it as far as can be told.
    Ambiguous,
    /// Asked on without an answer, or after the end.
    OutOfTurn,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "the answer cannot be read: {what}"),
            Self::Refused(code) => write!(f, "the node answered with the error {code}"),
            Self::Absent => f.write_str("the node does not have it"),
            Self::Reorganised => f.write_str("the chain was reorganised between two answers"),
            Self::OtherNetwork => f.write_str("the node serves another network"),
            Self::NotFound => f.write_str("it is used, but in none of the blocks that were searched"),
            Self::Ambiguous => {
                f.write_str("its transaction paid us, but it is not clear that it was by this authorization")
            }
            Self::OutOfTurn => f.write_str("there was no answer to go on with"),
        }
    }
}

/// A JSON-RPC request.
pub(super) fn request(id: u64, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// The result in an answer to the request `id`; one to another request is none.
pub(super) fn result(answer: &[u8], id: u64) -> Result<Value, Doubt> {
    let Ok(Value::Object(mut answer)) = strict_json::parse(answer) else {
        return Err(Doubt::Malformed("no JSON object"));
    };
    match answer.get("error") {
        // Errors about the request itself carry no id.
        Some(Value::Object(error)) => {
            return Err(Doubt::Refused(error.get("code").and_then(Value::as_i64).unwrap_or_default()));
        }
        None | Some(Value::Null) => {}
        Some(_) => return Err(Doubt::Malformed("error")),
    }
    if answer.get("id").and_then(Value::as_u64) != Some(id) {
        return Err(Doubt::Malformed("id"));
    }
    answer.remove("result").ok_or(Doubt::Malformed("result"))
}

/// A block as far as a proof needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) number: u64,
    pub(super) hash: B256,
    /// Unix seconds.
    pub(super) time: u64,
}

impl Block {
    pub(super) fn read(value: &Value) -> Result<Self, Doubt> {
        if value.is_null() {
            return Err(Doubt::Absent);
        }
        Ok(Self { number: quantity(value, "number")?, hash: word(value, "hash")?, time: quantity(value, "timestamp")? })
    }
}

/// Where on the chain something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) transaction: B256,
    pub(super) block: u64,
    pub(super) block_hash: B256,
}

impl Place {
    /// Of a log or a receipt: the members have the same names in both.
    pub(super) fn read(value: &Value) -> Result<Self, Doubt> {
        Ok(Self {
            transaction: word(value, "transactionHash")?,
            block: quantity(value, "blockNumber")?,
            block_hash: word(value, "blockHash")?,
        })
    }
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    /// Who emitted it.
    pub(super) address: Address,
    pub(super) topics: Vec<B256>,
    /// Its data, where that is one word.
    pub(super) word: Option<U256>,
    /// Taken back by a reorganisation.
    pub(super) removed: bool,
}

impl Log {
    pub(super) fn read(value: &Value) -> Result<Self, Doubt> {
        let topics = value.get("topics").and_then(Value::as_array).ok_or(Doubt::Malformed("topics"))?;
        let data = bytes(value.get("data")).ok_or(Doubt::Malformed("data"))?;
        Ok(Self {
            address: bytes(value.get("address"))
                .and_then(|bytes| Address::try_from(bytes.as_slice()).ok())
                .ok_or(Doubt::Malformed("address"))?,
            topics: topics
                .iter()
                .map(|topic| fixed(Some(topic)))
                .collect::<Option<_>>()
                .ok_or(Doubt::Malformed("topics"))?,
            word: B256::try_from(data.as_slice()).ok().map(Into::into),
            removed: match value.get("removed") {
                None | Some(Value::Null) => false,
                Some(Value::Bool(removed)) => *removed,
                Some(_) => return Err(Doubt::Malformed("removed")),
            },
        })
    }
}

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) place: Place,
    /// In the order in which they were emitted.
    pub(super) logs: Vec<Log>,
}

impl Receipt {
    /// Of a transaction that succeeded; one that was reverted moved nothing and has no logs.
    pub(super) fn read(value: &Value) -> Result<Self, Doubt> {
        if value.is_null() {
            return Err(Doubt::Absent);
        }
        if quantity(value, "status")? != 1 {
            return Err(Doubt::Malformed("status"));
        }
        let logs = value.get("logs").and_then(Value::as_array).ok_or(Doubt::Malformed("logs"))?;
        Ok(Self { place: Place::read(value)?, logs: logs.iter().map(Log::read).collect::<Result<_, _>>()? })
    }
}

/// The one `bool` that a call returns.
pub(super) fn boolean(value: &Value) -> Result<bool, Doubt> {
    // Where there is no contract the answer is `0x`: neither used nor unused.
    match fixed(Some(value)).map(|word| -> U256 { word.into() }) {
        Some(word) if word == U256::ZERO => Ok(false),
        Some(word) if word == U256::ONE => Ok(true),
        _ => Err(Doubt::Malformed("not a bool")),
    }
}

/// A number in hexadecimal.
pub(super) fn number(value: &Value) -> Option<u64> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    // from_str_radix would take a sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

fn quantity(value: &Value, key: &'static str) -> Result<u64, Doubt> {
    value.get(key).and_then(number).ok_or(Doubt::Malformed(key))
}

fn word(value: &Value, key: &'static str) -> Result<B256, Doubt> {
    fixed(value.get(key)).ok_or(Doubt::Malformed(key))
}

fn fixed(value: Option<&Value>) -> Option<B256> {
    B256::try_from(bytes(value)?.as_slice()).ok()
}

fn bytes(value: Option<&Value>) -> Option<Vec<u8>> {
    hex::decode(value?.as_str()?.strip_prefix("0x")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_to_the_question_is_one() {
        assert_eq!(result(br#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#, 7), Ok(json!("0x1")));
        assert_eq!(result(br#"{"id":7,"result":null,"error":null}"#, 7), Ok(Value::Null));
        for (answer, doubt) in [
            (r#"{"id":8,"result":1}"#, Doubt::Malformed("id")),
            (r#"{"id":"7","result":1}"#, Doubt::Malformed("id")),
            (r#"{"result":1}"#, Doubt::Malformed("id")),
            (r#"{"id":7}"#, Doubt::Malformed("result")),
            (r#"{"id":7,"result":1,"result":2}"#, Doubt::Malformed("no JSON object")),
            (r#"{"id":7,"result":1,"error":"x"}"#, Doubt::Malformed("error")),
            (r#"[{"id":7,"result":1}]"#, Doubt::Malformed("no JSON object")),
            ("<html>", Doubt::Malformed("no JSON object")),
            ("", Doubt::Malformed("no JSON object")),
            (r#"{"id":7,"result":1,"error":{"code":-32000,"message":"key abc"}}"#, Doubt::Refused(-32000)),
            (r#"{"id":null,"error":{}}"#, Doubt::Refused(0)),
        ] {
            assert_eq!(result(answer.as_bytes(), 7), Err(doubt), "{answer}");
        }
    }

    #[test]
    fn numbers_and_bools_are_what_they_must_be() {
        assert_eq!(number(&json!("0x14a34")), Some(84532));
        for odd in [json!("0x"), json!("14"), json!("0x+1"), json!("0x-1"), json!(1), json!("0x1ffffffffffffffff")] {
            assert_eq!(number(&odd), None, "{odd}");
        }
        let word = |last: &str| json!(format!("0x{}{last}", "00".repeat(31)));
        assert_eq!((boolean(&word("00")), boolean(&word("01"))), (Ok(false), Ok(true)));
        for odd in [word("02"), word(""), word("0000"), word("0"), json!("0x"), json!("0x1"), json!(true), json!(null)]
        {
            assert!(boolean(&odd).is_err(), "{odd}");
        }
    }
}
