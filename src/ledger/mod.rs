//! The books: every upstream attempt once, summed and listed.

pub mod claims;
pub mod entry;
mod hours;
pub mod ids;
pub mod key;
pub mod names;
pub mod page;
mod ring;
pub mod sale;
pub mod since;
pub mod stats;
#[cfg(test)]
pub(crate) mod tests;
pub mod totals;
pub mod tunnels;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use self::claims::{Claim, Claims};
use self::entry::{Entry, Media, Model, Region, Tier};
use self::hours::Hours;
use self::key::Registry;
use self::names::{LONGEST, shortened};
use self::page::{Page, Query};
use self::ring::Ring;
use self::stats::{Stats, StatsQuery};
use self::tunnels::Tunnels;
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
        }))
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

    /// Entries that are still listed, newest first.
    pub fn entries(&self, query: &Query) -> Page {
        self.0.ring.page(query)
    }

    /// The sums of a period.
    pub fn stats(&self, query: &StatsQuery) -> Stats {
        let books = &*self.0;
        stats::reckon(query, books.opened, (&books.hours, &books.ring), books.tunnels.snapshot())
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
}

/// Shortens what strangers chose, so that a listed entry has a bounded size.
fn bound(entry: &mut Entry) {
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
