//! Running counts for those who watch from outside: since the start, never lowered, and apart by few bounded names.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use foldhash::fast::RandomState;

use crate::ledger::entry::{AfterClose, Entry, Outcome};
use crate::ledger::key::Key;
use crate::ledger::names::Names;
use crate::ledger::spread::{DURATIONS, FIRST_PIECES, Spread, TOKENS};
use crate::ledger::totals::{Line, is_unpriced};
use crate::policy::target::RouteKind;
use crate::units::{Basis, Cost};

/// What the entries of one count have in common; every text is bounded in length and in number.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Kind {
    /// The operation's name.
    pub endpoint: &'static str,
    /// Which rule chose the upstream.
    pub route: Option<(RouteKind, Arc<str>)>,
    /// The label, or `none`.
    pub label: Arc<str>,
    /// The model that was asked for, or `unknown`.
    pub asked: Arc<str>,
    /// The model that the reply names.
    pub served: Option<Arc<str>>,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of a failure that has one, else 0.
    pub status: u16,
    /// How the usage is known.
    pub basis: Basis,
}

/// What is counted for one [`Kind`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Entries.
    pub requests: u64,
    /// Input tokens, of those whose input is known.
    pub input: Spread,
    /// Output tokens, of those whose output is known.
    pub output: Spread,
    /// Input tokens from the upstream's cache: part of the input.
    pub cached_input: u64,
    /// Input tokens written to the upstream's cache: part of the input.
    pub cache_write: u64,
    /// Output tokens spent on reasoning: part of the output.
    pub reasoning: u64,
    /// Milliseconds from the beginning to the last byte.
    pub duration: Spread,
    /// Milliseconds from the beginning to the first byte of a stream.
    pub first_piece: Spread,
    /// What the priced ones cost.
    pub cost: Cost,
    /// Those that may have cost something that nobody knows.
    pub unpriced: u64,
    /// Those whose client left, and whose upstream was closed at once.
    pub cancelled: u64,
    /// Those whose client left, and whose upstream was read on to its end.
    pub drained: u64,
    /// Those whose client left, and whose upstream was read on, but not to its end.
    pub given_up: u64,
}

impl Counts {
    fn add(&mut self, entry: &Entry) {
        self.requests += 1;
        self.duration.add(&DURATIONS, entry.duration_ms);
        if let Some(first) = entry.first_byte_ms.filter(|_| entry.stream) {
            self.first_piece.add(&FIRST_PIECES, first);
        }
        if let Some(usage) = &entry.usage {
            if let Some(tokens) = usage.input {
                self.input.add(&TOKENS, tokens);
            }
            if let Some(tokens) = usage.output {
                self.output.add(&TOKENS, tokens);
            }
            let add = |sum: &mut u64, more: Option<u64>| *sum = sum.saturating_add(more.unwrap_or(0));
            add(&mut self.cached_input, usage.cached_input);
            add(&mut self.cache_write, usage.cache_write);
            add(&mut self.reasoning, usage.reasoning);
        }
        self.cost = self.cost.plus(entry.cost.unwrap_or_default());
        self.unpriced += u64::from(is_unpriced(&Line::of(entry)));
        match entry.after_close {
            None => {}
            Some(AfterClose::Cancelled) => self.cancelled += 1,
            Some(AfterClose::Drained) => self.drained += 1,
            Some(AfterClose::GivenUp) => self.given_up += 1,
        }
    }
}

/// The counts of every kind so far.
#[derive(Debug)]
pub(crate) struct Series {
    counts: DashMap<Kind, Counts, RandomState>,
    served: Names,
    /// What stands for every name of a kind that is one too many.
    other: Arc<str>,
    /// Kinds so far; counted here, as the map would lock all its parts for it.
    kinds: AtomicUsize,
}

impl Series {
    pub(crate) fn new() -> Self {
        Self { counts: DashMap::default(), served: Names::new(), other: "other".into(), kinds: AtomicUsize::new(0) }
    }

    /// Counts an entry, whose bounded names are in `key`.
    pub(crate) fn add(&self, key: &Key, entry: &Entry) {
        let kind = self.kind(key, entry);
        if let Some(mut counts) = self.counts.get_mut(&kind) {
            return counts.add(entry);
        }
        let full = self.kinds.fetch_add(1, Ordering::Relaxed) >= MOST_KINDS;
        let kind = if full { self.coarse(kind) } else { kind };
        self.counts.entry(kind).or_default().add(entry);
    }

    /// All kinds and their counts.
    pub(crate) fn snapshot(&self) -> Vec<(Kind, Counts)> {
        self.counts.iter().map(|cell| (cell.key().clone(), cell.value().clone())).collect()
    }

    fn kind(&self, key: &Key, entry: &Entry) -> Kind {
        let failed = matches!(entry.outcome, Outcome::Refused | Outcome::UpstreamError);
        Kind {
            endpoint: key.endpoint,
            route: key.route.clone(),
            label: Arc::clone(&key.label),
            asked: Arc::clone(&key.model),
            served: entry.model.served.as_deref().map(|name| self.served.admit(name)),
            outcome: entry.outcome,
            status: if failed { entry.status } else { 0 },
            basis: if entry.usage.is_some() { entry.basis } else { Basis::None },
        }
    }

    /// The kind without the names that strangers can choose.
    fn coarse(&self, kind: Kind) -> Kind {
        let other = Arc::clone(&self.other);
        Kind {
            route: kind.route.map(|(kind, _)| (kind, Arc::clone(&other))),
            label: Arc::clone(&other),
            asked: Arc::clone(&other),
            served: kind.served.is_some().then_some(other),
            status: 0,
            ..kind
        }
    }
}

/// About 3 MB; further kinds are counted under `other`.
const MOST_KINDS: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::key::Registry;
    use crate::ledger::tests::entry;

    fn add(series: &Series, registry: &Registry, entry: &Entry) {
        series.add(&registry.key(entry), entry);
    }

    #[test]
    fn counts_are_kept_apart_by_bounded_names_and_sum_up_to_all() {
        let (series, registry) = (Series::new(), Registry::new());
        for number in 0..20_000_u64 {
            let mut entry = entry(&format!("m{}", number % 3000), "2026-11-22T12:00:00Z");
            entry.model.served = Some(format!("s{number}").into());
            entry.client.label = Some(format!("l{}", number % 7).into());
            add(&series, &registry, &entry);
        }
        let all = series.snapshot();
        assert!(all.len() <= MOST_KINDS + 100, "{}", all.len());
        let sum = |count: fn(&Counts) -> u64| all.iter().map(|(_, counts)| count(counts)).sum::<u64>();
        assert_eq!(sum(|counts| counts.requests), 20_000);
        assert_eq!((sum(|counts| counts.input.sum), sum(|counts| counts.output.sum)), (380_000, 200_000));
        let cost: i128 = all.iter().map(|(_, counts)| counts.cost.0).sum();
        assert_eq!(cost, 20_000 * 147_500_000);
    }

    #[test]
    fn what_is_unknown_is_not_counted_as_nothing() {
        let (series, registry) = (Series::new(), Registry::new());
        let mut entry = entry("gpt-4o", "2026-11-22T12:00:00Z");
        (entry.usage, entry.cost, entry.first_byte_ms) = (None, None, None);
        add(&series, &registry, &entry);
        let (kind, counts) = series.snapshot().remove(0);
        assert_eq!((counts.requests, counts.input.count(), counts.output.count()), (1, 0, 0));
        assert_eq!((counts.first_piece.count(), counts.unpriced, kind.basis), (0, 1, Basis::None));
    }
}
