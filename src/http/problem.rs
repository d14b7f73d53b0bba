//! What the outside sees of a refusal: an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem with a stable code
//! and a hint that a program can act on. Inside detail is logged, never put here.

pub use super::code::Code;
use serde::Serialize;
use serde_json::{Map, Value};

/// A refusal: what, and the one detail that helps the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What.
    pub code: Code,
    /// In one sentence, for this occurrence.
    pub detail: String,
    /// Further members of its document, for programs.
    pub more: Vec<(&'static str, Value)>,
}

/// How hints begin that are about the detail of this very case.
const SEE_DETAIL: &str = "see `detail`; ";

/// The members of the JSON document.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    hint: &'a str,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Problem {
    /// A problem with its detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), more: Vec::new() }
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.more.push((name, value));
        self
    }

    /// Its JSON document.
    #[must_use]
    pub fn document(&self) -> Document<'_> {
        let (status, code, title, hint) = self.code.row();
        // A detail that repeats the title is nothing to look at.
        let hint = if self.detail == title { hint.strip_prefix(SEE_DETAIL).unwrap_or(hint) } else { hint };
        // Beside the header of the same name: CORS hides headers from some scripts, and MCP from its clients.
        let wait = self.code.retry_after().map(|seconds| ("retryAfter".to_owned(), Value::from(seconds)));
        let more = self.more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).chain(wait).collect();
        Document { kind: format!("urn:edge402:problem:{code}"), title, status, detail: &self.detail, code, hint, more }
    }
}

impl From<Code> for Problem {
    /// A problem whose title says it all.
    fn from(code: Code) -> Self {
        Self::new(code, code.row().2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_distinct_and_complete() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn no_hint_leads_to_a_detail_that_says_nothing() {
        for code in Code::ALL {
            let hint = serde_json::to_value(Problem::from(code).document()).unwrap()["hint"].clone();
            let hint = hint.as_str().unwrap();
            // Its detail says what is wrong with the request, always.
            assert!(!hint.contains("`detail`") || code == Code::RequestMalformed, "{}: {hint}", code.as_str());
            assert!(!hint.is_empty());
        }
        let said = Problem::new(Code::PaymentInvalid, "insufficient_funds");
        assert!(serde_json::to_value(said.document()).unwrap()["hint"].as_str().unwrap().starts_with(SEE_DETAIL));
    }

    #[test]
    fn what_may_have_moved_money_is_never_a_challenge() {
        for code in [Code::SettlementUnknown, Code::AnswerOwed, Code::PaymentInFlight, Code::PaymentAlreadyUsed] {
            assert_ne!(code.status(), 402, "{}", code.as_str());
        }
    }
}
