//! Floating point numbers as Python writes them.

use super::text;

/// `repr` of a float: the shortest digits, with an exponent below 1e-4 and from 1e16.
pub fn write(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        return with_exponent(&format!("{number:e}"));
    }
    format!("{number:?}")
}

/// A number that is not negative by `%f`, `%e` or `%g` of Python.
pub fn fixed(number: f64, form: char, precision: usize) -> String {
    if !number.is_finite() {
        return write(number);
    }
    match form {
        'f' => format!("{number:.precision$}"),
        'e' => with_exponent(&format!("{number:.precision$e}")),
        _ => general(number, precision.max(1)),
    }
}

/// So many digits, with an exponent where there would be too many zeros; zeros at the end are left out.
fn general(number: f64, digits: usize) -> String {
    let scientific = format!("{number:.precision$e}", precision = digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i64 = exponent.parse().unwrap_or(0);
    let places = i64::try_from(digits).unwrap_or(i64::MAX) - 1 - power;
    let short = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match usize::try_from(places) {
        Ok(places) if power >= -4 => short(&format!("{number:.places$}")),
        _ => with_exponent(&format!("{}e{exponent}", short(mantissa))),
    }
}

/// Rust's exponent in the words of Python: with its sign, and two digits at least.
fn with_exponent(short: &str) -> String {
    let (digits, exponent) = short.split_once('e').unwrap_or((short, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// The number without its fraction, where that has a place.
#[expect(clippy::cast_possible_truncation, reason = "the bound is checked")]
pub fn truncated(number: f64) -> Option<i128> {
    (number.abs() < 1e38).then_some(number as i128)
}

/// `int(text, base)`; base 0 goes by the prefix. Numbers beyond 128 bits are none.
pub fn integer(text: &str, base: u32) -> Option<i128> {
    let text = text.trim_matches(text::is_space);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let prefixed = |base: u32| digits.get(2..).filter(|_| prefix(digits) == Some(base));
    let (digits, base) = match base {
        0 => match prefix(digits) {
            Some(base) => (prefixed(base)?, base),
            None => (digits, 10),
        },
        base => (prefixed(base).unwrap_or(digits), base),
    };
    // A second sign would be read as one.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let size = i128::from_str_radix(&plain_digits(digits)?, base).ok()?;
    Some(if text.starts_with('-') { -size } else { size })
}

/// `float(text)`.
pub fn float(text: &str) -> Option<f64> {
    let text = text.trim_matches(text::is_space);
    match text.to_ascii_lowercase().trim_start_matches(['+', '-']) {
        "inf" | "infinity" | "nan" => text.parse().ok(),
        _ => plain_digits(text)?.parse().ok(),
    }
}

/// The base that the prefix of some digits names.
fn prefix(digits: &str) -> Option<u32> {
    match digits.get(..2)?.to_ascii_lowercase().as_str() {
        "0b" => Some(2),
        "0o" => Some(8),
        "0x" => Some(16),
        _ => None,
    }
}

/// Digits without the underscores between them.
fn plain_digits(digits: &str) -> Option<String> {
    let bytes = digits.as_bytes();
    let between = |at: usize| {
        at > 0 && bytes[at - 1].is_ascii_alphanumeric() && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
    };
    let stray = bytes.iter().enumerate().any(|(at, byte)| *byte == b'_' && !between(at));
    (!stray && digits.starts_with(|letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter)))
        .then(|| digits.replace('_', ""))
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_come_out_as_python_writes_them() {
        for (number, text) in [
            (0.0, "0.0"),
            (-1.5, "-1.5"),
            (100.0, "100.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (1e300, "1e+300"),
        ] {
            assert_eq!(super::write(number), text);
        }
    }
}
