//! The statistics of a period: sums, groups and percentiles.

use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::ledger::bypasses::Bypass;
use crate::ledger::journal::status::JournalStatus;
use crate::ledger::key::{By, Key};
use crate::ledger::totals::Totals;
use crate::ledger::tunnels::Tunnelled;

/// Which period, which of its entries, and how they are grouped.
#[derive(Clone, Debug, Default)]
pub struct StatsQuery {
    /// Entries that began at or after this; `None` is all of them.
    pub since: Option<Timestamp>,
    /// Entries that began before this; `None` is up to now.
    pub until: Option<Timestamp>,
    /// One list of rows for each.
    pub by: Vec<By>,
    /// Only entries whose group in each of these dimensions has this name.
    pub only: Vec<(By, Box<str>)>,
}

impl StatsQuery {
    /// Whether the entries of a cell are asked for, its hour aside.
    pub(crate) fn takes(&self, key: &Key) -> bool {
        self.only.iter().all(|(by, text)| key.has(*by, text))
    }

    /// Whether the answer depends on names that folded cells have lost.
    pub(crate) fn needs_names(&self) -> bool {
        self.by.iter().chain(self.only.iter().map(|(by, _)| by)).any(|by| by.is_folded())
    }
}

/// The answer; its JSON is the contract of `GET /stats`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// The period's beginning; that of its hour where there is no journal and the entries are no longer listed.
    pub since: Timestamp,
    /// The period's end; that of its hour where there is no journal and the entries are no longer listed.
    pub until: Timestamp,
    /// Everything in the period.
    pub totals: Sums,
    /// The same by group, in the order asked for.
    #[serde(serialize_with = "as_map")]
    pub by: Vec<(By, Vec<Row>)>,
    /// What was passed on unseen since the start, whatever the period.
    pub tunnels: Tunnelled,
    /// Clients that are passed on unopened at this moment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bypasses: Vec<Bypass>,
    /// Whether the books are on disk too.
    pub journal: JournalStatus,
    /// Why the period is widened to whole hours, or its names may be lost, where the journal could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Box<str>>,
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
    /// Durations, of the entries that are still in memory.
    pub latency_ms: Percentiles,
    /// Times to the first byte, of the entries that are still in memory and have one.
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

fn as_map<S: Serializer>(by: &[(By, Vec<Row>)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(by.len()))?;
    for (by, rows) in by {
        map.serialize_entry(by.name(), rows)?;
    }
    map.end()
}
