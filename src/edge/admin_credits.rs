//! `POST /api/admin/credits`: an operator mints, tops up, revokes and refunds; the seam for a card checkout, a support desk
//! or a reseller. `GET /api/admin/credits/{account}`: entries and holds.

use super::accounts::{Accounts, OPERATOR, unexpected};
use super::purchase::described;
use super::{now, respond};
use crate::config::{Config, Credits};
use crate::credits::key::{ACCOUNT_DIGITS, Key};
use crate::credits::messages::{Bought, Command, Deposit, Kind, Reply};
use crate::http::problem::{Code, Problem};
use alloy_primitives::keccak256;
use serde::Deserialize;
use serde_json::{Value, json};
use web_sys::{Request, Response};
use worker::{Env, Result};

/// More lines than anybody reads at once.
const LINES: u64 = 1_000;
const MOST_CREDITS: u64 = 1_000_000_000;
const MOST_BYTES: u32 = 4_096;

/// What an operator asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    action: Action,
    /// A key, or the account's name.
    account: Option<String>,
    credits: Option<u64>,
    /// Whether real money paid. Where it does not say, as what is sold is paid for.
    live: Option<bool>,
    expires_at: Option<u64>,
    /// An order's or a ticket's number, for whoever reads the entries.
    note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Mint,
    TopUp,
    Revoke,
    Refund,
}

/// Answers an operator who has shown the token.
pub(super) async fn answer(
    config: &Config,
    credits: &Credits,
    env: &Env,
    request: &Request,
    base: &str,
    rest: &str,
) -> Result<Response> {
    let desk = Desk { config, credits, accounts: Accounts::new(env), base };
    let answered = match (request.method().as_str(), rest.strip_prefix('/')) {
        ("POST", None) => desk.order(request).await,
        ("GET", Some(account)) => desk.list(account).await,
        _ => Err(Code::NoSuchRoute.into()),
    };
    match answered {
        Ok(document) => respond::json(200, &document),
        Err(problem) => respond::problem(&problem, Vec::new()),
    }
}

struct Desk<'a> {
    config: &'a Config,
    credits: &'a Credits,
    accounts: Accounts,
    base: &'a str,
}

fn malformed(detail: &str) -> Problem {
    Problem::new(Code::RequestMalformed, detail)
}

