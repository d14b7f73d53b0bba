//! A request comes in, a response goes out: facts to the gate, its decision to whoever carries it out.

use super::accounts::Accounts;
use super::debts;
use super::facilitator::candidates;
use super::goods::Goods;
use super::mcp::ToolSale;
use super::origin::Call;
use super::purchase::Purchase;
use super::replay::{Content, Read};
use super::sale::Sale;
use super::spend::CreditCall;
use super::{admin, credits, documents, environment, header, log, mcp, now, random, replay, respond, supported};
use crate::config::{Area, BUY_PREFIX, Config, Credits, Terms};
use crate::gate::{Charge, Decision, Facts, Spend, Triage, our_key, price, triage};
use crate::http::headers::{PAYMENT_SIGNATURE, SIGN_IN_WITH_X, X_PAYMENT};
use crate::http::path::CanonicalPath;
use crate::http::problem::{Code, Problem};
use crate::pages::{self, Visitor};
use crate::x402::challenge::Challenge;
use crate::x402::supported::Support;
use js_sys::Uint8Array;
use serde_json::json;
use web_sys::{Request, Response};
use worker::{Context, Env, Result};

/// Handles one request.
///
/// # Errors
/// Only when the runtime refuses to build a response; everything foreseen is a response.
pub async fn handle(request: Request, env: Env, context: Context) -> Result<Response> {
    let resolved = environment::config(&env);
    let Ok(config) = resolved.as_ref() else {
        return respond::problem(&Code::NotConfigured.into(), Vec::new());
    };
    let Some(facts) = facts(&request)? else {
        return respond::problem(&Problem::new(Code::PathNotCanonical, "the request has no absolute URL"), Vec::new());
    };
    if let Some(answer) = admin::answer(config, &env, &request, &facts).await {
        return answer;
    }
    if let Some(answer) = credits::answer(config, &env, &request, &facts).await {
        return answer;
    }
    match &config.credits {
        Some(credits) if facts.path.starts_with(BUY_PREFIX) => {
            return sell_credits(config, credits, &env, &context, &request, facts).await;
        }
        None if facts.path.starts_with(BUY_PREFIX) && config.is_closed(Area::Credits) => {
            return respond::problem(&Code::NotConfigured.into(), Vec::new());
        }
        _ => {}
    }
    let visit = Visit { config, env: &env, context: &context, request: &request, facts: &facts, tool: None };
    if let Some(answer) = documents::answer(&visit).await {
        return answer;
    }
    if let Some(answer) = mcp::answer(&visit).await {
        return answer;
    }
    // Before the routes: a pattern for everything must not sell a debt as a call.
    if facts.path.starts_with(debts::PREFIX) && facts.preflight_for.is_none() {
        match (debts::find(config, &env, &facts.path, pays(&facts)).await, CanonicalPath::new(&facts.path)) {
            (debts::Found::Answer(answer), _) => return answer,
            (debts::Found::Payable(debt, terms), Ok(path)) => {
                return visit.priced(&terms, &path, Some(Goods::Debt(&debt))).await;
            }
            _ => {}
        }
    }
    match triage(config, &facts) {
        Triage::Decided(Decision::PassThrough) => match mcp::passing(&visit).await {
            Some(answer) => answer,
            None => visit.unpriced(Decision::PassThrough).await,
        },
        Triage::Decided(decision) => visit.unpriced(decision).await,
        Triage::Priced(terms, path) => visit.priced(terms, &path, None).await,
    }
}

/// One request, and what it is answered with the help of.
pub(super) struct Visit<'a> {
    pub(super) config: &'a Config,
    pub(super) env: &'a Env,
    pub(super) context: &'a Context,
    pub(super) request: &'a Request,
    pub(super) facts: &'a Facts,
    /// The tool's call that it is, where it came by MCP.
    pub(super) tool: Option<&'a ToolSale<'a>>,
}

