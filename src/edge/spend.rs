//! A call that is paid for with prepaid credits: hold, origin, capture or release.

use super::accounts::{Accounts, Credited, unexpected};
use super::goods::{not_an_answer, refused};
use super::origin::{Call, NoAnswer, rebuilt};
use super::{log, now, random, respond, stay_awake};
use crate::config::{Config, Credits, Settle};
use crate::credits::messages::{Bought, Command, Reply, Spend as Spending};
use crate::gate::{Spend, Spender, takes_test_money};
use crate::http::headers::{Passage, X_CREDITS_CHARGED, X_CREDITS_REMAINING};
use crate::http::problem::{Code, Problem};
use crate::x402::siwx::SignIn;
use alloy_primitives::hex;
use serde_json::json;
use std::time::Duration;
use web_sys::Response;
use worker::{Context, Delay, Env, Result};

/// Seconds that a hold outlives the origin's time-out by: ten for what is slow, and as long as its capture is tried.
const SLACK_SECONDS: u32 = 40;
/// How long a capture or a release is tried, in seconds: a Worker lives no longer behind its response.
const TRIED_SECONDS: u64 = 29;
/// The longest pause between two tries, in milliseconds.
const LONGEST_PAUSE: u64 = 2_000;
/// The longest path in an activity log.
const LONGEST_REQUEST: usize = 200;

/// One call.
pub(super) struct CreditCall<'a> {
    pub(super) config: &'a Config,
    pub(super) credits: &'a Credits,
    pub(super) env: &'a Env,
    pub(super) context: &'a Context,
    pub(super) spend: &'a Spend<'a>,
    pub(super) call: &'a Call<'a>,
    /// Scheme and authority as the client sees them.
    pub(super) base: &'a str,
    /// Method and path.
    pub(super) route: &'a str,
}

/// Credits that are set aside for this call.
struct Held {
    account: String,
    spending: Spending,
    available: u64,
}

