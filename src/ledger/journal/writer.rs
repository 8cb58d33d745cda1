//! The one thread that writes the journal: in groups, off every other thread, through everything that a disk can do.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::ledger::hours::Hours;
use crate::ledger::journal::lock::{Lock, Taken};
use crate::ledger::journal::queue::{Posted, Shared, Tenure};
use crate::ledger::journal::replay::{Whose, replay};
use crate::ledger::journal::retain::{self, Retention};
use crate::ledger::journal::spool::{self, Segment};
use crate::ledger::journal::start::{self, Finding, Loaded, Time, Trouble};
use crate::ledger::journal::store::{Group, Store, is_damage};
use crate::ledger::key::Registry;
use crate::ledger::ring::Ring;
use crate::ledger::spending::Spending;

/// The books in memory, as far as the journal changes them.
#[derive(Clone, Debug)]
pub(crate) struct Books {
    /// The names that sums are kept by.
    pub(crate) registry: Arc<Registry>,
    /// The hourly sums.
    pub(crate) hours: Arc<Hours>,
    /// The listed entries.
    pub(crate) ring: Arc<Ring>,
    /// What has been spent of budgets.
    pub(crate) spending: Arc<OnceLock<Arc<Spending>>>,
}

/// What the thread has.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) books: Books,
    /// How many entries are listed in memory.
    listed: usize,
    keep: Option<Duration>,
    pub(super) lock: Option<Lock>,
    /// `None` while the file cannot be written.
    pub(super) store: Option<Store>,
    /// The file turned out to be damaged while it was written.
    damaged: bool,
    /// The file is not ours to write, nor is anything beside it.
    foreign: bool,
    /// What earlier processes left in the spool, until it is booked.
    leftovers: Vec<Segment>,
    /// What processes that lived at the same time left in the spool, until it is booked.
    pub(super) inherited: Vec<Segment>,
    /// When to look for what they leave; `None` where there are none.
    pub(super) next_look: Option<Instant>,
    loaded: bool,
    retention: Option<Retention>,
    next_retention: Instant,
    pub(super) next_mending: Instant,
    patience: Duration,
    /// When it last said aloud that the file is not written.
    alarmed: Option<Instant>,
}

impl Writer {
    /// Opens the file, and gives back what was in it.
    pub(super) fn start(
        shared: Arc<Shared>,
        keep: Option<Duration>,
        books: Books,
        listed: usize,
    ) -> Result<(Self, Option<Loaded>), Taken> {
        let mut writer = Self {
            shared,
            books,
            listed,
            keep,
            lock: None,
            store: None,
            damaged: false,
            foreign: false,
            leftovers: Vec::new(),
            inherited: Vec::new(),
            next_look: None,
            loaded: false,
            retention: None,
            next_retention: Instant::now(),
            next_mending: Instant::now(),
            patience: FIRST_PAUSE,
            alarmed: None,
        };
        match writer.open() {
            Ok(loaded) => {
                writer.mend_spool();
                Ok((writer, loaded))
            }
            Err(Trouble::Taken(taken)) => Err(taken),
            Err(trouble) => {
                writer.fail(&trouble);
                writer.mend_spool();
                Ok((writer, None))
            }
        }
    }

    /// Begins to write; `None` where the system gives no thread, and then the journal stays degraded.
    pub(super) fn spawn(self) -> Option<JoinHandle<()>> {
        let shared = Arc::clone(&self.shared);
        match thread::Builder::new().name("journal".into()).spawn(move || self.run()) {
            Ok(thread) => Some(thread),
            Err(error) => {
                let mut told = shared.board.lock();
                told.sound = false;
                told.last_error = Some(format!("no thread to be had: {error}"));
                tracing::error!(%error, "the journal cannot be written: the system gives no thread");
                None
            }
        }
    }