impl Visit<'_> {
    pub(super) fn route(&self) -> String {
        let tool = self.facts.tool.as_ref().map(|tool| format!(" tool {tool}")).unwrap_or_default();
        format!("{} {}{tool}", self.facts.method, self.facts.path)
    }

    /// To the origin, free.
    pub(super) async fn pass_through(&self, target: &str, body: Option<Uint8Array>) -> Result<Response> {
        match self.call(target, body).pass_through().await {
            Ok(response) => Ok(response),
            Err(error) => {
                log::failure("origin", &error.to_string());
                respond::problem(&Code::OriginUnreachable.into(), Vec::new())
            }
        }
    }

    pub(super) async fn unpriced(&self, decision: Decision<'_>) -> Result<Response> {
        match decision {
            Decision::PassThrough => self.pass_through(&self.facts.target(), None).await,
            Decision::Preflight => {
                let method = self.facts.preflight_for.as_deref().unwrap_or_default();
                let headers = self.request.headers().get("access-control-request-headers")?;
                respond::preflight(method, headers.as_deref())
            }
            Decision::Challenge(challenge) => self.challenge(&challenge),
            Decision::Refuse(problem) => {
                log::decision("refuse", &self.route(), &json!({ "code": problem.code.as_str() }));
                respond::problem(&problem, Vec::new())
            }
            // Only what is priced can be charged.
            Decision::Doubt(challenge, _) => self.challenge(&challenge),
            Decision::Spend(spend) => {
                respond::challenge(&spend.offer.challenge(Code::PaymentRequired.into()), Vec::new())
            }
            Decision::Charge(charge) => {
                respond::challenge(&charge.offer.challenge(Code::PaymentRequired.into()), Vec::new())
            }
        }
    }

    pub(super) async fn priced(
        &self,
        terms: &Terms,
        path: &CanonicalPath,
        goods: Option<Goods<'_>>,
    ) -> Result<Response> {
        let support = supported::current(self.config, self.env, self.context).await;
        match price(self.config, &support, terms, self.facts, path) {
            Decision::Spend(spend) => self.spend(&spend).await,
            _ if self.config.is_closed(Area::Sales) => respond::problem(&Code::NotConfigured.into(), Vec::new()),
            Decision::Charge(charge) => self.sell(&charge, &support, goods, None).await,
            Decision::Doubt(challenge, charge) => self.sell(&charge, &support, goods, Some(&challenge)).await,
            decision => match (goods.as_ref().and_then(Goods::only_what_is_owed), decision) {
                (Some(code), _) => respond::problem(&code.into(), Vec::new()),
                (None, Decision::Challenge(challenge)) => match self.paywall(terms, &challenge)? {
                    Some(page) => Ok(page),
                    None => self.challenge(&challenge),
                },
                (None, decision) => self.unpriced(decision).await,
            },
        }
    }

    /// Sells; or, of a payment that would not be taken now (then `doubt` is what it would be told), only finds out whether
    /// it was.
    async fn sell(
        &self,
        charge: &Charge<'_>,
        support: &Support,
        goods: Option<Goods<'_>>,
        doubt: Option<&Challenge>,
    ) -> Result<Response> {
        // Until the sale is over, the body is in memory.
        let Read { identified, content, body, held: _held } = match self.tool {
            Some(tool) => replay::identify_by(charge, self.request, tool.content, tool.body.clone()),
            None => match replay::identify(charge, self.request).await {
                Ok(read) => read,
                Err(problem) => return respond::problem(&problem, Vec::new()),
            },
        };
        let target = self.facts.target();
        let call = self.call(&target, body);
        let route = self.route();
        // What a package or a debt is has nothing to do with what was sent along.
        let content = if goods.is_some() { Content::Unknown } else { content };
        let sale = Sale {
            config: self.config,
            charge,
            goods: goods.unwrap_or(Goods::Call(&call)),
            facilitators: candidates(self.config, support, charge.payment.version(), charge.identity.network),
            identified,
            content,
            env: self.env,
            context: self.context,
            route: &route,
        };
        match (sale.goods.only_what_is_owed(), doubt) {
            (None, None) => sale.run().await,
            (code, doubt) => match (sale.recover().await?, code, doubt) {
                (Some(response), ..) => Ok(response),
                (None, None, Some(challenge)) => self.challenge(challenge),
                (None, code, _) => respond::problem(&code.unwrap_or(Code::NoSuchRoute).into(), Vec::new()),
            },
        }
    }

    async fn spend(&self, spend: &Spend<'_>) -> Result<Response> {
        let Some(credits) = &self.config.credits else {
            return respond::problem(&Code::CredentialNotSupported.into(), Vec::new());
        };
        let target = self.facts.target();
        let call = CreditCall {
            config: self.config,
            credits,
            env: self.env,
            context: self.context,
            spend,
            call: &self.call(&target, self.tool.and_then(|tool| tool.body.clone())),
            base: &self.facts.base,
            route: &self.route(),
        };
        call.run().await
    }

    fn challenge(&self, challenge: &Challenge) -> Result<Response> {
        log::decision("challenge", &self.route(), &json!({ "code": challenge.problem.code.as_str() }));
        respond::challenge(challenge, Vec::new())
    }

    /// The price as a page, where a person asks.
    fn paywall(&self, terms: &Terms, challenge: &Challenge) -> Result<Option<Response>> {
        let headers = self.request.headers();
        let (accept, user_agent) = (headers.get("accept")?, headers.get("user-agent")?);
        let visitor = Visitor { accept: accept.as_deref(), user_agent: user_agent.as_deref() };
        // A tool is called by a program, whatever it says that it is.
        let off = !self.config.discovery.paywall || self.tool.is_some();
        if off || !visitor.is_shown(challenge, self.facts) {
            return Ok(None);
        }
        let Some(page) = pages::paywall(self.config, terms, challenge) else { return Ok(None) };
        log::decision("challenge", &self.route(), &json!({ "code": challenge.problem.code.as_str(), "page": true }));
        respond::paywall(challenge, &page, self.facts.method == "HEAD").map(Some)
    }

    fn call<'b>(&'b self, target: &'b str, body: Option<Uint8Array>) -> Call<'b> {
        let tool = self.tool.map(|tool| &tool.called);
        Call { config: self.config, env: self.env, request: self.request, base: &self.facts.base, target, body, tool }
    }
}

