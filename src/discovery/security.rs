//! What an operation wants beside its payment. An origin that wants a key of its own goes on wanting it: each of its
//! alternatives is combined with each of ours.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The security of a document's operations.
#[derive(Debug)]
pub(super) struct Security {
    /// The name of the scheme for a key of prepaid credits; no scheme of the origin's has it.
    pub(super) credits: String,
    /// The same for the sign-in of a wallet.
    pub(super) wallet: String,
    /// What holds where an operation says nothing.
    global: Option<Value>,
    /// The origin's schemes that take the `Authorization` header, in which our keys are sent too.
    in_authorization: BTreeSet<String>,
}

impl Default for Security {
    fn default() -> Self {
        Self::of(&json!({}))
    }
}

impl Security {
    /// Of a document of the origin's.
    pub(super) fn of(document: &Value) -> Self {
        let schemes = document.pointer("/components/securitySchemes").and_then(Value::as_object);
        let unused = |wanted: &str| {
            let taken: Vec<String> = schemes.into_iter().flat_map(Map::keys).cloned().collect();
            super::unused(wanted.to_owned(), &taken)
        };
        let all = schemes.into_iter().flatten();
        let in_authorization = all.filter(|(_, scheme)| takes_authorization(document, scheme));
        Self {
            credits: unused("edge402Credits"),
            wallet: unused("edge402Wallet"),
            global: document.get("security").cloned(),
            in_authorization: in_authorization.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// The `security` of an operation that costs something, of which its document says `own`.
    pub(super) fn of_priced(&self, own: Option<&Value>, takes_credits: bool) -> Vec<Value> {
        let said = own.or(self.global.as_ref()).and_then(Value::as_array);
        let mut theirs: Vec<Map<String, Value>> =
            said.into_iter().flatten().filter_map(Value::as_object).cloned().collect();
        // None at all is one that wants nothing.
        if theirs.is_empty() {
            theirs.push(Map::new());
        }
        let key = |name: &str| Map::from_iter([(name.to_owned(), json!([]))]);
        // No credential is needed to pay; where credits are taken, either of two will do instead.
        let mut ours = vec![Map::new()];
        if takes_credits {
            ours.extend([key(&self.credits), key(&self.wallet)]);
        }
        let mut all = Vec::new();
        for alternative in &ours {
            for their in &theirs {
                // Two values do not go into one header.
                let clash = alternative.contains_key(&self.credits)
                    && their.keys().any(|name| self.in_authorization.contains(name));
                if !clash {
                    all.push(their.clone().into_iter().chain(alternative.clone()).collect::<Map<_, _>>());
                }
            }
        }
        match all.as_slice() {
            [only] if only.is_empty() => Vec::new(),
            _ => all.into_iter().map(Value::Object).collect(),
        }
    }

    /// The schemes that are ours.
    pub(super) fn schemes(&self) -> Value {
        json!({
            self.credits.as_str(): {
                "type": "http", "scheme": "bearer", "description": "The key of a package of prepaid credits.",
            },
            self.wallet.as_str(): {
                "type": "apiKey", "in": "header", "name": "SIGN-IN-WITH-X", "x-agentcash-auth-kind": "siwx",
                "description": "The sign-in of a wallet that has bought credits (CAIP-122).",
            },
        })
    }
}

fn takes_authorization(document: &Value, scheme: &Value) -> bool {
    let referred = scheme.get("$ref").and_then(|reference| document.pointer(reference.as_str()?.strip_prefix('#')?));
    let scheme = referred.unwrap_or(scheme);
    let text = |name: &str| scheme.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("type") {
        "http" | "oauth2" | "openIdConnect" => true,
        "apiKey" => text("in") == "header" && text("name").eq_ignore_ascii_case("authorization"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alternative_of_the_origins_is_combined_with_each_of_ours() {
        let document = json!({
            "security": [{ "acmeKey": [] }],
            "components": { "securitySchemes": {
                "acmeKey": { "type": "apiKey", "in": "header", "name": "X-Key" },
                "login": { "type": "oauth2" }, "named": { "type": "apiKey", "in": "header", "name": "authorization" },
                "referred": { "$ref": "#/components/securitySchemes/login" },
                "edge402Credits": { "type": "http", "scheme": "bearer" },
            } },
        });
        let security = Security::of(&document);
        let (credits, wallet) = ("edge402Credits_2", "edge402Wallet");
        let of = |own: Option<Value>, credits| Value::from(security.of_priced(own.as_ref(), credits));
        assert_eq!(of(Some(json!([{ "acmeKey": [] }])), false), json!([{ "acmeKey": [] }]));
        assert_eq!(
            of(Some(json!([{ "acmeKey": [] }])), true),
            json!([{ "acmeKey": [] }, { "acmeKey": [], credits: [] }, { "acmeKey": [], wallet: [] }])
        );
        // Nothing said is what the document says for all, and an empty list is nothing wanted.
        assert_eq!(of(None, false), json!([{ "acmeKey": [] }]));
        assert_eq!(of(Some(json!([])), false), json!([]));
        assert_eq!(of(Some(json!([{}])), false), json!([]));
        assert_eq!(of(Some(json!([])), true), json!([{}, { credits: [] }, { wallet: [] }]));
        // Two alternatives, one of two keys; scopes stay; one that may be left out stays one.
        let two = json!([{ "acmeKey": [], "login": ["read"] }, {}]);
        assert_eq!(of(Some(two.clone()), false), two);
        assert_eq!(
            of(Some(two), true),
            json!([
                { "acmeKey": [], "login": ["read"] }, {}, { credits: [] },
                { "acmeKey": [], "login": ["read"], wallet: [] }, { wallet: [] },
            ])
        );
        // A key of ours goes into a header that these take.
        for name in ["login", "named", "referred", "edge402Credits"] {
            assert_eq!(
                of(Some(json!([{ name: [] }])), true),
                json!([{ name: [] }, { name: [], wallet: [] }]),
                "{name}"
            );
        }
        for wrong in [json!("x"), json!([1, "x"]), json!({ "acmeKey": [] })] {
            assert_eq!(of(Some(wrong), false), json!([]));
        }
    }
}
