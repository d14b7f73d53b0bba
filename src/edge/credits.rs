//! The paths of prepaid credits: `/api/credits` for programs, `/dashboard` for people.

use super::accounts::{Accounts, unexpected};
use super::purchase::described;
use super::spend::wallets_accounts;
use super::{log, respond};
use crate::config::{Area, Config, Credits};
use crate::credits::key::Key;
use crate::credits::messages::{Command, Reply};
use crate::credits::view;
use crate::gate::{Facts, advertised_sign_in, our_key, signed_in};
use crate::http::problem::{Code, Problem};
use crate::pages;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use web_sys::{Request, Response};
use worker::{Env, Result};

const CREDITS: &str = "/api/credits";
const ROTATE: &str = "/api/credits/rotate";
const REVOKE: &str = "/api/credits/revoke";
const DASHBOARD: &str = "/dashboard";

/// One request under these paths.
struct Desk<'a> {
    config: &'a Config,
    credits: &'a Credits,
    env: &'a Env,
    facts: &'a Facts,
}

/// Answers, if the path is one of these and credits are sold, or were.
pub(super) async fn answer(config: &Config, env: &Env, request: &Request, facts: &Facts) -> Option<Result<Response>> {
    let allowed = match facts.path.as_str() {
        CREDITS | DASHBOARD => "GET",
        ROTATE | REVOKE => "POST",
        path if bookmarked(path).is_some() => "GET",
        _ => return None,
    };
    let Some(credits) = config.credits.as_ref() else {
        return config.is_closed(Area::Credits).then(|| respond::problem(&Code::NotConfigured.into(), Vec::new()));
    };
    if let Some(method) = &facts.preflight_for {
        let wanted = request.headers().get("access-control-request-headers").ok().flatten();
        return Some(respond::preflight(method, wanted.as_deref()));
    }
    if facts.method != allowed && !(facts.method == "HEAD" && allowed == "GET") {
        return Some(respond::method_not_allowed(allowed));
    }
    let desk = Desk { config, credits, env, facts };
    Some(match facts.path.as_str() {
        CREDITS => desk.show().await,
        ROTATE => desk.rotate(idempotency_key(request)).await,
        REVOKE => desk.revoke().await,
        DASHBOARD => respond::page(&pages::dashboard()),
        // The bookmark that people expect: the key goes where no server, log or referrer sees it.
        path => respond::redirect(&format!("{DASHBOARD}#{}", bookmarked(path).unwrap_or_default())),
    })
}

/// The key in a bookmark, in whatever case the rest of it is written: in an URL it must not go on to the origin.
fn bookmarked(path: &str) -> Option<&str> {
    let (start, key) = path.split_at_checked(DASHBOARD.len().saturating_add(1))?;
    start.eq_ignore_ascii_case("/dashboard/").then_some(key)
}

fn idempotency_key(request: &Request) -> Option<String> {
    super::header(&request.headers(), "idempotency-key").filter(|key| (1..=128).contains(&key.len()))
}