    fn run(mut self) {
        loop {
            if self.store.is_some() {
                self.shared.wait(self.next_duty().saturating_duration_since(Instant::now()));
            }
            let (closing, tenure) = {
                let inside = self.shared.lock();
                (inside.closing, inside.tenure.clone())
            };
            if tenure == Tenure::Left {
                if closing {
                    return self.depart();
                }
                self.mend_spool();
                self.pass_on();
                self.shared.rest();
                continue;
            }
            if self.store.is_none() {
                self.reopen();
            }
            self.mend_spool();
            self.look();
            if tenure == Tenure::Leaving && !closing {
                let tenure = self.leave().map_or_else(Tenure::Kept, |()| Tenure::Left);
                self.shared.turn(tenure);
                continue;
            }
            self.write(closing);
            self.retain();
            if closing {
                return self.finish();
            }
            if self.store.is_none() {
                self.alarm();
                self.shared.pause(self.patience);
                self.patience = (self.patience * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// When there is something to do though nothing comes.
    fn next_duty(&self) -> Instant {
        let spools = self.shared.lock().segment.is_some();
        let duty = if spools { self.next_retention } else { self.next_retention.min(self.next_mending) };
        self.next_look.map_or(duty, |look| duty.min(look))
    }

    fn open(&mut self) -> Result<Option<Loaded>, Trouble> {
        let path = &self.shared.path;
        if self.lock.is_none() {
            let lock = start::lock(path)?;
            let left = spool::left(path)?;
            // A process that has opened the file knows what is open in it; what others left then is looked at later.
            let kept = if self.loaded { &mut self.inherited } else { &mut self.leftovers };
            kept.extend(left.ended);
            self.next_look = (left.living || self.loaded).then(Instant::now);
            self.lock = Some(lock);
        }
        let finding = if self.damaged { Finding::Damaged } else { Finding::AsItIs };
        let time = if self.loaded { Time::Again } else { Time::First(self.listed) };
        let opened = start::open(path, finding, &self.leftovers, &self.books.registry, time)?;
        (self.damaged, self.foreign) = (false, false);
        self.leftovers.clear();
        for note in &opened.notes {
            tracing::warn!(path = %path.display(), "{note}");
        }
        if let Some(loaded) = &opened.loaded {
            self.loaded = true;
            let newest = loaded.last.iter().map(|(_, _, entry)| entry.time).chain(loaded.unlisted).max();
            self.retention = self.keep.map(|keep| Retention::new(keep, newest));
        }
        self.store = Some(opened.store);
        let mut told = self.shared.board.lock();
        told.sound = true;
        told.unreadable += opened.lost;
        if let Some(note) = opened.notes.last() {
            told.last_error = Some(note.clone());
        }
        Ok(opened.loaded)
    }

    /// Tries to open the file after it could not be written.
    fn reopen(&mut self) {
        match self.open() {
            Err(trouble) => self.fail(&trouble),
            Ok(loaded) => {
                self.shared.lock().table_again();
                if let Some(loaded) = loaded {
                    // Too late for the list, but the sums are whole again.
                    self.books.ring.lack(Timestamp::now());
                    for (key, totals) in loaded.cells {
                        if let Some(spending) = self.books.spending.get() {
                            spending.take_over(&key, &totals);
                        }
                        self.books.hours.merge(key, &totals, &self.books.registry);
                    }
                }
            }
        }
    }

    /// Makes the spool where there is none; not beside what is not ours.
    fn mend_spool(&mut self) {
        let inside = self.shared.lock();
        let needless = inside.segment.is_some() || inside.closing;
        drop(inside);
        if needless || self.foreign || !self.may_spool() || Instant::now() < self.next_mending {
            return;
        }
        self.next_mending = Instant::now() + BETWEEN_MENDINGS;
        match Segment::make(&self.shared.path) {
            Ok(segment) => self.shared.lock().segment = Some(segment),
            Err(error) => self.shared.unspooled(&error),
        }
    }

    /// Writes all that waits.
    pub(super) fn write(&mut self, all: bool) {
        let Some(store) = &mut self.store else { return };
        let turn = {
            let inside = self.shared.lock();
            inside.segment.as_ref().is_some_and(Segment::is_long) || inside.spilled > 0
        };
        // Made before the lock is taken again, so that nobody waits for it.
        let next = if turn { Segment::make(&self.shared.path).ok() } else { None };
        let turned = next.is_some();
        let (posted, begun, retired, spilled) = {
            let mut inside = self.shared.lock();
            if let Some(next) = next {
                let old = inside.segment.replace(next);
                inside.retired.extend(old);
            }
            // What was spilled may be in a segment that is still written; then it waits for a later turn, and so do the
            // segments that are done with, as it may be in them as well.
            let whole = turned || inside.segment.is_none() || inside.spilled == 0;
            let spilled = if whole { inside.spilled } else { 0 };
            let retired = if whole { std::mem::take(&mut inside.retired) } else { Vec::new() };
            let begun = inside.tabling(all || !retired.is_empty());
            let posted: Vec<Posted> = inside.queue.drain(..).collect();
            inside.writing = posted.len() as u64;
            (posted, begun, retired, spilled)
        };
        if posted.is_empty() && begun.is_empty() && retired.is_empty() {
            return;
        }
        let registry = &self.books.registry;
        let mut spool = retired.chunks(1).take(if spilled > 0 { retired.len() } else { 0 });
        // One after the other, so that not all of them are in memory at once.
        let caught_up = spool.try_for_each(|one| replay(store, one, registry, Whose::Living).map(drop));
        let group = Group {
            entries: posted.iter().map(|one| (&one.kept.entry, &one.kept.key, Some(one.kept.number))).collect(),
            begun: &begun,
            ended: posted.iter().filter(|one| one.tabled).map(|one| &*one.kept.entry.id).collect(),
        };
        let written = caught_up.and_then(|()| Ok(store.write(&group)?));
        let mut inside = self.shared.lock();
        inside.writing = 0;
        match written {
            Ok(_) => {
                inside.spilled -= spilled;
                drop(inside);
                for segment in retired {
                    let _ = segment.remove();
                }
                self.succeed();
            }
            Err(trouble) => {
                inside.retired.extend(retired);
                inside.put_back(posted, begun);
                drop(inside);
                self.fail(&trouble);
            }
        }
    }

    fn succeed(&mut self) {
        self.patience = FIRST_PAUSE;
        let mut told = self.shared.board.lock();
        told.sound = true;
        told.last_commit = Some(Timestamp::now());
        drop(told);
        if self.alarmed.take().is_some() {
            tracing::warn!(path = %self.shared.path.display(), "the journal is written again");
        }
    }

    /// Nothing more goes through this handle: what a disk failed to do once is not asked of the same handle again.
    pub(super) fn fail(&mut self, trouble: &Trouble) {
        self.store = None;
        self.damaged |= matches!(trouble, Trouble::Database(error) if is_damage(error));
        self.foreign = matches!(trouble, Trouble::Future(_) | Trouble::Strange);
        let mut told = self.shared.board.lock();
        told.sound = false;
        told.last_error = Some(trouble.to_string());
        drop(told);
        self.alarm();
    }

    /// Says aloud, now and then, what the file lacks.
    fn alarm(&mut self) {
        if self.alarmed.is_some_and(|last| last.elapsed() < BETWEEN_ALARMS) {
            return;
        }
        self.alarmed = Some(Instant::now());
        if let Some(alarm) = self.shared.status().alarm() {
            tracing::error!("{alarm}");
        }
    }

    /// Removes a little of what is too old.
    fn retain(&mut self) {
        if Instant::now() < self.next_retention {
            return;
        }
        self.next_retention = Instant::now() + BETWEEN_RETENTIONS;
        let limit = self.retention.as_ref().and_then(|retention| retention.limit(Timestamp::now()));
        let (Some(limit), Some(store)) = (limit, &mut self.store) else { return };
        match retain::step(&mut store.connection, limit) {
            Ok(true) => self.next_retention = Instant::now() + BETWEEN_STEPS,
            Ok(false) => {
                store.forget_cells();
                self.books.hours.forget(retain::first_kept(limit));
            }
            Err(error) => self.fail(&error.into()),
        }
    }

    /// Leaves nothing behind but the file, where all is in it.
    fn finish(mut self) {
        if self.store.is_none() {
            thread::sleep(FIRST_PAUSE);
            self.reopen();
            self.write(true);
        }
        let mut inside = self.shared.lock();
        let segment = inside.segment.take();
        let missing = inside.queue.len() as u64 + inside.spilled;
        drop(inside);
        if self.store.is_some() && missing == 0 {
            let removed = segment.map_or(Ok(()), Segment::remove);
            if let Err(error) = removed
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "the journal's spool stays; the next start removes it");
            }
        } else if let Some(alarm) = self.shared.status().alarm() {
            tracing::error!("{alarm}; the next start books what is in the spool");
        }
    }
}

/// After a failure, and twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

const BETWEEN_ALARMS: Duration = Duration::from_secs(60);

const BETWEEN_MENDINGS: Duration = Duration::from_secs(1);

const BETWEEN_RETENTIONS: Duration = Duration::from_secs(60);

const BETWEEN_STEPS: Duration = Duration::from_millis(200);
