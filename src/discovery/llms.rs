//! `/llms.txt`: the same for a model that reads.

use super::assets::way;
use super::{Catalogue, amount, credits as of_credits};
use crate::config::{Document, Settle};
use std::fmt::Write;

/// The text, in Markdown.
#[must_use]
pub fn text(catalogue: &Catalogue<'_>) -> String {
    let mut text = format!("# {}\n", catalogue.name());
    let discovery = &catalogue.config.discovery;
    if !discovery.description.is_empty() {
        line(&mut text, &format!("\n> {}", discovery.description));
    }
    line(&mut text, "\n## How to pay\n");
    for step in [
        "Call a URL without paying: it answers `402` with its price, base64 of JSON in the header `PAYMENT-REQUIRED`.",
        "Sign one entry of its `accepts` (x402, scheme `exact`: an EIP-3009 authorization, no gas, no account) and send the \
         same request again with `PAYMENT-SIGNATURE`. Any x402 client does this by itself.",
        "A failed call (status 400 and above) is not charged, unless it says that it is paid first.",
        "After `503` or a lost answer send the same payment again, with the same `payment-identifier`; never sign a new one.",
    ] {
        line(&mut text, &format!("- {step}"));
    }
    line(&mut text, "\n## What it costs\n");
    let ways: Vec<String> = catalogue.all_assets().into_iter().map(way).collect();
    if !ways.is_empty() {
        line(&mut text, &format!("In dollars, paid in {}.\n", ways.join(", or in ")));
    }
    for call in &catalogue.calls {
        let url = format!("{}{}", catalogue.base, call.path());
        let mut said = format!("- [{} {}]({url}): ${}", call.method, call.path(), amount(call.terms.price));
        if let Some(credits) = call.terms.credits.filter(|_| catalogue.config.credits.is_some()) {
            said.push_str(&format!(" or {}", of_credits(credits)));
        }
        if call.terms.settle == Settle::Before {
            said.push_str(", paid first");
        }
        let methods = call.methods();
        if let [_, others @ ..] = methods.as_slice()
            && !others.is_empty()
        {
            said.push_str(&format!(", by {} too", others.join(", ")));
        }
        said.push('.');
        if !call.terms.description.is_empty() {
            said.push_str(&format!(" {}", call.sentence()));
        }
        if let Some(input) = &call.terms.about.input {
            let names: Vec<String> = input.arguments().map(ToOwned::to_owned).collect();
            if !names.is_empty() {
                said.push_str(&format!(" Takes: {}.", names.join(", ")));
            }
        }
        line(&mut text, &said);
    }
    if let Some((tools, url)) = catalogue.config.tools.as_ref().zip(catalogue.gated_server()) {
        line(&mut text, "\n## Tools of the MCP server\n");
        line(&mut text, &format!("The API has an MCP server of its own (streamable HTTP): {url}"));
        line(
            &mut text,
            "Listing its tools is free. A call without payment answers with its price; call again with the signed payment in \
             `_meta[\"x402/payment\"]`.\n",
        );
        for (name, terms) in tools.listed() {
            let name = if name == "*" { "every other tool" } else { name };
            let mut said = format!("- MCP tool {name}: ${}", amount(terms.price));
            if let Some(credits) = terms.credits.filter(|_| catalogue.config.credits.is_some()) {
                said.push_str(&format!(" or {}", of_credits(credits)));
            }
            if terms.settle == Settle::Before {
                said.push_str(", paid first");
            }
            said.push('.');
            if !terms.description.is_empty() {
                said.push_str(&format!(" {}", terms.description));
            }
            line(&mut text, &said);
        }
    }
    if catalogue.packages().next().is_some() {
        line(&mut text, "\n## Prepaid credits\n");
        for package in catalogue.packages() {
            let url = format!("{}{}", catalogue.base, package.path());
            let (credits, price) = (of_credits(package.credits), amount(package.terms.price));
            let description = &package.terms.description;
            line(&mut text, &format!("- [POST {}]({url}): ${price} for {credits}. {description}", package.path()));
        }
        line(&mut text, "\nThe answer holds a key; send it as `Authorization: Bearer` instead of a payment.");
    }
    line(&mut text, "\n## More\n");
    for (document, what) in [
        (Document::OpenApi, "OpenAPI 3.1, with prices"),
        (Document::Manifest, "every call with what it takes and how it is paid"),
        (Document::Mcp, "the calls above as tools, over MCP (streamable HTTP)"),
    ] {
        if let Some(url) = catalogue.url_of(document) {
            line(&mut text, &format!("- [{what}]({url})"));
        }
    }
    text
}

fn line(text: &mut String, line: &str) {
    // These end a line too, for many a reader: what follows would be a line of ours.
    let line = line.replace(['\u{2028}', '\u{2029}'], " ");
    // Writing to a String does not fail.
    let _ = writeln!(text, "{line}");
}
