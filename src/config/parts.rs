//! The variables that are one value each.

use super::bindings::{self, Bindings, Members};
use super::cdp::{self, Secrets};
use super::leaks::quoted;
use super::mistakes::Mistakes;
use crate::x402::cdp::CdpKey;
use serde_json::Value;
use std::fmt;
use url::{Host, Url};

/// What stands behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A base URL without a slash at its end.
    Url(String),
    /// The service binding `ORIGIN_SERVICE`.
    Service,
}

/// `DEFAULT`: what happens to paths that no route names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrouted {
    /// They go to the origin, free.
    Pass,
    /// They are 404.
    Deny,
}

/// `CHALLENGE_BODY`: which dialect the body of a 402 speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeBody {
    /// What `x402-fetch` 1.x reads.
    V1,
    /// `x402Version: 2` and CAIP-2 entries, for clients that look for v2 in the body.
    V2,
}

/// A text that is never shown. It cannot be compared with `==`, which takes the longer the more of it is right: what a
/// stranger shows is compared in constant time.
#[derive(Clone)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub struct Secret(String);

impl Secret {
    pub(super) const fn new(text: String) -> Self {
        Self(text)
    }

    /// One that a test makes up.
    #[cfg(test)]
    pub(crate) fn for_tests(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// For the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Who settles.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub struct Facilitator {
    /// Base URL without a slash at its end.
    pub url: String,
    /// Sent with every call; they may hold a key.
    pub headers: Vec<(String, Secret)>,
    /// `auth = "cdp"`: signs a token for every call.
    pub cdp: Option<CdpKey>,
    /// How long one call may take before its outcome counts as unknown.
    pub timeout_seconds: u32,
}

/// The reference facilitator waits for a receipt, and Base under load has taken half a minute: a shorter time would make
/// honest settlements unknown.
const FACILITATOR_SECONDS: u32 = 60;

/// An absolute URL that requests may be sent to: https, or http on this machine's loopback.
fn base_url(path: &str, written: &str, mistakes: &mut Mistakes) -> Option<String> {
    let cure = "write a base URL like \"https://api.example.com\"";
    let Ok(url) = Url::parse(written) else {
        mistakes.add(path, "is not a URL", cure);
        return None;
    };
    // First of all, and without showing it: the next mistake would quote a password into the log.
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        mistakes.add(path, "holds a user, a password, a query or a fragment", cure);
        return None;
    }
    if let Some(problem) = exposed(&url) {
        mistakes.add(path, format!("{} {problem}", quoted(written)), HTTPS_CURE);
        return None;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

pub(super) const HTTPS_CURE: &str = "write an https URL (http is for loopback only)";

/// What is wrong with sending anything that matters to this URL.
pub(super) fn exposed(url: &Url) -> Option<&'static str> {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    let literal = matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)));
    match url.scheme() {
        "https" if literal && !loopback => Some("is an address, not a name"),
        "https" => None,
        "http" if loopback => None,
        "http" => Some("is http: whoever is on the way reads and changes what was paid for"),
        _ => Some("is neither https nor http"),
    }
}

pub(super) fn origin(bindings: &Bindings, mistakes: &mut Mistakes) -> Option<Origin> {
    if let Some(service) = bindings.get("ORIGIN_SERVICE") {
        if !service.is_object() {
            mistakes.add(
                "ORIGIN_SERVICE",
                "is not a service binding",
                "bind a service under that name in [[services]]",
            );
        }
        if bindings.contains_key("ORIGIN") {
            mistakes.add("ORIGIN", "is set beside the service binding ORIGIN_SERVICE", "remove one of them");
        }
        return Some(Origin::Service);
    }
    if !bindings.contains_key("ORIGIN") {
        mistakes.add("ORIGIN", "is missing", "set the base URL of the API, or bind a service as ORIGIN_SERVICE");
        return None;
    }
    let written = bindings::text(bindings, "ORIGIN", mistakes)?;
    base_url("ORIGIN", written, mistakes).map(Origin::Url)
}

/// Who settles, and the names of the secrets that this needs and that cannot be seen from here.
pub(super) fn facilitators(
    bindings: &Bindings,
    secrets: Secrets,
    mistakes: &mut Mistakes,
) -> (Vec<Facilitator>, Vec<&'static str>) {
    let before = mistakes.iter().count();
    let list = bindings::list(bindings, "FACILITATORS", mistakes);
    let mut unseen = Vec::new();
    let key = cdp::key(bindings, &list, secrets, &mut unseen, mistakes);
    for (path, value) in &list {
        let url = value.as_str().or_else(|| value.get("url")?.as_str()).unwrap_or_default();
        let keyless = ["auth", "headers"].iter().all(|key| value.get(key).is_none());
        if keyless && url.starts_with("https://api.cdp.coinbase.com/") {
            let cure = format!("write {{ url = {url:?}, auth = \"cdp\" }}");
            mistakes.add(path, "is CDP's, which answers nobody without a key", cure);
        }
    }
    let found: Vec<_> =
        list.iter().filter_map(|(path, value)| facilitator(path, value, key.as_ref(), mistakes)).collect();
    if found.is_empty() && mistakes.iter().count() == before {
        mistakes.add(
            "FACILITATORS",
            "is missing or empty",
            "name who settles: [\"https://x402.org/facilitator\"] on test networks",
        );
    }
    (found, unseen)
}

fn facilitator(path: &str, value: &Value, key: Option<&CdpKey>, mistakes: &mut Mistakes) -> Option<Facilitator> {
    match value {
        Value::String(written) => Some(Facilitator {
            url: base_url(path, written, mistakes)?,
            headers: Vec::new(),
            cdp: None,
            timeout_seconds: FACILITATOR_SECONDS,
        }),
        Value::Object(members) => {
            let members = Members::new(path, members, &["url", "headers", "timeout_seconds", "auth"], mistakes);
            let headers = facilitator_headers(&members, mistakes);
            let cdp = if facilitator_auth(&members, &headers, mistakes) { key.cloned() } else { None };
            let timeout_seconds = members.seconds("timeout_seconds", 180, mistakes).unwrap_or(FACILITATOR_SECONDS);
            let Some(written) = members.text("url", mistakes) else {
                mistakes.add(members.path("url"), "is missing", "write the facilitator's base URL");
                return None;
            };
            let url = base_url(&members.path("url"), written, mistakes)?;
            Some(Facilitator { url, headers, cdp, timeout_seconds })
        }
        _ => {
            mistakes.add(path, "is neither a URL nor a table", "write \"https://…\" or { url = \"https://…\" }");
            None
        }
    }
}

/// Whether it says `auth = "cdp"`.
fn facilitator_auth(members: &Members<'_>, headers: &[(String, Secret)], mistakes: &mut Mistakes) -> bool {
    let Some(way) = members.get("auth") else { return false };
    if way != "cdp" {
        mistakes.add(
            members.path("auth"),
            "is not a way to authenticate",
            "write \"cdp\", or put a static key into headers",
        );
        return false;
    }
    if let Some((name, _)) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
        mistakes.add(
            format!("{}.{name:?}", members.path("headers")),
            "is set beside auth = \"cdp\", which writes that header itself",
            "remove one of them",
        );
    }
    true
}

