//! Periods of time, and the hours in them.

use jiff::Timestamp;

use crate::ledger::entry::Entry;
use crate::ledger::key::{hour_of, hour_start};

/// From an instant to another, each open if `None`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Period {
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
}

impl Period {
    /// Whether an entry began in it.
    pub(crate) fn has(&self, entry: &Entry) -> bool {
        self.since.is_none_or(|since| entry.time >= since) && self.until.is_none_or(|until| entry.time < until)
    }

    /// Whether nothing can lie in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.since.zip(self.until).is_some_and(|(since, until)| since >= until)
    }

    /// The period made longer until it begins and ends with an hour.
    pub(crate) fn widened(self) -> Self {
        Self {
            since: self.since.map(|since| hour_start(hour_of(since))),
            until: self.until.map(|until| hour_start(hour_after(until))),
        }
    }

    /// Its hours, given that it begins and ends with one.
    pub(crate) fn hours(&self) -> (i64, i64) {
        (self.since.map_or(i64::MIN, hour_of), self.until.map_or(i64::MAX, hour_of))
    }

    /// Its whole hours, and what lies before and after them.
    pub(crate) fn split(self) -> (Option<(i64, i64)>, Vec<Self>) {
        let first = self.since.map(hour_after);
        let past = self.until.map(hour_of);
        if first.zip(past).is_some_and(|(first, past)| first >= past) {
            return (None, vec![self]);
        }
        let before = Self { since: self.since, until: first.map(hour_start) };
        let behind = Self { since: past.map(hour_start), until: self.until };
        let edges = [(self.since, before), (self.until, behind)];
        let edges = edges.into_iter().filter(|(end, edge)| end.is_some() && !edge.is_empty()).map(|(_, edge)| edge);
        (Some((first.unwrap_or(i64::MIN), past.unwrap_or(i64::MAX))), edges.collect())
    }
}

/// The first hour that begins at or after an instant.
fn hour_after(time: Timestamp) -> i64 {
    let hour = hour_of(time);
    if hour_start(hour) == time { hour } else { hour + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_split_into_its_whole_hours_and_the_rest_of_it() {
        let at = |time: &str| Some(format!("2026-11-22T{time}Z").parse().unwrap());
        let noon = hour_of(at("12:00:00").unwrap());
        let period = |since, until| Period { since, until };
        for (asked, whole, edges) in [
            (period(None, None), Some((i64::MIN, i64::MAX)), vec![]),
            (period(at("12:00:00"), at("14:00:00")), Some((noon, noon + 2)), vec![]),
            (
                period(at("11:59:59.999"), at("14:00:00.001")),
                Some((noon, noon + 2)),
                vec![period(at("11:59:59.999"), at("12:00:00")), period(at("14:00:00"), at("14:00:00.001"))],
            ),
            (period(at("12:00:01"), at("12:30:00")), None, vec![period(at("12:00:01"), at("12:30:00"))]),
            (period(at("12:30:00"), at("13:30:00")), None, vec![period(at("12:30:00"), at("13:30:00"))]),
            (period(at("12:30:00"), None), Some((noon + 1, i64::MAX)), vec![period(at("12:30:00"), at("13:00:00"))]),
            (period(None, at("12:00:00")), Some((i64::MIN, noon)), vec![]),
        ] {
            assert_eq!(asked.split(), (whole, edges), "{asked:?}");
        }
    }
}
