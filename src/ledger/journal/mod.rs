//! The books on disk: a SQLite file that outlives the process, and a spool beside it that outlives its kill.
//!
//! A record goes into the spool on the thread that has it, and from there to one writer, which commits groups of them.
//! What was committed is safe from a cut of the power; what is in the spool is safe from any end of the process.

pub mod alone;
pub mod archive;
mod cells;
mod frame;
pub mod lock;
mod question;
mod queue;
pub mod read;
mod replay;
pub mod reprice;
mod retain;
mod row;
mod salvage;
mod schema;
mod spool;
pub(crate) mod start;
pub mod status;
mod store;
mod succession;
#[cfg(test)]
mod tests;
mod words;
pub(crate) mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use self::frame::{Mark, framed};
use self::lock::Taken;
use self::queue::Shared;
use self::read::Reader;
use self::start::Loaded;
use self::status::JournalStatus;
use self::writer::{Books, Writer};
use crate::ledger::entry::Entry;
use crate::ledger::ring::Kept;

/// A journal that is written.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    /// For the rare question that memory cannot answer; opened when it is first needed.
    reader: Mutex<Option<Reader>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the file and gives back what was in it. Where it cannot be opened, the journal begins degraded, and is
    /// opened as soon as that can be.
    ///
    /// # Errors
    /// Another gate writes it.
    pub(crate) fn open(
        path: PathBuf,
        keep: Option<Duration>,
        books: Books,
        listed: usize,
    ) -> Result<(Self, Option<Loaded>), Taken> {
        let shared = Arc::new(Shared::new(path));
        let (writer, loaded) = Writer::start(Arc::clone(&shared), keep, books, listed)?;
        let thread = writer.spawn();
        Ok((Self { shared, reader: Mutex::default(), thread: Mutex::new(thread) }, loaded))
    }

    /// Takes down that an attempt is about to be made.
    pub(crate) fn begin(&self, entry: &Entry) {
        self.shared.begin(&entry.id, framed(Mark::Open, 0, entry));
    }

    /// Takes down that an attempt ended.
    pub(crate) fn post(&self, kept: Arc<Kept>) {
        let frame = framed(Mark::Closed, kept.number, &kept.entry);
        self.shared.post(kept, &frame);
    }

    /// Whether an entry tells of this object of an upstream, and if so whether its usage is booked; asks the disk.
    pub(crate) fn is_booked(&self, upstream_id: &str) -> Option<bool> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if reader.is_none() {
            *reader = Reader::open(&self.shared.path).ok();
        }
        let answer = reader.as_ref()?.is_booked(upstream_id);
        if answer.is_err() {
            // The file may have been replaced; the next question opens it anew.
            *reader = None;
        }
        answer.ok().flatten()
    }

    /// How it is.
    pub(crate) fn status(&self) -> JournalStatus {
        self.shared.status()
    }

    /// Leaves the file to another process, with all that was posted so far; what comes later reaches it by the spool.
    ///
    /// # Errors
    /// Why the file is still this process's.
    pub(crate) fn leave(&self) -> Result<(), String> {
        self.shared.leave()
    }

    /// Says that the file stays with the other process.
    pub(crate) fn settle(&self) {
        self.shared.settle();
    }

    /// Keeps the file again, as soon as no other process does.
    pub(crate) fn take_back(&self) {
        self.shared.take_back();
    }

    /// Writes what is still to be written, and ends the writer.
    pub(crate) fn close(&self) {
        self.shared.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}
