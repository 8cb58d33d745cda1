//! One gate after another at the same journal: the file goes over whole, and what the first still books follows by its
//! spool.
//!
//! The one that leaves writes all that it has, takes its open attempts back out of the file into a segment of its own, and
//! spools from then on; its lock on that segment says that it lives. The one that follows finds the segment free once the
//! first has ended, and books what is in it. At any time a kill of either leaves every record in the file or in the spool.

use std::time::{Duration, Instant};

use crate::ledger::entry::Entry;
use crate::ledger::journal::frame::{Mark, framed};
use crate::ledger::journal::queue::{Posted, Tenure};
use crate::ledger::journal::replay::unbooked;
use crate::ledger::journal::spool::{self, Segment};
use crate::ledger::journal::start::Trouble;
use crate::ledger::journal::store::Group;
use crate::ledger::journal::writer::Writer;

impl Writer {
    /// Whether what is spooled here will be found by whoever has the file.
    pub(super) fn may_spool(&self) -> bool {
        self.lock.is_some() || self.shared.lock().tenure == Tenure::Left
    }

    /// Leaves the file to another process.
    pub(super) fn leave(&mut self) -> Result<(), String> {
        // The more is written now, the shorter the moment below in which nobody can book.
        self.write(true);
        let Some(store) = &mut self.store else { return Err("the journal is not written at the moment".into()) };
        let mut next = Segment::make(&self.shared.path).map_err(|error| format!("the spool: {error}"))?;
        let mut inside = self.shared.lock();
        if inside.spilled > 0 {
            let _ = next.remove();
            return Err("the journal lags behind".into());
        }
        if let Err(error) = inside.open.values().try_for_each(|begun| next.append(&begun.frame)) {
            let _ = next.remove();
            return Err(format!("the spool: {error}"));
        }
        let tabled = inside.open.iter().filter(|(_, begun)| begun.tabled).map(|(id, _)| id.clone()).collect::<Vec<_>>();
        let old = inside.segment.replace(next);
        inside.retired.extend(old);
        let retired = std::mem::take(&mut inside.retired);
        let posted: Vec<Posted> = inside.queue.drain(..).collect();
        inside.writing = posted.len() as u64;
        drop(inside);
        let ended = posted.iter().filter(|one| one.tabled).map(|one| &one.kept.entry.id).chain(&tabled);
        let group = Group {
            entries: posted.iter().map(|one| (&one.kept.entry, &one.kept.key, Some(one.kept.number))).collect(),
            begun: &[],
            ended: ended.map(|id| &**id).collect(),
        };
        let written = store.write(&group);
        let mut inside = self.shared.lock();
        inside.writing = 0;
        if let Err(error) = written {
            inside.retired.extend(retired);
            inside.put_back(posted, Vec::new());
            inside.table_again();
            drop(inside);
            let why = error.to_string();
            self.fail(&error.into());
            return Err(why);
        }
        // What ends from now on is in the spool alone.
        for begun in inside.open.values_mut() {
            begun.tabled = false;
        }
        drop(inside);
        for segment in retired {
            let _ = segment.remove();
        }
        self.store = None;
        self.lock = None;
        tracing::info!(path = %self.shared.path.display(), "another process keeps the journal from now on");
        Ok(())
    }

    /// Gives the other process what was booked here, in a segment that nobody writes any more. It stays in the own one,
    /// beside what is open, and is known by its id there.
    pub(super) fn pass_on(&mut self) {
        let mut inside = self.shared.lock();
        if !inside.settled || inside.queue.is_empty() {
            return;
        }
        let posted: Vec<Posted> = inside.queue.drain(..).collect();
        drop(inside);
        let passed = Segment::make(&self.shared.path).and_then(|mut segment| {
            let written = posted
                .iter()
                .try_for_each(|one| segment.append(&framed(Mark::Closed, one.kept.number, &one.kept.entry)));
            if written.is_err() {
                let _ = segment.remove();
            }
            written
        });
        if let Err(error) = passed {
            self.shared.unspooled(&error);
            self.shared.lock().put_back(posted, Vec::new());
        }
    }

    /// Ends where another process has the file: that one finds the rest in the spool.
    pub(super) fn depart(mut self) {
        self.pass_on();
        let mut inside = self.shared.lock();
        let segments: Vec<Segment> = inside.retired.drain(..).collect();
        let last = inside.segment.take().and_then(Segment::given_up);
        let unspooled = inside.lost + inside.queue.iter().filter(|one| !one.spooled).count() as u64;
        drop(inside);
        for segment in segments.into_iter().chain(last) {
            if let Err(error) = segment.sync() {
                tracing::warn!(%error, "the journal's spool may not be on the disk yet");
            }
        }
        if unspooled > 0 {
            tracing::error!(path = %self.shared.path.display(), "{unspooled} entries are lost to the journal");
        }
    }

    /// Books what other processes left that lived while this one began, once all of it can be seen.
    pub(super) fn look(&mut self) {
        if self.store.is_none() || self.next_look.is_none_or(|look| Instant::now() < look) {
            return;
        }
        let left = match spool::left(&self.shared.path) {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!(%error, "the journal's folder cannot be read");
                self.next_look = Some(Instant::now() + BETWEEN_LOOKS);
                return;
            }
        };
        let more = !left.ended.is_empty();
        self.inherited.extend(left.ended);
        if more {
            // A process that ends lets go of its segments one after the other, and they only make sense together.
            self.next_look = Some(Instant::now() + SOON);
            return;
        }
        // Own segments are locked as well, so that there always is one that lives.
        self.next_look = self.strangers().then(|| Instant::now() + BETWEEN_LOOKS);
        if !self.inherited.is_empty()
            && let Err(trouble) = self.book_inherited()
        {
            self.next_look = Some(Instant::now() + BETWEEN_LOOKS);
            self.fail(&trouble);
        }
    }

    /// Whether a process that lives spools beside the same journal.
    fn strangers(&self) -> bool {
        let found = spool::found(&self.shared.path).unwrap_or_default();
        let inside = self.shared.lock();
        let own = || inside.segment.iter().chain(&inside.retired).chain(&self.inherited);
        found.iter().any(|(_, path)| own().all(|segment| segment.path().file_name() != path.file_name()))
    }

    fn book_inherited(&mut self) -> Result<(), Trouble> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let (entries, notes) = unbooked(store, &self.inherited)?;
        for note in &notes {
            tracing::warn!(path = %self.shared.path.display(), "{note}");
        }
        self.shared.board.lock().unreadable += notes.len() as u64;
        tracing::info!(entries = entries.len(), "entries of the gate before this one are booked");
        for entry in entries {
            self.book(entry);
        }
        // Removed with the next group, which has all of them.
        self.shared.lock().retired.append(&mut self.inherited);
        Ok(())
    }

    /// Books an entry as if it had been posted here.
    fn book(&self, entry: Entry) {
        let books = &self.books;
        if let Some(spending) = books.spending.get() {
            spending.add(&entry);
        }
        let key = books.hours.add(books.registry.key(&entry), &entry, &books.registry);
        let kept = books.ring.push(key, entry);
        let frame = framed(Mark::Closed, kept.number, &kept.entry);
        self.shared.post(kept, &frame);
    }
}

/// How often what other processes left is looked for while there are some.
const BETWEEN_LOOKS: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 500 });

/// Longer than a process takes to let go of its files at its end.
const SOON: Duration = Duration::from_millis(100);
