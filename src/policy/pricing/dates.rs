//! When a price holds: from a day on, or at a time of every day.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// When a price holds, in UTC.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum When {
    /// From this day on.
    From(Date),
    /// Every day from one time up to another, over midnight where that comes earlier.
    Daily(Time, Time),
}

impl When {
    /// Reads `2026-07-30`.
    pub(crate) fn from_day(text: &str) -> Option<Self> {
        text.parse().ok().map(Self::From)
    }

    /// Reads two times such as `16:30:00Z`.
    pub(crate) fn daily(start: &str, end: &str) -> Option<Self> {
        Some(Self::Daily(utc_time(start)?, utc_time(end)?))
    }

    /// Whether it holds at this moment.
    pub(crate) fn has_come(&self, time: Timestamp) -> bool {
        let now = time.to_zoned(TimeZone::UTC);
        match self {
            Self::From(day) => now.date() >= *day,
            Self::Daily(start, end) if end < start => now.time() >= *start || now.time() < *end,
            Self::Daily(start, end) => *start <= now.time() && now.time() < *end,
        }
    }
}

/// A time of day in UTC; one with an offset is brought there.
fn utc_time(text: &str) -> Option<Time> {
    if let Ok(time) = format!("1970-01-01T{text}").parse::<Timestamp>() {
        return Some(time.to_zoned(TimeZone::UTC).time());
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        let from = When::from_day("2026-07-30").unwrap();
        assert!(!from.has_come(at("2026-07-29T23:59:59.999Z")));
        assert!(from.has_come(at("2026-07-30T00:00:00Z")));
        assert!(!from.has_come(at("2026-07-30T01:00:00+02:00")));
        assert_eq!(When::from_day("2026-13-01"), None);
    }

    #[test]
    fn times_of_day_may_span_midnight_and_have_an_offset() {
        for (start, end, time, holds) in [
            ("00:30:00Z", "16:30:00Z", "00:30:00", true),
            ("00:30:00Z", "16:30:00Z", "16:30:00", false),
            ("16:30:00Z", "00:30:00Z", "23:00:00", true),
            ("16:30:00Z", "00:30:00Z", "00:29:59", true),
            ("16:30:00Z", "00:30:00Z", "12:00:00", false),
            ("08:00:00+08:00", "12:00:00+08:00", "00:00:00", true),
            ("08:00:00", "12:00:00", "08:00:00", true),
        ] {
            let when = When::daily(start, end).unwrap();
            assert_eq!(when.has_come(at(&format!("2026-01-01T{time}Z"))), holds, "{start} {end} {time}");
        }
        assert_eq!(When::daily("25:00:00Z", "01:00:00Z"), None);
    }
}
