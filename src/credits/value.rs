//! What a credit is worth, as an exact ratio: rounding it would give calls away, or charge for more than was bought.

use crate::money::Price;

/// So many decimals are counted with; the most that any token has.
const DECIMALS: u8 = 18;

/// A price for a number of credits.
#[derive(Clone, Copy, Debug)]
pub struct CreditValue {
    /// In units of 10^-18 dollars.
    units: u128,
    credits: u64,
}

impl CreditValue {
    /// So many credits for this price; nothing where it cannot be counted.
    #[must_use]
    pub fn new(price: Price, credits: u64) -> Option<Self> {
        let units = price.in_units_of(DECIMALS).ok()?.atomic();
        // So that the products below hold: a hundred million dollars for a package is not a price.
        (credits > 0 && units < 1 << 90 && credits < 1 << 38).then_some(Self { units, credits })
    }

    /// Whether a credit costs more here.
    #[must_use]
    pub fn is_dearer_than(self, other: Self) -> bool {
        let ours = self.units.checked_mul(u128::from(other.credits));
        let theirs = other.units.checked_mul(u128::from(self.credits));
        ours > theirs
    }

    /// How many credits a price is, rounded up, and never none; nothing where it cannot be counted.
    #[must_use]
    pub fn credits_for(self, price: Price) -> Option<u64> {
        let units = price.in_units_of(DECIMALS).ok()?.atomic();
        let credits = units.checked_mul(u128::from(self.credits))?.div_ceil(self.units);
        u64::try_from(credits.max(1)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    #[test]
    fn a_price_is_rounded_up_to_credits() {
        let small = CreditValue::new(price("$1"), 5).unwrap();
        for (written, credits) in [("$0.001", 1), ("$0.2", 1), ("$0.200001", 2), ("$0.4", 2), ("$1", 5), ("$20", 100)] {
            assert_eq!(small.credits_for(price(written)), Some(credits), "{written}");
        }
        let large = CreditValue::new(price("$20"), 150).unwrap();
        assert!(small.is_dearer_than(large) && !large.is_dearer_than(small) && !small.is_dearer_than(small));
        assert_eq!(large.credits_for(price("$0.2")), Some(2), "0.2 is one and a half of 0.1333…");
        assert!(CreditValue::new(price("$1"), 0).is_none());
    }

    proptest! {
        #[test]
        fn what_is_charged_is_worth_at_least_the_price(cents in 1_u64..1_000_000, bought in 1_u64..10_000, call in 1_u64..1_000_000) {
            let value = CreditValue::new(price(&format!("{}.{:02}", cents / 100, cents % 100)), bought).unwrap();
            let credits = value.credits_for(price(&format!("0.{call:06}"))).unwrap();
            // credits * (cents / 100 / bought) >= call / 10^6, and one credit less would not be.
            let worth = |credits: u64| u128::from(credits) * u128::from(cents) * 10_000;
            let wanted = u128::from(call) * u128::from(bought);
            prop_assert!(worth(credits) >= wanted && (credits == 1 || worth(credits - 1) < wanted));
        }
    }
}
