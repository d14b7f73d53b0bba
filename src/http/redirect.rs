//! Which redirect of a facilitator is still the same facilitator.

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
}
