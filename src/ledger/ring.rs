//! The last entries, up to a bound.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::ledger::entry::Entry;
use crate::ledger::key::Key;
use crate::ledger::page::{Page, Query};

/// The listed entries, newest last.
#[derive(Debug)]
pub(crate) struct Ring {
    capacity: usize,
    inside: Mutex<Inside>,
}

impl Ring {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, inside: Mutex::default() }
    }

    /// The next entry gets this number.
    pub(crate) fn count_from(&self, number: u64) {
        self.lock().posted = number;
    }

    /// Says that entries up to this time are not listed.
    pub(crate) fn lack(&self, until: Timestamp) {
        let mut inside = self.lock();
        inside.lost_until = inside.lost_until.max(Some(until));
    }

    /// Lists an entry; the oldest one goes where there is no more room.
    pub(crate) fn push(&self, key: Key, entry: Entry) -> Arc<Kept> {
        let mut kept = Kept { number: 0, key, entry };
        let mut inside = self.lock();
        kept.number = inside.posted;
        inside.posted += 1;
        let kept = Arc::new(kept);
        inside.kept.push_back(Arc::clone(&kept));
        let gone = if inside.kept.len() > self.capacity { inside.kept.pop_front() } else { None };
        if let Some(gone) = &gone {
            inside.lost_until = inside.lost_until.max(Some(gone.entry.time));
        }
        drop(inside);
        // Freed only now, so that nobody waits for it.
        drop(gone);
        kept
    }

    /// Entries newest first, from just below the cursor.
    pub(crate) fn page(&self, query: &Query) -> Page {
        let mut page = Page { entries: Vec::new(), next: None };
        for kept in self.snapshot().0.iter().rev() {
            if query.cursor.is_some_and(|cursor| kept.number >= cursor) || !query.wants(&kept.entry) {
                continue;
            }
            if page.entries.len() == query.limit {
                page.next = page.entries.last().map(|last: &Arc<Kept>| last.number);
                break;
            }
            page.entries.push(Arc::clone(kept));
        }
        page
    }

    /// All listed entries, newest last, and the latest time of an entry that is no longer listed.
    pub(crate) fn snapshot(&self) -> (Vec<Arc<Kept>>, Option<Timestamp>) {
        let inside = self.lock();
        (inside.kept.iter().map(Arc::clone).collect(), inside.lost_until)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listed entry.
#[derive(Debug)]
pub struct Kept {
    /// Its place in the order of posting.
    pub(crate) number: u64,
    pub(crate) key: Key,
    /// The entry.
    pub entry: Entry,
}

#[derive(Debug, Default)]
struct Inside {
    kept: VecDeque<Arc<Kept>>,
    posted: u64,
    lost_until: Option<Timestamp>,
}
