//! Money: [`Amount`] is what moves (atomic units, an integer), [`Price`] is what an operator writes (`"$0.001"`).
//!
//! No float comes near either. A price becomes an amount exactly or not at all: rounding down gives away, rounding up
//! charges what nobody agreed to.

use std::fmt;
use std::str::FromStr;

/// An amount of a token in its atomic units (for USDC: millionths of a dollar). A decimal string on every wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u128);

impl Amount {
    /// So many atomic units.
    #[must_use]
    pub const fn new(atomic: u128) -> Self {
        Self(atomic)
    }

    /// The atomic units.
    #[must_use]
    pub const fn atomic(self) -> u128 {
        self.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A price in dollars, kept as the digits that were written: `"$0.0010"` is 10 with four decimals, and equals `"$0.001"`.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    digits: u128,
    decimals: u8,
}

/// Why a text is no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceError {
    /// Not of the form `$` digits [`.` digits]; an exponent, a separator or a second dot is none.
    NotADecimal,
    /// A minus sign.
    Negative,
    /// Zero: a route that costs nothing is `"free"`, said in that word.
    Zero,
    /// More digits after the point than the asset has: the amount could not be exact.
    TooPrecise {
        /// What was written, without trailing zeros.
        written: u8,
        /// What the asset has.
        asset: u8,
    },
    /// More than an [`Amount`] holds.
    TooLarge,
}

impl fmt::Display for PriceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADecimal => f.write_str("is not a price"),
            Self::Negative => f.write_str("is negative"),
            Self::Zero => f.write_str("is zero"),
            Self::TooPrecise { written, asset } => {
                write!(f, "has {written} digits after the point, the asset has {asset}")
            }
            Self::TooLarge => f.write_str("is too large"),
        }
    }
}

impl std::error::Error for PriceError {}

impl FromStr for Price {
    type Err = PriceError;

    /// Reads `$` (optional), digits, and optionally a point and more digits. No sign, no exponent, no spaces, no leading
    /// zeros: what can be read in two ways is refused.
    fn from_str(text: &str) -> Result<Self, PriceError> {
        let number = text.strip_prefix('$').unwrap_or(text);
        if number.starts_with('-') || text.starts_with('-') {
            return Err(PriceError::Negative);
        }
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return Err(PriceError::NotADecimal),
            Some((whole, fraction)) => (whole, fraction),
            None => (number, ""),
        };
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty()
            || !all_digits(whole)
            || !all_digits(fraction)
            || (whole.len() > 1 && whole.starts_with('0'))
        {
            return Err(PriceError::NotADecimal);
        }
        let fraction = fraction.trim_end_matches('0');
        let decimals = u8::try_from(fraction.len()).map_err(|_| PriceError::TooLarge)?;
        let digits: u128 = format!("{whole}{fraction}").parse().map_err(|_| PriceError::TooLarge)?;
        if digits == 0 {
            return Err(PriceError::Zero);
        }
        Ok(Self { digits, decimals })
    }
}

impl Price {
    /// The amount of an asset with so many decimals that is worth this price, exactly.
    ///
    /// # Errors
    /// [`PriceError::TooPrecise`] when the asset cannot express it, [`PriceError::TooLarge`] when an amount cannot hold it.
    pub fn in_units_of(self, asset_decimals: u8) -> Result<Amount, PriceError> {
        let missing = asset_decimals
            .checked_sub(self.decimals)
            .ok_or(PriceError::TooPrecise { written: self.decimals, asset: asset_decimals })?;
        10_u128
            .checked_pow(u32::from(missing))
            .and_then(|scale| self.digits.checked_mul(scale))
            .map(Amount)
            .ok_or(PriceError::TooLarge)
    }
}

impl Amount {
    /// The price that this amount of an asset with so many decimals is.
    #[must_use]
    pub const fn price(self, asset_decimals: u8) -> Price {
        Price { digits: self.0, decimals: asset_decimals }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0>width$}", self.digits, width = usize::from(self.decimals).saturating_add(1));
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(usize::from(self.decimals)));
        // Half a dollar is $0.50 to whoever reads it; as a number it is the same.
        if fraction.is_empty() { write!(f, "${whole}") } else { write!(f, "${whole}.{fraction:0<2}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usdc(text: &str) -> Result<u128, PriceError> {
        text.parse::<Price>()?.in_units_of(6).map(Amount::atomic)
    }

    #[test]
    fn prices_are_exact() {
        assert_eq!(usdc("$0.001"), Ok(1_000));
        assert_eq!(usdc("0.000001"), Ok(1));
        assert_eq!(usdc("$1"), Ok(1_000_000));
        assert_eq!(usdc("$20.50"), Ok(20_500_000));
        assert_eq!(usdc("$0.0010000000"), Ok(1_000), "trailing zeros say nothing");
        assert_eq!("$0.10".parse::<Price>().unwrap().in_units_of(18).unwrap().atomic(), 100_000_000_000_000_000);
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        assert_eq!(usdc("$0.0000001"), Err(PriceError::TooPrecise { written: 7, asset: 6 }));
        assert_eq!(usdc("-1"), Err(PriceError::Negative));
        assert_eq!(usdc("$-1"), Err(PriceError::Negative));
        assert_eq!(usdc("0"), Err(PriceError::Zero));
        assert_eq!(usdc("$0.000"), Err(PriceError::Zero));
        assert_eq!(usdc("$340282366920938463463374607431768211456"), Err(PriceError::TooLarge));
        for odd in ["", "$", "$ 1", "1e-3", "1.", ".5", "1.2.3", "01", "+1", "1,000", "0x1", "1 USDC", "NaN", "١"] {
            assert_eq!(usdc(odd), Err(PriceError::NotADecimal), "{odd:?}");
        }
    }

    #[test]
    fn a_part_of_a_dollar_is_shown_with_two_digits_at_least() {
        for (written, shown) in [
            ("$0.5", "$0.50"),
            ("$0.50", "$0.50"),
            ("$0.10", "$0.10"),
            ("$0.05", "$0.05"),
            ("$0.001", "$0.001"),
            ("$1", "$1"),
            ("$1.0", "$1"),
            ("$20.5", "$20.50"),
        ] {
            assert_eq!(written.parse::<Price>().unwrap().to_string(), shown);
        }
        assert_eq!(Amount::new(5).price(1).to_string(), "$0.50");
    }

    proptest! {
        #[test]
        fn a_price_survives_being_written(atomic in 1_u128..1_000_000_000_000) {
            let text = format!("${}.{:06}", atomic / 1_000_000, atomic % 1_000_000);
            let price: Price = text.parse().unwrap();
            prop_assert_eq!(price.in_units_of(6).unwrap(), Amount::new(atomic));
            prop_assert_eq!(price.to_string().parse::<Price>().unwrap().in_units_of(6).unwrap(), Amount::new(atomic));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Price>().map(|price| price.in_units_of(6));
        }
    }
}