impl Desk<'_> {
    async fn list(&self, account: &str) -> std::result::Result<Value, Problem> {
        let account = self.name(account)?;
        let command = Command::Show { now: now(), most: LINES };
        match self.accounts.account(&account, &command).await? {
            Reply::Shown { account: Some(shown) } => Ok(json!({
                "account": account,
                "live": shown.live,
                "revoked": shown.revoked,
                "generation": shown.generation,
                "available": shown.available,
                "balance": shown.holds.iter().fold(shown.available, |sum, hold| sum.saturating_add(hold.credits)),
                "calls": shown.calls,
                "succeeded": shown.succeeded,
                "entries": shown.entries,
                "holds": shown.holds,
                "expiring": shown.expiring,
            })),
            Reply::Shown { account: None } => Err(Code::NoSuchRoute.into()),
            _ => Err(unexpected()),
        }
    }

    async fn order(&self, request: &Request) -> std::result::Result<Value, Problem> {
        let header = super::header(&request.headers(), "idempotency-key");
        let Some(idempotency) = header.filter(|key| (1..=128).contains(&key.len())) else {
            return Err(malformed("send an Idempotency-Key of 1 to 128 characters: a retry must not mint twice"));
        };
        let body =
            super::upload::text(request, MOST_BYTES).await.ok_or_else(|| malformed("the body is not a short text"))?;
        let order: Order = serde_json::from_str(&body).map_err(|error| malformed(&error.to_string()))?;
        if order.credits.is_some_and(|credits| credits == 0 || credits > MOST_CREDITS) {
            return Err(malformed("credits: a whole number from 1 to 1000000000"));
        }
        if matches!(order.action, Action::Mint | Action::TopUp) && order.credits.is_none() {
            return Err(malformed("credits: how many?"));
        }
        if order.expires_at.is_some_and(|at| at <= now() || at > 1 << 52) {
            return Err(malformed("expires_at: Unix seconds, in the future"));
        }
        // A key for test money is refused on a network of real money, and by then its holder has paid for it.
        let live = match (order.action, order.live.or_else(|| self.config.takes_live_money())) {
            (_, Some(live)) => live,
            (Action::Mint, None) => {
                return Err(malformed("live: true or false? What is sold takes both kinds of money"));
            }
            (_, None) => false,
        };
        let reference = format!("admin:{idempotency}");
        let named = order.account.as_deref().map(|account| self.name(account)).transpose()?;
        let (account, own) = match (order.action, named) {
            (Action::Mint, None) => (self.credits.keys(&self.config.key_prefix).account_of(&reference), true),
            (Action::Mint, Some(_)) => return Err(malformed("account: a new one is made; to fill this one, top_up")),
            (_, Some(account)) => (account, false),
            (_, None) => return Err(malformed("account: which key or account?")),
        };
        // Before anything is done under it: one idempotency key is one order.
        let proposed = Bought { account, live, own };
        let digest = keccak256(body.as_bytes()).to_string();
        let command = Command::Purchase { reference: reference.clone(), proposed, digest };
        let bought = match self.accounts.holder(OPERATOR, &command).await? {
            Reply::Purchased { bought, same: true } => bought,
            Reply::Purchased { same: false, .. } => return Err(Code::IdempotencyMismatch.into()),
            _ => return Err(unexpected()),
        };
        self.carry_out(order, bought, reference).await
    }

    async fn carry_out(&self, order: Order, bought: Bought, reference: String) -> std::result::Result<Value, Problem> {
        let note = json!({ "note": order.note }).to_string();
        match order.action {
            Action::Mint | Action::TopUp => {
                let credits = order.credits.unwrap_or_default();
                let (mint, mut bought) = (order.action == Action::Mint, bought);
                if !mint {
                    // Only what is there is topped up: a slip in the name would give credits to nobody.
                    bought.live = self.list(&bought.account).await?.get("live") == Some(&Value::Bool(true));
                }
                let expires_at = order.expires_at;
                let deposit = Deposit { reference, kind: Kind::Minted, credits, expires_at, note, live: bought.live };
                let credited = self.accounts.deposit(bought, deposit).await?;
                let keys = self.credits.keys(&self.config.key_prefix);
                let mut body = described(&keys, &credited.key, self.base, mint);
                if let Some(members) = body.as_object_mut() {
                    members.insert("credits".to_owned(), credits.into());
                    members.insert("available".to_owned(), credited.available.into());
                }
                Ok(body)
            }
            Action::Revoke => match self.accounts.account(&bought.account, &Command::Revoke).await? {
                Reply::Done { yes: true } => Ok(json!({ "account": bought.account, "revoked": true })),
                Reply::Done { yes: false } => Err(Code::NoSuchRoute.into()),
                _ => Err(unexpected()),
            },
            Action::Refund => {
                let command = Command::Withdraw { reference, credits: order.credits, note, now: now() };
                match self.accounts.account(&bought.account, &command).await? {
                    Reply::Withdrawn { credits: Some(credits), available } => {
                        Ok(json!({ "account": bought.account, "refunded": credits, "available": available }))
                    }
                    Reply::Withdrawn { credits: None, available } => {
                        Err(Problem::from(Code::NothingToRefund).with("available", available.into()))
                    }
                    _ => Err(unexpected()),
                }
            }
        }
    }

    /// The account of a key, or the account itself.
    fn name(&self, account: &str) -> std::result::Result<String, Problem> {
        let plain = account.len() == ACCOUNT_DIGITS
            && account.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if plain {
            return Ok(account.to_owned());
        }
        let key: Option<Key> = self.credits.keys(&self.config.key_prefix).read(account);
        key.map(|key| key.account).ok_or_else(|| malformed("account: neither a key nor 32 hexadecimal digits"))
    }
}
