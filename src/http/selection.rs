//! Which headers of a request select what its answer is: they are part of what is bought, as its body is.
//!
//! `Accept-Encoding` is not: the runtime sets and undoes it on the way to the origin. Conditions (`If-None-Match`, …) are
//! not either, since they do not reach the origin on priced calls.

/// Selected by their whole name.
const NAMES: [&str; 3] = ["range", "range-unit", "prefer"];

/// Whether a header (name in lower case) selects.
fn selects(name: &str) -> bool {
    let name = name.replace('_', "-");
    let content = name.starts_with("content-") && name != "content-length";
    let accept = name.starts_with("accept") && name != "accept-encoding";
    content || accept || NAMES.contains(&name.as_str())
}

/// Whether a value says no more than a missing header does.
fn is_default(name: &str, value: &str) -> bool {
    match name {
        "accept" => value == "*/*",
        "accept-language" => value == "*",
        _ => value.is_empty(),
    }
}

/// What these headers select, as one text; empty where they select nothing. Names are in lower case.
#[must_use]
pub fn selection<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut lines: Vec<String> = headers
        .into_iter()
        .filter(|(name, value)| selects(name) && !is_default(name, value.trim()))
        .map(|(name, value)| format!("{name}: {}\n", compared(name, value)))
        .collect();
    lines.sort();
    lines.concat()
}

/// A form in parts gets another boundary each time that it is written.
fn compared<'a>(name: &str, value: &'a str) -> &'a str {
    let value = value.trim();
    let is_form =
        name == "content-type" && value.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    if is_form { value.split(';').next().unwrap_or(value).trim_end() } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_range_language_type_or_preference_is_another_selection() {
        let plain = selection([]);
        assert_eq!(plain, "");
        let mut seen = vec![plain];
        for header in [
            ("range", "bytes=0-99"),
            ("range", "bytes=100-199"),
            ("accept", "text/csv"),
            ("accept-language", "pt"),
            ("accept-profile", "v2"),
            ("prefer", "return=minimal"),
            ("content-type", "application/json"),
            ("content-type", "text/plain"),
            ("content-encoding", "gzip"),
        ] {
            let selected = selection([header]);
            assert!(!seen.contains(&selected), "{header:?}");
            seen.push(selected);
        }
    }

    #[test]
    fn what_says_nothing_and_what_never_reaches_the_origin_selects_nothing() {
        let headers = [
            ("accept", "*/*"),
            ("accept-language", "*"),
            ("accept-encoding", "br"),
            ("if-none-match", "\"v1\""),
            ("content-length", "3"),
            ("user-agent", "x"),
        ];
        assert_eq!(selection(headers), "");
    }

    #[test]
    fn neither_order_nor_a_forms_boundary_matters() {
        let one = selection([("range", "bytes=0-1"), ("accept", "a/b")]);
        assert_eq!(one, selection([("accept", " a/b "), ("range", "bytes=0-1")]));
        let form = |boundary: &str| {
            selection([("content-type", format!("multipart/form-data; boundary={boundary}").as_str())])
        };
        assert_eq!(form("a"), form("b"));
        assert_ne!(form("a"), selection([("content-type", "multipart/mixed; boundary=a")]));
    }
}
