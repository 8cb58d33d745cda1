//! The groups of a period while they are being added up.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::ledger::entry::Entry;
use crate::ledger::key::{By, Key};
use crate::ledger::stats::{Percentiles, Row, StatsQuery, Sums};
use crate::ledger::totals::Totals;

/// The sums so far of what a query asks for; its period is the caller's to hold.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    query: &'a StatsQuery,
    all: Group,
    by: Vec<(By, HashMap<String, Group>)>,
}

impl<'a> Tally<'a> {
    pub(crate) fn new(query: &'a StatsQuery) -> Self {
        let by = query.by.iter().map(|by| (*by, HashMap::new())).collect();
        Self { query, all: Group::default(), by }
    }

    /// Adds the sums of one cell, or of a part of it.
    pub(crate) fn add(&mut self, key: &Key, totals: &Totals) {
        if !self.query.takes(key) {
            return;
        }
        self.all.totals.merge(totals);
        for (by, groups) in &mut self.by {
            groups.entry(key.text(*by)).or_default().totals.merge(totals);
        }
    }

    /// Adds one entry.
    pub(crate) fn add_entry(&mut self, key: &Key, entry: &Entry) {
        let mut totals = Totals::default();
        totals.add(entry);
        self.add(key, &totals);
    }

    /// Takes an entry's times; a group that has no sums gets no row for them.
    pub(crate) fn time(&mut self, key: &Key, entry: &Entry) {
        if !self.query.takes(key) {
            return;
        }
        self.all.time(entry);
        for (by, groups) in &mut self.by {
            if let Some(group) = groups.get_mut(&key.text(*by)) {
                group.time(entry);
            }
        }
    }

    /// The sums of all, and of each group, the one with the most entries first.
    pub(crate) fn finish(self) -> (Sums, Vec<(By, Vec<Row>)>) {
        let rows = |groups: HashMap<String, Group>| {
            let mut rows: Vec<Row> = groups.into_iter().map(|(key, group)| Row { key, sums: group.finish() }).collect();
            let most = |row: &Row| Reverse(row.sums.totals.requests);
            rows.sort_unstable_by(|a, b| most(a).cmp(&most(b)).then_with(|| a.key.cmp(&b.key)));
            rows
        };
        (self.all.finish(), self.by.into_iter().map(|(by, groups)| (by, rows(groups))).collect())
    }
}

#[derive(Debug, Default)]
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
