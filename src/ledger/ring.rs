//! The last entries, up to a bound.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::ledger::entry::Entry;
use crate::ledger::key::Key;
use crate::ledger::page::Query;

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

    /// A list that has nothing and has lost everything.
    pub(crate) fn lost() -> Self {
        let inside = Inside { lost_until: Some(Timestamp::MAX), ..Inside::default() };
        Self { capacity: 0, inside: Mutex::new(inside) }
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

    /// The first `most` of the entries that are asked for and are not among the first `after`, newest first.
    pub(crate) fn find(&self, query: &Query, after: u64, most: usize) -> Found {
        let Snapshot { kept, posted, lost_until } = self.snapshot();
        let mut found: Vec<Arc<Kept>> =
            kept.into_iter().filter(|kept| kept.number >= after && query.takes(&kept.entry)).collect();
        // A call is posted when it ends, and listed by its beginning.
        found.sort_by(|a, b| b.place().cmp(&a.place()));
        found.truncate(most);
        Found { entries: found, posted, lost_until }
    }

    /// All listed entries in the order of posting.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let inside = self.lock();
        let kept = inside.kept.iter().map(Arc::clone).collect();
        Snapshot { kept, posted: inside.posted, lost_until: inside.lost_until }
    }

    /// How many entries were posted.
    pub(crate) fn posted(&self) -> u64 {
        self.lock().posted
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

impl Kept {
    /// An entry that was read from the journal.
    pub(crate) fn read(key: Key, entry: Entry) -> Arc<Self> {
        Arc::new(Self { number: 0, key, entry })
    }

    /// What lists are ordered by.
    pub(crate) fn place(&self) -> (Timestamp, &str) {
        (self.entry.time, &self.entry.id)
    }
}

/// What was listed at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// In the order of posting.
    pub(crate) kept: Vec<Arc<Kept>>,
    /// How many entries were posted.
    pub(crate) posted: u64,
    /// The latest time of an entry that is no longer listed.
    pub(crate) lost_until: Option<Timestamp>,
}

impl Snapshot {
    /// Whether no entry that began at or after `since` is missing.
    pub(crate) fn is_whole_from(&self, since: Option<Timestamp>) -> bool {
        self.lost_until.is_none_or(|lost| since.is_some_and(|since| lost < since))
    }
}

/// What was found of a list.
#[derive(Debug)]
pub(crate) struct Found {
    /// Newest first.
    pub(crate) entries: Vec<Arc<Kept>>,
    /// How many entries were posted.
    pub(crate) posted: u64,
    /// The latest time of an entry that is no longer listed.
    pub(crate) lost_until: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Inside {
    kept: VecDeque<Arc<Kept>>,
    posted: u64,
    lost_until: Option<Timestamp>,
}

impl Found {
    /// Whether no entry that is no longer listed belongs among the first `most`.
    pub(crate) fn is_enough(&self, query: &Query, most: usize) -> bool {
        let Some(lost) = self.lost_until else { return true };
        let last = self.entries.last().filter(|_| self.entries.len() >= most);
        last.is_some_and(|last| last.entry.time > lost) || query.since.is_some_and(|since| since > lost)
    }
}
