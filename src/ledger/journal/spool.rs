//! The spool: files beside the journal that take every record at once, and live until it is in the journal.
//!
//! A record is in the page cache when its call returns: no end of the process can lose it. Nothing waits for the disk.
//! A file is locked for as long as the process that writes it lives, so that nobody else takes it for left behind.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// One file of the spool.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Segment {
    /// Makes the next one beside `journal`.
    pub(super) fn make(journal: &Path) -> io::Result<Self> {
        let mut number = found(journal)?.last().map_or(0, |(number, _)| number + 1);
        loop {
            let path = beside(journal, &format!("{INFIX}{number}"));
            match OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    if is_ours(&file)? {
                        return Ok(Self { file, path, length: 0 });
                    }
                }
                // Another process spools beside the same journal.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            number += 1;
        }
    }

    /// Takes one over that was found; `None` while the process that writes it lives, and where it is gone meanwhile.
    fn inherit(path: PathBuf) -> io::Result<Option<Self>> {
        let file = match OpenOptions::new().append(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if !is_ours(&file)? {
            return Ok(None);
        }
        let length = file.metadata()?.len();
        Ok(Some(Self { file, path, length }))
    }

    /// Appends a record whole, or not at all.
    pub(super) fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        if self.length + frame.len() as u64 > MOST {
            return Err(io::Error::other("the spool is full, as nothing was taken from it for long"));
        }
        if let Err(error) = self.file.write_all(frame) {
            // What was written of it would only be in the way; if it stays, the reader passes over it.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += frame.len() as u64;
        Ok(())
    }

    /// Whether it is time for another one.
    pub(super) fn is_long(&self) -> bool {
        self.length >= LONG
    }

    /// Itself, if there is anything in it; an empty one is removed.
    pub(super) fn given_up(self) -> Option<Self> {
        if self.length == 0 && fs::remove_file(&self.path).is_ok() { None } else { Some(self) }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Brings what is in it to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Removes it from the disk.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Locks a file for this process; not if another has it, or has removed it.
fn is_ours(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(file.metadata()?.nlink() > 0),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What lies beside a journal.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Segments of processes that have ended, in their order; they are ours now.
    pub(super) ended: Vec<Segment>,
    /// Whether there are segments of processes that live.
    pub(super) living: bool,
}

/// Takes over the segments that nobody writes any more.
pub(super) fn left(journal: &Path) -> io::Result<Left> {
    let mut left = Left::default();
    for (_, path) in found(journal)? {
        match Segment::inherit(path)? {
            Some(segment) => left.ended.push(segment),
            None => left.living = true,
        }
    }
    Ok(left)
}

/// The segments beside a journal, in their order.
pub(super) fn found(journal: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let Some(name) = journal.file_name() else { return Ok(Vec::new()) };
    let prefix = format!("{}{INFIX}", name.to_string_lossy());
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder(journal))? {
        let entry = entry?;
        let number = entry.file_name().to_string_lossy().strip_prefix(&prefix).and_then(|text| text.parse().ok());
        segments.extend(number.map(|number: u64| (number, entry.path())));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// The folder that a journal lies in.
pub(super) fn folder(journal: &Path) -> &Path {
    match journal.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file beside the journal, named after it.
pub(super) fn beside(journal: &Path, suffix: &str) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

const INFIX: &str = "-spool-";

/// A segment is given up for the next when it has grown so far: a few thousand calls.
const LONG: u64 = if cfg!(test) { 20_000 } else { 4 << 20 };

/// A segment takes no more when nothing was taken from it for long: some 40,000 calls.
const MOST: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };
