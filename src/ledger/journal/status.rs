//! How the journal is, for whoever asks the gate.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

/// How the journal is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalStatus {
    /// The file; `None` where the books are kept in memory only.
    pub path: Option<String>,
    /// Whether it is written.
    pub state: State,
    /// What went wrong last, also where it is mended.
    pub last_error: Option<String>,
    /// Entries that are not in the file yet.
    pub pending: u64,
    /// Entries that will never be in it, and records of earlier processes that could not be read.
    pub lost: u64,
    /// When entries were last written.
    pub last_commit: Option<Timestamp>,
}

/// Whether the journal is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It should be, and is not at the moment.
    Degraded,
    /// The books are kept in memory only.
    #[default]
    Off,
    /// It is.
    Ok,
}

impl JournalStatus {
    /// That of books in memory.
    pub(crate) fn off() -> Self {
        Self { path: None, state: State::Off, last_error: None, pending: 0, lost: 0, last_commit: None }
    }

    /// What is wrong, in a sentence; `None` while nothing is.
    pub fn alarm(&self) -> Option<String> {
        let path = self.path.as_deref().unwrap_or_default();
        match (self.state, self.lost) {
            (State::Degraded, lost) => Some(format!(
                "the journal `{path}` is not written: {}; {} entries wait in memory, {lost} are lost to it",
                self.last_error.as_deref().unwrap_or("nobody knows why"),
                self.pending
            )),
            (State::Ok, 1..) => {
                Some(format!("the journal `{path}` is written again; {} entries are lost to it", self.lost))
            }
            (State::Off | State::Ok, _) => None,
        }
    }
}

/// What the writer tells.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Told>);

/// What is told of the journal.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// The file is open and took the last group.
    pub(super) sound: bool,
    /// What the spool said last while it could not be written.
    pub(super) spool: Option<String>,
    pub(super) last_error: Option<String>,
    /// What of earlier processes could not be read.
    pub(super) unreadable: u64,
    pub(super) last_commit: Option<Timestamp>,
}

impl Board {
    /// What is told now.
    pub(super) fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
