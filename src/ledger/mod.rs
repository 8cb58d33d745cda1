//! The books: every upstream attempt once, summed and listed.

pub mod claims;
pub mod entry;
mod hours;
pub mod ids;
pub mod key;
pub mod names;
pub mod page;
mod ring;
pub mod since;
pub mod spending;
pub mod stats;
#[cfg(test)]
pub(crate) mod tests;
pub mod totals;
pub mod tunnels;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use self::claims::{Claim, Claims};
use self::entry::{Client, Entry, Media, Model, Region, Tier};
use self::hours::Hours;
use self::key::Registry;
use self::names::{LONGEST, shortened};
use self::page::{Page, Query};
use self::ring::Ring;
use self::spending::account::Row;
use self::spending::{Exceeded, Hold, Spending, spender};
use self::stats::{Stats, StatsQuery};
use self::tunnels::Tunnels;
use crate::dialect::endpoint::Endpoint;
use crate::policy::budgets::{Budget, Side};
use crate::policy::target::Route;
use crate::units::Cost;

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
            spending: OnceLock::new(),
            tunnels: Tunnels::default(),
            claims: Claims::default(),
            closed: AtomicBool::new(false),
        }))
    }

    /// Holds all spending to these budgets; what is in the books already counts. To be said once, before the first call.
    pub fn hold_to(&self, budgets: &[Arc<Budget>]) {
        let books = &*self.0;
        books.registry.keep(budgets);
        let spending = Spending::new(budgets);
        spending.restore(&books.hours);
        let _ = books.spending.set(Arc::new(spending));
    }

    /// Whether some budget looks at this side of calls.
    pub fn is_held_by(&self, side: Side) -> bool {
        self.0.spending.get().is_some_and(|spending| spending.looks_at(side))
    }

    /// Whether there are budgets.
    pub fn has_budgets(&self) -> bool {
        self.0.spending.get().is_some_and(|spending| !spending.is_empty())
    }

    /// Reserves what a call may cost until the hold is dropped, which is to be after the call is booked.
    ///
    /// # Errors
    /// A budget that refuses the call; then nothing is reserved.
    pub fn reserve(&self, demand: &Demand<'_>) -> Result<Option<Hold>, Box<Exceeded>> {
        let Some(spending) = self.0.spending.get().filter(|spending| !spending.is_empty()) else { return Ok(None) };
        let spender = spender(demand.client, demand.model, Some(demand.route));
        spending.reserve(&spender, demand.most, demand.now).map(Some)
    }

    /// The state of every budget.
    pub fn budgets(&self, now: Timestamp) -> Vec<Row> {
        self.0.spending.get().map(|spending| spending.list(now)).unwrap_or_default()
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
        if let Some(spending) = books.spending.get() {
            spending.add(&entry);
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

/// A call that may cost something.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// Who calls.
    pub client: &'a Client,
    /// The model that is asked for.
    pub model: Option<&'a str>,
    /// Where it goes first.
    pub route: &'a Route,
    /// What it may cost; nothing where nobody can say.
    pub most: Cost,
    /// When it came.
    pub now: Timestamp,
}

/// What all clones share.
#[derive(Debug)]
struct Books {
    opened: Timestamp,
    registry: Registry,
    hours: Hours,
    ring: Ring,
    spending: OnceLock<Arc<Spending>>,
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
