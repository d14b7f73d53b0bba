//! How much of what clients send is in memory at once. An isolate has 128 MB for all its requests, and who only uploads has
//! paid nothing.

use std::cell::Cell;
use std::rc::Rc;

/// How many bytes of requests' bodies an isolate holds at most, copies included.
pub const MAX_HELD: usize = 32 * 1024 * 1024;
/// Seconds before a body's pace matters.
const GRACE_SECONDS: u64 = 5;
/// Bytes in a second, below which a body only keeps a place occupied.
const MIN_PACE: u64 = 4 * 1024;

/// A number of bytes that may be held at once.
#[derive(Clone, Debug)]
pub struct Budget {
    held: Rc<Cell<usize>>,
    max: usize,
}

impl Budget {
    /// Of so many bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { held: Rc::default(), max }
    }

    /// Room for nothing yet.
    #[must_use]
    pub fn hold(&self) -> Held {
        Held { budget: self.clone(), own: 0 }
    }

    /// What is held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.get()
    }
}

/// Room that one request has, until it is dropped.
#[derive(Debug)]
pub struct Held {
    budget: Budget,
    own: usize,
}

impl Held {
    /// Makes it this many bytes. More than there is room for is refused, and then it is as large as it was.
    #[must_use]
    pub fn resize(&mut self, bytes: usize) -> bool {
        let others = self.budget.held().saturating_sub(self.own);
        let total = others.saturating_add(bytes);
        let fits = bytes <= self.own || total <= self.budget.max;
        if fits {
            self.budget.held.set(total);
            self.own = bytes;
        }
        fits
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.set(self.budget.held().saturating_sub(self.own));
    }
}

/// Whether a body that has come so far in so many seconds is too slow to be waited for.
#[must_use]
pub fn is_too_slow(bytes: usize, seconds: u64) -> bool {
    let due = seconds.saturating_sub(GRACE_SECONDS).saturating_mul(MIN_PACE);
    u64::try_from(bytes).is_ok_and(|bytes| bytes < due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_more_is_held_than_there_is_room_for_and_all_is_given_back() {
        let budget = Budget::new(100);
        let (mut one, mut other) = (budget.hold(), budget.hold());
        assert!(one.resize(60) && other.resize(40) && budget.held() == 100);
        assert!(!other.resize(41) && budget.held() == 100, "one more than there is");
        assert!(one.resize(10) && other.resize(90));
        drop(one);
        assert_eq!(budget.held(), 90);
        assert!(other.resize(100) && !other.resize(usize::MAX));
        drop(other);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn who_drips_is_not_waited_for() {
        assert!(!is_too_slow(0, 5) && is_too_slow(0, 6));
        assert!(!is_too_slow(100 * 1024, 30) && is_too_slow(99 * 1024, 30));
    }

    proptest! {
        #[test]
        fn what_is_held_is_the_sum_of_its_parts(steps in prop::collection::vec((0..4_usize, 0..50_usize), 0..40)) {
            let budget = Budget::new(100);
            let mut held: Vec<(Held, usize)> = (0..4).map(|_| (budget.hold(), 0)).collect();
            for (which, bytes) in steps {
                if held[which].0.resize(bytes) { held[which].1 = bytes; }
                prop_assert_eq!(budget.held(), held.iter().map(|(_, own)| own).sum::<usize>());
                prop_assert!(budget.held() <= 100);
            }
            drop(held);
            prop_assert_eq!(budget.held(), 0);
        }
    }
}
