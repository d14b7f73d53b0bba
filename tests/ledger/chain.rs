//! A chain with one token, and an honest facilitator before it whose answers get lost. Its words are read by the very
//! parser that the Worker reads them with.

use crate::world::Rules;
use edge402::evm::Address;
use edge402::evm::network::Network;
use edge402::x402::facilitator::{Expected, Outcome, Said, Verification, read_settlement, read_verification};
use serde_json::{Value, json};

/// A facilitator refuses what is valid for less than this.
const FACILITATOR_MARGIN: u64 = 6;

/// By whose doing an authorization is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A settlement that somebody of ours has sent: the money is the seller's.
    Us,
    /// Somebody else has sent it, from the calldata or for another seller's copy: the money moved all the same.
    Stranger,
    /// The payer has cancelled it: no money moved.
    Cancelled,
}

#[derive(Clone, Debug)]
pub struct Used {
    pub at: u64,
    pub by: By,
    pub transaction: String,
}

#[derive(Clone, Debug)]
pub struct Authorization {
    pub wallet: usize,
    pub value: u64,
    pub valid_before: u64,
    pub used: Option<Used>,
    /// In nobody's block yet: when each would be.
    broadcasts: Vec<(u64, String)>,
    /// Who has heard that it is used, and lives.
    told: Vec<usize>,
}

#[derive(Debug, Default)]
pub struct Chain {
    pub balances: [u64; 2],
    pub authorizations: Vec<Authorization>,
    transactions: u64,
}

impl Chain {
    pub fn new(balances: [u64; 2]) -> Self {
        Self { balances, ..Self::default() }
    }

    pub fn sign(&mut self, wallet: usize, value: u64, valid_before: u64) -> usize {
        let (used, broadcasts, told) = (None, Vec::new(), Vec::new());
        self.authorizations.push(Authorization { wallet, value, valid_before, used, broadcasts, told });
        self.authorizations.len() - 1
    }

    pub fn used(&self, payment: usize) -> Option<&Used> {
        self.authorizations[payment].used.as_ref()
    }

    pub fn moved(&self, payment: usize) -> bool {
        self.used(payment).is_some_and(|used| used.by != By::Cancelled)
    }

    pub fn moved_by_us(&self, payment: usize) -> bool {
        self.used(payment).is_some_and(|used| used.by == By::Us)
    }

    /// Whether a transaction of ours is in the pool, and can land yet.
    pub fn may_land(&self, payment: usize) -> bool {
        let authorization = &self.authorizations[payment];
        authorization.used.is_none() && authorization.broadcasts.iter().any(|(at, _)| *at < authorization.valid_before)
    }

    pub fn next_landing(&self) -> Option<u64> {
        self.authorizations.iter().flat_map(|a| &a.broadcasts).map(|(at, _)| *at).min()
    }

    fn transaction(&mut self) -> String {
        self.transactions += 1;
        format!("0x{:064x}", self.transactions)
    }

    /// All that is due goes into blocks; what is not valid any more, used or not covered is reverted there.
    pub fn land(&mut self, now: u64) {
        let mut due: Vec<(u64, usize, String)> = Vec::new();
        for (payment, authorization) in self.authorizations.iter_mut().enumerate() {
            due.extend(
                authorization.broadcasts.extract_if(.., |(at, _)| *at <= now).map(|(at, hash)| (at, payment, hash)),
            );
        }
        due.sort();
        for (at, payment, transaction) in due {
            self.use_up(payment, at, By::Us, transaction);
        }
    }

    fn use_up(&mut self, payment: usize, at: u64, by: By, transaction: String) {
        let authorization = &mut self.authorizations[payment];
        let balance = &mut self.balances[authorization.wallet];
        let covered = by == By::Cancelled || *balance >= authorization.value;
        if authorization.used.is_some() || (by != By::Cancelled && at >= authorization.valid_before) || !covered {
            return;
        }
        if by != By::Cancelled {
            *balance -= authorization.value;
        }
        authorization.used = Some(Used { at, by, transaction });
    }

    pub fn elsewhere(&mut self, payment: usize, now: u64, by: By) {
        let transaction = self.transaction();
        self.use_up(payment, now, by, transaction);
    }

