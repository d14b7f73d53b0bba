//! When an object's one alarm is to ring, and whether it can be relied upon to.
//!
//! An alarm that fails is tried again a few times and then dropped, an instance may be gone, storage may refuse the setting of
//! the next: what an instance remembers of its alarm is believed only for as long as it can be true.

use std::cell::Cell;

/// What is due by so much is not going to ring by itself, in seconds: an alarm may be late, and its work takes its time.
const LATE_SECONDS: u64 = 60;
/// Nothing is due, and nothing need be set.
const NEVER: u64 = u64::MAX;

/// What this instance knows of its alarm.
#[derive(Debug, Default)]
pub struct Bell {
    /// When it rings at the latest, in Unix seconds.
    at: Cell<Option<u64>>,
}

impl Bell {
    /// It is ringing, or has rung, or could not be set.
    pub fn forget(&self) {
        self.at.set(None);
    }

    /// Whether the books must be asked what is due.
    #[must_use]
    pub fn is_unknown(&self, now: u64) -> bool {
        self.at.get().is_none_or(|at| at.saturating_add(LATE_SECONDS) <= now)
    }

    /// It rings at this time, or earlier; at `None` it need not.
    pub fn is_set(&self, at: Option<u64>) {
        self.at.set(Some(at.unwrap_or(NEVER)));
    }

    /// Whether it rings early enough for this.
    #[must_use]
    pub fn covers(&self, at: u64, now: u64) -> bool {
        !self.is_unknown(now) && self.at.get().is_some_and(|set| set <= at)
    }

    /// When to set it, if the one that is stored does not do: one alarm is enough, if it is the earliest. What is due is rung
    /// for at once; for the rest a second late is better than a second early: an early alarm finds nothing over.
    #[must_use]
    pub fn setting(stored: Option<u64>, at: u64, now: u64) -> Option<u64> {
        let wanted = if at <= now { now } else { at.saturating_add(1) };
        let relied_upon = stored.filter(|set| set.saturating_add(LATE_SECONDS) > now);
        relied_upon.is_none_or(|set| set > wanted).then_some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_alarm_is_enough() {
        assert_eq!(Bell::setting(None, 140, 100), Some(141));
        assert_eq!(Bell::setting(Some(141), 140, 100), None);
        assert_eq!(Bell::setting(Some(120), 140, 100), None);
        assert_eq!(Bell::setting(Some(200), 140, 100), Some(141));
        assert_eq!(Bell::setting(Some(200), 90, 100), Some(100), "due: at once");
    }

    #[test]
    fn an_alarm_that_was_given_up_is_not_relied_upon() {
        assert_eq!(Bell::setting(Some(100), 90, 159), None, "it may be late");
        assert_eq!(Bell::setting(Some(100), 90, 160), Some(160));
        let bell = Bell::default();
        assert!(bell.is_unknown(100));
        bell.is_set(Some(100));
        assert!(bell.covers(100, 100) && bell.covers(150, 159) && !bell.covers(99, 100));
        assert!(bell.is_unknown(160) && !bell.covers(150, 160));
        bell.is_set(None);
        assert!(!bell.is_unknown(10_000_000) && !bell.covers(10_000_000, 10_000_000));
        bell.forget();
        assert!(bell.is_unknown(100));
    }
}
