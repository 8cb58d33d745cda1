//! A journal of what was changed on this machine: what was there is on disk before anything is changed, so that it can
//! be put back after every end of a gate.
//!
//! A record is data, never a command: whoever could write the folder could write a record, so what undoes it must check
//! what it reads, above all where it has more rights than the folder's owner.

pub mod gates;
pub mod undo;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::system::changes::gates::Gate;

/// The journal of one configuration.
#[derive(Clone, Debug)]
pub struct Changes {
    state: PathBuf,
}

/// One change and how it is undone.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its name; later ones sort behind earlier ones.
    pub id: String,
    /// Who knows how to undo it, such as `desktop`.
    pub kind: String,
    /// What was changed, for people: `the proxy of GNOME`.
    pub what: String,
    /// When.
    pub at: Timestamp,
    /// The gate that it was made for, with which it ends; without one it lasts until somebody asks.
    pub gate: Option<Gate>,
    /// What was there, and what was put in its place.
    pub data: Value,
}

/// A change before it is recorded.
#[derive(Clone, Debug)]
pub struct Change {
    /// See [`Record::kind`].
    pub kind: &'static str,
    /// See [`Record::what`].
    pub what: String,
    /// See [`Record::gate`].
    pub gate: Option<Gate>,
    /// See [`Record::data`].
    pub data: Value,
}

/// What the journal holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Earliest first.
    pub records: Vec<Record>,
    /// Files that are no records, and why.
    pub damaged: Vec<(PathBuf, String)>,
}

/// The right to change the machine and the journal, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

impl Changes {
    /// The journal in a state folder, which need not exist.
    pub fn at(state: &Path) -> Self {
        Self { state: state.into() }
    }

    /// Waits until no other process changes the machine by this journal. Makes the folder if need be.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn claim(&self) -> io::Result<Claim> {
        make_private(&self.state)?;
        let lock = open_owned(&self.state, LOCK, OpenOptions::new().create(true).append(true))?;
        // Some network file systems have no locks; there, two commands at once are up to the user.
        match lock.lock() {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
            _ => Ok(Claim { _lock: lock }),
        }
    }

    /// Records a change that is about to be made; returns when it is on disk.
    ///
    /// # Errors
    /// A folder that cannot be written: then nothing may be changed.
    pub fn note(&self, change: Change) -> io::Result<Record> {
        let Change { kind, what, gate, data } = change;
        let at = Timestamp::now();
        let mut chance = [0; 4];
        rand::fill(&mut chance).map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let id = format!("{:016}-{:08x}", at.as_microsecond().max(0), u32::from_ne_bytes(chance));
        let record = Record { id, kind: kind.into(), what, at, gate, data };
        self.write(&record)?;
        Ok(record)
    }

    /// Puts a record in the place of the one with its id.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(record)?;
        write_whole(&self.folder(), &format!("{}{SUFFIX}", record.id), &text)
    }

    /// Everything that is recorded. A journal that nobody has written yet is empty.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn found(&self) -> io::Result<Found> {
        let mut found = Found::default();
        for path in files(&self.folder())? {
            match read::<Record>(&path) {
                Ok(record) if path.file_stem().is_some_and(|stem| stem == record.id.as_str()) => {
                    found.records.push(record);
                }
                Ok(_) => found.damaged.push((path, "is named like another record".into())),
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => found.damaged.push((path, error.to_string())),
            }
        }
        found.records.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    /// Forgets a change that was undone. Forgetting it twice is no mistake.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn forget(&self, record: &Record) -> io::Result<()> {
        match fs::remove_file(self.folder().join(format!("{}{SUFFIX}", record.id))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => File::open(self.folder()).and_then(|folder| folder.sync_all()),
        }
    }

    /// The folder of state that it lies in.
    pub fn state(&self) -> &Path {
        &self.state
    }

    fn folder(&self) -> PathBuf {
        self.state.join("changes")
    }
}

/// The files of a folder that are whole; none where there is no folder.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(SUFFIX) && !name.starts_with('.') {
            files.push(path);
        }
    }
    Ok(files)
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Writes a file for its owner alone, whole or not at all, so that it outlives a crash of the machine.
fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    make_private(folder)?;
    let draft_name = format!(".{}-{name}", std::process::id());
    let draft = folder.join(&draft_name);
    let _ = fs::remove_file(&draft);
    let written = open_owned(folder, &draft_name, OpenOptions::new().create_new(true).write(true))
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, folder.join(name)))
        .and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Opens a file that belongs to whom the folder belongs to: what root records by `sudo` must be read by its user's gate.
fn open_owned(folder: &Path, name: &str, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.mode(0o600).open(folder.join(name))?;
    give(&file, &fs::metadata(folder)?);
    Ok(file)
}

fn give(file: &File, owner: &fs::Metadata) {
    let differs = file.metadata().is_ok_and(|now| now.uid() != owner.uid());
    if differs {
        // Only root can, and to others it does not matter.
        let _ = fchown(file, Some(owner.uid()), Some(owner.gid()));
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(folder);
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    give(&File::open(folder)?, &fs::metadata(parent)?);
    Ok(())
}

const SUFFIX: &str = ".json";
const LOCK: &str = ".changes-lock";

#[cfg(test)]
mod tests;
