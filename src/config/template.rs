//! A route's path as documents write it: `/weather/:city` is OpenAPI's `/weather/{city}`, and a call's `/weather/lisbon`.

use super::pattern::Pattern;
use crate::http::path::CanonicalPath;
use alloy_primitives::hex;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it was written.
    Literal(String),
    /// One segment, whichever it is.
    Parameter(String),
    /// All that follows: `/*` at the end.
    Rest(String),
}

/// The paths of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// The template of a pattern. A parameter without a usable name of its own gets one by its place: `p1`, and `path` for
    /// what a `/*` stands for.
    #[must_use]
    pub fn of(pattern: &Pattern) -> Self {
        let written = pattern.as_str();
        let path = written.split_once(' ').map_or(written, |(_, path)| path);
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let last = segments.len().saturating_sub(1);
        let mut parts: Vec<Part> = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            let given = segment.strip_prefix(':').filter(|name| is_name(name)).map(ToOwned::to_owned);
            let name = |fallback: String| {
                given.clone().filter(|name| !names.contains(name)).unwrap_or_else(|| unused(&fallback, &names))
            };
            let part = match *segment {
                "*" if at == last => Part::Rest(name("path".to_owned())),
                "*" => Part::Parameter(name(format!("p{}", at.saturating_add(1)))),
                segment if segment.starts_with(':') && segment.len() > 1 => {
                    Part::Parameter(name(format!("p{}", at.saturating_add(1))))
                }
                literal => Part::Literal(literal.to_owned()),
            };
            if let Part::Parameter(name) | Part::Rest(name) = &part {
                names.push(name.clone());
            }
            parts.push(part);
        }
        Self { parts }
    }

    /// A path without parameters.
    #[must_use]
    pub fn literal(path: &str) -> Self {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        Self { parts: segments.map(|segment| Part::Literal(segment.to_owned())).collect() }
    }

    /// The parameters' names, in their order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Parameter(name) | Part::Rest(name) => Some(name.as_str()),
        })
    }

    /// Whether this parameter stands for any number of segments.
    #[must_use]
    pub fn is_rest(&self, name: &str) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Rest(rest) if rest == name))
    }

    /// The same with so many steps in the place of a `/*` at its end: none is the path above it, and of several the last
    /// stands for all that follow.
    #[must_use]
    pub fn stretched(&self, steps: usize) -> Self {
        let mut parts = self.parts.clone();
        let Some(Part::Rest(rest)) = parts.pop_if(|part| matches!(part, Part::Rest(_))) else {
            return Self { parts };
        };
        let mut names: Vec<String> = self.parameters().map(ToOwned::to_owned).collect();
        for step in 1..steps {
            let name = unused(&format!("{rest}_{step}"), &names);
            names.push(name.clone());
            parts.push(Part::Parameter(name));
        }
        if steps > 0 {
            parts.push(Part::Rest(rest));
        }
        Self { parts }
    }

    /// `/weather/{city}`.
    #[must_use]
    pub fn with_braces(&self) -> String {
        self.written(|name| format!("{{{name}}}"))
    }

    /// `/weather/:city`.
    #[must_use]
    pub fn with_colons(&self) -> String {
        self.written(|name| format!(":{name}"))
    }

    /// The literal words, for a name.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| match part {
            Part::Literal(word) | Part::Parameter(word) | Part::Rest(word) => word.as_str(),
        })
    }

    fn written(&self, parameter: impl Fn(&str) -> String) -> String {
        let steps = self.parts.iter().map(|part| match part {
            Part::Literal(literal) => literal.clone(),
            Part::Parameter(name) | Part::Rest(name) => parameter(name),
        });
        format!("/{}", steps.collect::<Vec<_>>().join("/"))
    }

    /// The path of a call, each parameter's value escaped.
    ///
    /// # Errors
    /// The name of the first parameter whose value is missing, empty, or has no one spelling in a path.
    pub fn fill(&self, value: impl Fn(&str) -> Option<String>) -> Result<String, &str> {
        // An empty one would be the path above, with a slash at its end.
        let value = |name: &str| value(name).filter(|value| !value.is_empty());
        let mut path = String::new();
        for part in &self.parts {
            path.push('/');
            match part {
                Part::Literal(literal) => path.push_str(literal),
                Part::Parameter(name) => path.push_str(&escaped(&value(name).ok_or(name.as_str())?)),
                Part::Rest(name) => {
                    let value = value(name).ok_or(name.as_str())?;
                    let steps: Vec<String> = value.split('/').map(escaped).collect();
                    path.push_str(&steps.join("/"));
                }
            }
            // Asked step by step, so that the parameter to blame is known.
            if CanonicalPath::new(&path).is_err() {
                return Err(match part {
                    Part::Literal(name) | Part::Parameter(name) | Part::Rest(name) => name,
                });
            }
        }
        Ok(if path.is_empty() { "/".to_owned() } else { path })
    }

    /// The values of the parameters in a path, as they stand there.
    pub fn values<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, String)> {
        let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
        self.parts.iter().enumerate().filter_map(move |(at, part)| match part {
            Part::Literal(_) => None,
            Part::Parameter(name) => Some((name.as_str(), (*steps.get(at)?).to_owned())),
            Part::Rest(name) => Some((name.as_str(), steps.get(at..).unwrap_or_default().join("/"))),
        })
    }
}