const fn pays(facts: &Facts) -> bool {
    facts.payment_signature.is_some() || facts.x_payment.is_some()
}

/// A package: the path names it, and a key beside the payment names the account that it goes to.
async fn sell_credits(
    config: &Config,
    credits: &Credits,
    env: &Env,
    context: &Context,
    request: &Request,
    mut facts: Facts,
) -> Result<Response> {
    let Ok(path) = CanonicalPath::new(&facts.path) else {
        return respond::problem(&Code::NoSuchRoute.into(), Vec::new());
    };
    let mut only_what_is_owed = None;
    let package = match (credits.package(&facts.path), credits.packages.first()) {
        (Some(package), _) if package.on_sale => package,
        // What it has sold is delivered; without a payment there is nothing to find out.
        (Some(package), _) if pays(&facts) => {
            only_what_is_owed = Some(Code::PackageNotOnSale);
            package
        }
        (Some(_), _) => return respond::problem(&Code::PackageNotOnSale.into(), Vec::new()),
        // A package that is gone may have been paid for while it was there. What it was, the books know.
        (None, Some(any)) if pays(&facts) => {
            only_what_is_owed = Some(Code::NoSuchRoute);
            any
        }
        _ => return respond::problem(&Code::NoSuchRoute.into(), Vec::new()),
    };
    if let Some(method) = &facts.preflight_for {
        return respond::preflight(method, request.headers().get("access-control-request-headers")?.as_deref());
    }
    if facts.method != "POST" {
        return respond::method_not_allowed("POST");
    }
    // Judged before the price is told, and long before anything is settled.
    let tops_up = match our_key(facts.authorization.as_deref(), &config.key_prefix) {
        Some(token) => match credits.keys(&config.key_prefix).read(token) {
            Some(key) => Some(key),
            None => return respond::problem(&Code::KeyUnknown.into(), Vec::new()),
        },
        None => None,
    };
    facts.tops_up = tops_up.as_ref().map(|key| key.account.clone());
    if let Some(key) = &tops_up {
        match Accounts::new(env).shown(key, 0).await {
            Ok(_) => {}
            // What was paid for before it was revoked is delivered all the same; nothing else is sold for it.
            Err(problem) if problem.code == Code::KeyRevoked && pays(&facts) => {
                only_what_is_owed = only_what_is_owed.or(Some(Code::KeyRevoked));
            }
            Err(problem) => return respond::problem(&problem, Vec::new()),
        }
    }
    let purchase =
        Purchase { credits, prefix: &config.key_prefix, package, tops_up, only_what_is_owed, env, base: &facts.base };
    let terms = purchase.terms();
    if terms.requirements.is_empty() {
        return respond::problem(&Code::KeyOfAnotherKind.into(), Vec::new());
    }
    let visit = Visit { config, env, context, request, facts: &facts, tool: None };
    visit.priced(&terms, &path, Some(Goods::Package(&purchase))).await
}

/// What the gate wants to know. `None` when the URL is not of the form that every HTTP request has.
fn facts(request: &Request) -> Result<Option<Facts>> {
    let headers = request.headers();
    let url = request.url();
    // By hand, not by a URL parser: a parser normalises, and the path must be judged as it came.
    let Some((scheme, rest)) = url.split_once("://") else { return Ok(None) };
    let rest = rest.split('#').next().unwrap_or(rest);
    let (before_query, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query.to_owned())),
        None => (rest, None),
    };
    let (authority, path) = match before_query.find(['/', '\\']) {
        Some(start) => before_query.split_at(start),
        None => (before_query, "/"),
    };
    let method = request.method();
    let preflight = method == "OPTIONS" && headers.has("origin")?;
    let preflight_for = if preflight { header(&headers, "access-control-request-method") } else { None };
    Ok(Some(Facts {
        method,
        base: format!("{scheme}://{authority}"),
        path: path.to_owned(),
        query,
        payment_signature: header(&headers, PAYMENT_SIGNATURE),
        x_payment: header(&headers, X_PAYMENT),
        sign_in: header(&headers, SIGN_IN_WITH_X),
        authorization: header(&headers, "authorization"),
        preflight_for: preflight_for.map(|method| method.to_ascii_uppercase()),
        tops_up: None,
        tool: None,
        random: random()?,
        now: now(),
    }))
}
