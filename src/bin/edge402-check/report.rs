//! Reads a configuration and says what the Worker will make of it.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use edge402::config::{Config, Mistake, Mistakes, Package, Route, Settle, Terms, Tools, Verify, wrangler};
use edge402::money::{Amount, Price};
use std::process::ExitCode;

/// Runs the command with the arguments of the process.
pub(super) fn run() -> ExitCode {
    let mut path = "wrangler.toml".to_owned();
    let mut environment = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--env" => match arguments.next() {
                Some(name) => environment = Some(name),
                None => return usage("--env wants a name"),
            },
            "-h" | "--help" => return usage("reads wrangler.toml and says what the Worker will make of it"),
            option if option.starts_with('-') => return usage(&format!("unknown option {option}")),
            _ => path = argument,
        }
    }
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::from(2);
        }
    };
    let (bindings, wiring) = match wrangler::read(&text, environment.as_deref()) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::from(2);
        }
    };
    let resolved = Config::resolve_file(&bindings);
    match (&resolved, wiring.is_empty()) {
        (Ok((config, secrets)), true) => {
            print!("{}{}", table(config), still_to_set(secrets));
            let warnings: Vec<_> = config.findings.warnings().chain(wiring.warnings()).collect();
            if !warnings.is_empty() {
                print!("\n{}", listed(&warnings, "warning"));
            }
            ExitCode::SUCCESS
        }
        _ => {
            let nothing = Mistakes::default();
            let found = resolved.as_ref().err().unwrap_or(&nothing);
            let all: Vec<_> = found.iter().chain(wiring.iter()).collect();
            let warnings: Vec<_> = found.warnings().chain(wiring.warnings()).collect();
            eprint!("{path}: {}", listed(&all, "mistake"));
            if !warnings.is_empty() {
                eprint!("\n{}", listed(&warnings, "warning"));
            }
            ExitCode::FAILURE
        }
    }
}

/// `2 mistakes`, and each with its cure.
fn listed(all: &[&Mistake], what: &str) -> String {
    let mut text = format!("{} {what}{}\n", all.len(), if all.len() == 1 { "" } else { "s" });
    for one in all {
        text.push_str(&format!("\n  {}\n    {}\n    cure: {}\n", one.path, one.problem, one.cure));
    }
    text
}

fn usage(line: &str) -> ExitCode {
    eprintln!("{line}\nusage: edge402-check [PATH TO wrangler.toml] [--env NAME]");
    ExitCode::from(2)
}

