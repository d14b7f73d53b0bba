//! Route patterns: `GET /weather/*`, `/users/:id`. The most specific one wins, and two that overlap without one being
//! more specific are a mistake: with "first match wins" a broad cheap pattern shadows a dear one.

use super::names;
use crate::http::path::{CanonicalPath, matching_form};
use crate::http::tolerant::fold;
use std::fmt;

/// One step of a pattern's path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal { name: String, folded: String },
    Any,
}

impl Segment {
    fn literal(name: String) -> Self {
        let folded = fold(&name);
        Self::Literal { name, folded }
    }

    fn is(&self, actual: &str) -> bool {
        matches!(self, Self::Literal { name, .. } if name == actual)
    }
}

/// A method (or any) and a path.
#[derive(Clone, Debug)]
pub struct Pattern {
    written: String,
    method: Option<String>,
    segments: Vec<Segment>,
    /// Ends in `/*`: the prefix itself and all below it.
    rest: bool,
}

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

impl Pattern {
    /// Reads a pattern as it is written in `ROUTES`.
    ///
    /// # Errors
    /// What is wrong and how to write it.
    pub fn parse(written: &str) -> Result<Self, (String, String)> {
        // "GET, POST /x" is several methods, and not a path that begins with a method.
        let (method, path) = match written.find(" /").or_else(|| written.find(' ')).map(|at| written.split_at(at)) {
            Some((method, path)) => (Some(method), path.strip_prefix(' ').unwrap_or(path)),
            None => (None, written),
        };
        if method == Some("HEAD") {
            return Err(("prices HEAD".into(), "HEAD is priced as GET: write GET".into()));
        }
        if let Some(method) = method.filter(|m| !METHODS.contains(m)) {
            return Err(names::not_a_method(method, path, &METHODS));
        }
        let Some(relative) = path.strip_prefix('/') else {
            return Err(("has no path".into(), "write \"GET /path\" or \"/path\"".into()));
        };
        let relative = relative.strip_suffix('/').unwrap_or(relative);
        let (relative, rest) = match relative.strip_suffix("/*") {
            Some(prefix) => (prefix, true),
            None if relative == "*" => ("", true),
            None => (relative, false),
        };
        let mut segments = Vec::new();
        for segment in relative.split('/').filter(|_| !relative.is_empty()) {
            segments.push(Self::segment(segment)?);
        }
        Ok(Self { written: written.to_owned(), method: method.map(ToOwned::to_owned), segments, rest })
    }

    fn segment(written: &str) -> Result<Segment, (String, String)> {
        // Elsewhere `{id}` stands for any segment. Taken for itself it would match what nobody calls, and leave the rest free.
        if written.contains(['{', '}']) {
            let is_name =
                |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let name = written.split(['{', '}']).find(is_name).unwrap_or("name");
            let cure = format!("write `:{name}` for one segment; a brace that is meant is %7B or %7D");
            return Err((format!("has the segment {written:?}, and braces stand for nothing here"), cure));
        }
        if written == "*" || (written.starts_with(':') && written.len() > 1) {
            return Ok(Segment::Any);
        }
        if written.contains(['*', ';', '?', '#']) {
            return Err((
                format!("has the segment {written:?}"),
                "`*` and `:name` stand for a whole segment; `;`, `?` and `#` cannot be matched".into(),
            ));
        }
        if written.is_empty() {
            return Err(("holds an empty segment".into(), "write every slash once".into()));
        }
        // A pattern that no request can spell would never match, and its route would be free.
        CanonicalPath::new(&format!("/{written}"))
            .and_then(|_| matching_form(written))
            .map(Segment::literal)
            .map_err(|error| (format!("can match nothing: {error}"), "write the path as clients send it".into()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    fn method_covers(&self, method: &str) -> bool {
        match self.method.as_deref() {
            None => true,
            Some("GET") => matches!(method, "GET" | "HEAD"),
            Some(own) => own == method,
        }
    }

    /// Whether a request falls under it.
    #[must_use]
    pub fn matches(&self, method: &str, path: &[String]) -> bool {
        self.fits(method, path)
            && self.segments.iter().zip(path).all(|(own, actual)| own.is(actual) || *own == Segment::Any)
    }

    /// Whether an origin that is tolerant about Unicode may see a request under it, by a folded reading of its path.
    #[must_use]
    pub fn matches_folded(&self, method: &str, reading: &[String]) -> bool {
        let same = |own: &Segment, actual: &String| match own {
            Segment::Literal { folded, .. } => folded == actual,
            Segment::Any => true,
        };
        self.fits(method, reading) && self.segments.iter().zip(reading).all(|(own, actual)| same(own, actual))
    }

    fn fits(&self, method: &str, path: &[String]) -> bool {
        let length = if self.rest { path.len() >= self.segments.len() } else { path.len() == self.segments.len() };
        length && self.method_covers(method)
    }

    /// Whether wherever the two differ for this path, this one has its very spelling: its operator has told them apart.
    #[must_use]
    pub fn tells_apart(&self, other: &Self, path: &[String]) -> bool {
        let mut others = other.segments.iter().zip(path).enumerate();
        others.all(|(at, (theirs, actual))| {
            theirs.is(actual) || *theirs == Segment::Any || self.segments.get(at).is_some_and(|own| own.is(actual))
        })
    }

    /// Whether it names exactly this path, without a parameter.
    #[must_use]
    pub fn is_literally(&self, path: &[String]) -> bool {
        !self.rest && self.segments.len() == path.len() && self.begins_with(path)
    }

    /// Whether it names this path and something below it.
    #[must_use]
    pub fn is_below(&self, path: &[String]) -> bool {
        self.segments.len() > path.len() && self.begins_with(path)
    }

    /// Whether it names nothing beyond ASCII.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.segments.iter().all(|own| match own {
            Segment::Literal { name, .. } => name.is_ascii(),
            Segment::Any => true,
        })
    }

