//! Durations, sizes and prices: read from a field, written for people.

use std::time::Duration;

use serde_json::{Number, Value};

use crate::config::document::Shape;
use crate::config::field::{Field, shown};
use crate::policy::pricing::rate::Rate;
use crate::units::Cost;

/// A time such as `10s`, above zero.
pub(super) fn duration(field: &Field<'_>) -> Option<Duration> {
    let Shape::Text(text) = field.shape() else {
        field.wrong_kind("a duration such as `10s`");
        return None;
    };
    let duration = parse_duration(text);
    if duration.is_none() {
        let rule = "must be a duration such as `250ms`, `10s`, `5m`, `12h` or `400d`";
        field.wrong(format!("{rule}, not `{}`", shown(text)));
    }
    duration
}

/// The shortest way to write a duration: `250ms`, `600s`, `400d`.
pub(super) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        _ if millis.is_multiple_of(DAY.into()) => format!("{}d", millis / u128::from(DAY)),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

/// A number of bytes, plain or such as `64KiB`, from `least` up.
pub(super) fn size(field: &Field<'_>, least: u64) -> Option<usize> {
    let bytes = match field.shape() {
        Shape::Whole(number) => u64::try_from(*number).ok(),
        Shape::Text(text) => parse_size(text),
        _ => None,
    };
    let Some(bytes) = bytes else {
        field.wrong("must be a size such as `64KiB`, `128MiB` or a number of bytes");
        return None;
    };
    if !(least..=MOST_BYTES).contains(&bytes) {
        field.wrong(format!("must be from {} to {}", size_text(least), size_text(MOST_BYTES)));
        return None;
    }
    usize::try_from(bytes).ok()
}

/// The shortest way to write a size: `64KiB`, `1000B`.
pub(super) fn size_text(bytes: u64) -> String {
    let unit = SIZES.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// US dollars for 1000 tokens, exact.
pub(super) fn rate(field: &Field<'_>) -> Option<Rate> {
    let rate = match field.shape() {
        Shape::Whole(number) => parse_rate(&number.to_string()),
        // The shortest text that reads back as the same number is what the owner wrote.
        Shape::Fraction(number) if *number == 0.0 => Some(Rate(0)),
        Shape::Fraction(number) if !number.is_finite() => {
            field.wrong_kind("a number of US dollars for 1000 tokens");
            return None;
        }
        Shape::Fraction(number) => parse_rate(&number.to_string()),
        // Programs that multiply with it take a text for its number.
        Shape::Text(text) => parse_rate(text.trim()),
        _ => {
            field.wrong_kind("a number of US dollars for 1000 tokens");
            return None;
        }
    };
    if rate.is_none() {
        field.wrong("must be US dollars for 1000 tokens: not negative, at most 9 million, at most 12 decimals");
    }
    rate
}

/// An amount of US dollars, exact.
pub(super) fn dollars(field: &Field<'_>) -> Option<Cost> {
    let text = match field.shape() {
        Shape::Whole(number) => number.to_string(),
        // The shortest text that reads back as the same number is what the owner wrote.
        Shape::Fraction(number) if number.is_finite() => number.to_string(),
        Shape::Text(text) => text.trim().to_owned(),
        _ => {
            field.wrong_kind("a number of US dollars");
            return None;
        }
    };
    let amount = Cost::parse(&text).filter(|amount| (0..=MOST_DOLLARS).contains(&amount.0));
    if amount.is_none() {
        field.wrong("must be US dollars: not negative, at most a billion, at most 12 decimals");
    }
    amount
}

/// An amount as a number that is as exact as JSON's readers allow.
pub(super) fn dollars_value(amount: Cost) -> Value {
    let text = amount.to_string();
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}

/// Dollars for 1000 tokens, as a price is written.
pub(super) fn rate_text(rate: Rate) -> String {
    let text = format!("{}.{:012}", rate.0 / PICO, rate.0 % PICO);
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// Reads `10s`; `None` for anything else, for nothing, and for more than a century.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|next: char| !next.is_ascii_digit())?);
    let unit = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => DAY,
        _ => return None,
    };
    let millis = digits.parse::<u64>().ok()?.checked_mul(unit)?;
    (1..=LONGEST).contains(&millis).then(|| Duration::from_millis(millis))
}

fn parse_size(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|next: char| !next.is_ascii_digit())?);
    let (_, unit) = SIZES.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*unit)
}

/// Reads `12.34`: digits, or digits with a point and up to twelve decimals.
fn parse_rate(text: &str) -> Option<Rate> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(part) || part.len() > 12 {
        return None;
    }
    let whole = whole.parse::<i64>().ok()?.checked_mul(PICO)?;
    let part = format!("{part:0<12}").parse::<i64>().ok()?;
    whole.checked_add(part).map(Rate)
}

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// More than any machine can hold for one client.
const MOST_BYTES: u64 = 64 << 30;

const DAY: u64 = 86_400_000;

/// A century: a clock can still add it to now.
const LONGEST: u64 = 36_500 * DAY;

/// Pico-dollars in a dollar.
const PICO: i64 = 1_000_000_000_000;

/// Pico-dollars in a billion dollars.
const MOST_DOLLARS: i128 = 1_000_000_000 * PICO as i128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_and_written_alike() {
        for text in ["250ms", "10s", "600s", "400d", "36500d"] {
            assert_eq!(parse_duration(text).map(duration_text).as_deref(), Some(text));
        }
        for text in ["", "10", "s", "1.5s", "-1s", "10 s", "0s", "10S", "36501d", "99999999999999999999d", "1h30m"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for text in ["1000B", "64KiB", "128MiB", "3GiB"] {
            assert_eq!(parse_size(text).map(size_text).as_deref(), Some(text));
        }
        for text in ["", "KiB", "64KB", "64k", "-1B", "1.5MiB", "99999999999999999999B"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn prices_are_exact_to_the_pico_dollar() {
        for (text, pico) in [
            ("0", 0),
            ("0.03", 30_000_000_000),
            ("0.000000000001", 1),
            ("9000000", 9_000_000 * PICO),
            ("0.1", 100_000_000_000),
        ] {
            assert_eq!(parse_rate(text), Some(Rate(pico)), "{text}");
            assert_eq!(rate_text(Rate(pico)), text);
        }
        for text in ["-1", "0.0000000000001", "NaN", "inf", "10000000", "", "1e3", "+1"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
    }
}
