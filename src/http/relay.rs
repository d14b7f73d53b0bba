//! Which status of the origin's is an answer, and which says that the origin was never reached.

/// Whether an answer of this status can be handed on. Interim statuses (1xx) announce an answer and are none; the runtime
/// gives them out as if they were, with the real answer, its head included, as their body. Above 599 there is nothing.
#[must_use]
pub const fn is_final(status: u16) -> bool {
    status >= 200 && status < 600
}

/// Whether Cloudflare says by this status that it could not connect to the origin: refused (521), timed out (522),
/// unreachable (523), no TLS (525, 526), no such name (530). Within Cloudflare `fetch` answers so where it fails elsewhere.
/// An origin may use these numbers itself: the status alone proves nothing.
#[must_use]
pub const fn says_unreachable(status: u16) -> bool {
    matches!(status, 521..=523 | 525 | 526 | 530)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interim_status_is_no_answer() {
        for status in [0, 100, 101, 102, 103, 199, 600, 700, 999] {
            assert!(!is_final(status), "{status}");
        }
        for status in [200, 204, 304, 404, 500, 599] {
            assert!(is_final(status), "{status}");
        }
    }

    #[test]
    fn a_failure_of_the_origin_itself_does_not_say_that_it_was_not_reached() {
        for status in [500, 502, 503, 504, 520, 524, 527, 529] {
            assert!(!says_unreachable(status), "{status}");
        }
        assert!(says_unreachable(521));
    }
}
