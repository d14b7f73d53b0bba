//! What a challenge says of the call, for catalogues.

use super::*;
use base64::Engine;

/// The methods that the `bazaar` extension and v1's `outputSchema` name, and whether the body is told.
fn told(config: &Config, method: &str, path: &str) -> (String, String, bool) {
    let Decision::Challenge(challenge) = decide(config, &request(method, path)) else { panic!("{method} {path}") };
    let header = crate::x402::BASE64.decode(challenge.header.unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    let input = &header["extensions"]["bazaar"]["info"]["input"];
    let first = &challenge.body["accepts"][0]["outputSchema"]["input"];
    let text = |value: &Value| value["method"].as_str().unwrap_or_default().to_owned();
    assert_eq!(input.get("bodyType").is_some(), first.get("bodyType").is_some());
    (text(input), text(first), input.get("body").is_some())
}

#[test]
fn a_route_without_a_method_that_takes_a_body_is_told_by_a_method_that_has_one() {
    let takes = |price: &str| json!({ "price": price, "input": { "body": { "type": "object" } } });
    let config = config(&[(
        "ROUTES",
        json!({
            "/open": takes("$0.01"), "/put": takes("$0.01"), "POST /put": "$0.5", "DELETE /fixed": takes("$0.01"),
            "/query": { "price": "$0.01", "input": { "query": { "q": "What" } } },
        }),
    )]);
    for (method, path, wanted, body) in [
        ("GET", "/open", "POST", true),
        ("HEAD", "/open", "POST", true),
        ("DELETE", "/open", "POST", true),
        ("POST", "/open", "POST", true),
        ("PATCH", "/open", "PATCH", true),
        // By POST it is another route, at another price.
        ("GET", "/put", "PUT", true),
        // Where the operator names the method, that is it.
        ("DELETE", "/fixed", "DELETE", false),
        ("GET", "/query", "GET", false),
    ] {
        assert_eq!(told(&config, method, path), (wanted.to_owned(), wanted.to_owned(), body), "{method} {path}");
    }
}
