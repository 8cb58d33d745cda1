//! Reads the beginning and end of a period: `24h`, `7d`, or an instant.

use jiff::{SignedDuration, Timestamp};

/// Not a length of time back from now and not an instant.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a period such as `30m`, `24h` or `7d`, and not an instant such as `2026-11-22T00:00:00Z`")]
pub struct SinceError;

/// Reads a length of time back from `now` (`s`, `m`, `h`, `d`, `w`) or an RFC 3339 instant.
///
/// # Errors
/// Any other text, and a period that begins before time does.
pub fn read(text: &str, now: Timestamp) -> Result<Timestamp, SinceError> {
    let unit = match text.bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3600,
        Some(b'd') => 86_400,
        Some(b'w') => 604_800,
        _ => return text.parse().map_err(|_| SinceError),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SinceError);
    }
    let seconds = digits.parse::<i64>().ok().and_then(|count| count.checked_mul(unit)).ok_or(SinceError)?;
    now.checked_sub(SignedDuration::from_secs(seconds)).map_err(|_| SinceError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_and_instants_are_read_and_nothing_else() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("30m", "2026-11-22T11:30:00Z"),
            ("24h", "2026-11-21T12:00:00Z"),
            ("7d", "2026-11-15T12:00:00Z"),
            ("1w", "2026-11-15T12:00:00Z"),
            ("90s", "2026-11-22T11:58:30Z"),
            ("0s", "2026-11-22T12:00:00Z"),
            ("2026-11-22T00:00:00Z", "2026-11-22T00:00:00Z"),
            ("2026-11-22T02:00:00+02:00", "2026-11-22T00:00:00Z"),
        ] {
            assert_eq!(read(text, now), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in
            ["", "h", "-1h", "+1h", "1.5h", "1y", "24", "yesterday", "99999999999999999999d", "9999999999d", "é"]
        {
            assert_eq!(read(text, now), Err(SinceError), "{text}");
        }
    }
}
