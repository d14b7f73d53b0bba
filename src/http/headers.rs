//! Which headers cross the gateway, in each direction.

/// The v2 payment.
pub const PAYMENT_SIGNATURE: &str = "payment-signature";
/// The v1 payment, and the third dialect's.
pub const X_PAYMENT: &str = "x-payment";
/// The v2 challenge.
pub const PAYMENT_REQUIRED: &str = "payment-required";
/// The v2 receipt.
pub const PAYMENT_RESPONSE: &str = "payment-response";
/// The v1 receipt.
pub const X_PAYMENT_RESPONSE: &str = "x-payment-response";
/// A wallet's sign-in.
pub const SIGN_IN_WITH_X: &str = "sign-in-with-x";
/// What a call paid by a key has cost.
pub const X_CREDITS_CHARGED: &str = "x-credits-charged";
/// What the key has left.
pub const X_CREDITS_REMAINING: &str = "x-credits-remaining";
/// Tells the origin which host the client asked for.
pub const X_FORWARDED_HOST: &str = "x-forwarded-host";
/// Tells the origin who paid.
pub const X_EDGE402_PAYER: &str = "x-edge402-payer";
/// Tells the origin which payment pays for a call: the same for a call that is made once more because nobody heard its
/// answer, so that it can tell the two from two calls. `network:payer:nonce`, in lower case.
pub const X_EDGE402_PAYMENT: &str = "x-edge402-payment";
/// Tells the buyer that its payment is settled after the answer: `pending`. There is no receipt yet.
pub const X_EDGE402_SETTLEMENT: &str = "x-edge402-settlement";
/// Proves to the origin that a request came through the gateway.
pub const X_EDGE402_SECRET: &str = "x-edge402-secret";

/// Cookies of this name's beginning are the gateway's own.
const OUR_COOKIES: &str = "edge402";

const PAYMENT: [&str; 10] = [
    PAYMENT_SIGNATURE,
    X_PAYMENT,
    PAYMENT_REQUIRED,
    PAYMENT_RESPONSE,
    X_PAYMENT_RESPONSE,
    SIGN_IN_WITH_X,
    X_CREDITS_CHARGED,
    X_CREDITS_REMAINING,
    "extension-responses",
    "settlement-overrides",
];

// RFC 9110 7.6.1 and its predecessors. `upgrade` is not here: it is how a WebSocket is asked for on an unpriced path.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
];

// Ours to answer: it asks the next server, which is this one, whether the body is wanted. An origin that hears it says `100
// Continue` first, and the runtime takes that interim answer for the answer.
const FOR_THE_NEXT_SERVER: [&str; 2] = ["expect", "http2-settings"];

// An origin that honours one of these serves another method than the one that was priced.
const METHOD_OVERRIDES: [&str; 7] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-override-method",
    "x-forwarded-method",
    "x-original-method",
    "http-method-override",
];

// An origin that honours one of these (IIS, Symfony, Zend, Envoy, Traefik, Azure, gunicorn, Next.js) serves another path, or
// another host's, than the one that was priced.
const PATH_OVERRIDES: [&str; 29] = [
    "x-original-url",
    "x-original-uri",
    "x-original-path",
    "x-original-host",
    "x-original-request-uri",
    "x-rewrite-url",
    "x-rewrite-uri",
    "x-rewrite-path",
    "x-override-url",
    "x-http-path-override",
    "x-http-host-override",
    "x-envoy-original-path",
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-forwarded-url",
    "x-forwarded-prefix",
    "x-forwarded-context",
    "x-forwarded-server",
    "x-waws-unencoded-url",
    "x-arr-original-url",
    "x-script-name",
    "script-name",
    "path-info",
    "request-uri",
    "x-matched-path",
    "x-invoke-path",
    "x-middleware-rewrite",
    "x-middleware-subrequest",
    "forwarded",
];

// With one of the conditions an origin may answer 304, and the buyer would have paid for nothing; a paid WebSocket is
// not there yet, and its answer could not be held back until it is paid.
const NOT_WHEN_PAID: [&str; 6] =
    ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "upgrade"];

// A shared cache that honours one of these hands a paid answer to the next one who asks.
const SHARED_CACHING: [&str; 6] =
    ["cache-control", "cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control", "expires", "pragma"];

/// Whether a request is paid for: then nothing about it may come from, or go to, a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// An unpriced path: as little as possible is touched.
    Free,
    /// A paid call.
    Paid,
}

/// The headers that a `Connection` header names, in lower case.
#[must_use]
pub fn named_by_connection(connection: Option<&str>) -> Vec<String> {
    connection
        .unwrap_or_default()
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        // `Connection: upgrade` is how a WebSocket begins; the rest of what it names is between the client and us.
        .filter(|name| !name.is_empty() && name != "upgrade")
        .collect()
}

/// Whether a request header (name in lower case) goes on to the origin.
///
/// The client's own copy of any header that we set never does: the origin would read the client's word as ours.
#[must_use]
pub fn reaches_origin(name: &str, passage: Passage, named_by_connection: &[String]) -> bool {
    // CGI and its heirs (WSGI, PHP, Rack) make both of them `_`: to them `X_Edge402_Payer` is `X-Edge402-Payer`.
    let name = name.replace('_', "-");
    let name = name.as_str();
    let ours = name.starts_with("x-edge402-") || name == X_FORWARDED_HOST || name == "host";
    let dropped = ours
        || PAYMENT.contains(&name)
        || HOP_BY_HOP.contains(&name)
        || FOR_THE_NEXT_SERVER.contains(&name)
        || METHOD_OVERRIDES.contains(&name)
        || PATH_OVERRIDES.contains(&name)
        || named_by_connection.iter().any(|named| named.replace('_', "-") == name)
        || (passage == Passage::Paid && NOT_WHEN_PAID.contains(&name));
    !dropped
}