/// Every route with every way to pay for it, in columns.
fn table(config: &Config) -> String {
    let mut rows = vec![["PATTERN", "PRICE", "ATOMIC", "NETWORK", "ASSET", "SETTLE", "VERIFY"].map(ToOwned::to_owned)];
    for route in &config.routes {
        rows.extend(lines(route));
    }
    let mut widths = [0_usize; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text.push_str(&format!(
        "\nAnything else, other methods included: {}.\nOrigin: {}\nPaid to: {}\nSettled by: {}\nLost outcomes: {}\n",
        unrouted(config),
        origin(config),
        recipients(config),
        settlers(config),
        provers(config)
    ));
    text.push_str(&packages(config));
    text.push_str(&tools(config));
    text
}

/// What the tools of the origin's MCP server cost.
fn tools(config: &Config) -> String {
    let Some(tools) = &config.tools else { return String::new() };
    let mut text = format!("Tools of the origin's MCP server at {}:\n", tools.path);
    for (name, terms) in tools.priced() {
        let settle = match terms.settle {
            Settle::After => "after",
            Settle::Before => "before",
            Settle::Deferred => "deferred",
        };
        let name = if name == "*" { "every other" } else { name };
        text.push_str(&format!("  {name}  {}, settled {settle}\n", terms.price));
    }
    text
}

/// What credits can be bought, and what a call costs in them.
fn packages(config: &Config) -> String {
    let Some(credits) = &config.credits else { return String::new() };
    let mut text = "Prepaid credits:\n".to_owned();
    for package in &credits.packages {
        let days = package.expires_days.map(|days| format!(", which expire after {days} days")).unwrap_or_default();
        let (price, credits) = (package.terms.price, package.credits);
        let off = if package.on_sale { "" } else { ", not on sale" };
        text.push_str(&format!("  POST {}  {price} for {credits} credits{days}{off}\n", package.path()));
    }
    for route in &config.routes {
        let Some(terms) = &route.terms else { continue };
        let cost = terms.credits.map_or_else(|| "takes none".to_owned(), |credits| format!("costs {credits}"));
        text.push_str(&format!("  {}  {cost}\n", route.pattern.as_str()));
    }
    for package in &credits.packages {
        let routes = config.routes.iter().filter(|route| is_dearer(package, route)).map(|route| route.pattern.as_str());
        let routes: Vec<&str> = routes.collect();
        if !routes.is_empty() {
            text.push_str(&format!("  Dearer by {} than paid by the call: {}\n", package.name, routes.join(", ")));
        }
    }
    text
}

/// Whether a call costs more in this package's credits than it costs by itself: nobody would buy them for that.
fn is_dearer(package: &Package, route: &Route) -> bool {
    let Some((terms, cost)) = route.terms.as_ref().and_then(|terms| Some((terms, terms.credits?))) else {
        return false;
    };
    let atoms = |price: Price| price.in_units_of(18).ok().map(Amount::atomic);
    let in_credits = atoms(package.terms.price).and_then(|price| price.checked_mul(cost.into()));
    let by_itself = atoms(terms.price).and_then(|price| price.checked_mul(package.credits.into()));
    matches!((in_credits, by_itself), (Some(in_credits), Some(by_itself)) if in_credits > by_itself)
}

fn lines(route: &Route) -> Vec<[String; 7]> {
    let pattern = route.pattern.as_str();
    let Some(terms) = &route.terms else {
        return vec![[pattern, "free", "", "", "", "", ""].map(ToOwned::to_owned)];
    };
    terms
        .requirements
        .iter()
        .map(|requirement| {
            [
                pattern.to_owned(),
                terms.price.to_string(),
                requirement.amount.to_string(),
                requirement.asset.network.to_string(),
                format!("{} {}", requirement.asset.symbol, requirement.asset.address.to_checksum(None)),
                match terms.settle {
                    Settle::After => "after".to_owned(),
                    Settle::Before => "before".to_owned(),
                    Settle::Deferred => match terms.max_exposure {
                        Some(most) => format!("deferred, up to {most}"),
                        None => "deferred".to_owned(),
                    },
                },
                verification(pattern, terms),
            ]
        })
        .collect()
}

fn verification(pattern: &str, terms: &Terms) -> String {
    let name = |verify| match verify {
        Verify::Local => "local",
        Verify::Facilitator => "facilitator",
    };
    match pattern.split_once(' ') {
        Some((method, _)) => name(terms.verify_for(method)).to_owned(),
        None if terms.verify_for("GET") == terms.verify_for("POST") => name(terms.verify_for("GET")).to_owned(),
        None => format!("{} (GET), {}", name(terms.verify_for("GET")), name(terms.verify_for("POST"))),
    }
}

const fn unrouted(config: &Config) -> &'static str {
    match config.unrouted {
        edge402::config::Unrouted::Pass => "passes to the origin, free",
        edge402::config::Unrouted::Deny => "is 404",
    }
}

fn origin(config: &Config) -> &str {
    match &config.origin {
        edge402::config::Origin::Url(url) => url,
        edge402::config::Origin::Service => "the service binding ORIGIN_SERVICE",
    }
}

/// Everybody who is paid, and for what, where it is not one for all.
fn recipients(config: &Config) -> String {
    let routes = config.routes.iter().filter_map(|route| Some((route.pattern.as_str(), route.terms.as_ref()?)));
    let packages = config.credits.iter().flat_map(|credits| &credits.packages);
    let packages = packages.map(|package| (package.name.as_str(), &package.terms));
    let tools = config.tools.iter().flat_map(Tools::priced);
    let mut paid: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, terms) in routes.chain(packages).chain(tools) {
        for requirement in &terms.requirements {
            let to = requirement.pay_to.to_checksum(None);
            match paid.iter_mut().find(|(known, _)| *known == to) {
                Some((_, names)) if names.last() == Some(&name) => {}
                Some((_, names)) => names.push(name),
                None => paid.push((to, vec![name])),
            }
        }
    }
    match paid.as_slice() {
        [] => "nobody, as nothing is sold".to_owned(),
        [(one, _)] => one.clone(),
        _ => paid.iter().map(|(to, names)| format!("{to} for {}", names.join(", "))).collect::<Vec<_>>().join("; "),
    }
}

/// What a file cannot show: without it the deployed Worker answers 503.
fn still_to_set(secrets: &[&str]) -> String {
    let lines = secrets.iter().map(|name| format!("Needs the secret {name}: npx wrangler secret put {name}\n"));
    lines.collect()
}

fn settlers(config: &Config) -> String {
    config.facilitators.iter().map(|facilitator| facilitator.url.as_str()).collect::<Vec<_>>().join(", ")
}

/// For which networks a settlement is proved on chain when its outcome was lost. The URLs are the operator's secret.
fn provers(config: &Config) -> String {
    if config.rpc.is_empty() {
        return "not proved on chain, as [vars] has no RPC (one that is set as a secret is not seen here)".to_owned();
    }
    let networks: Vec<String> = config.rpc.iter().map(|(network, _)| network.to_string()).collect();
    format!("proved on chain for {}", networks.join(", "))
}