impl CreditCall<'_> {
    /// Carries it out.
    pub(super) async fn run(&self) -> Result<Response> {
        // Built before anything is held: what cannot be sent holds nothing.
        let outgoing = match self.call.prepare(Passage::Paid, self.payer().as_deref(), None) {
            Ok(outgoing) => outgoing,
            Err(error) => return self.refuse(unreachable(&error.to_string())),
        };
        // A client that hangs up must neither leave its credits locked nor have made the origin work for nothing.
        let _awake = stay_awake(self.context);
        let held = match self.hold().await {
            Ok(held) => held,
            Err(problem) => return self.refuse(problem),
        };
        let first = self.spend.terms.settle == Settle::Before;
        let answer = self.call.paid(outgoing, self.spend.terms.timeout_seconds, first).await;
        // What is paid for first is charged unless the origin itself says that it failed, or never got the request: of any
        // other end the buyer may have been the cause.
        let charged = match &answer {
            // Where it leads to is paid for there.
            Ok(answer) if self.call.led_to(self.spend.terms, answer).is_some() => false,
            Ok(answer) => answer.status() < 400,
            Err(NoAnswer::NeverReached(_) | NoAnswer::Status(_)) => false,
            Err(_) => first,
        };
        match answer {
            Ok(answer) | Err(NoAnswer::Unusable(answer)) if charged => self.charged(held, &answer).await,
            Ok(answer) | Err(NoAnswer::Unusable(answer)) => self.not_charged(&held, &answer).await,
            Err(failed) => {
                let problem = match failed {
                    NoAnswer::NeverReached(detail) | NoAnswer::Unreachable(detail) => unreachable(&detail),
                    NoAnswer::NotAnAnswer(status) => not_an_answer(status),
                    NoAnswer::Status(status) => refused(status),
                    NoAnswer::TimedOut | NoAnswer::Unusable(_) => Code::OriginTimeout.into(),
                };
                if charged { self.charged_for(held, problem) } else { self.failed(&held, problem).await }
            }
        }
    }

    /// There is no answer, and the origin may have worked on the call all the same.
    fn charged_for(&self, held: Held, problem: Problem) -> Result<Response> {
        let status = problem.code.status();
        self.note("charged", &json!({ "credits": held.spending.credits, "status": status }));
        let lines = vec![
            (X_CREDITS_CHARGED, held.spending.credits.to_string()),
            (X_CREDITS_REMAINING, held.available.to_string()),
        ];
        self.capture(held, status);
        self.refuse_with(problem, lines)
    }

    async fn not_charged(&self, held: &Held, answer: &Response) -> Result<Response> {
        // Awaited: whoever tries again at once finds the credits back.
        let available = self.release(held, Some(answer.status())).await;
        let headers = self.call.paid_headers(answer)?;
        headers.set(X_CREDITS_CHARGED, "0")?;
        headers.set(X_CREDITS_REMAINING, &available.to_string())?;
        self.note("not_charged", &json!({ "status": answer.status() }));
        rebuilt(answer, answer.body().as_ref(), &headers)
    }

    async fn failed(&self, held: &Held, problem: Problem) -> Result<Response> {
        self.release(held, None).await;
        self.refuse(problem)
    }

    async fn charged(&self, held: Held, answer: &Response) -> Result<Response> {
        let headers = match self.call.paid_headers(answer) {
            Ok(headers) => headers,
            Err(error) => return self.failed(&held, unreachable(&error.to_string())).await,
        };
        headers.set(X_CREDITS_CHARGED, &held.spending.credits.to_string())?;
        headers.set(X_CREDITS_REMAINING, &held.available.to_string())?;
        self.note("charged", &json!({ "credits": held.spending.credits, "status": answer.status() }));
        self.capture(held, answer.status());
        rebuilt(answer, answer.body().as_ref(), &headers)
    }

    /// The wallet, as the origin is told: nothing for a key, behind which anybody may be.
    fn payer(&self) -> Option<String> {
        match &self.spend.by {
            Spender::Key(_) => None,
            Spender::Wallet(sign_in) => Some(sign_in.address.to_checksum(None)),
        }
    }

    async fn hold(&self) -> std::result::Result<Held, Problem> {
        match &self.spend.by {
            Spender::Key(key) => match self.hold_in(&key.account, Some(key.generation)).await? {
                Ok(held) => Ok(held),
                Err(available) => Err(self.short(available)),
            },
            Spender::Wallet(sign_in) => self.hold_of_wallet(sign_in).await,
        }
    }

    /// Any one account of the wallet's that has enough. What it has paid for and never heard of counts as well.
    async fn hold_of_wallet(&self, sign_in: &SignIn) -> std::result::Result<Held, Problem> {
        let accounts = wallets_accounts(self.config, self.credits, self.env, sign_in).await?;
        let test_too = takes_test_money(self.spend.terms);
        let mut most = 0;
        for bought in accounts.iter().filter(|bought| bought.live || test_too) {
            match self.hold_if_there(&bought.account).await? {
                Ok(held) => return Ok(held),
                Err(available) => most = most.max(available),
            }
        }
        // All spent; but something may have been paid for whose answer was lost.
        if !accounts.is_empty() {
            let owed = Accounts::new(self.env).credit_owed(self.config, self.credits, &sign_in.address).await?;
            for Credited { key, .. } in owed.iter().filter(|credited| credited.own && (credited.key.live || test_too)) {
                match self.hold_if_there(&key.account).await? {
                    Ok(held) => return Ok(held),
                    Err(available) => most = most.max(available),
                }
            }
        }
        Err(self.short(most))
    }

    /// One of a wallet's keys may be revoked, and the wallet is not.
    async fn hold_if_there(&self, account: &str) -> std::result::Result<std::result::Result<Held, u64>, Problem> {
        match self.hold_in(account, None).await {
            Err(problem) if problem.code == Code::KeyRevoked => Ok(Err(0)),
            held => held,
        }
    }

    /// `Err(available)` where there are too few.
    async fn hold_in(
        &self,
        account: &str,
        generation: Option<u16>,
    ) -> std::result::Result<std::result::Result<Held, u64>, Problem> {
        let id = random::<16>().map_err(|_| Problem::from(Code::StorageUnavailable))?;
        let lease = self.spend.terms.timeout_seconds.saturating_add(SLACK_SECONDS);
        let spending = Spending {
            id: hex::encode(id),
            generation,
            credits: self.spend.credits,
            until: now().saturating_add(u64::from(lease)),
            request: self.route.chars().take(LONGEST_REQUEST).collect(),
        };
        let command = Command::Hold { spend: spending.clone(), now: now() };
        let accounts = Accounts::new(self.env);
        let reply = accounts.account(account, &command).await;
        if reply.is_err() {
            // It may be held although nobody heard so.
            let _ = accounts
                .account(account, &Command::Release { id: spending.id.clone(), status: None, now: now() })
                .await;
        }
        match reply? {
            Reply::Held { available } => Ok(Ok(Held { account: account.to_owned(), spending, available })),
            Reply::Short { available } => Ok(Err(available)),
            Reply::Revoked => Err(Code::KeyRevoked.into()),
            _ => Err(unexpected()),
        }
    }

    /// After the response is on its way: the buyer does not wait for our books. Said again until it is heard; said twice it
    /// counts once. A holder can keep its account's object busy, and must not have its calls for nothing by it.
    fn capture(&self, held: Held, status: u16) {
        let accounts = Accounts::new(self.env);
        self.context.wait_until(async move {
            let command = || Command::Capture { spend: held.spending.clone(), status, now: now() };
            match insist(&accounts, &held.account, command).await {
                Some(Reply::Done { yes: true }) => {}
                Some(_) => log::failure("credits", "a call was answered when its hold was over and its credits spent"),
                None => log::failure("credits", "a call was answered, and its account could not be told so"),
            }
        });
    }

    /// What is left then, as far as is known. It is waited for once; what could not be said is said again behind the response.
    async fn release(&self, held: &Held, status: Option<u16>) -> u64 {
        let accounts = Accounts::new(self.env);
        let (id, account) = (held.spending.id.clone(), held.account.clone());
        let command = move || Command::Release { id: id.clone(), status, now: now() };
        match accounts.account(&account, &command()).await {
            Ok(Reply::Done { yes: true }) => held.available.saturating_add(held.spending.credits),
            Ok(_) => held.available,
            Err(_) => {
                self.context.wait_until(async move {
                    insist(&accounts, &account, command).await;
                });
                held.available
            }
        }
    }

    /// The call can be paid for directly, or the account filled.
    fn short(&self, available: u64) -> Problem {
        let required = self.spend.credits;
        let package = self.credits.package_for(required.saturating_sub(available));
        let problem = Problem::new(
            Code::InsufficientCredits,
            format!("this call costs {required} credits, and {available} are left"),
        );
        problem
            .with("balance", available.into())
            .with("required", required.into())
            .with("topUpUrl", package.map(|package| format!("{}{}", self.base, package.path())).into())
    }

    fn refuse(&self, problem: Problem) -> Result<Response> {
        self.refuse_with(problem, Vec::new())
    }

    fn refuse_with(&self, problem: Problem, lines: respond::Lines) -> Result<Response> {
        self.note("refuse", &json!({ "code": problem.code.as_str() }));
        if problem.code.status() == 402 {
            respond::challenge(&self.spend.offer.challenge(problem), lines)
        } else {
            respond::problem(&problem, lines)
        }
    }

    fn note(&self, what: &str, details: &serde_json::Value) {
        log::decision(what, self.route, details);
    }
}