/// Whether an `Upgrade` of this value goes on: nothing but a WebSocket's answer can be handed back.
#[must_use]
pub fn upgrade_reaches_origin(value: &str) -> bool {
    value.trim().eq_ignore_ascii_case("websocket")
}

/// Whether a response header (name in lower case) goes back to the client.
#[must_use]
pub fn reaches_client(name: &str, passage: Passage) -> bool {
    // An origin that echoes what it got would hand our secret out.
    let forged = PAYMENT.contains(&name) || name.starts_with("x-edge402-");
    let caching = passage == Passage::Paid && SHARED_CACHING.contains(&name);
    !forged && !caching && !HOP_BY_HOP.contains(&name)
}

/// A header's value: the white space around it is no part of it (RFC 9110, 5.5), and the runtime leaves some of it there.
#[must_use]
pub fn trimmed(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

/// The cookies that are the origin's, or `None` when none is left.
///
/// Several `Cookie` headers arrive as one, joined with commas. No cookie holds one.
#[must_use]
pub fn origins_cookies(cookie: &str) -> Option<String> {
    let ours = |pair: &str| pair.get(..OUR_COOKIES.len()).is_some_and(|start| start.eq_ignore_ascii_case(OUR_COOKIES));
    let pieces: Vec<&str> = cookie.split([';', ',']).map(str::trim).collect();
    if !pieces.iter().any(|pair| ours(pair)) {
        return Some(cookie.to_owned()).filter(|cookie| !cookie.trim().is_empty());
    }
    let kept: Vec<&str> = pieces.into_iter().filter(|pair| !pair.is_empty() && !ours(pair)).collect();
    (!kept.is_empty()).then(|| kept.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payment_and_trust_headers_never_reach_the_origin() {
        for name in PAYMENT
            .iter()
            .chain(&HOP_BY_HOP)
            .chain(&FOR_THE_NEXT_SERVER)
            .chain(&METHOD_OVERRIDES)
            .chain(&PATH_OVERRIDES)
        {
            assert!(!reaches_origin(name, Passage::Free, &[]), "{name}");
        }
        for name in [
            X_EDGE402_PAYER,
            X_EDGE402_PAYMENT,
            X_EDGE402_SECRET,
            X_FORWARDED_HOST,
            "x-edge402-anything",
            "host",
            "x_edge402_payer",
        ] {
            assert!(!reaches_origin(name, Passage::Paid, &[]), "{name}");
        }
        for name in ["authorization", "cookie", "accept", "content-type", "range", "x-custom"] {
            assert!(reaches_origin(name, Passage::Paid, &[]), "{name}");
        }
        assert!(reaches_origin("if-none-match", Passage::Free, &[]));
        assert!(!reaches_origin("if-none-match", Passage::Paid, &[]));
        assert!(!reaches_origin("upgrade", Passage::Paid, &[]));
    }

    #[test]
    fn connection_names_are_dropped() {
        let named = named_by_connection(Some("keep-alive, X-Secret ,upgrade"));
        assert!(!reaches_origin("x-secret", Passage::Free, &named));
        assert!(reaches_origin("upgrade", Passage::Free, &named));
    }

    #[test]
    fn expect_reaches_no_origin_and_of_upgrades_only_a_websocket_does() {
        for passage in [Passage::Free, Passage::Paid] {
            assert!(!reaches_origin("expect", passage, &[]));
        }
        assert!(upgrade_reaches_origin("WebSocket"));
        for value in ["h2c", "TLS/1.0", "websocket, h2c", ""] {
            assert!(!upgrade_reaches_origin(value), "{value}");
        }
    }

    #[test]
    fn an_origin_cannot_forge_a_receipt_or_make_a_paid_answer_cacheable() {
        assert!(!reaches_client(PAYMENT_RESPONSE, Passage::Free));
        assert!(!reaches_client(X_EDGE402_SECRET, Passage::Free));
        assert!(!reaches_client("cdn-cache-control", Passage::Paid));
        assert!(reaches_client("cache-control", Passage::Free));
        assert!(reaches_client("etag", Passage::Paid));
    }

    #[test]
    fn our_cookies_stay_here() {
        assert_eq!(origins_cookies("a=1; edge402_session=x; b=2").as_deref(), Some("a=1; b=2"));
        assert_eq!(origins_cookies("Edge402=x"), None);
        for joined in
            ["a=1, edge402_session=x, b=2", "a=1,edge402=x,b=2", "edge402_a=1, a=1;edge402_b=1; b=2,\tEDGE402-c=3"]
        {
            assert_eq!(origins_cookies(joined).as_deref(), Some("a=1; b=2"), "{joined}");
        }
        // Where none is ours, nothing is touched.
        assert_eq!(origins_cookies("a=1,2; b = 3").as_deref(), Some("a=1,2; b = 3"));
    }

    #[test]
    fn white_space_around_a_value_is_no_part_of_it() {
        assert_eq!(trimmed(" \tabc= \t "), "abc=");
        assert_eq!(trimmed("a, b"), "a, b");
    }
}
