//! Exact prices for one unit of something, and how they are read from texts.

use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};

/// A price in pico-dollars per 1000 units, exact.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rate(pub i64);

impl Rate {
    /// Reads dollars per 1,000,000 units, such as `0.0375`; `None` for anything but a plain decimal in range.
    pub fn per_million(text: &str) -> Option<Self> {
        decimal(text, 9).map(Self)
    }

    /// Reads dollars per 1000 units; `None` for anything but a plain decimal in range.
    pub fn per_thousand(text: &str) -> Option<Self> {
        decimal(text, 12).map(Self)
    }

    /// Reads dollars for one unit; `None` for anything but a plain decimal in range.
    pub fn each(text: &str) -> Option<Self> {
        decimal(text, 15).map(Self)
    }

    /// Reads a JSON number such as `2.5e-06` from its text, as dollars for 10^`power` units.
    ///
    /// What is smaller than a rate can be is rounded half up: price maps carry the noise of binary fractions in their
    /// last places. `None` for what is no number, is negative or is out of range.
    pub fn number(text: &str, power: u8) -> Option<Self> {
        scaled(text, 15 - i32::from(power), 1).map(Self)
    }

    /// As [`Rate::number`] for one of `units` of the same price, such as the pixels of a picture.
    pub fn number_times(text: &str, units: u64) -> Option<Self> {
        scaled(text, 15, units).map(Self)
    }

    /// This rate times `factor`, rounded half up.
    #[must_use]
    pub fn times(self, factor: Factor) -> Self {
        let product = (i128::from(self.0) * i128::from(factor.0) + 500_000) / 1_000_000;
        Self(i64::try_from(product).unwrap_or(i64::MAX))
    }

    /// Half of this rate, rounded half up.
    #[must_use]
    pub fn halved(self) -> Self {
        Self(self.0 / 2 + self.0 % 2)
    }

    /// Dollars for 10^`power` units, without needless zeros.
    pub fn dollars(self, power: u8) -> String {
        let places = 15 - usize::from(power.min(15));
        let digits = format!("{:0width$}", self.0, width = places + 1);
        let (whole, part) = digits.split_at(digits.len() - places);
        let part = part.trim_end_matches('0');
        if part.is_empty() { whole.into() } else { format!("{whole}.{part}") }
    }
}

/// A multiplier in millionths, such as 1,100,000 for an uplift of a tenth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Factor(pub u32);

impl Factor {
    /// Reads `1.1`, also as `1.1e0`; `None` for anything else, or what is out of range.
    pub fn parse(text: &str) -> Option<Self> {
        scaled(text, 6, 1).and_then(|millionths| u32::try_from(millionths).ok()).map(Self)
    }
}

/// What the tokens of a custom model cost by its own line.
#[derive(Clone, Debug)]
pub struct Price {
    /// Input tokens.
    pub input: Rate,
    /// Output tokens.
    pub output: Rate,
    shown: Option<Arc<RawValue>>,
}

impl Price {
    /// The price of a line.
    pub fn new(input: Rate, output: Rate) -> Self {
        let rates = serde_json::json!({ "input": input.dollars(6), "output": output.dollars(6) });
        Self { input, output, shown: to_raw_value(&rates).ok().map(Arc::from) }
    }

    /// The rates as the books keep them: dollars per 1,000,000 tokens.
    pub fn shown(&self) -> Option<Arc<RawValue>> {
        self.shown.clone()
    }
}

/// A plain decimal times 10^`places`; more places than that must be zeros.
fn decimal(text: &str, places: usize) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let (kept, dropped) = part.split_at(part.len().min(places));
    if dropped.bytes().any(|digit| digit != b'0') {
        return None;
    }
    format!("{whole}{kept:0<places$}").parse().ok()
}

/// A decimal with or without exponent times 10^`places` times `units`, rounded half up.
fn scaled(text: &str, places: i32, units: u64) -> Option<i64> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        None => (text, 0),
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok().filter(|power| power.unsigned_abs() <= 99)?),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if text.len() > 60 || whole.is_empty() || !(whole.bytes().chain(part.bytes())).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = format!("{whole}{part}").parse().ok()?;
    let digits = digits.checked_mul(i128::from(units))?;
    let shift = places + exponent - i32::try_from(part.len()).ok()?;
    let Some(power) = 10i128.checked_pow(shift.unsigned_abs()) else {
        // Out of range above, and nothing at all below.
        return (shift < 0 || digits == 0).then_some(0);
    };
    let value = if shift < 0 {
        digits / power + i128::from(digits % power >= power - power / 2)
    } else {
        digits.checked_mul(power)?
    };
    i64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        for (text, rate) in [
            ("2.50", Some(2_500_000_000)),
            ("0.0375", Some(37_500_000)),
            ("0.000000001", Some(1)),
            ("0.0000000010", Some(1)),
            ("0.0000000001", None),
            ("600", Some(600_000_000_000)),
            ("0", Some(0)),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("1.2.3", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(Rate::per_million(text).map(|rate| rate.0), rate, "{text}");
        }
        assert_eq!(Rate::per_thousand("0.0003"), Some(Rate(300_000_000)));
        assert_eq!(Rate::each("0.03"), Some(Rate(30_000_000_000_000)));
    }

    #[test]
    fn numbers_of_json_are_read_from_their_text() {
        for (text, rate) in [
            ("2.5e-06", Some(2_500_000_000)),
            ("4E-7", Some(400_000_000)),
            ("0.0", Some(0)),
            ("0", Some(0)),
            ("1e-15", Some(1)),
            ("4.9e-16", Some(0)),
            ("5e-16", Some(1)),
            ("2.1999999999999998e-07", Some(220_000_000)),
            ("0.0002833333333333333", Some(283_333_333_333)),
            ("1e-99", Some(0)),
            ("1", Some(1_000_000_000_000_000)),
            ("1e4", None),
            ("1e99", None),
            ("0e99", Some(0)),
            ("-1e-6", None),
            ("1e", None),
            ("1e999999999999", None),
            ("nan", None),
            ("", None),
            (".5", None),
        ] {
            assert_eq!(Rate::number(text, 0).map(|rate| rate.0), rate, "{text}");
        }
        assert_eq!(Rate::number("0.25", 6), Some(Rate(250_000_000)));
        assert_eq!(Rate::number_times("2.0751953125e-09", 1024 * 1024), Some(Rate(2_176_000_000_000)));
        assert_eq!(
            (Factor::parse("1.1"), Factor::parse("1"), Factor::parse("x")),
            (Some(Factor(1_100_000)), Some(Factor(1_000_000)), None)
        );
    }

    #[test]
    fn rates_are_shown_without_needless_zeros() {
        for (rate, power, text) in [
            (2_500_000_000, 6, "2.5"),
            (1, 6, "0.000000001"),
            (0, 6, "0"),
            (600_000_000_000, 6, "600"),
            (30_000_000_000_000, 0, "0.03"),
            (10_000_000_000_000, 3, "10"),
        ] {
            assert_eq!(Rate(rate).dollars(power), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(rate in 0i64.., power in proptest::sample::select(vec![0u8, 3, 6])) {
            let text = Rate(rate).dollars(power);
            prop_assert_eq!(Rate::number(&text, power), Some(Rate(rate)), "{}", text);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[0-9eE.+-]{0,40}") {
            let _ = (Rate::number(&text, 0), Rate::per_million(&text), Factor::parse(&text));
        }
    }
}
