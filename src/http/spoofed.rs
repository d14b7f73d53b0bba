//! Parameters of a query by which frameworks (Rails, Laravel, Symfony, Express) take a POST for another method.

use percent_encoding::percent_decode_str;

const NAMES: [&str; 3] = ["_method", "x-http-method-override", "x-http-method"];

/// The methods, in upper case, that the query of a POST asks for.
pub fn methods(query: &str) -> impl Iterator<Item = String> {
    let pairs = query.split(['&', ';']).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let named = pairs.filter(|(name, _)| {
        let name = decoded(name).to_ascii_lowercase();
        // PHP reads `.method` and ` method` as `_method`, and keeps the first of `_method[]`.
        let name = name.split('[').next().unwrap_or_default().replace(['.', ' '], "_");
        NAMES.contains(&name.as_str())
    });
    named.map(|(_, value)| decoded(value).trim().to_ascii_uppercase()).filter(|method| !method.is_empty())
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_in_the_query_is_found_in_any_spelling() {
        let found = |query: &str| methods(query).collect::<Vec<_>>();
        for query in [
            "_method=delete",
            "a=1&_Method=+Delete+",
            "%5fmethod=%44ELETE",
            "a;_method=DELETE",
            ".method=DELETE",
            "_method[]=DELETE",
        ] {
            assert_eq!(found(query), ["DELETE"], "{query}");
        }
        assert_eq!(found("_method=PUT&_method=GET"), ["PUT", "GET"]);
        for query in ["", "method=DELETE", "_method", "_method=", "x_method=PUT", "a=_method"] {
            assert!(found(query).is_empty(), "{query}");
        }
    }
}
