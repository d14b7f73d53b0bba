//! A node that is made up, and what asks it.

use super::super::evidence::{AUTHORIZATION_CANCELED, AUTHORIZATION_USED, TRANSFER};
use super::*;

const CHAIN: u64 = 84532;

pub(super) fn word(address: Address) -> B256 {
    address.into_word()
}

pub(super) fn question() -> Question {
    Question {
        network: Network::new(CHAIN),
        asset: Address::repeat_byte(0xa5),
        payer: Address::repeat_byte(0xb1),
        nonce: B256::repeat_byte(0x77),
        pay_to: Address::repeat_byte(0xc2),
        value: U256::from(10_000),
        valid_before: 100_000,
        claimed_at: 50_000,
        transaction: None,
    }
}

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) address: Address,
    pub(super) topics: Vec<B256>,
    pub(super) data: Vec<u8>,
    pub(super) removed: bool,
}

pub(super) fn event(topics: &[B256], data: &[u8]) -> Event {
    Event { address: question().asset, topics: topics.to_vec(), data: data.to_vec(), removed: false }
}

pub(super) fn used(nonce: u8) -> Event {
    event(&[AUTHORIZATION_USED, word(question().payer), B256::repeat_byte(nonce)], &[])
}

pub(super) fn canceled_event() -> Event {
    event(&[AUTHORIZATION_CANCELED, word(question().payer), question().nonce], &[])
}

pub(super) fn transfer(to: Address, value: u64) -> Event {
    event(&[TRANSFER, word(question().payer), word(to)], &U256::from(value).to_be_bytes::<32>())
}

pub(super) fn paid() -> Event {
    transfer(question().pay_to, 10_000)
}

#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) hash: B256,
    pub(super) block: usize,
    pub(super) status: &'static str,
    pub(super) events: Vec<Event>,
}

/// A node with a chain of its own.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// When each block was made.
    pub(super) times: Vec<u64>,
    pub(super) transactions: Vec<Transaction>,
    /// The widest range of blocks that it answers for.
    pub(super) most_blocks: u64,
}

impl Node {
    /// A block every two seconds, the newest at `now`; beginning at 0.
    pub(super) fn at(now: u64) -> Self {
        Self { times: (0..=now / 2).map(|number| 2 * number).collect(), transactions: Vec::new(), most_blocks: 10_000 }
    }

    pub(super) fn with(mut self, time: u64, events: &[Event]) -> Self {
        let hash = B256::repeat_byte(0xd0 + u8::try_from(self.transactions.len()).unwrap());
        let block = usize::try_from(time / 2).unwrap();
        self.transactions.push(Transaction { hash, block, status: "0x1", events: events.to_vec() });
        self
    }

    pub(super) fn hash(&self, index: usize) -> String {
        written(self.transactions[index].hash)
    }

    fn log(transaction: &Transaction, event: &Event) -> Value {
        json!({
            "address": written(event.address),
            "topics": event.topics.iter().map(written).collect::<Vec<_>>(),
            "data": written(&event.data),
            "removed": event.removed,
            "blockNumber": format!("{:#x}", transaction.block),
            "blockHash": written(U256::from(transaction.block).to_be_bytes::<32>()),
            "transactionHash": written(transaction.hash),
        })
    }

    /// The result, or the number of an error.
    pub(super) fn answer(&self, method: &str, params: &Value) -> Result<Value, i64> {
        let block = |value: &Value| match value.as_str().unwrap() {
            "latest" => self.times.len() - 1,
            number => usize::from_str_radix(&number[2..], 16).unwrap(),
        };
        let about = |event: &Event, nonce: &str| {
            event.topics.len() == 3
                && event.topics[1] == word(question().payer)
                && nonce.ends_with(&written(event.topics[2])[2..])
        };
        Ok(match method {
            "eth_chainId" => json!(format!("{CHAIN:#x}")),
            "eth_getBlockByNumber" => {
                let number = block(&params[0]);
                self.times.get(number).map_or(Value::Null, |time| {
                    json!({
                        "number": format!("{number:#x}"),
                        "hash": written(U256::from(number).to_be_bytes::<32>()),
                        "timestamp": format!("{time:#x}"),
                    })
                })
            }
            "eth_call" => {
                let at = block(&params[1]);
                assert!(params[1] != "latest" && at < self.times.len());
                let used = self.transactions.iter().any(|t| {
                    t.block <= at && t.events.iter().any(|event| about(event, params[0]["data"].as_str().unwrap()))
                });
                json!(format!("0x{:064x}", u8::from(used)))
            }
            "eth_getLogs" => {
                let (first, last) = (block(&params[0]["fromBlock"]), block(&params[0]["toBlock"]));
                assert!(first <= last && last < self.times.len());
                if u64::try_from(last - first).unwrap() >= self.most_blocks {
                    return Err(-32005);
                }
                let within = self.transactions.iter().filter(|t| (first..=last).contains(&t.block));
                let logs = within.flat_map(|t| {
                    t.events
                        .iter()
                        .filter(|e| about(e, params[0]["topics"][2].as_str().unwrap()))
                        .map(|e| Self::log(t, e))
                });
                Value::Array(logs.collect())
            }
            "eth_getTransactionReceipt" => {
                self.transactions.iter().find(|t| written(t.hash) == params[0]).map_or(Value::Null, |t| {
                    json!({
                        "status": t.status,
                        "transactionHash": written(t.hash),
                        "blockNumber": format!("{:#x}", t.block),
                        "blockHash": written(U256::from(t.block).to_be_bytes::<32>()),
                        "logs": t.events.iter().map(|event| Self::log(t, event)).collect::<Vec<_>>(),
                    })
                })
            }
            other => panic!("{other}"),
        })
    }

    pub(super) fn ask(&self, question: Question) -> Step {
        drive(question, |method, params| match self.answer(method, params) {
            Ok(result) => json!({ "jsonrpc": "2.0", "result": result }),
            Err(code) => json!({ "jsonrpc": "2.0", "error": { "code": code, "message": "sk_live_KEY" } }),
        })
    }
}

/// Asks until it ends; whatever the node, it does.
pub(super) fn drive(question: Question, mut node: impl FnMut(&str, &Value) -> Value) -> Step {
    let mut prover = Prover::new(question);
    let mut answer: Option<Vec<u8>> = None;
    for _ in 0..=35 {
        let step = prover.next(answer.as_deref());
        let Step::Ask(body) = &step else {
            assert!(matches!(prover.next(Some(b"{}")), Step::Inconclusive(_)), "it goes on after the end");
            return step;
        };
        let asked: Value = serde_json::from_str(body).unwrap();
        let mut reply = node(asked["method"].as_str().unwrap(), &asked["params"]);
        if let Some(members) = reply.as_object_mut() {
            members.entry("id").or_insert_with(|| asked["id"].clone());
        }
        answer = Some(reply.to_string().into_bytes());
    }
    panic!("more than 35 requests");
}
