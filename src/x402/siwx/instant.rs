//! Times as a sign-in writes them (RFC 3339 in UTC), and back. By hand: the one crate in the tree that knows dates comes
//! with the Workers runtime, which this must do without.

/// The last second that has four digits for its year.
const LAST: u64 = 253_402_300_799;

/// Days from 0000-03-01 to 1970-01-01. A year that begins in March has its leap day last.
const TO_1970: u64 = 719_468;

/// `YYYY-MM-DDThh:mm:ss.000Z`, as JavaScript's `toISOString`. What comes after the year 9999 is written as its end.
pub(super) fn format(unix: u64) -> String {
    let unix = unix.min(LAST);
    let (days, second) = (unix / 86_400, unix % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}

/// Seconds since 1970 of `YYYY-MM-DDThh:mm:ss[.f…]Z`; a fraction, of up to nine digits, is cut off. Nothing else is a
/// time: no offset, no lower case, no leap second, no year before 1970.
pub(super) fn parse(written: &str) -> Option<u64> {
    let (whole, fraction) = written.strip_suffix('Z')?.split_at_checked(19)?;
    if !fraction.is_empty() {
        let digits = fraction.strip_prefix('.')?;
        if !(1..=9).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
    }
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] = whole.as_bytes()
    else {
        return None;
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, month, day)?;
    // A day that its month does not have comes back as another.
    if civil(days) != (year, month, day) {
        return None;
    }
    days.checked_mul(86_400)?
        .checked_add(hour.checked_mul(3600)?)?
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(digit.into())
    })
}

/// Days since 1970 of a date, whose day is taken as it comes.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) {
        return None;
    }
    let (year, month) =
        if month > 2 { (year, month.checked_sub(3)?) } else { (year.checked_sub(1)?, month.checked_add(9)?) };
    let leap_days = (year / 4).checked_sub(year / 100)?.checked_add(year / 400)?;
    let before_month = month.checked_mul(153)?.checked_add(2)? / 5;
    year.checked_mul(365)?
        .checked_add(leap_days)?
        .checked_add(before_month)?
        .checked_add(day.checked_sub(1)?)?
        .checked_sub(TO_1970)
}

/// Year, month and day of a count of days since 1970, for years up to 9999: nothing in it can overflow.
#[allow(clippy::arithmetic_side_effects)]
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + TO_1970;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_dates_are_written_and_read() {
        for (unix, written) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_799, "2000-02-29T23:59:59.000Z"),
            (1_767_225_600, "2026-01-01T00:00:00.000Z"),
            (1_709_164_799, "2024-02-28T23:59:59.000Z"),
            (1_709_251_200, "2024-03-01T00:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (LAST, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(format(unix), written);
            assert_eq!(parse(written), Some(unix), "{written}");
        }
        assert_eq!(format(u64::MAX), format(LAST));
    }

    #[test]
    fn a_fraction_is_cut_off() {
        for written in ["1970-01-01T00:00:01Z", "1970-01-01T00:00:01.9Z", "1970-01-01T00:00:01.999999999Z"] {
            assert_eq!(parse(written), Some(1), "{written}");
        }
    }

    #[test]
    fn nothing_else_is_a_time() {
        for written in [
            "",
            "Z",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.000",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00.000+00:00Z",
            "2026-01-01t00:00:00Z",
            "2026-01-01T00:00:00z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.0000000000Z",
            "2026-01-01T00:00:00.0\nZ",
            "2026-01-01T00:00:00,000Z",
            "2026-01-01T00:00:00.00xZ",
            "2026-01-01T00:00:00Z\n",
            " 2026-01-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "+026-01-01T00:00:00Z",
            "12026-01-01T00:00:00Z",
            "2026-1-01T00:00:00Z",
            "２026-01-01T00:00Z",
        ] {
            assert_eq!(parse(written), None, "{written:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(unix in 0..=LAST) {
            prop_assert_eq!(parse(&format(unix)), Some(unix));
        }

        #[test]
        fn a_later_time_is_written_later(a in 0..=LAST, b in 0..=LAST) {
            prop_assert_eq!(a.cmp(&b), format(a).cmp(&format(b)));
        }

        #[test]
        fn reading_never_panics(written in ".{0,40}", near in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z") {
            let _ = parse(&written);
            if let Some(unix) = parse(&near) {
                prop_assert_eq!(format(unix), near.replace('Z', ".000Z"));
            }
        }
    }
}
