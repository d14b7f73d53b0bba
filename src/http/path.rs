//! One spelling of a path, or a 400.
//!
//! Every paywall that matched one spelling and forwarded another was walked around: `\`, `%2f`, `//`, `;`, a malformed
//! escape. Here nothing is normalised. What has two readings is refused, and the string that was
//! priced is the string that the origin gets; the runtime has escaped a few characters before it is seen here.

use super::tolerant::fold;
use percent_encoding::percent_decode_str;
use std::fmt;

/// A path that has exactly one reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath {
    raw: String,
    literal: Vec<String>,
    tolerant: Vec<Vec<String>>,
    folded: Vec<Vec<String>>,
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with `/`.
    NotAbsolute,
    /// A character that a URL's path may not hold as it is: a backslash, a control character, a space, non-ASCII.
    Character(char),
    /// `//`: an empty segment, or one that a tolerant origin takes for empty (`;` parameters, dots or spaces alone).
    EmptySegment,
    /// `.` or `..` as a segment, with or without `;` parameters behind it.
    DotSegment,
    /// `%` without two hexadecimal digits.
    BadEscape,
    /// An escape of what needs none (`%70`), of a separator (`%2f`, `%5c`), of a control character, or of `%xx` again.
    NeedlessEscape,
    /// The escapes do not spell UTF-8.
    NotUtf8,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("the path does not begin with a slash"),
            Self::Character(c) => write!(f, "the path holds the character {c:?}"),
            Self::EmptySegment => f.write_str("the path holds an empty segment"),
            Self::DotSegment => f.write_str("the path holds a dot segment"),
            Self::BadEscape => f.write_str("the path holds a % that is no escape"),
            Self::NeedlessEscape => {
                f.write_str("the path holds an escaped letter, digit, '.', '-', '_', '~', '/', '\\', '%' or control")
            }
            Self::NotUtf8 => f.write_str("the path's escapes are not UTF-8"),
        }
    }
}

impl std::error::Error for PathError {}

impl CanonicalPath {
    /// Accepts a raw path (without query) that has one reading.
    ///
    /// # Errors
    /// [`PathError`] names the first thing in it that has two.
    pub fn new(raw: &str) -> Result<Self, PathError> {
        let relative = raw.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        if let Some(odd) = raw.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '?' | '#')) {
            return Err(PathError::Character(odd));
        }
        // A slash at the end says nothing to most origins, so it says nothing here: `/paid/` must not be another,
        // unpriced, path than `/paid`.
        let relative = relative.strip_suffix('/').unwrap_or(relative);
        let segments: Vec<&str> =
            if relative.is_empty() && raw == "/" { Vec::new() } else { relative.split('/').collect() };
        let mut literal = Vec::with_capacity(segments.len());
        for segment in &segments {
            if segment.is_empty() {
                return Err(PathError::EmptySegment);
            }
            let form = matching_form(segment)?;
            if matches!(form.split(';').next(), Some("." | "..")) {
                return Err(PathError::DotSegment);
            }
            // `/;x/paid` is `//paid`, and that `/paid`, to an origin that cuts parameters and then folds slashes.
            if tolerant_form(&form).is_empty() {
                return Err(PathError::EmptySegment);
            }
            literal.push(form);
        }
        let tolerant = tolerant_readings(&literal);
        let folded = folded_readings(&literal);
        Ok(Self { raw: raw.to_owned(), literal, tolerant, folded })
    }

    /// The path as it came, and as it is forwarded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The segments as patterns see them: unescaped and in lower case, since the origin may not care about either.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.literal
    }

    /// Whether it holds no escaped character of Unicode beyond ASCII: then it has one fold, itself.
    #[must_use]
    pub const fn is_ascii(&self) -> bool {
        self.folded.is_empty()
    }

    /// The segments as tolerant origins may see them, where that is something else.
    pub fn tolerant_readings(&self) -> impl Iterator<Item = &[String]> {
        self.tolerant.iter().map(Vec::as_slice)
    }

    /// The segments as origins may see them that are tolerant about Unicode: folds, to be compared with folds. Of an ASCII path
    /// there is one, which is the path.
    pub fn folded_readings(&self) -> impl Iterator<Item = &[String]> {
        let plain = self.folded.is_empty().then_some(self.literal.as_slice());
        plain.into_iter().chain(self.folded.iter().map(Vec::as_slice))
    }
}

