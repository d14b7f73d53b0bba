//! A redirect that leads back here, to what is sold on the same terms: it is no answer, and the payment follows it.

use super::bound;
use crate::config::{Config, Terms};
use crate::evm::B256;
use crate::http::path::CanonicalPath;

/// The claim's binding of the request that a redirect leads to (`target`: its path and query), if it is for sale on the very
/// terms of the one that was paid for. What is free there, or has another price, is not: a redirect to it is itself what
/// was bought, and has to be paid for.
#[must_use]
pub fn followed(config: &Config, terms: &Terms, method: &str, target: &str) -> Option<B256> {
    let target = target.split('#').next().unwrap_or(target);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let path = CanonicalPath::new(path).ok()?;
    let there = config.route(method, &path).ok()??.terms.as_ref()?;
    let same = there.requirements == terms.requirements
        && there.settle == terms.settle
        && there.credits == terms.credits
        && there.identifier == terms.identifier;
    same.then(|| bound(method, &path, query, ""))
}

#[cfg(test)]
mod tests {
    use super::super::{Decision, Facts, Triage, price, tests::config, triage};
    use super::*;
    use crate::x402::supported::Support;
    use serde_json::json;

    #[test]
    fn a_payment_follows_a_redirect_to_the_same_terms_and_to_no_others() {
        let routes = json!({
            "/a/*": "$0.001", "/b": "$0.001", "/dear": "$1", "/first": { "price": "$0.001", "settle": "before" }, "/free": "free",
        });
        let config = config(&[("ROUTES", routes)]);
        let path = CanonicalPath::new("/a/x").unwrap();
        let terms = config.route("GET", &path).unwrap().unwrap().terms.as_ref().unwrap();
        let followed = |target: &str| followed(&config, terms, "GET", target);
        for same in ["/a/x/", "/a/y?z=1", "/b"] {
            assert!(followed(same).is_some(), "{same}");
        }
        for other in ["/dear", "/first", "/free", "/unnamed", "/a//x", "/a/%2e%2e/b"] {
            assert_eq!(followed(other), None, "{other}");
        }
        assert_eq!(followed("/a/x/#top"), followed("/a/x/"));
        assert_ne!(followed("/a/x/"), followed("/a/x"));
    }

    #[test]
    fn what_a_payment_follows_to_is_bound_as_a_request_for_it_is() {
        let config = config(&[("ROUTES", json!({ "/a/*": "$0.001" }))]);
        let facts = Facts {
            method: "GET".into(),
            base: "https://gate".into(),
            path: "/a/x/".into(),
            query: Some("q=1".into()),
            ..Facts::default()
        };
        let Triage::Priced(terms, path) = triage(&config, &facts) else { panic!("not priced") };
        assert_eq!(followed(&config, terms, "GET", "/a/x/?q=1"), Some(super::super::binding(&facts, &path)));
        assert!(matches!(price(&config, &Support(Vec::new()), terms, &facts, &path), Decision::Challenge(_)));
    }
}
