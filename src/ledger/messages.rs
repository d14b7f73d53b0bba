//! What the Worker and a payer's Durable Object say to each other: one [`Command`], one [`Reply`], as JSON.

use super::authorization::{Denial, Event, Movement, State};
use serde::{Deserialize, Serialize};

/// Which authorization, within its payer's object (which is named by network and payer).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The token's address, checksummed.
    pub asset: String,
    /// 0x and 64 digits in lower case.
    pub nonce: String,
}

/// When the money of a claim moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The origin first.
    After,
    /// The money first.
    Before,
    /// The answer first; the alarm settles.
    Deferred {
        /// So much of a payer's may be unsettled at once, this one included; atomic units.
        max_exposure: String,
    },
    /// It pays for an authorization that failed after its answer: what blocks the payer must not block this.
    Debt,
}

impl Mode {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::After => "after",
            Self::Before => "before",
            Self::Deferred { .. } => "deferred",
            Self::Debt => "debt",
        }
    }
}

/// A `payment-identifier` and the request that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identified {
    /// The client's own id. It never went on chain: who knows it made the payment, or was told it by who did.
    pub id: String,
    /// A hash of method, path, query and body.
    pub fingerprint: String,
}

/// A claim: this authorization is for this request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which authorization.
    pub key: Key,
    /// CAIP-2.
    pub network: String,
    /// Who pays, checksummed.
    pub payer: String,
    /// Who is paid, checksummed.
    pub pay_to: String,
    /// A hash of method, path and query.
    pub binding: String,
    /// A hash of the body, or of a tool's call. `None` where there is none, or where it streams and nobody can know it.
    pub content: Option<String>,
    /// When the money moves.
    pub mode: Mode,
    /// The client's id for it, if it sent one.
    pub identified: Option<Identified>,
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
    /// Only what is owed or stored is wanted: this payment would not be taken now, but it may have been.
    pub only_what_is_owed: bool,
    /// The credits that it buys, where it buys credits.
    pub purchase: Option<Purchase>,
}

/// What a payment for credits buys: as it was when it was claimed, whatever is sold when it is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// The package's name.
    pub package: String,
    /// How many.
    pub credits: u64,
    /// How long they last, in seconds.
    pub lasts_seconds: Option<u64>,
    /// What was paid, for people: `1`.
    pub amount: String,
    /// And in what: `USDC`.
    pub symbol: String,
    /// The account that is topped up; a new one, with a new key, where there is none.
    pub account: Option<String>,
}

/// A released answer, kept for whoever shows its `payment-identifier`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// Of the answer.
    pub status: u16,
    /// As they were sent, without the receipt.
    pub headers: Vec<(String, String)>,
    /// Base64.
    pub body: String,
    /// Until when it is kept, in Unix seconds.
    pub until: u64,
}

/// What is kept of an answer as it is released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// All of it.
    Answer(StoredAnswer),
    /// A copy of it is made as it streams, until this time at most, in Unix seconds. Whoever asks for it meanwhile waits.
    Copying(u64),
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
        /// The client's id for it, if it sent one.
        identified: Option<Identified>,
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
        /// With an event that releases an answer: what is kept of it, in the same turn.
        kept: Option<Kept>,
    },
    /// This is its answer, of which a copy was announced; nothing where it turned out too large, or broke off.
    Store {
        /// Which authorization.
        key: Key,
        /// Unix seconds.
        now: u64,
        /// The answer.
        answer: Option<StoredAnswer>,
    },
    /// The purchases that are settled and whose answer was never released.
    Owed,
    /// Everything that is in the books, for an operator; or one authorization.
    List {
        /// Only the authorizations with this nonce.
        nonce: Option<String>,
    },
}

/// What a granted claim is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// To serve, and to settle.
    Sell,
    /// To serve once, for nothing: it is settled and its answer was never released.
    ServeOwed(Movement),
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// Yes; nobody else will be told so while the lease lasts.
    Granted {
        /// Which claim of this authorization it is, from 1.
        attempt: u32,
        /// What for.
        right: Right,
    },
    /// It was answered before, and this is the one who may hear it again.
    Again {
        /// The answer; `None` where none was kept (it was streamed, too large, or its time is over).
        answer: Option<StoredAnswer>,
        /// The money, where it has moved already.
        movement: Option<Movement>,
    },
    /// No.
    Denied {
        /// Why.
        denial: Denial,
        /// What was noted of it: a facilitator's reason.
        reason: Option<String>,
        /// What is unpaid, where that is why.
        debt: Option<Box<Entry>>,
        /// What is not settled yet, where that is why.
        #[serde(default)]
        exposure: Option<Exposure>,
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
    /// The books.
    Listed {
        /// One authorization each, the latest claimed first.
        entries: Vec<Entry>,
    },
}

/// What a payer has had and what is not settled yet, under `deferred`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// In this token, in atomic units.
    pub outstanding: String,
    /// The most that may be, in atomic units.
    pub most: String,
}

/// An authorization, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// CAIP-2.
    pub network: String,
    /// The token's address, checksummed.
    pub asset: String,
    /// 0x and 64 digits.
    pub nonce: String,
    /// Checksummed.
    pub payer: String,
    /// Checksummed.
    pub pay_to: String,
    /// Atomic units.
    pub value: String,
    /// `after`, `before`, `deferred` or `debt`.
    pub mode: String,
    /// Where it stands.
    pub state: State,
    /// Whether its answer has been released.
    pub answered: bool,
    /// Of the settlement, where it is known.
    pub transaction: Option<String>,
    /// `told`, `proved` or `unproven`, once it is settled.
    pub evidence: Option<String>,
    /// What was noted last.
    pub reason: Option<String>,
    /// How often a settlement was sent.
    pub tries: u64,
    /// When it is tried again, in Unix seconds.
    pub again_at: Option<u64>,
    /// Until when somebody is at work on it, in Unix seconds.
    pub lease_until: u64,
    /// Unix seconds.
    pub valid_before: u64,
    /// Unix seconds.
    pub claimed_at: u64,
    /// Unix seconds.
    pub changed_at: u64,
    /// The credits that it buys, where it buys credits.
    pub purchase: Option<Purchase>,
}
