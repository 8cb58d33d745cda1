//! Decimals as they are written, without a float between.

use crate::units::Cost;

/// A number of 10^-27.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Decimal(i128);

impl Decimal {
    /// Reads digits with an optional sign, point and exponent; `None` for anything else, for more than 27 decimals that
    /// are not zeros, and for what is beyond a hundred billion.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (digits, exponent) = match rest.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(part) || digits.ends_with('.') {
            return None;
        }
        let part = part.trim_end_matches('0');
        let number: i128 = format!("{whole}{part}").parse().ok()?;
        if number == 0 {
            return Some(Self(0));
        }
        let places = i32::try_from(part.len()).ok()?.checked_sub(exponent)?;
        let scale = u32::try_from(PLACES.checked_sub(places)?).ok()?;
        let number = number.checked_mul(10_i128.checked_pow(scale)?)?;
        Some(Self(if negative { -number } else { number }))
    }

    /// The sum; `None` where it is too large.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// A count: not negative, and without a fraction but zeros.
    pub(crate) fn whole(self) -> Option<i128> {
        (self.0 >= 0 && self.0 % ONE == 0).then_some(self.0 / ONE)
    }

    /// As money, to the nearest pico-dollar: books know nothing smaller, and what a float left behind is far smaller.
    pub(crate) fn money(self) -> Cost {
        let half = if self.0 < 0 { -(PICO / 2) } else { PICO / 2 };
        Cost((self.0 + half) / PICO)
    }
}

const PLACES: i32 = 27;
const ONE: i128 = 10_i128.pow(27);
const PICO: i128 = 10_i128.pow(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_to_the_last_digit() {
        for (text, money) in [
            ("0.8958740000000000", "0.895874000000"),
            ("0.06", "0.060000000000"),
            ("0.060000000000000005", "0.060000000000"),
            ("1e-06", "0.000001000000"),
            ("2.5E-7", "0.000000250000"),
            ("1.25e2", "125.000000000000"),
            ("-3", "-3.000000000000"),
            ("0.0000000000005", "0.000000000001"),
            ("-0.0000000000005", "-0.000000000001"),
            ("0e99", "0.000000000000"),
        ] {
            assert_eq!(Decimal::parse(text).map(|number| number.money().to_string()).as_deref(), Some(money), "{text}");
        }
        for text in ["", ".5", "5.", "1,5", "+1", "NaN", "1e", "1e400", "1e-400", "--1", "0x1", "1 ", "inf"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn counts_may_be_written_as_fractions_that_are_none() {
        let whole = |text: &str| Decimal::parse(text).and_then(Decimal::whole);
        assert_eq!([whole("10.0"), whole("59200"), whole("1e3")], [Some(10), Some(59_200), Some(1000)]);
        assert_eq!([whole("10.5"), whole("-1"), whole("1e-1")], [None, None, None]);
    }
}
