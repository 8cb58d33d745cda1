//! The statistics of a period: sums, groups and percentiles.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::ledger::entry::Entry;
use crate::ledger::hours::Hours;
use crate::ledger::journal::status::JournalStatus;
use crate::ledger::key::{By, Key, hour_of, hour_start};
use crate::ledger::ring::{Kept, Ring};
use crate::ledger::totals::Totals;
use crate::ledger::tunnels::Tunnelled;

/// Which period, and how it is grouped.
#[derive(Clone, Debug, Default)]
pub struct StatsQuery {
    /// Entries that began at or after this; `None` is all of them.
    pub since: Option<Timestamp>,
    /// Entries that began before this; `None` is up to now.
    pub until: Option<Timestamp>,
    /// One list of rows for each.
    pub by: Vec<By>,
}

/// The answer; its JSON is the contract of `GET /stats`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// The period's beginning: that of its hour where the entries themselves are no longer listed.
    pub since: Timestamp,
    /// The period's end: that of its hour where the entries themselves are no longer listed.
    pub until: Timestamp,
    /// Everything in the period.
    pub totals: Sums,
    /// The same by group, in the order asked for.
    #[serde(serialize_with = "as_map")]
    pub by: Vec<(By, Vec<Row>)>,
    /// What was passed on unseen since the start, whatever the period.
    pub tunnels: Tunnelled,
    /// Whether the books are on disk too.
    pub journal: JournalStatus,
}

/// One group.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What its entries have in common.
    pub key: String,
    /// Its sums.
    #[serde(flatten)]
    pub sums: Sums,
}

/// Totals with percentiles.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sums {
    /// The totals, exact.
    #[serde(flatten)]
    pub totals: Totals,
    /// Durations, of the entries that are still listed.
    pub latency_ms: Percentiles,
    /// Times to the first byte, of the entries that are still listed and have one.
    pub first_byte_ms: Percentiles,
}

/// Nearest-rank percentiles in milliseconds; `None` where there is nothing to rank.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half are not above this.
    pub p50: Option<u64>,
    /// 95 of 100 are not above this.
    pub p95: Option<u64>,
    /// 99 of 100 are not above this.
    pub p99: Option<u64>,
}

impl Percentiles {
    /// Ranks `values`, in any order.
    pub fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let rank = |percent: usize| values.get((values.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Self { p50: rank(50), p95: rank(95), p99: rank(99) }
    }
}

/// Adds up the period: from the listed entries while none of it is missing there, else from the hourly totals.
pub(crate) fn reckon(
    query: &StatsQuery,
    opened: Timestamp,
    (hours, ring): (&Hours, &Ring),
    (tunnels, journal): (Tunnelled, JournalStatus),
) -> Stats {
    let (listed, lost_until) = ring.snapshot();
    let complete = lost_until.is_none_or(|lost| query.since.is_some_and(|since| lost < since));
    let mut tally = Tally::new(&query.by);
    let (since, until) = if complete { (query.since, query.until) } else { whole_hours(query) };
    let within =
        |entry: &Entry| since.is_none_or(|since| entry.time >= since) && until.is_none_or(|until| entry.time < until);
    let listed: Vec<&Arc<Kept>> = listed.iter().filter(|kept| within(&kept.entry)).collect();
    if complete {
        listed.iter().for_each(|kept| tally.add_entry(&kept.key, &kept.entry));
    } else {
        let past = until.map_or(i64::MAX, hour_of);
        hours.visit(since.map_or(i64::MIN, hour_of), past, |key, totals| tally.add(key, totals));
    }
    listed.iter().for_each(|kept| tally.time(&kept.key, &kept.entry));
    let (totals, by) = tally.finish();
    Stats { since: since.unwrap_or(opened), until: until.unwrap_or_else(Timestamp::now), totals, by, tunnels, journal }
}

/// The period widened to whole hours.
fn whole_hours(query: &StatsQuery) -> (Option<Timestamp>, Option<Timestamp>) {
    let since = query.since.map(|since| hour_start(hour_of(since)));
    let until = query.until.map(|until| {
        let start = hour_start(hour_of(until));
        if start == until { until } else { hour_start(hour_of(until) + 1) }
    });
    (since, until)
}

/// The groups while they are being added up.
struct Tally {
    all: Group,
    by: Vec<(By, HashMap<String, Group>)>,
}

impl Tally {
    fn new(by: &[By]) -> Self {
        Self { all: Group::default(), by: by.iter().map(|by| (*by, HashMap::new())).collect() }
    }

    fn add(&mut self, key: &Key, totals: &Totals) {
        self.all.totals.merge(totals);
        for (by, groups) in &mut self.by {
            groups.entry(key.text(*by)).or_default().totals.merge(totals);
        }
    }

    fn add_entry(&mut self, key: &Key, entry: &Entry) {
        let mut totals = Totals::default();
        totals.add(entry);
        self.add(key, &totals);
    }

    /// Takes an entry's times; a group that has no sums gets no row for them.
    fn time(&mut self, key: &Key, entry: &Entry) {
        self.all.time(entry);
        for (by, groups) in &mut self.by {
            if let Some(group) = groups.get_mut(&key.text(*by)) {
                group.time(entry);
            }
        }
    }

    fn finish(self) -> (Sums, Vec<(By, Vec<Row>)>) {
        let rows = |groups: HashMap<String, Group>| {
            let mut rows: Vec<Row> = groups.into_iter().map(|(key, group)| Row { key, sums: group.finish() }).collect();
            let most = |row: &Row| std::cmp::Reverse(row.sums.totals.requests);
            rows.sort_unstable_by(|a, b| most(a).cmp(&most(b)).then_with(|| a.key.cmp(&b.key)));
            rows
        };
        (self.all.finish(), self.by.into_iter().map(|(by, groups)| (by, rows(groups))).collect())
    }
}

#[derive(Default)]
struct Group {
    totals: Totals,
    durations: Vec<u64>,
    first_bytes: Vec<u64>,
}

impl Group {
    fn time(&mut self, entry: &Entry) {
        self.durations.push(entry.duration_ms);
        self.first_bytes.extend(entry.first_byte_ms);
    }

    fn finish(self) -> Sums {
        Sums {
            totals: self.totals,
            latency_ms: Percentiles::of(self.durations),
            first_byte_ms: Percentiles::of(self.first_bytes),
        }
    }
}

fn as_map<S: Serializer>(by: &[(By, Vec<Row>)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(by.len()))?;
    for (by, rows) in by {
        map.serialize_entry(by.name(), rows)?;
    }
    map.end()
}
