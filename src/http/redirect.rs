//! Where redirects lead: a facilitator's to the same facilitator or elsewhere, an origin's back through the gateway or out.

use url::Url;

/// Where a redirect leads, if that is the same service: the same scheme and port, and the same host but for a `www.`.
#[must_use]
pub fn same_service(from: &str, location: &str) -> Option<String> {
    let from = Url::parse(from).ok()?;
    let to = from.join(location).ok()?;
    let host = |url: &Url| url.host_str().map(|host| host.trim_start_matches("www.").to_owned());
    let same = from.scheme() == to.scheme()
        && from.port_or_known_default() == to.port_or_known_default()
        && host(&from).is_some()
        && host(&from) == host(&to)
        && to.username().is_empty()
        && to.password().is_none();
    same.then(|| to.into())
}

/// Where a `Location` of the origin's leads within the gateway, as path and query; `None` where it leads elsewhere.
///
/// `root` is what paths are put behind on the way to the origin, `base` the gateway's scheme and authority, `target` the path
/// and query that were asked for. An origin that builds absolute URLs names its own host, and its own path before ours.
#[must_use]
pub fn leads_back(root: &str, base: &str, target: &str, location: &str) -> Option<String> {
    let root = Url::parse(root).ok()?;
    let base = Url::parse(base).ok()?;
    let asked = Url::parse(&format!("{}{target}", root.as_str().trim_end_matches('/'))).ok()?;
    let to = asked.join(location).ok()?;
    if !matches!(to.scheme(), "http" | "https") || !to.username().is_empty() || to.password().is_some() {
        return None;
    }
    let prefix = root.path().trim_end_matches('/');
    let stripped = to.path().strip_prefix(prefix).filter(|rest| rest.starts_with('/'));
    let is_absolute = Url::parse(location).is_ok() || location.trim_start().starts_with("//");
    let path = if is_absolute && to.origin() == base.origin() {
        to.path()
    } else if same_host(&root, &to) {
        // A path that is not below the root may have been made by an origin that does not know of it.
        if is_absolute { stripped? } else { stripped.unwrap_or(to.path()) }
    } else {
        return None;
    };
    let query = to.query().map(|query| format!("?{query}")).unwrap_or_default();
    let fragment = to.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
    // Two slashes would make a host of the first segment.
    (!path.starts_with("//")).then(|| format!("{path}{query}{fragment}"))
}

/// Behind a proxy that ends TLS an origin takes itself for plain HTTP.
fn same_host(one: &Url, other: &Url) -> bool {
    let default_ports = one.port().is_none() && other.port().is_none();
    one.host_str() == other.host_str()
        && (default_ports || one.port_or_known_default() == other.port_or_known_default())
}

/// Whether a client that follows a redirect of this status makes the same request again, at another place.
#[must_use]
pub fn keeps_the_request(status: u16, method: &str) -> bool {
    match status {
        307 | 308 => true,
        // Of anything else a GET is made.
        301 | 302 => matches!(method, "GET" | "HEAD"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_service_is_followed() {
        let from = "https://x402.org/facilitator/settle";
        assert_eq!(
            same_service(from, "https://www.x402.org/facilitator/settle").unwrap(),
            "https://www.x402.org/facilitator/settle"
        );
        assert_eq!(same_service(from, "/v2/settle").unwrap(), "https://x402.org/v2/settle");
        for elsewhere in [
            "https://evil.example/settle",
            "//evil.example/settle",
            "https://x402.org.evil.example/",
            "http://x402.org/facilitator/settle",
            "https://x402.org:444/",
            "https://user@x402.org/",
            "https://",
        ] {
            assert_eq!(same_service(from, elsewhere), None, "{elsewhere}");
        }
    }
    #[test]
    fn a_redirect_within_the_gateway_is_known_however_it_is_written() {
        let back = |location: &str| leads_back("https://api.example.com", "https://gate.example", "/a/b?x=1", location);
        assert_eq!(back("/a/b/?x=1").as_deref(), Some("/a/b/?x=1"));
        assert_eq!(back("c").as_deref(), Some("/a/c"));
        assert_eq!(back("?y=2").as_deref(), Some("/a/b?y=2"));
        assert_eq!(back("https://gate.example/a/b/#top").as_deref(), Some("/a/b/#top"));
        // An origin's own name, and what it takes itself for behind a proxy.
        assert_eq!(back("https://api.example.com/a/b/").as_deref(), Some("/a/b/"));
        assert_eq!(back("http://api.example.com/a/b/").as_deref(), Some("/a/b/"));
        for elsewhere in [
            "https://cdn.example.com/a/b/",
            "//cdn.example.com/a",
            "https://api.example.com:8443/a",
            "https://api.example.com.evil.example/",
            "https://user@api.example.com/a",
            "http://gate.example/a/b/",
            "https://api.example.com//evil.example/",
            "//",
            "mailto:a@b",
        ] {
            assert_eq!(back(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn the_path_of_the_origin_itself_is_taken_off() {
        let back = |location: &str| leads_back("https://example.com/api/v2", "https://gate.example", "/a", location);
        assert_eq!(back("/api/v2/a/").as_deref(), Some("/a/"));
        assert_eq!(back("https://example.com/api/v2/a/").as_deref(), Some("/a/"));
        assert_eq!(back("/a/").as_deref(), Some("/a/"));
        assert_eq!(back("https://gate.example/a/").as_deref(), Some("/a/"));
        assert_eq!(back("https://example.com/login"), None);
        assert_eq!(back("https://example.com/api/v22/a"), None);
    }

    #[test]
    fn a_redirect_that_changes_the_method_is_another_request() {
        assert!(keeps_the_request(307, "POST") && keeps_the_request(308, "POST"));
        assert!(keeps_the_request(301, "GET") && keeps_the_request(302, "HEAD"));
        assert!(!keeps_the_request(302, "POST") && !keeps_the_request(303, "GET") && !keeps_the_request(300, "GET"));
    }
}