fn facilitator_headers(members: &Members<'_>, mistakes: &mut Mistakes) -> Vec<(String, Secret)> {
    let Some(value) = members.get("headers") else { return Vec::new() };
    let path = members.path("headers");
    let Value::Object(headers) = value else {
        mistakes.add(path, "is not a table", "write { \"X-Api-Key\" = \"…\" }");
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, value) in headers {
        let token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        match value.as_str().filter(|text| token && text.bytes().all(|b| (b' '..=b'~').contains(&b))) {
            Some(text) => found.push((name.clone(), Secret(text.to_owned()))),
            None => mistakes.add(format!("{path}.{name:?}"), "is not a header", "write printable ASCII in quotes"),
        }
    }
    found
}

pub(super) fn unrouted(bindings: &Bindings, mistakes: &mut Mistakes) -> Unrouted {
    one_of(bindings, "DEFAULT", &[("pass", Unrouted::Pass), ("deny", Unrouted::Deny)], mistakes)
}

pub(super) fn challenge_body(bindings: &Bindings, mistakes: &mut Mistakes) -> ChallengeBody {
    one_of(bindings, "CHALLENGE_BODY", &[("v1", ChallengeBody::V1), ("v2", ChallengeBody::V2)], mistakes)
}

pub(super) fn smart_wallets(bindings: &Bindings, mistakes: &mut Mistakes) -> bool {
    match bindings.get("SMART_WALLETS") {
        Some(Value::Bool(on)) => *on,
        _ => one_of(bindings, "SMART_WALLETS", &[("true", true), ("false", false)], mistakes),
    }
}

/// The value of a text variable with few values; the first is the default.
fn one_of<T: Copy>(bindings: &Bindings, name: &str, values: &[(&str, T); 2], mistakes: &mut Mistakes) -> T {
    let [(default_name, default), (other_name, other)] = *values;
    match bindings.get(name) {
        None => default,
        Some(Value::String(text)) if text == default_name => default,
        Some(Value::String(text)) if text == other_name => other,
        Some(_) => {
            mistakes.add(name, "has another value", format!("write \"{default_name}\" or \"{other_name}\""));
            default
        }
    }
}

pub(super) fn key_prefix(bindings: &Bindings, mistakes: &mut Mistakes) -> String {
    let default = "e402";
    if !bindings.contains_key("KEY_PREFIX") {
        return default.to_owned();
    }
    let written = bindings::text(bindings, "KEY_PREFIX", mistakes).unwrap_or(default);
    let plain =
        (2..=12).contains(&written.len()) && written.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !plain {
        mistakes.add(
            "KEY_PREFIX",
            format!("{} is not a prefix", quoted(written)),
            "write 2 to 12 lower-case letters or digits",
        );
    }
    written.to_owned()
}

/// A secret of at least 16 printable characters.
pub(super) fn secret(bindings: &Bindings, name: &str, mistakes: &mut Mistakes) -> Option<Secret> {
    bindings.get(name)?;
    let written = bindings::text(bindings, name, mistakes)?;
    if written.len() < 16 || !written.bytes().all(|b| b.is_ascii_graphic()) {
        mistakes.add(name, "is too short or not printable ASCII", "set 32 random characters as a secret");
        return None;
    }
    Some(Secret(written.to_owned()))
}
