//! What became of an EIP-3009 authorization, proved on chain through a node's JSON-RPC: for a settlement whose outcome
//! was lost between us and the facilitator.
//!
//! The [`Prover`] does no I/O: it says what to ask, reads the answer, and says what to ask next. A [`Proof`] is only ever
//! made of what the chain itself records: the token's own `authorizationState`, its own events, a receipt with status 1,
//! block times. Whatever else a node answers proves nothing and ends in [`Step::Inconclusive`], after which the question
//! is as open as before.
//!
//! # Depth
//!
//! Money that moved is believed at the newest block, without further confirmations. The facilitator's own word, which is
//! believed everywhere else, is that of one receipt at the newest block: asking for more here would make the proof later
//! than the answer that it stands for, and on the networks that x402 lives on (Base and its like, where one sequencer
//! orders the blocks) it would prove nothing more. Should such a block be taken back, the authorization is valid again
//! and its transaction is still with the nodes: it lands again, or the operator has lost the price of one call.
//!
//! The other direction is dearer: a buyer who is told that his payment can never land pays again. Another newest block,
//! with the last moment of the authorization behind it, may hold what this one does not. So [`Proof::Expired`] wants a
//! block that is [`BURIED_SECONDS`] past that moment: the blocks in which it could have landed then lie under others.
//!
//! A block's number is not its identity. What hangs together is compared by block hash, and the state is read at the
//! number of the block whose time is judged, never at "latest" again: the newer block of the second call could hold the
//! payment that the time of the first says is not coming.

mod evidence;
mod search;
mod wire;

use super::network::Network;
use alloy_primitives::{Address, B256, U256, hex};
use evidence::{AUTHORIZATION_CANCELED, AUTHORIZATION_USED, Fate};
use search::{Estimate, Guess, Range, Search};
use serde_json::{Value, json};
use wire::{Block, Doubt, Log, Place, Receipt};

/// How much older than our claim, in seconds, a use may look and still be ours.
///
/// Our clock and the chain's differ, and a block carries the time at which it was begun: on Ethereum a settlement can
/// land in one that is 12 seconds older than its claim. More than is needed would be a present: what somebody copies from
/// the chain within this time of its use, and shows us first, looks like ours.
pub const CLOCK_TOLERANCE_SECONDS: u64 = 30;

/// How far past `valid_before`, in seconds, a block must be before its state says that the authorization never lands.
pub const BURIED_SECONDS: u64 = 60;

/// `authorizationState(address,bytes32)`
const AUTHORIZATION_STATE: [u8; 4] = [0xe9, 0x4a, 0x01, 0x02];

/// What is to be proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Where the payment belongs. The node must serve it: some tokens stand at one address on several networks, and what
    /// was never used on another is no less paid.
    pub network: Network,
    /// The token.
    pub asset: Address,
    /// Who signed.
    pub payer: Address,
    /// What he signed under.
    pub nonce: B256,
    /// Who was to be paid.
    pub pay_to: Address,
    /// How much, in atomic units.
    pub value: U256,
    /// Unix seconds; the token accepts it only strictly before.
    pub valid_before: u64,
    /// Unix seconds by our clock: when we claimed it, before anybody was asked to settle it.
    pub claimed_at: u64,
    /// A hash that a facilitator named, if any. It is a hint: looked at first, believed only for what its receipt shows.
    pub transaction: Option<String>,
}

/// What the chain proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The authorization was used since we claimed it (less [`CLOCK_TOLERANCE_SECONDS`]), and in the same transaction the
    /// token moved exactly the value from the payer to us.
    Settled {
        /// Its hash.
        transaction: String,
    },
    /// It was used before we claimed it: a payment that was spent elsewhere, or copied from the chain. Never ours.
    SpentBefore {
        /// The hash of the transaction that used it.
        transaction: String,
    },
    /// It was canceled, or used without that transfer: no money came to us by it, and none will.
    Void {
        /// Which of the two.
        reason: &'static str,
    },
    /// It was not used as of a block that is [`BURIED_SECONDS`] past its `valid_before`: it can never land.
    Expired,
    /// It was not used as of the newest block; it may land yet.
    Unused,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Post this JSON to the node, and hand the body of its answer to [`Prover::next`].
    Ask(String),
    /// This is proved.
    Done(Proof),
    /// Nothing is proved, for this reason; it holds no word of the node's.
    Inconclusive(String),
}

