//! One gate to a journal: a lock that ends with the process, whatever ends it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::ledger::journal::spool::beside;

/// The right to write a journal.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Why it is not to be had.
#[derive(Debug)]
pub(super) enum Unlocked {
    /// Nobody can have it: the folder cannot be written.
    Impossible(io::Error),
    /// Another process has it.
    Taken(Taken),
}

/// Another gate writes the journal.
#[derive(Debug, thiserror::Error)]
#[error("another gate{} keeps its books in `{}`", .process.as_ref().map(|id| format!(" (process {id})")).unwrap_or_default(), path.display())]
pub struct Taken {
    path: PathBuf,
    process: Option<String>,
}

impl Lock {
    /// Takes it, in a file beside the journal that names the process.
    pub(super) fn take(journal: &Path) -> Result<Self, Unlocked> {
        let path = beside(journal, "-lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.map_err(Unlocked::Impossible)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(Unlocked::Impossible(error)),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let process = file.read_to_string(&mut text).is_ok().then(|| text.trim().to_owned());
                let process = process.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
                return Err(Unlocked::Taken(Taken { path: journal.to_owned(), process }));
            }
        }
        // The number is for people; the lock holds without it, and on a full disk too.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}
