use super::*;

#[test]
fn a_post_that_asks_for_a_method_of_another_price_is_refused() {
    let routes = json!({ "POST /a/*": "$0.001", "DELETE /a/*": "$1", "/b": "$0.5", "PUT /c": "$2", "GET /d": "$1" });
    for default in ["pass", "deny"] {
        let config = config(&[("ROUTES", routes.clone()), ("DEFAULT", json!(default))]);
        let code = |method: &str, path: &str, query: &str| match decide(
            &config,
            &Facts { query: Some(query.into()), ..request(method, path) },
        ) {
            Decision::Refuse(problem) => problem.code.as_str(),
            Decision::Challenge(_) => "priced",
            Decision::PassThrough => "free",
            _ => "other",
        };
        for (path, query) in [
            ("/a/7", "_method=DELETE"),
            ("/a/7", "x=1&%5Fmethod=+delete"),
            ("/a/7", "_method=GET"),
            ("/a/7", "_method=POST&_method=DELETE"),
            ("/c", "_method=put"),
            ("/d", "_method=HEAD"),
            ("/b", "_method=TRACE"),
        ] {
            assert_eq!(code("POST", path, query), "method_forbidden", "{default} {path} {query}");
        }
        // Of one price, or not a POST: nothing is gained by it.
        assert_eq!(code("POST", "/b", "_method=DELETE"), "priced");
        assert_eq!(code("POST", "/a/7", "_method=post&method=DELETE"), "priced");
        assert_eq!(code("DELETE", "/a/7", "_method=POST"), "priced");
    }
}
