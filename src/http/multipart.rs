//! Forms in parts (RFC 7578), as far as it matters whether two are the same.

/// The longest boundary (RFC 2046, 5.1.1).
const LONGEST: usize = 70;

/// A body with its boundary taken out, where it has one: clients make up another each time that they write the same form.
#[must_use]
pub fn unbound(content_type: &str, body: Vec<u8>) -> Vec<u8> {
    let Some(boundary) = boundary(content_type).filter(|boundary| (1..=LONGEST).contains(&boundary.len())) else {
        return body;
    };
    // Where it stands between parts, and nowhere else: taken out of a value, it would make two forms one.
    let delimiter = format!("\r\n--{boundary}");
    let whole = [b"\r\n", body.as_slice()].concat();
    let mut rest = whole.as_slice();
    let mut plain = Vec::with_capacity(rest.len());
    while let Some(at) = rest.windows(delimiter.len()).position(|window| window == delimiter.as_bytes()) {
        let (before, found) = rest.split_at(at);
        plain.extend_from_slice(before);
        plain.extend_from_slice(b"\r\n--");
        rest = found.get(delimiter.len()..).unwrap_or_default();
    }
    plain.extend_from_slice(rest);
    plain
}

fn boundary(content_type: &str) -> Option<&str> {
    let mut parts = content_type.split(';');
    let kind = parts.next()?.trim();
    if !kind.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/")) {
        return None;
    }
    let named = parts.filter_map(|part| part.split_once('='));
    let mut boundaries = named.filter(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"));
    boundaries.next().map(|(_, value)| value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_form_is_the_same_under_another_boundary() {
        let form = |boundary: &str, value: &str| {
            let body = format!("--{boundary}\r\nname=a\r\n\r\n{value}\r\n--{boundary}--\r\n");
            unbound(&format!("Multipart/Form-Data; boundary=\"{boundary}\""), body.into_bytes())
        };
        assert_eq!(form("----abc", "1"), form("x7", "1"));
        assert_ne!(form("x7", "1"), form("x7", "2"));
        assert_ne!(form("1", "351"), form("1", "35"), "in a value it is the value's");
        for other in [
            "text/plain; boundary=a",
            "",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}",
        ] {
            assert_eq!(unbound(other, b"--a".to_vec()), b"--a", "{other}");
        }
    }
}
