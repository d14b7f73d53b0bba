//! What the Worker and an account's Durable Object say to each other: one [`Command`], one [`Reply`], as JSON.

use serde::{Deserialize, Serialize};

/// Where credits come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Bought, with a new key.
    Purchase,
    /// Bought, for a key that was there.
    TopUp,
    /// Given by the operator.
    Minted,
}

impl Kind {
    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Purchase => "purchase",
            Self::TopUp => "top_up",
            Self::Minted => "minted",
        }
    }
}

/// Credits that come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// What brings them; a second deposit under it changes nothing.
    pub reference: String,
    /// Where from.
    pub kind: Kind,
    /// How many.
    pub credits: u64,
    /// When what is left of them is void, in Unix seconds.
    pub expires_at: Option<u64>,
    /// For whoever reads the entries: a JSON object.
    pub note: String,
    /// Whether real money paid; decides for an account that is not there yet.
    pub live: bool,
}

/// A call that is to be paid for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// Random, and the same for its hold, its capture and its release.
    pub id: String,
    /// Of the key that was shown; nothing where a wallet signed in.
    pub generation: Option<u16>,
    /// What the call costs.
    pub credits: u64,
    /// When the hold ends by itself, in Unix seconds.
    pub until: u64,
    /// Method and path, for the activity log.
    pub request: String,
}

/// How a call ended, for the activity log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered, and paid for.
    Charged,
    /// Failed, and not paid for.
    Released,
    /// Never heard of again, and not paid for.
    Expired,
}

impl Outcome {
    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Charged => "charged",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}

/// An account, as its holder knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bought {
    /// Which.
    pub account: String,
    /// Whether real money paid for it.
    pub live: bool,
    /// Whether it is the buyer's own: credits can be bought for somebody else's key.
    pub own: bool,
}

/// What an account's or a holder's object is asked. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Account: credits come in.
    Deposit {
        /// Which.
        deposit: Deposit,
        /// When.
        now: u64,
    },
    /// Account: credits are taken back.
    Withdraw {
        /// By what; a second time changes nothing.
        reference: String,
        /// How many; all that are unspent where it does not say.
        credits: Option<u64>,
        /// For whoever reads the entries.
        note: String,
        /// When.
        now: u64,
    },
    /// Account: a call is about to be made.
    Hold {
        /// Which.
        spend: Spend,
        /// When.
        now: u64,
    },
    /// Account: it was answered.
    Capture {
        /// Which.
        spend: Spend,
        /// With this status.
        status: u16,
        /// When.
        now: u64,
    },
    /// Account: it came to nothing.
    Release {
        /// Which hold.
        id: String,
        /// The origin's status, if it had one.
        status: Option<u16>,
        /// When.
        now: u64,
    },
    /// Account: what is in it?
    Show {
        /// When.
        now: u64,
        /// At most so many lines of each kind; calls are entries only where more than 200 are wanted.
        most: u64,
    },
    /// Account: the next generation of keys.
    Rotate {
        /// The one that ends.
        generation: u16,
        /// The client's idempotency key.
        by: Option<String>,
    },
    /// Account: no more calls.
    Revoke,
    /// Holder: which account does this purchase go to?
    Purchase {
        /// The purchase.
        reference: String,
        /// Where it goes if nobody has asked before.
        proposed: Bought,
        /// What was asked for, where a reference could be used for two things.
        digest: String,
    },
    /// Holder: a wallet has signed in.
    SignIn {
        /// Single use.
        nonce: String,
        /// When it can be forgotten.
        until: u64,
        /// When.
        now: u64,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The credits are in, now or before.
    Deposited {
        /// Whether it was now.
        fresh: bool,
        /// Of its keys.
        generation: u16,
        /// Whether its keys are good for nothing.
        revoked: bool,
        /// Unspent and not held.
        available: u64,
        /// How many they were, when they came in.
        credits: u64,
        /// When what is left of them is void.
        expires_at: Option<u64>,
    },
    /// So many were taken back; nothing where there are fewer.
    Withdrawn {
        /// How many.
        credits: Option<u64>,
        /// Unspent and not held.
        available: u64,
    },
    /// They are set aside.
    Held {
        /// Unspent and not held.
        available: u64,
    },
    /// There are too few.
    Short {
        /// Unspent and not held.
        available: u64,
    },
    /// The key has been revoked, or rotated away.
    Revoked,
    /// Whether it was done.
    Done {
        /// It was.
        yes: bool,
    },
    /// What is in the account; nothing where there is none.
    Shown {
        /// It.
        account: Option<Box<Shown>>,
    },
    /// Keys are of this generation from now on; nothing where the one that was shown was none.
    Rotated {
        /// The new one.
        generation: Option<u16>,
    },
    /// The account of the purchase.
    Purchased {
        /// Which.
        bought: Bought,
        /// Whether it is the same purchase, where its reference was seen before.
        same: bool,
    },
    /// The wallet's accounts, the latest first; nothing for a wallet that has bought nothing.
    SignedIn {
        /// Which.
        accounts: Vec<Bought>,
    },
    /// That sign-in was used before.
    SignInUsed,
}

/// An account, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Whether real money paid for it.
    pub live: bool,
    /// Of its keys.
    pub generation: u16,
    /// Whether its keys are good for nothing.
    pub revoked: bool,
    /// Unspent and not held.
    pub available: u64,
    /// That ended.
    pub calls: u64,
    /// Of those, with a status below 400.
    pub succeeded: u64,
    /// What is left of deposits that expire: how many, when.
    pub expiring: Vec<(u64, u64)>,
    /// The latest first.
    pub entries: Vec<Entry>,
    /// The latest first.
    pub activity: Vec<Line>,
    /// What is set aside.
    pub holds: Vec<Hold>,
}

/// One change of the balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What brought it about; in the books once.
    pub reference: String,
    /// `purchase`, `top_up`, `minted`, `call`, `refund` or `expiry`.
    pub kind: String,
    /// Negative for what goes out.
    pub credits: i64,
    /// Unix seconds.
    pub at: u64,
    /// When what is left of it is void.
    pub expires_at: Option<u64>,
    /// A JSON object, or a call's method and path.
    pub note: String,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Unix seconds.
    pub at: u64,
    /// Method and path.
    pub request: String,
    /// What it cost, or would have.
    pub credits: u64,
    /// The origin's, if it had one.
    pub status: Option<u64>,
    /// `held`, `charged`, `released` or `expired`.
    pub outcome: String,
}

/// What is set aside for a call under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which.
    pub id: String,
    /// How much.
    pub credits: u64,
    /// When it ends by itself, in Unix seconds.
    pub until: u64,
}
