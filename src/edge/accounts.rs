//! The Worker's side of credits: accounts and holders, asked by type, and what a purchase does to both.

use super::{log, now, objects};
use crate::config::{Config, Credits};
use crate::credits::key::{Key, Keys};
use crate::credits::messages::{Bought, Command, Deposit, Kind, Reply, Shown};
use crate::evm::Address;
use crate::evm::network::Network;
use crate::http::problem::{Code, Problem};
use crate::ledger::messages::Purchase;
use serde_json::json;
use worker::Env;

/// The binding's name in `wrangler.toml`.
const BINDING: &str = "ACCOUNT";
/// The operator's own list of what it has given out.
pub(super) const OPERATOR: &str = "operator";

/// Accounts and holders.
#[derive(Clone, Debug)]
pub(super) struct Accounts {
    env: Env,
}

/// A payment for credits that has settled.
#[derive(Debug)]
pub(super) struct Paid<'a> {
    pub(super) network: Network,
    pub(super) asset: &'a str,
    pub(super) payer: &'a Address,
    pub(super) nonce: &'a str,
    pub(super) transaction: Option<&'a str>,
    pub(super) purchase: &'a Purchase,
    /// When it was claimed, in Unix seconds: from then on credits last.
    pub(super) at: u64,
}

/// Credits that are in an account.
#[derive(Clone, Debug)]
pub(super) struct Credited {
    pub(super) key: Key,
    /// Whether the account is the buyer's: what it put into somebody else's is not its to spend.
    pub(super) own: bool,
    /// Unspent and not held.
    pub(super) available: u64,
    pub(super) credits: u64,
    pub(super) expires_at: Option<u64>,
}

impl Accounts {
    pub(super) fn new(env: &Env) -> Self {
        Self { env: env.clone() }
    }

    /// An account's answer.
    pub(super) async fn account(&self, account: &str, command: &Command) -> Result<Reply, Problem> {
        self.ask(&format!("account/{account}"), command).await
    }

    /// A holder's answer: a wallet by its address, on whichever network it paid, or the operator.
    pub(super) async fn holder(&self, holder: &str, command: &Command) -> Result<Reply, Problem> {
        self.ask(&format!("holder/{holder}"), command).await
    }

    async fn ask(&self, name: &str, command: &Command) -> Result<Reply, Problem> {
        objects::ask(&self.env, BINDING, name, command).await.map_err(|error| {
            log::failure("credits", &error.to_string());
            Code::StorageUnavailable.into()
        })
    }

    /// What is in an account, if its key is still its key.
    pub(super) async fn shown(&self, key: &Key, most: u64) -> Result<Option<Shown>, Problem> {
        match self.account(&key.account, &Command::Show { now: now(), most }).await? {
            Reply::Shown { account: Some(shown) } if shown.revoked || shown.generation != key.generation => {
                Err(Code::KeyRevoked.into())
            }
            Reply::Shown { account } => Ok(account.map(|shown| *shown)),
            _ => Err(unexpected()),
        }
    }

    /// Puts what was paid for into its account, however often it is told to: the payer's list of purchases names the
    /// account, and the account takes each payment once.
    pub(super) async fn credit(&self, keys: &Keys<'_>, paid: &Paid<'_>) -> Result<Credited, Problem> {
        let holder = format!("{:#x}", paid.payer);
        let reference = format!("payment:{}:{}:{holder}:{}", paid.network, paid.asset, paid.nonce);
        let top_up = paid.purchase.account.as_ref();
        let proposed = Bought {
            account: top_up.cloned().unwrap_or_else(|| keys.account_of(&reference)),
            live: paid.network.is_live(),
            own: top_up.is_none(),
        };
        let command = Command::Purchase { reference: reference.clone(), proposed, digest: String::new() };
        let Reply::Purchased { bought, .. } = self.holder(&holder, &command).await? else { return Err(unexpected()) };
        let expires_at = paid.purchase.lasts_seconds.map(|seconds| paid.at.saturating_add(seconds));
        let note = json!({
            "package": paid.purchase.package,
            "amount": paid.purchase.amount,
            "symbol": paid.purchase.symbol,
            "network": paid.network.to_string(),
            "transaction": paid.transaction,
            "payer": paid.payer.to_checksum(None),
        });
        let deposit = Deposit {
            reference,
            kind: if bought.own { Kind::Purchase } else { Kind::TopUp },
            credits: paid.purchase.credits,
            expires_at,
            note: note.to_string(),
            live: bought.live,
        };
        self.deposit(bought, deposit).await
    }

    /// Puts credits into an account.
    pub(super) async fn deposit(&self, bought: Bought, deposit: Deposit) -> Result<Credited, Problem> {
        match self.account(&bought.account, &Command::Deposit { deposit, now: now() }).await? {
            Reply::Deposited { generation, available, credits, expires_at, .. } => {
                let own = bought.own;
                let key = Key { live: bought.live, account: bought.account, generation };
                Ok(Credited { key, own, available, credits, expires_at })
            }
            _ => Err(unexpected()),
        }
    }

    /// Credits what a wallet has paid for and never heard the answer of: it is here, with a signature of its own for this
    /// request. All that there was, whether it was credited now or before.
    pub(super) async fn credit_owed(
        &self,
        config: &Config,
        credits: &Credits,
        payer: &Address,
    ) -> Result<Vec<Credited>, Problem> {
        let mut credited = Vec::new();
        for network in networks(config) {
            let ledger = super::claims::Ledger::named(&self.env, &network.to_string(), payer);
            for entry in ledger.owed_purchases().await? {
                let Some(purchase) = &entry.purchase else { continue };
                let paid = Paid {
                    network,
                    asset: &entry.asset,
                    payer,
                    nonce: &entry.nonce,
                    transaction: entry.transaction.as_deref(),
                    purchase,
                    at: entry.claimed_at,
                };
                credited.push(self.credit(&credits.keys(&config.key_prefix), &paid).await?);
            }
        }
        Ok(credited)
    }
}

/// Where packages are sold, or anything else: they may have been sold there before.
fn networks(config: &Config) -> Vec<Network> {
    let packages = config.credits.iter().flat_map(|credits| &credits.packages).map(|package| &package.terms);
    let mut networks: Vec<Network> = config
        .routes
        .iter()
        .filter_map(|route| route.terms.as_ref())
        .chain(packages)
        .flat_map(|terms| &terms.requirements)
        .map(|requirement| requirement.asset.network)
        .collect();
    networks.sort();
    networks.dedup();
    networks
}

pub(super) fn unexpected() -> Problem {
    log::failure("credits", "an answer to another question");
    Code::StorageUnavailable.into()
}
