//! The books as a journal has them, read without the gate that writes it.

use std::path::Path;

use jiff::Timestamp;

use crate::ledger::journal::archive::{Archive, ArchiveError};
use crate::ledger::journal::status::JournalStatus;
use crate::ledger::key::Registry;
use crate::ledger::page::{Mark, Page, Query};
use crate::ledger::reckon::{Sources, reckon};
use crate::ledger::ring::{Kept, Ring};
use crate::ledger::stats::{Stats, StatsQuery};
use crate::ledger::tunnels::Tunnelled;

/// A journal that answers as its gate would, but for what a gate has in memory only: tunnels are not in it.
#[derive(Debug)]
pub struct Alone {
    archive: Archive,
    registry: Registry,
}

impl Alone {
    /// The journal in this file.
    pub fn at(path: &Path) -> Self {
        Self { archive: Archive::at(path), registry: Registry::new() }
    }

    /// Entries, newest first.
    ///
    /// # Errors
    /// The file is no journal, or cannot be read.
    pub fn entries(&self, query: &Query) -> Result<Page, ArchiveError> {
        let newest = Mark { books: 0, posted: self.archive.newest()? };
        let found = self.archive.find(query, query.limit.saturating_add(1))?;
        let found = found.into_iter().map(|entry| Kept::read(self.registry.key(&entry), entry)).collect();
        Ok(Page::of(query.limit, newest, found, Vec::new()))
    }

    /// The sums of a period; percentiles are those of its last entries, as many as a gate has in memory.
    ///
    /// # Errors
    /// As [`Alone::entries`].
    pub fn stats(&self, query: &StatsQuery) -> Result<Stats, ArchiveError> {
        let oldest = self.archive.oldest()?;
        let ring = Ring::lost();
        let sources = Sources { hours: None, ring: &ring, registry: &self.registry, archive: Some(&self.archive) };
        let reckoned = reckon(query, &sources);
        if let Some(error) = reckoned.missing {
            return Err(error);
        }
        let mut tally = reckoned.tally;
        let last = Query { since: query.since, until: query.until, ..Query::default() };
        for entry in self.archive.find(&last, RANKED)? {
            tally.time(&self.registry.key(&entry), &entry);
        }
        let (totals, by) = tally.finish();
        let now = Timestamp::now();
        Ok(Stats {
            since: query.since.or(oldest).unwrap_or(now),
            until: query.until.unwrap_or(now),
            totals,
            by,
            tunnels: Tunnelled::default(),
            bypasses: Vec::new(),
            journal: JournalStatus { path: Some(self.archive.path().display().to_string()), ..JournalStatus::off() },
            missing: None,
        })
    }
}

/// As `ledger.entries` is unless somebody changed it.
const RANKED: usize = 10_000;
