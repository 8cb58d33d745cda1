//! The books: every upstream attempt once, summed and listed.

pub mod bypasses;
pub mod claims;
pub mod conventions;
pub mod csv;
pub mod entry;
pub mod filter;
mod hours;
pub mod ids;
pub mod journal;
pub mod key;
pub mod measures;
pub mod names;
pub mod page;
mod period;
pub mod place;
mod reckon;
mod ring;
pub mod sale;
pub mod series;
pub mod since;
pub mod spending;
pub mod spread;
mod states;
pub mod stats;
mod tally;
pub mod tap;
#[cfg(test)]
pub(crate) mod tests;
pub mod totals;
pub mod tunnels;
#[cfg(test)]
mod whole;
pub mod words;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;

use self::bypasses::{Bypass, Bypasses};
use self::claims::{Claim, Claims};
use self::entry::{Client, Entry, Media, Model, Region, Tier};
use self::hours::Hours;
use self::journal::archive::Archive;
use self::journal::lock::Taken;
use self::journal::start::Loaded;
use self::journal::status::{JournalStatus, State};
use self::journal::{Journal, writer};
use self::key::{Registry, hour_start};
use self::measures::{Measure, Seen};
use self::names::{LONGEST, shortened};
use self::page::{Mark, Page, Query};
use self::reckon::{Reckoned, Sources, reckon};
use self::ring::{Kept, Ring};
use self::series::Series;
use self::spending::account::Row;
use self::spending::{Exceeded, Hold, Spending, spender};
use self::stats::{Stats, StatsQuery};
use self::tap::{Handed, Posted, Tap};
use self::tunnels::{Gap, Tunnelled, Tunnels};
use crate::dialect::endpoint::Endpoint;
use crate::policy::Policy;
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
            started: Timestamp::now(),
            registry: Arc::new(Registry::new()),
            hours: Arc::new(Hours::new()),
            ring: Arc::new(Ring::new(entries)),
            series: Series::new(),
            tap: Tap::default(),
            open: AtomicU64::new(0),
            spending: Arc::default(),
            bypasses: Bypasses::default(),
            tunnels: Tunnels::default(),
            claims: Claims::default(),
            closed: AtomicBool::new(false),
            archive: OnceLock::new(),
            journal: None,
        }))
    }

    /// Books that outlive the process, in the file at `path`; with all that is in it already.
    ///
    /// A file that cannot be written, or is not understood, does not hinder: the books are in memory then, say so in
    /// [`Ledger::journal`] and in the log, and are written as soon as that can be.
    ///
    /// # Errors
    /// Another gate keeps its books there.
    pub fn open(entries: usize, path: PathBuf, keep: Option<Duration>) -> Result<Self, Taken> {
        Self::open_held_to(&[], entries, path, keep)
    }

    /// As [`Ledger::open`], with all spending held to these budgets; what is in the file already counts.
    ///
    /// # Errors
    /// Another gate keeps its books there.
    pub fn open_held_to(
        budgets: &[Arc<Budget>],
        entries: usize,
        path: PathBuf,
        keep: Option<Duration>,
    ) -> Result<Self, Taken> {
        let mut ledger = Self::new(entries);
        // Before anything is read, so that no name that a budget looks at is lost on the way.
        ledger.0.registry.keep(budgets);
        let Some(books) = Arc::get_mut(&mut ledger.0) else { return Ok(ledger) };
        let memory = writer::Books {
            registry: Arc::clone(&books.registry),
            hours: Arc::clone(&books.hours),
            ring: Arc::clone(&books.ring),
            spending: Arc::clone(&books.spending),
        };
        let _ = books.archive.set(Archive::at(path.clone()));
        let (journal, loaded) = Journal::open(path, keep, memory, entries)?;
        books.journal = Some(journal);
        match loaded {
            Some(loaded) => books.restore(loaded),
            // Numbers that no file has given out yet, whatever it holds.
            None => books.ring.count_from(u64::try_from(books.opened.as_microsecond()).unwrap_or(0)),
        }
        if !budgets.is_empty() {
            ledger.hold_to(budgets);
        }
        Ok(ledger)
    }

    /// How the journal is.
    pub fn journal(&self) -> JournalStatus {
        self.0.journal.as_ref().map_or_else(JournalStatus::off, Journal::status)
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

    /// From now on, what memory no longer has is read from this journal, which has it.
    #[cfg(test)]
    fn read_from(&self, archive: Archive) {
        let _ = self.0.archive.set(archive);
    }

    /// Says that an attempt is about to be made; called before its first byte is sent.
    ///
    /// The entry is as it will be posted, as far as that is known yet.
    pub fn begin(&self, entry: &Entry) {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        if let Some(journal) = &self.0.journal {
            journal.begin(entry);
        }
    }

    /// Says that an attempt that was begun is over, and all of it posted.
    pub fn end(&self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many attempts were begun and are not over.
    pub fn open_calls(&self) -> u64 {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Takes the usage of an upstream's object, which a call that began nothing tells, for the caller to book; may ask
    /// the journal, which takes a moment.
    pub fn claim(&self, upstream_id: &str) -> Claim {
        match (self.0.claims.claim(upstream_id), &self.0.journal) {
            (Claim::Fresh, Some(journal)) => match journal.is_booked(upstream_id) {
                Some(true) => Claim::Booked,
                Some(false) => Claim::Open,
                None => Claim::Fresh,
            },
            (claim, _) => claim,
        }
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
        books.series.add(&key, &entry);
        let kept = books.ring.push(key, entry);
        books.tap.hand(&kept);
        if let Some(journal) = &books.journal {
            journal.post(kept);
        }
    }

    /// Hands every entry that is posted from now on to the caller, who may leave `room` of them lying; `None` where
    /// somebody has asked before.
    pub fn listen(&self, room: usize) -> Option<Posted> {
        self.0.tap.open(room)
    }

    /// What became of the entries that were handed out; `None` where nobody has asked for them.
    pub fn handed(&self) -> Option<Handed> {
        self.0.tap.handed()
    }

    /// Counts since the start of this process, for those who watch from outside; `policy` knows where routes lead.
    pub fn measures(&self, policy: &Policy) -> Vec<Measure> {
        let books = &*self.0;
        let seen = Seen {
            series: books.series.snapshot(),
            tunnels: books.tunnels.snapshot(),
            handed: books.tap.handed(),
            open: books.open.load(Ordering::Relaxed),
            journal: self.journal(),
            budgets: self.budgets(Timestamp::now()),
        };
        measures::of(&seen, policy)
    }

    /// When this process opened the books, whatever they hold of earlier times.
    pub fn started(&self) -> Timestamp {
        self.0.started
    }

    /// Entries, newest first; may read the journal, so that it is not for a thread that must not wait.
    pub fn entries(&self, query: &Query) -> Page {
        let books = &*self.0;
        let most = query.limit.saturating_add(1);
        let own = query.after.filter(|mark| mark.books == books.mark());
        let listed = books.ring.find(query, own.map_or(0, |mark| mark.posted), most);
        let newest = Mark { books: books.mark(), posted: listed.posted };
        let archive = books.archive.get().filter(|_| query.after.is_none() && !listed.is_enough(query, most));
        let older = archive.map_or_else(|| Ok(Vec::new()), |archive| archive.find(query, most));
        let missing = older.as_ref().err().map(ToString::to_string).or_else(|| archive.and_then(|_| self.unwritten()));
        let older = older.unwrap_or_default().into_iter();
        let older = older.map(|entry| Kept::read(books.registry.key(&entry), entry)).collect();
        Page { missing: missing.map(Into::into), ..Page::of(query.limit, newest, listed.entries, older) }
    }

    /// The sums of a period; may read the journal, so that it is not for a thread that must not wait.
    pub fn stats(&self, query: &StatsQuery) -> Stats {
        let books = &*self.0;
        let unwritten = self.unwritten();
        let sources = Sources {
            hours: Some(&books.hours),
            ring: &books.ring,
            registry: &books.registry,
            archive: books.archive.get().filter(|_| unwritten.is_none()),
        };
        let Reckoned { tally, period, missing, whole } = reckon(query, &sources);
        let (totals, by) = tally.finish();
        let missing = missing.map(|error| error.to_string()).or_else(|| unwritten.filter(|_| !whole));
        Stats {
            since: period.since.unwrap_or(books.opened),
            until: period.until.unwrap_or_else(Timestamp::now),
            totals,
            by,
            tunnels: books.tunnels.snapshot(),
            bypasses: books.bypasses.at(Timestamp::now()),
            journal: self.journal(),
            missing: missing.map(Into::into),
        }
    }

    /// A number that changes with everything that changes the sums.
    pub fn version(&self) -> (u64, Tunnelled) {
        (self.0.ring.posted(), self.0.tunnels.snapshot())
    }

    /// Why the journal may not have everything that memory no longer has.
    fn unwritten(&self) -> Option<String> {
        let status = self.journal();
        if status.state == State::Degraded { status.alarm() } else { None }
    }

    /// Counts a connection that is passed on unseen.
    pub fn tunnel_opened(&self) {
        self.0.tunnels.opened();
    }

    /// Counts something that the books cannot see into.
    pub fn gap(&self, gap: Gap) {
        self.0.tunnels.gap(gap);
    }

    /// Shows that a client is passed on unopened from now on.
    pub fn bypass(&self, bypass: Bypass) {
        self.0.bypasses.begin(bypass);
    }

    /// Counts the bytes of a tunnel at its end.
    pub fn tunnel_closed(&self, bytes_up: u64, bytes_down: u64) {
        self.0.tunnels.closed(bytes_up, bytes_down);
    }

    /// Leaves the journal to another process, with all that was posted so far. What is posted later is in these books, and
    /// in the spool until the other process finds it there. Waits for the disk.
    ///
    /// # Errors
    /// Why the journal is still this process's, in a sentence.
    pub fn leave_journal(&self) -> Result<(), String> {
        self.0.journal.as_ref().map_or(Ok(()), Journal::leave)
    }

    /// Says that the journal stays with the other process; it gets what is posted here within seconds then.
    pub fn settle_journal(&self) {
        if let Some(journal) = &self.0.journal {
            journal.settle();
        }
    }

    /// Keeps the journal again, as soon as no other process does; not after it was settled.
    pub fn take_journal_back(&self) {
        if let Some(journal) = &self.0.journal {
            journal.take_back();
        }
    }

    /// Ends the books, all of them written. What comes later is still summed, but warned about: somebody stopped in the
    /// wrong order.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        if let Some(journal) = &self.0.journal {
            journal.close();
        }
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
    /// When this process opened them; what the journal held may be older.
    started: Timestamp,
    registry: Arc<Registry>,
    hours: Arc<Hours>,
    ring: Arc<Ring>,
    series: Series,
    tap: Tap,
    /// Attempts that were begun and are not over.
    open: AtomicU64,
    spending: Arc<OnceLock<Arc<Spending>>>,
    bypasses: Bypasses,
    tunnels: Tunnels,
    claims: Claims,
    closed: AtomicBool,
    archive: OnceLock<Archive>,
    journal: Option<Journal>,
}

impl Books {
    /// Whose numbers entries have: those of a file go on with the next process.
    fn mark(&self) -> i64 {
        if self.journal.is_some() { 0 } else { self.opened.as_millisecond() }
    }

    /// Takes over what was in the journal.
    fn restore(&mut self, loaded: Loaded) {
        let Loaded { cells, last, next, unlisted } = loaded;
        if let Some(first) = cells.iter().map(|(key, _)| key.hour).min() {
            self.opened = self.opened.min(hour_start(first));
        }
        for (key, totals) in cells {
            self.hours.merge(key, &totals, &self.registry);
        }
        for (number, key, entry) in last {
            if let Some(upstream_id) = &entry.upstream_id {
                self.claims.see(upstream_id, entry.usage.is_some());
            }
            self.ring.count_from(number);
            self.ring.push(key, entry);
        }
        self.ring.count_from(next);
        if let Some(until) = unlisted {
            self.ring.lack(until);
        }
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
