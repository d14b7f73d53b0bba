//! How many calls one alarm may make: the platform ends an invocation that makes too many, on the free plan after 50.

use std::cell::Cell;

/// So many, and a few are left for what is not counted here.
const AN_ALARM: u32 = 48;
/// A proof on chain takes so many at the most.
pub const A_PROOF: u32 = 35;
/// A call to a facilitator, and what it redirects to.
pub const A_CALL: u32 = 2;
/// A settlement: asked for twice where it is pending, and a look at the payment before and after.
const A_SETTLEMENT: u32 = 4 * A_CALL;

/// What is left of them. What may be needed is reserved before anything is begun, and given back where it was not.
#[derive(Debug)]
pub struct Calls(Cell<u32>);

impl Calls {
    /// All that an alarm has.
    #[must_use]
    pub const fn of_an_alarm() -> Self {
        Self(Cell::new(AN_ALARM))
    }

    /// The most that bringing on one settlement takes.
    #[must_use]
    pub fn most(proof: bool, facilitators: usize) -> u32 {
        let proof = if proof { A_PROOF } else { 0 };
        // One at a time is always brought on.
        proof.saturating_add(A_SETTLEMENT).saturating_add(Self::probes(facilitators)).min(AN_ALARM)
    }

    /// Of several facilitators, each may be probed before one of them is chosen.
    #[must_use]
    pub fn probes(facilitators: usize) -> u32 {
        if facilitators > 1 { u32::try_from(facilitators).unwrap_or(u32::MAX) } else { 0 }
    }

    /// So many were made to settle, the look afterwards among them: whether it was taken is not told.
    #[must_use]
    pub const fn sent(twice: bool) -> u32 {
        if twice { 3 * A_CALL } else { 2 * A_CALL }
    }

    /// Sets so many aside; false where there are not enough.
    #[must_use]
    pub fn reserve(&self, most: u32) -> bool {
        let rest = self.0.get().checked_sub(most);
        if let Some(rest) = rest {
            self.0.set(rest);
        }
        rest.is_some()
    }

    /// Of what was set aside, only so many were made.
    pub fn give_back(&self, reserved: u32, made: u32) {
        self.0.set(self.0.get().saturating_add(reserved.saturating_sub(made)).min(AN_ALARM));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_stays_below_what_the_free_plan_allows_and_always_makes_progress() {
        for (proof, facilitators) in [(false, 1), (false, 3), (true, 1), (true, 6), (true, 40)] {
            let most = Calls::most(proof, facilitators);
            for made in [1, 2, most] {
                let (calls, mut sum, mut done) = (Calls::of_an_alarm(), 0, 0);
                while calls.reserve(most) {
                    sum += made;
                    done += 1;
                    calls.give_back(most, made);
                }
                assert!(sum <= 50 && done > 0, "{proof} {facilitators} {made}: {sum} calls, {done} settlements");
            }
        }
    }
}
