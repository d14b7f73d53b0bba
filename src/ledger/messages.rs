//! What the Worker and a payer's Durable Object say to each other: one [`Command`], one [`Reply`], as JSON.

use super::authorization::{Denial, Event};
use serde::{Deserialize, Serialize};

/// Which authorization, within its payer's object (which is named by network and payer).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The token's address, checksummed.
    pub asset: String,
    /// 0x and 64 digits in lower case.
    pub nonce: String,
}

/// A claim: this authorization is for this request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which authorization.
    pub key: Key,
    /// A hash of method, path and query.
    pub binding: String,
    /// Unix seconds.
    pub now: u64,
    /// When a claim that nobody finished may be taken over.
    pub lease_until: u64,
    /// Of the authorization, in Unix seconds; afterwards it cannot settle any more.
    pub valid_before: u64,
    /// Atomic units, as a decimal string: SQLite's integers end at 2^53 here.
    pub value: String,
    /// Where a settlement is sent.
    pub facilitator: String,
    /// What is sent there, so that whoever finishes this after a crash sends the identical thing.
    pub settle_request: String,
}

/// What a payer's object is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// May this request have this authorization?
    Claim(Box<Claim>),
    /// Is this authorization one that a fresh challenge must not be sent for? Changes nothing.
    Look {
        /// Which authorization.
        key: Key,
        /// A hash of method, path and query.
        binding: String,
        /// Unix seconds.
        now: u64,
    },
    /// This became of it.
    Record {
        /// Which authorization.
        key: Key,
        /// Which claim of it the event belongs to.
        attempt: u32,
        /// Unix seconds.
        now: u64,
        /// What happened.
        event: Event,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// Yes; nobody else will be told so while the lease lasts.
    Granted {
        /// Which claim of this authorization it is, from 1.
        attempt: u32,
    },
    /// No.
    Denied {
        /// Why.
        denial: Denial,
        /// What was noted of it: a facilitator's reason.
        reason: Option<String>,
    },
    /// What was looked for.
    Seen {
        /// Why no challenge may be sent; `None` where one may.
        denial: Option<Denial>,
    },
    /// Whether the event changed anything.
    Recorded {
        /// False when it came too late, or twice.
        applied: bool,
    },
}