/// Asks a node, one request at a time and never more than 35, until something is proved or nothing can be.
#[derive(Debug)]
pub struct Prover {
    question: Question,
    stage: Stage,
    id: u64,
    method: &'static str,
}

/// What the next answer will be about.
#[derive(Debug)]
enum Stage {
    Start,
    Chain,
    Named(B256),
    Newest,
    State(Block),
    Sample { estimate: Estimate, tip: u64 },
    Logs { search: Search, range: Range },
    Time { place: Place, receipt: Option<Receipt> },
    Receipt(Place),
    Over,
}

/// What goes on: a request with the stage that reads its answer, or the end.
enum Next {
    Ask(Stage, &'static str, Value),
    Done(Proof),
}

impl Prover {
    /// Nothing is asked yet.
    #[must_use]
    pub const fn new(question: Question) -> Self {
        Self { question, stage: Stage::Start, id: 0, method: "" }
    }

    /// Takes the body of the node's answer (`None` to begin) and goes on.
    pub fn next(&mut self, answer: Option<&[u8]>) -> Step {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let next = match (stage, answer) {
            (Stage::Start, _) => Ok(Next::Ask(Stage::Chain, "eth_chainId", json!([]))),
            (Stage::Over, _) | (_, None) => Err(Doubt::OutOfTurn),
            (stage, Some(answer)) => self.read(stage, wire::result(answer, self.id)),
        };
        match next {
            Ok(Next::Ask(stage, method, params)) => {
                (self.stage, self.method, self.id) = (stage, method, self.id.saturating_add(1));
                Step::Ask(wire::request(self.id, method, &params))
            }
            Ok(Next::Done(proof)) => Step::Done(proof),
            Err(doubt) => Step::Inconclusive(format!("{}: {doubt}", self.method)),
        }
    }

    fn read(&self, stage: Stage, result: Result<Value, Doubt>) -> Result<Next, Doubt> {
        match stage {
            Stage::Start | Stage::Over => Err(Doubt::OutOfTurn),
            Stage::Chain => {
                let chain_id = wire::number(&result?).ok_or(Doubt::Malformed("no number"))?;
                if chain_id != self.question.network.chain_id() {
                    return Err(Doubt::OtherNetwork);
                }
                let named = self.question.transaction.as_deref().and_then(|hash| hash.strip_prefix("0x"));
                Ok(match named.and_then(|digits| digits.parse().ok()) {
                    Some(hash) => Next::Ask(Stage::Named(hash), "eth_getTransactionReceipt", json!([written(hash)])),
                    None => newest(),
                })
            }
            // No receipt, a failed one, one of something else: a facilitator may replace what it broadcast first, and the
            // hash that it named says nothing then.
            Stage::Named(hash) => Ok(match result.and_then(|value| Receipt::read(&value)) {
                Ok(receipt) if receipt.place.transaction == hash => match self.question.fate_in(&receipt.logs) {
                    Some(Fate::Used) => time(receipt.place, Some(receipt)),
                    Some(Fate::Canceled) => canceled(),
                    None => newest(),
                },
                _ => newest(),
            }),
            Stage::Newest => {
                let block = Block::read(&result?)?;
                Ok(Next::Ask(Stage::State(block), "eth_call", json!([self.state_call(), hex_number(block.number)])))
            }
            Stage::State(block) => {
                if wire::boolean(&result?)? {
                    // A little earlier than the claim, as a settlement may look: it then lies ahead, not behind.
                    let time = self.question.claimed_at.saturating_sub(CLOCK_TOLERANCE_SECONDS);
                    let (estimate, guess) = Estimate::new(time, block);
                    return self.sample_or_search(estimate, guess, block.number);
                }
                let buried = self.question.valid_before.saturating_add(BURIED_SECONDS);
                Ok(Next::Done(if block.time >= buried { Proof::Expired } else { Proof::Unused }))
            }
            Stage::Sample { mut estimate, tip } => {
                let guess = estimate.sampled(Block::read(&result?)?);
                self.sample_or_search(estimate, guess, tip)
            }
            Stage::Logs { search, range } => self.found(search, range, result),
            Stage::Time { place, receipt } => {
                let block = Block::read(&result?)?;
                if (block.number, block.hash) != (place.block, place.block_hash) {
                    return Err(Doubt::Reorganised);
                }
                if block.time.saturating_add(CLOCK_TOLERANCE_SECONDS) < self.question.claimed_at {
                    return Ok(Next::Done(Proof::SpentBefore { transaction: written(place.transaction) }));
                }
                match receipt {
                    Some(receipt) => self.question.judge(&receipt).map(Next::Done),
                    None => {
                        let params = json!([written(place.transaction)]);
                        Ok(Next::Ask(Stage::Receipt(place), "eth_getTransactionReceipt", params))
                    }
                }
            }
            Stage::Receipt(place) => {
                let receipt = Receipt::read(&result?)?;
                if receipt.place.transaction != place.transaction {
                    return Err(Doubt::Malformed("transactionHash"));
                }
                if receipt.place != place {
                    return Err(Doubt::Reorganised);
                }
                self.question.judge(&receipt).map(Next::Done)
            }
        }
    }

