//! The books: every upstream attempt once, summed and listed.

pub mod claims;
pub mod csv;
pub mod entry;
pub mod filter;
mod hours;
pub mod ids;
pub mod journal;
pub mod key;
pub mod names;
pub mod page;
mod period;
pub mod place;
mod reckon;
mod ring;
pub mod since;
pub mod stats;
mod tally;
#[cfg(test)]
pub(crate) mod tests;
pub mod totals;
pub mod tunnels;
#[cfg(test)]
mod whole;

use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use self::claims::{Claim, Claims};
use self::entry::{Entry, Media, Model, Region, Tier};
use self::hours::Hours;
use self::journal::archive::{Archive, ArchiveError};
use self::key::Registry;
use self::names::{LONGEST, shortened};
use self::page::{Mark, Page, Query};
use self::reckon::{Reckoned, Sources, reckon};
use self::ring::{Kept, Ring};
use self::stats::{Stats, StatsQuery};
use self::tunnels::{Tunnelled, Tunnels};
use crate::dialect::endpoint::Endpoint;

/// The books; cheap to clone, and every clone is the same books.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Books>);

impl Ledger {
    /// Empty books that list at most `entries` entries and sum all of them.
    pub fn new(entries: usize) -> Self {
        Self(Arc::new(Books {
            opened: Timestamp::now(),
            registry: Registry::new(),
            hours: Hours::new(),
            ring: Ring::new(entries),
            tunnels: Tunnels::default(),
            claims: Claims::default(),
            closed: AtomicBool::new(false),
            archive: OnceLock::new(),
        }))
    }

    /// From now on, what memory no longer has is read from this journal; it has every entry, or will have it soon.
    pub(crate) fn read_from(&self, archive: Archive) {
        if self.0.archive.set(archive).is_err() {
            tracing::warn!("the books have a journal already");
        }
    }

    /// Says that an attempt is about to be made; called before its first byte is sent.
    ///
    /// The entry is as it will be posted, as far as that is known yet.
    pub fn begin(&self, entry: &Entry) {
        let _ = entry;
    }

    /// Takes the usage of an upstream's object, which a call that began nothing tells, for the caller to book.
    pub fn claim(&self, upstream_id: &str) -> Claim {
        self.0.claims.claim(upstream_id)
    }

    /// Books one attempt. Any thread may call it; it takes no time worth awaiting.
    pub fn post(&self, mut entry: Entry) {
        let books = &*self.0;
        if books.closed.load(Ordering::Acquire) {
            tracing::warn!(id = %entry.id, "an entry came after the books were closed");
        }
        bound(&mut entry);
        if let Some(upstream_id) = &entry.upstream_id {
            books.claims.see(upstream_id, entry.usage.is_some());
        }
        let key = books.hours.add(books.registry.key(&entry), &entry, &books.registry);
        // A durable journal takes its copy of the entry here, before the ring owns it.
        books.ring.push(key, entry);
    }

    /// Entries, newest first; may read the journal, so that it is not for a thread that must not wait.
    pub fn entries(&self, query: &Query) -> Page {
        let books = &*self.0;
        let most = query.limit.saturating_add(1);
        let own = query.after.filter(|mark| mark.books == books.opened.as_millisecond());
        let listed = books.ring.find(query, own.map_or(0, |mark| mark.posted), most);
        let newest = Mark { books: books.opened.as_millisecond(), posted: listed.posted };
        let archive = self.archive().filter(|_| query.after.is_none() && !listed.is_enough(query, most));
        let older = archive.map_or_else(|| Ok(Vec::new()), |archive| archive.find(query, most));
        match older {
            Ok(older) => {
                let older = older.into_iter().map(|entry| Kept::read(books.registry.key(&entry), entry));
                Page::of(query.limit, newest, listed.entries, older.collect())
            }
            Err(error) => {
                Page { missing: Some(told(&error)), ..Page::of(query.limit, newest, listed.entries, Vec::new()) }
            }
        }
    }

    /// The sums of a period; may read the journal, so that it is not for a thread that must not wait.
    pub fn stats(&self, query: &StatsQuery) -> Stats {
        let books = &*self.0;
        let sources = Sources {
            hours: Some(&books.hours),
            ring: &books.ring,
            registry: &books.registry,
            archive: self.archive(),
        };
        let Reckoned { tally, period, missing } = reckon(query, &sources);
        let (totals, by) = tally.finish();
        let oldest = self.archive().and_then(|archive| archive.oldest().ok().flatten());
        let opened = oldest.map_or(books.opened, |oldest| oldest.min(books.opened));
        Stats {
            since: period.since.unwrap_or(opened),
            until: period.until.unwrap_or_else(Timestamp::now),
            totals,
            by,
            tunnels: books.tunnels.snapshot(),
            missing: missing.as_ref().map(told),
        }
    }

    /// A number that changes with everything that changes the sums.
    pub fn version(&self) -> (u64, Tunnelled) {
        (self.0.ring.posted(), self.0.tunnels.snapshot())
    }

    fn archive(&self) -> Option<&Archive> {
        self.0.archive.get()
    }

    /// Counts a connection that is passed on unseen.
    pub fn tunnel_opened(&self) {
        self.0.tunnels.opened();
    }

    /// Counts a tunnel, already opened, that leads to a known AI host whose calls are therefore not metered.
    pub fn tunnel_unmetered_ai(&self) {
        self.0.tunnels.unmetered_ai();
    }

    /// Counts the bytes of a tunnel at its end.
    pub fn tunnel_closed(&self, bytes_up: u64, bytes_down: u64) {
        self.0.tunnels.closed(bytes_up, bytes_down);
    }

    /// Ends the books. What comes later is still summed, but warned about: somebody stopped in the wrong order.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }
}

/// What all clones share.
#[derive(Debug)]
struct Books {
    opened: Timestamp,
    registry: Registry,
    hours: Hours,
    ring: Ring,
    tunnels: Tunnels,
    claims: Claims,
    closed: AtomicBool,
    archive: OnceLock<Archive>,
}

/// An error and its cause in one sentence.
fn told(error: &ArchiveError) -> Box<str> {
    match error.source() {
        Some(source) => format!("{error}: {source}").into(),
        None => error.to_string().into(),
    }
}

/// Shortens what strangers chose, so that a listed entry has a bounded size, and the time to what the journal keeps.
fn bound(entry: &mut Entry) {
    entry.time = Timestamp::from_millisecond(entry.time.as_millisecond()).unwrap_or(entry.time);
    let Model { asked, sent, served } = &mut entry.model;
    let client = &mut entry.client;
    let Region { asked: near, served: far } = &mut entry.region;
    let names = [asked, sent, served, near, far];
    let strangers = [&mut client.label, &mut client.agent, &mut client.process, &mut client.path, &mut client.key];
    for name in names.into_iter().chain(strangers) {
        if let Some(text) = name.as_deref().filter(|text| text.len() > LONGEST) {
            *name = Some(shortened(text).into());
        }
    }
    let Tier { asked, served } = &mut entry.tier;
    let Media { size, quality } = &mut entry.media;
    for name in [asked, served, size, quality, &mut entry.upstream_id] {
        if let Some(text) = name.as_deref().filter(|text| text.len() > LONGEST) {
            *name = Some(shortened(text).into());
        }
    }
    if let Endpoint::Model(id) = &mut entry.endpoint {
        // The books show the operation, never the id in its path.
        *id = String::new();
    }
}
