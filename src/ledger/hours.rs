//! Sums by hour, which outlive the listed entries.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;
use foldhash::fast::RandomState;

use crate::ledger::entry::Entry;
use crate::ledger::key::{Key, Registry};
use crate::ledger::totals::Totals;

/// The hourly totals.
#[derive(Debug)]
pub(crate) struct Hours {
    cells: DashMap<Key, Totals, RandomState>,
    /// Cells that were made since the last folding, and those that it left.
    made: AtomicUsize,
    /// The latest hour of a cell that was folded.
    folded_until: AtomicI64,
    folding: Mutex<()>,
}

impl Hours {
    pub(crate) fn new() -> Self {
        Self {
            cells: DashMap::default(),
            made: AtomicUsize::new(0),
            folded_until: AtomicI64::new(i64::MIN),
            folding: Mutex::new(()),
        }
    }

    /// Adds an entry to its cell and gives back the cell's key.
    pub(crate) fn add(&self, key: Key, entry: &Entry, registry: &Registry) -> Key {
        if let Some(mut cell) = self.cells.get_mut(&key) {
            cell.add(entry);
            return key;
        }
        if self.made.fetch_add(1, Ordering::Relaxed) >= MOST_CELLS {
            self.fold_oldest(registry);
        }
        self.cells.entry(key.clone()).or_default().add(entry);
        key
    }

    /// Adds sums that were read from elsewhere.
    pub(crate) fn merge(&self, key: Key, totals: &Totals, registry: &Registry) {
        if !self.cells.contains_key(&key) && self.made.fetch_add(1, Ordering::Relaxed) >= MOST_CELLS {
            self.fold_oldest(registry);
        }
        self.cells.entry(key).or_default().merge(totals);
    }

    /// Drops the sums of all hours before `first`.
    pub(crate) fn forget(&self, first: i64) {
        let _unfolded = self.folding.lock().unwrap_or_else(PoisonError::into_inner);
        self.cells.retain(|key, _| key.hour >= first);
        self.made.store(self.cells.len(), Ordering::Relaxed);
    }

    /// Calls `take` with every cell whose hour lies in `first..past`.
    pub(crate) fn visit(&self, first: i64, past: i64, mut take: impl FnMut(&Key, &Totals)) {
        // While cells are folded, a sum could be met twice or not at all.
        let _unfolded = self.folding.lock().unwrap_or_else(PoisonError::into_inner);
        for cell in &self.cells {
            if (first..past).contains(&cell.key().hour) {
                take(cell.key(), cell.value());
            }
        }
    }

    /// The first hour from which on every cell has its names.
    pub(crate) fn named_from(&self) -> i64 {
        let _unfolded = self.folding.lock().unwrap_or_else(PoisonError::into_inner);
        match self.folded_until.load(Ordering::Relaxed) {
            i64::MIN => i64::MIN,
            folded => folded + 1,
        }
    }

    /// Adds the older half of the cells up to coarser ones: names are lost, sums are not.
    fn fold_oldest(&self, registry: &Registry) {
        let Ok(_alone) = self.folding.try_lock() else { return };
        let mut keys: Vec<Key> = self.cells.iter().map(|cell| cell.key().clone()).collect();
        keys.sort_unstable_by_key(|key| key.hour);
        keys.truncate(keys.len() / 2);
        for key in keys {
            let coarse = registry.coarse(&key);
            if coarse == key {
                continue;
            }
            self.folded_until.fetch_max(key.hour, Ordering::Relaxed);
            if let Some((_, totals)) = self.cells.remove(&key) {
                self.cells.entry(coarse).or_default().merge(&totals);
            }
        }
        self.made.store(self.cells.len().min(MOST_CELLS / 2), Ordering::Relaxed);
    }
}

/// About 15 MB; a busy gate with twenty kinds of calls an hour needs half of it in a month.
const MOST_CELLS: usize = if cfg!(test) { 3000 } else { 50_000 };
