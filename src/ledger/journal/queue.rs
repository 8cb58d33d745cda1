//! Where the threads that book and the one that writes meet.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::ledger::journal::frame::payload;
use crate::ledger::journal::spool::Segment;
use crate::ledger::journal::status::{Board, JournalStatus, State};
use crate::ledger::ring::Kept;

/// What all threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) board: Board,
    inside: Mutex<Inside>,
    wake: Condvar,
}

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Inside {
    /// `None` while no record can be spooled.
    pub(super) segment: Option<Segment>,
    /// Segments that are done with once all that is in them is written.
    pub(super) retired: Vec<PathBuf>,
    pub(super) queue: VecDeque<Posted>,
    open: HashMap<Arc<str>, Begun, RandomState>,
    /// Attempts that the file does not know to be open yet, the oldest first.
    fresh: VecDeque<(Instant, Arc<str>)>,
    pub(super) closing: bool,
    /// Entries that are neither in the queue nor in the spool any more.
    pub(super) lost: u64,
    /// Entries that are in the spool alone.
    pub(super) spilled: u64,
    /// Entries that are being written at the moment.
    pub(super) writing: u64,
    /// The writer waits until it is woken.
    asleep: bool,
}

/// An attempt that ended.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) kept: Arc<Kept>,
    spooled: bool,
    /// The file may know it as open.
    pub(super) tabled: bool,
}

#[derive(Debug)]
struct Begun {
    frame: Vec<u8>,
    tabled: bool,
}

impl Shared {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, board: Board::default(), inside: Mutex::default(), wake: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spools that an attempt is about to be made.
    pub(super) fn begin(&self, id: &Arc<str>, frame: Vec<u8>) {
        let mut inside = self.lock();
        self.spool(&mut inside, &frame);
        inside.open.insert(Arc::clone(id), Begun { frame, tabled: false });
        inside.fresh.push_back((Instant::now(), Arc::clone(id)));
        self.rouse(inside, false);
    }

    /// Spools an entry and hands it to the writer.
    pub(super) fn post(&self, kept: Arc<Kept>, frame: &[u8]) {
        let mut inside = self.lock();
        let spooled = self.spool(&mut inside, frame);
        let begun = inside.open.remove(&*kept.entry.id);
        inside.queue.push_back(Posted { kept, spooled, tabled: begun.as_ref().is_some_and(|begun| begun.tabled) });
        let gone = inside.shorten();
        let full = inside.queue.len() == GROUP;
        self.rouse(inside, full);
        // Freed only now, so that nobody waits for it.
        drop((begun, gone));
    }

    /// Whether the record is in the spool.
    fn spool(&self, inside: &mut Inside, frame: &[u8]) -> bool {
        let Some(segment) = &mut inside.segment else { return false };
        if let Err(error) = segment.append(frame) {
            // The writer makes another one when there is room again.
            inside.retired.extend(inside.segment.take().and_then(Segment::given_up));
            self.unspooled(&error);
            return false;
        }
        true
    }

    /// Says why records are not in the spool, once.
    pub(super) fn unspooled(&self, error: &io::Error) {
        let why = Some(error.to_string());
        let mut told = self.board.lock();
        if told.spool != why {
            tracing::error!(path = %self.path.display(), %error, "the journal's spool cannot be written");
            told.spool = why;
        }
    }

    fn rouse(&self, mut inside: MutexGuard<'_, Inside>, full: bool) {
        let asleep = std::mem::take(&mut inside.asleep);
        drop(inside);
        if asleep || full {
            self.wake.notify_one();
        }
    }

    /// Ends the writer once all is written.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
    }

    /// Waits until there is something to write and a group of it has come together, or for `most`.
    pub(super) fn wait(&self, most: Duration) {
        let mut inside = self.lock();
        if inside.queue.is_empty() && inside.fresh.is_empty() && !inside.closing {
            inside.asleep = true;
            let waiting = self.wake.wait_timeout_while(inside, most, |inside| inside.asleep && !inside.closing);
            inside = waiting.unwrap_or_else(PoisonError::into_inner).0;
            inside.asleep = false;
        }
        let few = |inside: &mut Inside| inside.queue.len() < GROUP && !inside.closing;
        if !inside.queue.is_empty() || !inside.fresh.is_empty() {
            drop(self.wake.wait_timeout_while(inside, WINDOW, few));
        }
    }

    /// Waits for `time`, or for the end.
    pub(super) fn pause(&self, time: Duration) {
        drop(self.wake.wait_timeout_while(self.lock(), time, |inside| !inside.closing));
    }

    pub(super) fn status(&self) -> JournalStatus {
        let (pending, lost, spooling) = {
            let inside = self.lock();
            (
                inside.queue.len() as u64 + inside.spilled + inside.writing,
                inside.lost,
                inside.segment.is_some() || inside.closing,
            )
        };
        let told = self.board.lock().clone();
        let state = if told.sound && spooling { State::Ok } else { State::Degraded };
        let spool = told.spool.filter(|_| !spooling).map(|error| format!("the spool: {error}"));
        JournalStatus {
            path: Some(self.path.display().to_string()),
            state,
            last_error: spool.filter(|_| told.sound).or(told.last_error),
            pending,
            lost: lost + told.unreadable,
            last_commit: told.last_commit,
        }
    }
}

impl Inside {
    /// Drops the oldest entry where there are too many; what is in the spool is found there later.
    fn shorten(&mut self) -> Option<Posted> {
        let gone = if self.queue.len() > MOST { self.queue.pop_front() } else { None };
        if let Some(gone) = &gone {
            if gone.spooled {
                self.spilled += 1;
            } else {
                self.lost += 1;
            }
        }
        gone
    }

    /// Attempts that the file should know to be open: those that began a while ago, or all of them.
    pub(super) fn tabling(&mut self, all: bool) -> Vec<(Arc<str>, String)> {
        let mut begun = Vec::new();
        while self.fresh.front().is_some_and(|(time, _)| all || time.elapsed() >= WINDOW) {
            let Some((_, id)) = self.fresh.pop_front() else { break };
            let Some(open) = self.open.get_mut(&id) else { continue };
            open.tabled = true;
            begun.push((id, String::from_utf8_lossy(payload(&open.frame)).into_owned()));
        }
        begun
    }

    /// The file may not know any more which attempts are open.
    pub(super) fn table_again(&mut self) {
        let now = Instant::now();
        self.fresh = self.open.keys().map(|id| (now, Arc::clone(id))).collect();
    }

    /// Takes back what could not be written.
    pub(super) fn put_back(&mut self, posted: Vec<Posted>, begun: Vec<(Arc<str>, String)>) {
        for (id, _) in begun.into_iter().rev() {
            if self.open.contains_key(&id) {
                self.fresh.push_front((Instant::now(), id));
            }
        }
        for one in posted.into_iter().rev() {
            self.queue.push_front(one);
        }
        while self.shorten().is_some() {}
    }
}

/// Entries that are worth a commit of their own.
const GROUP: usize = 256;

/// How long a group may take to come together.
pub(super) const WINDOW: Duration = Duration::from_millis(50);

/// Entries that wait in memory at most; about 20 MB.
const MOST: usize = if cfg!(test) { 100 } else { 16_384 };