impl Desk<'_> {
    /// The account of a key; or, with a sign-in, all of a wallet's, with their keys.
    async fn show(&self) -> Result<Response> {
        let shown = match (&self.facts.sign_in, our_key(self.facts.authorization.as_deref(), &self.config.key_prefix)) {
            (Some(_), Some(_)) => Err(Code::SeveralCredentials.into()),
            (Some(header), None) => self.wallet(header).await,
            (None, Some(token)) => self.account(token).await,
            (None, None) => Err(self.unknown()),
        };
        // A browser writes every 4xx into its console, and the dashboard asks what it does not know yet: whether a key is one.
        if self.facts.query.as_deref() == Some("view=dashboard") {
            return respond::json(200, &shown.unwrap_or_else(|problem| json!({ "problem": problem.document() })));
        }
        match shown {
            Ok(document) => respond::json(200, &document),
            Err(problem) => self.refuse(&problem),
        }
    }

    async fn account(&self, token: &str) -> std::result::Result<Value, Problem> {
        let key = self.read(token)?;
        match Accounts::new(self.env).shown(&key, view::LINES).await? {
            Some(shown) => Ok(view::document(&key.account, &shown, self.credits.on_sale(), &self.facts.base)),
            None => Err(Code::KeyUnknown.into()),
        }
    }

    /// What a wallet has bought: keys and balances, also of what it paid for and never heard of.
    async fn wallet(&self, header: &str) -> std::result::Result<Value, Problem> {
        let sign_in = signed_in(self.credits, &self.chains(), self.facts, header)?;
        // Also where it has other accounts: what is owed is looked for here in any case.
        let accounts = Accounts::new(self.env);
        accounts.credit_owed(self.config, self.credits, &sign_in.address).await?;
        let mut documents = Vec::new();
        for bought in wallets_accounts(self.config, self.credits, self.env, &sign_in).await? {
            let command = Command::Show { now: self.facts.now, most: view::LINES };
            let Reply::Shown { account: Some(shown) } = accounts.account(&bought.account, &command).await? else {
                continue;
            };
            let key = Key { live: bought.live, account: bought.account, generation: shown.generation };
            let mut document = view::document(&key.account, &shown, self.credits.on_sale(), &self.facts.base);
            let how = described(&self.credits.keys(&self.config.key_prefix), &key, &self.facts.base, !shown.revoked);
            if let (Some(members), Value::Object(how)) = (document.as_object_mut(), how) {
                members.extend(how);
            }
            documents.push(document);
        }
        Ok(json!({ "wallet": sign_in.address.to_checksum(None), "accounts": documents }))
    }

    async fn rotate(&self, by: Option<String>) -> Result<Response> {
        let rotated = async {
            let key = self.presented()?;
            let command = Command::Rotate { generation: key.generation, by };
            match Accounts::new(self.env).account(&key.account, &command).await? {
                Reply::Rotated { generation: Some(generation) } => Ok(Key { generation, ..key }),
                Reply::Rotated { generation: None } => Err(Code::KeyRevoked.into()),
                _ => Err(unexpected()),
            }
        };
        match rotated.await {
            Ok(key) => {
                let keys = self.credits.keys(&self.config.key_prefix);
                respond::json(200, &described(&keys, &key, &self.facts.base, true))
            }
            Err(problem) => self.refuse(&problem),
        }
    }

    async fn revoke(&self) -> Result<Response> {
        let revoked = async {
            let key = self.presented()?;
            let accounts = Accounts::new(self.env);
            accounts.shown(&key, 0).await?;
            match accounts.account(&key.account, &Command::Revoke).await? {
                Reply::Done { yes: true } => Ok(key),
                Reply::Done { yes: false } => Err(Code::KeyUnknown.into()),
                _ => Err(unexpected()),
            }
        };
        match revoked.await {
            Ok(key) => respond::json(200, &json!({ "account": key.account, "revoked": true })),
            Err(problem) => self.refuse(&problem),
        }
    }

    fn presented(&self) -> std::result::Result<Key, Problem> {
        match our_key(self.facts.authorization.as_deref(), &self.config.key_prefix) {
            Some(token) => self.read(token),
            None => Err(Code::KeyUnknown.into()),
        }
    }

    fn read(&self, token: &str) -> std::result::Result<Key, Problem> {
        self.credits.keys(&self.config.key_prefix).read(token).ok_or_else(|| Code::KeyUnknown.into())
    }

    /// Somebody else's bearer token is none here; without any, a wallet is told how to sign in.
    fn unknown(&self) -> Problem {
        match self.facts.authorization {
            Some(_) => Code::KeyUnknown.into(),
            None => {
                let sign_in = advertised_sign_in(self.credits, &self.chains(), self.facts);
                Problem::from(Code::SignInRequired).with("extensions", json!({ "sign-in-with-x": sign_in }))
            }
        }
    }

    fn chains(&self) -> Vec<u64> {
        let packages = self.credits.packages.iter().map(|package| &package.terms);
        // Where packages are sold no more, what they have bought is spent on the routes.
        let routes = self.config.routes.iter().filter_map(|route| route.terms.as_ref());
        let sold = packages.chain(routes.filter(|_| self.credits.packages.is_empty()));
        let requirements = sold.flat_map(|terms| &terms.requirements);
        // In the order of the networks, of which a client signs for the first.
        let mut seen = BTreeSet::new();
        requirements.map(|r| r.asset.network.chain_id()).filter(|chain| seen.insert(*chain)).collect()
    }

    fn refuse(&self, problem: &Problem) -> Result<Response> {
        log::decision("refuse", &self.facts.path, &json!({ "code": problem.code.as_str() }));
        // Nothing is for sale here, and a 402 without a price would be none.
        let unpriced = Problem { code: Code::SignInRequired, ..problem.clone() };
        respond::problem(if problem.code.status() == 402 { &unpriced } else { problem }, Vec::new())
    }
}