/// Asks until there is an answer, for as long as a Worker lives.
async fn insist(accounts: &Accounts, account: &str, command: impl Fn() -> Command) -> Option<Reply> {
    let deadline = now().saturating_add(TRIED_SECONDS);
    let mut pause = 50;
    loop {
        if let Ok(reply) = accounts.account(account, &command()).await {
            return Some(reply);
        }
        if now() >= deadline {
            return None;
        }
        Delay::from(Duration::from_millis(pause)).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// A wallet's accounts, the latest first; its sign-in is used up by asking. A wallet without any may have paid for one
/// whose answer was lost.
pub(super) async fn wallets_accounts(
    config: &Config,
    credits: &Credits,
    env: &Env,
    sign_in: &SignIn,
) -> std::result::Result<Vec<Bought>, Problem> {
    let accounts = Accounts::new(env);
    let holder = format!("{:#x}", sign_in.address);
    let command = Command::SignIn { nonce: sign_in.nonce.clone(), until: sign_in.until, now: now() };
    let mut owed_is_credited = false;
    loop {
        match accounts.holder(&holder, &command).await? {
            Reply::SignedIn { accounts: found } if found.is_empty() && !owed_is_credited => {
                owed_is_credited = true;
                if accounts.credit_owed(config, credits, &sign_in.address).await?.is_empty() {
                    return Ok(Vec::new());
                }
            }
            Reply::SignedIn { accounts } => return Ok(accounts),
            Reply::SignInUsed => {
                return Err(Problem::new(Code::SignInInvalid, "invalid_siwx_nonce: this sign-in was used before"));
            }
            _ => return Err(unexpected()),
        }
    }
}

fn unreachable(detail: &str) -> Problem {
    log::failure("origin", detail);
    Code::OriginUnreachable.into()
}