    fn sample_or_search(&self, estimate: Estimate, guess: Guess, tip: u64) -> Result<Next, Doubt> {
        match guess {
            Guess::Sample(number) => Ok(block(Stage::Sample { estimate, tip }, &json!(hex_number(number)))),
            Guess::Here(number) => self.search(Search::new(number, tip)),
        }
    }

    fn search(&self, mut search: Search) -> Result<Next, Doubt> {
        let range = search.next().ok_or(Doubt::NotFound)?;
        let params = json!([{
            "address": written(self.question.asset),
            "fromBlock": hex_number(range.first),
            "toBlock": hex_number(range.last),
            "topics": [
                [written(AUTHORIZATION_USED), written(AUTHORIZATION_CANCELED)],
                written(self.question.payer.into_word()),
                written(self.question.nonce),
            ],
        }]);
        Ok(Next::Ask(Stage::Logs { search, range }, "eth_getLogs", params))
    }

    fn found(&self, mut search: Search, range: Range, result: Result<Value, Doubt>) -> Result<Next, Doubt> {
        let list = match result {
            // Which numbers nodes give for "too wide a range" is different for every one of them.
            Err(Doubt::Refused(code)) => {
                return if search.refused() { self.search(search) } else { Err(Doubt::Refused(code)) };
            }
            result => result?,
        };
        let mut fates = Vec::new();
        for entry in list.as_array().ok_or(Doubt::Malformed("no list"))? {
            if let Some(fate) = self.question.fate_of(&Log::read(entry)?) {
                let place = Place::read(entry)?;
                if !(range.first..=range.last).contains(&place.block) {
                    return Err(Doubt::Malformed("a block out of range"));
                }
                fates.push((fate, place));
            }
        }
        match fates.as_slice() {
            [] => {
                search.searched();
                self.search(search)
            }
            [(Fate::Used, place)] => Ok(time(*place, None)),
            [(Fate::Canceled, _)] => Ok(canceled()),
            // The token lets it happen once: whatever says twice is not the token as we know it.
            _ => Err(Doubt::Malformed("used more than once")),
        }
    }

    fn state_call(&self) -> Value {
        let payer = self.question.payer.into_word();
        let data = [AUTHORIZATION_STATE.as_slice(), payer.as_slice(), self.question.nonce.as_slice()].concat();
        json!({ "to": written(self.question.asset), "data": written(data) })
    }
}

/// Whether an answer is a JSON-RPC error, which is all that may be made of one that came with an HTTP status like 400.
#[must_use]
pub fn is_error(answer: &[u8]) -> bool {
    matches!(wire::result(answer, 0), Err(Doubt::Refused(_)))
}

const fn canceled() -> Next {
    Next::Done(Proof::Void { reason: evidence::CANCELED })
}

fn newest() -> Next {
    block(Stage::Newest, &json!("latest"))
}

fn time(place: Place, receipt: Option<Receipt>) -> Next {
    block(Stage::Time { place, receipt }, &json!(hex_number(place.block)))
}

fn block(stage: Stage, which: &Value) -> Next {
    Next::Ask(stage, "eth_getBlockByNumber", json!([which, false]))
}

fn written(bytes: impl AsRef<[u8]>) -> String {
    hex::encode_prefixed(bytes)
}

fn hex_number(number: u64) -> String {
    format!("{number:#x}")
}

#[cfg(test)]
mod tests;
