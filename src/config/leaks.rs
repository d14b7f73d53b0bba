//! Secrets where everybody sees them: in the `[vars]` of a file, or in the place of something that is shown.

use super::bindings::{self, Bindings, KNOWN};
use super::mistakes::Mistakes;
use serde_json::Value;
use url::Url;

/// Set with `wrangler secret put`, and nowhere else. (A key's id at CDP is no secret.)
const SECRETS: [&str; 5] = ["KEY_SECRET", "KEY_SECRET_PREVIOUS", "ADMIN_TOKEN", "ORIGIN_SECRET", "CDP_API_KEY_SECRET"];
/// As long as an address with `0x` and a few signs more. What is longer than what was asked for may be a key.
const LONGEST_SHOWN: usize = 44;
/// Bytes of a private key, in hexadecimal digits.
const KEY_DIGITS: usize = 64;
/// From so many signs on, what stands in the path or the query of a node's URL is taken for a key.
const KEY_IN_URL: usize = 20;

/// A value as a mistake may quote it. Mistakes are printed, and logged by the Worker.
pub(super) fn quoted(written: &str) -> String {
    match written.chars().count() {
        length if length > LONGEST_SHOWN => format!("(a text of {length} characters, not shown)"),
        _ => format!("{written:?}"),
    }
}

/// What a text is that should never have been written there, if it is that.
pub(super) fn private(written: &str) -> Option<&'static str> {
    let text = written.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.len() == KEY_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some("a private key");
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_word = |word: &&str| (3..=8).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_alphabetic());
    (matches!(words.len(), 12 | 15 | 18 | 21 | 24) && words.iter().all(is_word)).then_some("a wallet's recovery phrase")
}

/// What to do once it was written into a file.
pub(super) const EXPOSED_CURE: &str = "write the address (0x and 40 hexadecimal digits), and take another wallet: this one is whoever's who has read it here";

/// Looks through the variables of a file. Files are committed, copied and read by others.
pub(super) fn check(vars: &Bindings, mistakes: &mut Mistakes) {
    for (name, value) in vars {
        if SECRETS.contains(&name.as_str()) {
            let cure = format!("remove it, make a new one, and set that: npx wrangler secret put {name}");
            mistakes.add(name, "is a secret, and stands in a file", cure);
        } else if let Some(what) = value.as_str().and_then(private).filter(|_| !is_judged(name)) {
            mistakes.add(name, format!("holds what looks like {what}"), "remove it: edge402 needs none");
        }
    }
    if let Some(value) = vars.get("RPC") {
        node(value, mistakes);
    }
    for (path, value) in bindings::list(vars, "FACILITATORS", &mut Mistakes::default()) {
        let names = value.get("headers").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
        for name in names.filter(|name| is_a_credential(name)) {
            let cure = "set the entry as a secret of its own, as JSON: npx wrangler secret put FACILITATORS_1";
            mistakes.warn(format!("{path}.headers.{name:?}"), "looks like a secret, and stands in a file", cure);
        }
    }
}

/// Those whose own mistake says it, in a Worker too.
fn is_judged(name: &str) -> bool {
    name == "PAY_TO" && KNOWN.contains(&name)
}

fn is_a_credential(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["authorization", "key", "token", "secret"].iter().any(|word| header.contains(word))
}

fn node(value: &Value, mistakes: &mut Mistakes) {
    let parsed = bindings::structured(value, "RPC", &mut Mistakes::default());
    let table = parsed.as_ref().and_then(Value::as_object);
    let in_table = table.into_iter().flatten().filter_map(|(name, url)| Some((format!("RPC.{name:?}"), url.as_str()?)));
    let alone = value.as_str().filter(|_| table.is_none()).map(|url| ("RPC".to_owned(), url));
    for (path, url) in in_table.chain(alone) {
        if Url::parse(url).is_ok_and(|url| holds_a_key(&url)) {
            let cure = "set it as a secret: npx wrangler secret put RPC";
            mistakes.add(path, "is a URL that holds a key, and stands in a file", cure);
        }
    }
}

/// Providers put the key into a segment of the path, or into the query.
fn holds_a_key(url: &Url) -> bool {
    let is_long = |text: &str| {
        text.len() >= KEY_IN_URL && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    url.password().is_some()
        || !url.username().is_empty()
        || url.path_segments().into_iter().flatten().any(is_long)
        || url.query_pairs().any(|(name, value)| is_long(&value) || is_a_credential(&name))
}