    /// Why the facilitator would not broadcast it; they look at these in different orders.
    fn objection(&self, payment: usize, now: u64, order: usize) -> Option<&'static str> {
        let authorization = &self.authorizations[payment];
        let late = (now + FACILITATOR_MARGIN > authorization.valid_before)
            .then_some("invalid_exact_evm_payload_authorization_valid_before");
        let used = authorization.used.is_some().then_some("invalid_exact_evm_nonce_already_used");
        let poor = (self.balances[authorization.wallet] < authorization.value)
            .then_some("invalid_exact_evm_insufficient_balance");
        let orders = [[late, used, poor], [used, late, poor], [poor, late, used], [late, poor, used]];
        orders[order % orders.len()].into_iter().flatten().next()
    }

    pub fn verify(&self, payment: usize, now: u64, order: usize) -> Verification {
        let answer = match self.objection(payment, now, order) {
            None => json!({ "isValid": true }),
            Some(reason) => json!({ "isValid": false, "invalidReason": reason }),
        };
        read_verification(200, answer.to_string().as_bytes(), expected())
    }

    /// Into the pool, to be in a block so many seconds later; or why not.
    pub fn broadcast(&mut self, payment: usize, now: u64, delay: u64, order: usize) -> Result<String, &'static str> {
        if let Some(reason) = self.objection(payment, now, order) {
            return Err(reason);
        }
        let transaction = self.transaction();
        self.authorizations[payment].broadcasts.push((now + delay, transaction.clone()));
        self.land(now);
        Ok(transaction)
    }

    /// `POST /settle`: what is done, and what is heard of it.
    pub fn settle(&mut self, payment: usize, now: u64, how: u32, rules: Rules, calm: bool) -> Said {
        const DELAYS: [u64; 8] = [0, 0, 1, 3, 15, 40, 120, 100_000];
        let lost = |how: u32| match how % 7 {
            0 => Said::Decided(Outcome::unknown("the call failed")),
            1 => read(500, "broken", None),
            2 => read(500, &failure("unexpected_error", ""), Some(["1", "30", "700"][how as usize / 7 % 3])),
            3 => read(200, "{\"success\":tr", None),
            4 => read(200, &success("0x01", "0x0000000000000000000000000000000000000001"), None),
            5 => read(503, &failure("unexpected_error", ""), Some("5")),
            _ => Said::Decided(Outcome::unknown("no answer within 20 seconds")),
        };
        let (arrives, delay, answers) = match how % 16 {
            _ if calm => (true, 0, true),
            0..7 => (true, 0, true),
            7 | 8 => (true, DELAYS[how as usize / 16 % 8], true),
            9 | 10 => (true, 0, false),
            11 | 12 => (true, DELAYS[how as usize / 16 % 8], false),
            _ => (false, 0, false),
        };
        if how % 16 == 14 && !calm {
            // Turned away at the door.
            return read(429, "slow down", Some(["1", "30", "700"][how as usize / 64 % 3]));
        }
        if !arrives {
            return lost(how / 64);
        }
        let broadcast = self.broadcast(payment, now, delay, rules.order);
        if !answers || rules.deaf {
            return lost(how / 64);
        }
        match broadcast {
            Err(reason) => read(200, &failure(reason, ""), None),
            Ok(transaction) => match self.used(payment) {
                Some(used) if used.transaction == transaction => read(200, &success(&transaction, PAYER), None),
                // The transaction was reverted: another was first.
                Some(_) => {
                    let words =
                        ["invalid_transaction_state", "transaction_failed", "invalid_exact_evm_transaction_failed"];
                    read(200, &failure(words[how as usize / 64 % 3], &transaction), None)
                }
                None => read(200, &failure("settlement_pending", &transaction), None),
            },
        }
    }

    /// Somebody who can write it down has heard that it is used.
    pub fn told(&mut self, payment: usize, task: usize) {
        self.authorizations[payment].told.push(task);
    }

    /// And has died before he could.
    pub fn forgets(&mut self, task: usize) {
        for authorization in &mut self.authorizations {
            authorization.told.retain(|told| *told != task);
        }
    }

    pub fn was_told(&self, payment: usize) -> bool {
        !self.authorizations[payment].told.is_empty()
    }
}

const PAYER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

fn expected() -> Expected {
    Expected { payer: PAYER.parse::<Address>().unwrap(), network: Network::new(84532) }
}

fn read(status: u16, body: &str, retry_after: Option<&str>) -> Said {
    read_settlement(status, body.as_bytes(), expected()).heeding(retry_after)
}

fn success(transaction: &str, payer: &str) -> String {
    answer(true, &json!({ "transaction": transaction, "payer": payer, "network": "eip155:84532" }))
}

fn failure(reason: &str, transaction: &str) -> String {
    answer(false, &json!({ "errorReason": reason, "transaction": transaction, "network": "eip155:84532" }))
}

fn answer(success: bool, more: &Value) -> String {
    let mut answer = json!({ "success": success });
    answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    answer.to_string()
}
