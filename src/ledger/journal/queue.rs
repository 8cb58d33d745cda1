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
    /// Woken when the writer has left the file, or has not been able to.
    turned: Condvar,
}

/// Whose the file is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Tenure {
    /// Ours to write.
    #[default]
    Ours,
    /// Ours until the writer has left it.
    Leaving,
    /// It could not be left; the file is ours still.
    Kept(String),
    /// Another process's. What comes stays in the spool, where that process finds it when this one has ended.
    Left,
}

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Inside {
    /// `None` while no record can be spooled.
    pub(super) segment: Option<Segment>,
    /// Segments that are done with once all that is in them is written.
    pub(super) retired: Vec<Segment>,
    pub(super) queue: VecDeque<Posted>,
    pub(super) open: HashMap<Arc<str>, Begun, RandomState>,
    /// Attempts that the file does not know to be open yet, the oldest first.
    fresh: VecDeque<(Instant, Arc<str>)>,
    pub(super) closing: bool,
    /// Entries that are neither in the queue nor in the spool any more.
    pub(super) lost: u64,
    /// Entries that are in the spool alone.
    pub(super) spilled: u64,
    /// Entries that are being written at the moment.
    pub(super) writing: u64,
    pub(super) tenure: Tenure,
    /// The process that has the file serves, so that it stays there.
    pub(super) settled: bool,
    /// The writer waits until it is woken.
    asleep: bool,
}

/// An attempt that ended.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) kept: Arc<Kept>,
    pub(super) spooled: bool,
    /// The file may know it as open.
    pub(super) tabled: bool,
}

/// An attempt that has not ended.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) frame: Vec<u8>,
    pub(super) tabled: bool,
}

impl Shared {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, board: Board::default(), inside: Mutex::default(), wake: Condvar::new(), turned: Condvar::new() }
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

    /// Lets the writer leave the file with all that was posted in it, and waits until it has.
    pub(super) fn leave(&self) -> Result<(), String> {
        let mut inside = self.lock();
        inside.tenure = Tenure::Leaving;
        self.wake.notify_one();
        let waited = self.turned.wait_timeout_while(inside, LEAVING, |inside| inside.tenure == Tenure::Leaving);
        let mut inside = waited.unwrap_or_else(PoisonError::into_inner).0;
        match std::mem::take(&mut inside.tenure) {
            Tenure::Left => {
                inside.tenure = Tenure::Left;
                Ok(())
            }
            Tenure::Kept(why) => Err(why),
            Tenure::Ours | Tenure::Leaving => Err("the journal's writer is busy for too long".into()),
        }
    }

    /// Says how leaving went; nobody waits for it any more where it took too long, and then the file is taken back.
    pub(super) fn turn(&self, tenure: Tenure) {
        let mut inside = self.lock();
        if inside.tenure == Tenure::Leaving {
            inside.tenure = tenure;
        }
        drop(inside);
        self.turned.notify_all();
    }

    /// Lets the writer have the file again, as soon as nobody else does.
    pub(super) fn take_back(&self) {
        self.lock().tenure = Tenure::Ours;
        self.wake.notify_one();
    }

    /// Says that the file stays with the other process, which may know now what is booked here.
    pub(super) fn settle(&self) {
        self.lock().settled = true;
    }

    /// Waits until the file is ours again, or the end has come.
    pub(super) fn rest(&self) {
        let waits = |inside: &mut Inside| inside.tenure == Tenure::Left && !inside.closing;
        drop(self.wake.wait_timeout_while(self.lock(), REST, waits));
    }

    /// Ends the writer once all is written.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
    }

    /// Waits until there is something to write and a group of it has come together, or for `most`.
    pub(super) fn wait(&self, most: Duration) {
        let mut inside = self.lock();
        if inside.tenure == Tenure::Leaving {
            return;
        }
        if inside.queue.is_empty() && inside.fresh.is_empty() && !inside.closing {
            inside.asleep = true;
            let waiting = self.wake.wait_timeout_while(inside, most, Inside::sleeps);
            inside = waiting.unwrap_or_else(PoisonError::into_inner).0;
            inside.asleep = false;
        }
        let few =
            |inside: &mut Inside| inside.queue.len() < GROUP && !inside.closing && inside.tenure != Tenure::Leaving;
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
    fn sleeps(&mut self) -> bool {
        self.asleep && !self.closing && self.tenure != Tenure::Leaving
    }

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

/// How long the writer may take to leave the file: a group and a sync of the disk.
const LEAVING: Duration = Duration::from_secs(5);

/// How often a writer that has left makes sure of its spool.
const REST: Duration = Duration::from_secs(1);

/// Entries that wait in memory at most; about 20 MB.
const MOST: usize = if cfg!(test) { 100 } else { 16_384 };