/// What is left of a path by [`fold`], which may make separators, dots and escapes of other characters.
fn folded_readings(literal: &[String]) -> Vec<Vec<String>> {
    if literal.iter().all(|segment| segment.is_ascii()) {
        return Vec::new();
    }
    let plain = fold(&literal.join("/"));
    let mut readings = Vec::new();
    let unescaped = fold(&percent_decode_str(&plain).decode_utf8_lossy());
    for text in [plain, unescaped] {
        let segments = resolved(&text);
        readings.extend(tolerant_readings(&segments));
        readings.push(segments.iter().map(|segment| tolerant_form(segment).to_owned()).collect());
        readings.push(segments);
    }
    readings.sort();
    readings.dedup();
    readings
}

/// The segments of a path that tolerant software has put together: empty ones and dots are not there any more.
fn resolved(text: &str) -> Vec<String> {
    let mut segments: Vec<String> = Vec::new();
    for segment in text.split(['/', '\\']).map(|segment| segment.trim_matches(' ')) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment.to_owned()),
        }
    }
    segments
}

/// Servlet containers cut `;` parameters off each segment, others cut the path at the first; some unescape `%3f` and `%23`
/// before they look for a query; Windows drops dots and spaces at the end of a name, and trimming those at its start as well.
fn tolerant_readings(literal: &[String]) -> Vec<Vec<String>> {
    let trimmed =
        |segments: Vec<&str>| -> Vec<String> { segments.into_iter().map(|s| tolerant_form(s).to_owned()).collect() };
    let cut_at = |stops: &[char]| {
        let mut kept = Vec::new();
        for segment in literal {
            let name = segment.split(stops).next().unwrap_or(segment);
            kept.push(name);
            if name.len() < segment.len() {
                break;
            }
        }
        trimmed(kept)
    };
    let mut readings = vec![trimmed(literal.iter().map(String::as_str).collect()), cut_at(&['?', '#']), cut_at(&[';'])];
    readings.retain(|reading| reading != literal);
    readings.sort();
    readings.dedup();
    readings
}

fn tolerant_form(segment: &str) -> &str {
    segment.split([';', '?', '#']).next().unwrap_or(segment).trim_end_matches(['.', ' ']).trim_start_matches(' ')
}

