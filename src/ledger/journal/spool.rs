//! The spool: files beside the journal that take every record at once, and live until it is in the journal.
//!
//! A record is in the page cache when its call returns: no end of the process can lose it. Nothing waits for the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
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
        let number = found(journal)?.last().map_or(0, |(number, _)| number + 1);
        let path = beside(journal, &format!("{INFIX}{number}"));
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path, length: 0 })
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

    /// Where it is, if there is anything in it; an empty one is removed.
    pub(super) fn given_up(self) -> Option<PathBuf> {
        if self.length == 0 && fs::remove_file(&self.path).is_ok() { None } else { Some(self.path) }
    }

    /// Where it is.
    pub(super) fn into_path(self) -> PathBuf {
        self.path
    }
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