/// What stands for itself in a document's path, in a schema's key and in a tool's argument.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn unused(fallback: &str, names: &[String]) -> String {
    let mut name = fallback.to_owned();
    while names.contains(&name) {
        name.push('_');
    }
    name
}

/// Everything but the unreserved characters as `%XX` (RFC 3986, 2.3).
#[must_use]
pub fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            escaped.push_str(&hex::encode_upper([byte]));
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(pattern: &str) -> Template {
        Template::of(&Pattern::parse(pattern).unwrap())
    }

    fn fill(pattern: &str, value: &str) -> Result<String, String> {
        template(pattern).fill(|_| Some(value.to_owned())).map_err(ToOwned::to_owned)
    }

    #[test]
    fn parameters_have_names() {
        for (pattern, braces, colons) in [
            ("GET /Weather/:city", "/Weather/{city}", "/Weather/:city"),
            ("/a/*/c/*", "/a/{p2}/c/{path}", "/a/:p2/c/:path"),
            ("/:x/:x", "/{x}/{p2}", "/:x/:p2"),
            ("/:a.b/:path/*", "/{p1}/{path}/{path_}", "/:p1/:path/:path_"),
            ("/", "/", "/"),
            ("/*", "/{path}", "/:path"),
            ("/caf%C3%A9/", "/caf%C3%A9", "/caf%C3%A9"),
        ] {
            assert_eq!(template(pattern).with_braces(), braces, "{pattern}");
            assert_eq!(template(pattern).with_colons(), colons, "{pattern}");
        }
    }

    #[test]
    fn what_a_rest_stands_for_can_be_written_out() {
        let stretched = |pattern: &str, steps| template(pattern).stretched(steps).with_braces();
        assert_eq!(stretched("/a/*", 0), "/a");
        assert_eq!(stretched("/a/*", 1), "/a/{path}");
        assert_eq!(stretched("/:path_1/*", 3), "/{path_1}/{path_1_}/{path_2}/{path}");
        assert_eq!(stretched("/*", 0), "/");
        assert_eq!(stretched("/a/:x", 3), "/a/{x}");
    }

    #[test]
    fn values_are_escaped_and_what_is_no_segment_is_refused() {
        assert_eq!(fill("/w/:city", "são paulo"), Ok("/w/s%C3%A3o%20paulo".into()));
        assert_eq!(fill("/w/:city", "a?b#c"), Ok("/w/a%3Fb%23c".into()));
        assert_eq!(fill("/w/*", "a/b c"), Ok("/w/a/b%20c".into()));
        assert_eq!(fill("/", "x"), Ok("/".into()));
        for bad in ["", ".", "..", "a/b", "a\\b", "a\nb"] {
            assert_eq!(fill("/w/:city", bad), Err("city".into()), "{bad:?}");
        }
        for bad in ["", "a//b", "../b", "a/.."] {
            assert_eq!(fill("/w/*", bad), Err("path".into()), "{bad:?}");
        }
        let path = "/w/lisbon/a/b";
        let template = template("/w/:city/*");
        let values: Vec<_> = template.values(path).collect();
        assert_eq!(values, [("city", "lisbon".to_owned()), ("path", "a/b".to_owned())]);
    }

    proptest::proptest! {
        // Whatever a stranger's argument says, the path has one reading and as many segments as the template.
        #[test]
        fn an_argument_stays_in_its_segment(value in ".{0,12}") {
            if let Ok(path) = fill("/w/:city/now", &value) {
                let segments = CanonicalPath::new(&path).unwrap().segments().to_vec();
                proptest::prop_assert_eq!(segments.len(), 3);
                proptest::prop_assert_eq!((segments[0].as_str(), segments[2].as_str()), ("w", "now"));
            }
        }
    }
}