/// Unescapes a segment and puts it in lower case.
///
/// # Errors
/// See [`PathError`].
pub fn matching_form(segment: &str) -> Result<String, PathError> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (rest.next().and_then(hex_digit), rest.next().and_then(hex_digit)) else {
            return Err(PathError::BadEscape);
        };
        let decoded = (high << 4) | low;
        let unreserved = decoded.is_ascii_alphanumeric() || matches!(decoded, b'-' | b'.' | b'_' | b'~');
        if unreserved || decoded.is_ascii_control() || matches!(decoded, b'/' | b'\\') {
            return Err(PathError::NeedlessEscape);
        }
        if decoded == b'%' {
            // `%252f` is `%2f` to an origin that unescapes twice.
            let next_is_hex = rest.clone().next().is_some_and(|b| b.is_ascii_hexdigit());
            if next_is_hex {
                return Err(PathError::NeedlessEscape);
            }
        }
        bytes.push(decoded);
    }
    String::from_utf8(bytes).map(|text| text.to_lowercase()).map_err(|_| PathError::NotUtf8)
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Some(byte.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_paths_pass_unchanged() {
        for path in
            ["/", "/a", "/a/b.json", "/a/", "/a%20b", "/caf%C3%A9", "/a:b@c!$&'()*+,=", "/~x/-_.y", "/a..b", "/100%25"]
        {
            assert_eq!(CanonicalPath::new(path).map(|p| p.raw), Ok(path.to_owned()));
        }
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        use PathError::*;
        for (path, error) in [
            ("", NotAbsolute),
            ("a", NotAbsolute),
            ("/a\\b", Character('\\')),
            ("/a b", Character(' ')),
            ("/é", Character('é')),
            ("/a\0", Character('\0')),
            ("/a%2fb", NeedlessEscape),
            ("/a%2Fb", NeedlessEscape),
            ("/a%5cb", NeedlessEscape),
            ("/%2e%2e/b", NeedlessEscape),
            ("/%70aid", NeedlessEscape),
            ("/a%00", NeedlessEscape),
            ("/a%0d%0a", NeedlessEscape),
            ("/a%252fb", NeedlessEscape),
            ("//", EmptySegment),
            ("//a", EmptySegment),
            ("/a//b", EmptySegment),
            ("/a//", EmptySegment),
            ("/;/a", EmptySegment),
            ("/;x=1/a", EmptySegment),
            ("/a/;", EmptySegment),
            ("/a/%20/b", EmptySegment),
            ("/.../b", EmptySegment),
            ("/./a", DotSegment),
            ("/a/..", DotSegment),
            ("/a/../b", DotSegment),
            ("/a/..;x=1/b", DotSegment),
            ("/a/.;/b", DotSegment),
            ("/a%", BadEscape),
            ("/a%4", BadEscape),
            ("/a%zz", BadEscape),
            ("/a%+1", BadEscape),
            ("/%ff", NotUtf8),
            ("/%c3%28", NotUtf8),
        ] {
            assert_eq!(CanonicalPath::new(path).map(|p| p.raw), Err(error), "{path:?}");
        }
    }

    #[test]
    fn patterns_see_case_escapes_and_slashes_as_one() {
        let segments = |path: &str| CanonicalPath::new(path).unwrap().segments().to_vec();
        assert_eq!(segments("/Weather/LISBON/"), ["weather", "lisbon"]);
        assert_eq!(segments("/caf%C3%89"), segments("/caf%c3%a9"));
        assert_eq!(segments("/a%21"), segments("/a!"));
        assert!(segments("/").is_empty());
        let readings = |path: &str| {
            let path = CanonicalPath::new(path).unwrap();
            path.tolerant_readings().map(|segments| segments.join("/")).collect::<Vec<_>>()
        };
        assert_eq!(readings("/a;v=1/b"), ["a", "a/b"]);
        assert_eq!(readings("/a./b%20"), ["a/b"]);
        assert_eq!(readings("/a%3Fx/b"), ["a", "a/b"]);
        assert_eq!(readings("/a/b%23x"), ["a/b"]);
        assert_eq!(readings("/a/%20b"), ["a/b"]);
        assert!(readings("/a.b/c%20d").is_empty());
    }

    #[test]
    fn folds_are_read_as_the_paths_that_tolerant_software_makes_of_them() {
        let readings = |path: &str| {
            let path = CanonicalPath::new(path).unwrap();
            path.folded_readings().map(|segments| segments.join("/")).collect::<Vec<_>>()
        };
        assert_eq!(readings("/A/b"), ["a/b"]);
        assert_eq!(readings("/%C5%BFecret"), ["secret"]);
        assert_eq!(readings("/secret%C2%A0/x%E2%80%A8"), ["secret/x"]);
        assert_eq!(readings("/secret%EF%BC%8E"), ["secret", "secret."]);
        assert_eq!(readings("/a%EF%BC%8Fb"), ["a/b"]);
        assert_eq!(readings("/a/%E2%80%A5/b"), ["b"]);
        assert_eq!(readings("/secret%EF%BC%9Bx"), ["secret", "secret;x"]);
        assert_eq!(readings("/a%EF%BC%852fb"), ["a/b", "a%2fb"]);
    }

    proptest! {
        #[test]
        fn no_path_panics(path in ".*") {
            let _ = CanonicalPath::new(&path);
        }

        #[test]
        fn a_canonical_path_is_forwarded_as_it_is(path in "/[a-zA-Z0-9%;/._~-]{0,30}") {
            if let Ok(canonical) = CanonicalPath::new(&path) {
                prop_assert_eq!(canonical.as_str(), path.as_str());
                prop_assert!(!path.contains("//"));
                prop_assert!(!path.split('/').any(|s| s == "." || s == ".."));
            }
        }
    }
}