    /// Whether it names nothing: `/*`, or parameters alone.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.rest && self.segments.iter().all(|segment| *segment == Segment::Any)
    }

    fn begins_with(&self, path: &[String]) -> bool {
        let pairs = self.segments.iter().zip(path);
        pairs.into_iter().all(|(segment, actual)| segment.is(actual))
    }

    /// How many segments it names, less what a `/*` at its end stands for.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.segments.len()
    }

    /// Whether it names this segment, at any place.
    #[must_use]
    pub fn has_literal(&self, segment: &str) -> bool {
        self.segments.iter().any(|own| own.is(segment))
    }

    /// The method that it names.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// Whether everything that falls under this falls under `other` too.
    #[must_use]
    pub fn within(&self, other: &Self) -> bool {
        let methods = other.method.is_none() || self.method == other.method;
        let lengths = if other.rest {
            self.segments.len() >= other.segments.len()
        } else {
            !self.rest && self.segments.len() == other.segments.len()
        };
        methods
            && lengths
            && other.segments.iter().zip(&self.segments).all(|(theirs, ours)| *theirs == Segment::Any || theirs == ours)
    }

    /// Whether some request falls under both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let methods = self.method.is_none() || other.method.is_none() || self.method == other.method;
        let (shorter, longer) = if self.segments.len() <= other.segments.len() { (self, other) } else { (other, self) };
        let lengths = shorter.segments.len() == longer.segments.len() || shorter.rest;
        methods
            && lengths
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|(a, b)| *a == Segment::Any || *b == Segment::Any || a == b)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(written: &str) -> Pattern {
        Pattern::parse(written).unwrap()
    }

    fn matches(written: &str, method: &str, path: &str) -> bool {
        pattern(written).matches(method, CanonicalPath::new(path).unwrap().segments())
    }

    #[test]
    fn patterns_match_whole_segments() {
        assert!(matches("GET /weather/*", "GET", "/weather/lisbon"));
        assert!(matches("GET /weather/*", "GET", "/weather/a/b"));
        assert!(matches("GET /weather/*", "GET", "/weather"), "the prefix itself is not a way around");
        assert!(matches("GET /weather/*", "GET", "/weather/"));
        assert!(matches("GET /weather/*", "HEAD", "/WEATHER/x"));
        assert!(!matches("GET /weather/*", "GET", "/weatherman"));
        assert!(!matches("GET /weather/*", "POST", "/weather/x"));
        assert!(matches("/users/:id", "DELETE", "/users/7/"));
        assert!(!matches("/users/:id", "GET", "/users/7/posts"));
        assert!(matches("/a/*/c", "GET", "/a/b/c"));
        assert!(matches("/*", "GET", "/"));
        assert!(matches("/caf%C3%A9", "GET", "/CAF%c3%89"));
    }

    #[test]
    fn a_pattern_that_can_match_nothing_is_a_mistake() {
        for written in [
            "",
            "weather",
            "GET weather",
            "HEAD /a",
            "get /a",
            "FETCH /a",
            "/a*",
            "/a//b",
            "/a/../b",
            "/%70",
            "/a?b",
            "/a b",
            "/users/{id}",
            "/users/{id}.json",
            "/users/:{id}",
            "/}",
        ] {
            assert!(Pattern::parse(written).is_err(), "{written:?}");
        }
        let (_, cure) = Pattern::parse("GET /users/{id}").unwrap_err();
        assert!(cure.contains("`:id`"), "{cure}");
        assert!(matches("/a/%7Bid%7D", "GET", "/a/{id}"), "a brace that is meant can be written");
    }

    #[test]
    fn overlap_and_specificity() {
        let within = |a, b| pattern(a).within(&pattern(b));
        let overlap = |a, b| pattern(a).overlaps(&pattern(b));
        assert!(within("GET /a/b", "/a/*") && !within("/a/*", "GET /a/b"));
        assert!(within("/a/b", "/a/:x") && within("/a/:x", "/a/*") && within("/a/*", "/*") && within("/a", "/a/*"));
        assert!(overlap("/a/:x", "/:y/b") && !within("/a/:x", "/:y/b") && !within("/:y/b", "/a/:x"));
        assert!(overlap("GET /a/*", "/a/b") && !within("/a/b", "GET /a/*"));
        assert!(!overlap("GET /a", "POST /a") && !overlap("/a/b", "/a/c") && !overlap("/a", "/a/:x"));
        assert!(overlap("/a/*", "/a"));
    }

    fn written() -> impl Strategy<Value = String> {
        ("(GET |POST |)", "(/(a|b|:x)){1,3}", "(/\\*|)").prop_map(|(m, p, r)| format!("{m}{p}{r}"))
    }

    proptest! {
        // What the two relations say must be what matching does, or a price would be chosen by accident.
        #[test]
        fn the_relations_agree_with_matching(a in written(), b in written(), method in "(GET|HEAD|POST)", path in "(/(a|b|c)){1,4}") {
            let (a, b) = (pattern(&a), pattern(&b));
            let path = CanonicalPath::new(&path).unwrap();
            let (in_a, in_b) = (a.matches(&method, path.segments()), b.matches(&method, path.segments()));
            if a.within(&b) && in_a { prop_assert!(in_b); }
            if in_a && in_b { prop_assert!(a.overlaps(&b)); }
        }

        #[test]
        fn no_pattern_panics(text in ".*") {
            let _ = Pattern::parse(&text);
        }
    }
}
