//! Opens a journal for writing: locked, migrated, mended, what a killed process left booked, and the sums read back.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::params;

use crate::ledger::entry::Entry;
use crate::ledger::journal::lock::{Lock, Taken, Unlocked};
use crate::ledger::journal::replay::{Replayed, Whose, replay};
use crate::ledger::journal::schema::{Kind, kind_inside, kind_of};
use crate::ledger::journal::spool::Segment;
use crate::ledger::journal::store::{Store, is_damage};
use crate::ledger::journal::{cells, row, salvage, spool};
use crate::ledger::key::{Key, Registry};
use crate::ledger::totals::Totals;

/// A journal that is open for writing.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) store: Store,
    /// What was not as it should be, a sentence each.
    pub(super) notes: Vec<String>,
    /// How many records or entries could not be saved, as far as that can be counted.
    pub(super) lost: u64,
    /// What was in it, at the first time.
    pub(super) loaded: Option<Loaded>,
}

/// Why a journal is not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// SQLite says no.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    /// A newer program wrote it.
    #[error("its schema has version {0}, which a newer program made; it is left as it is")]
    Future(i32),
    /// The file or its folder.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it is the database of another program, which is left as it is")]
    Strange,
    /// Another gate has it.
    #[error(transparent)]
    Taken(#[from] Taken),
}

/// Takes the right to write, making the folder where there is none.
pub(super) fn lock(path: &Path) -> Result<Lock, Trouble> {
    // A folder that is made here is its owner's alone; one that is there keeps its mode.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(spool::folder(path))?;
    Lock::take(path).map_err(|error| match error {
        Unlocked::Impossible(error) => Trouble::Io(error),
        Unlocked::Taken(taken) => Trouble::Taken(taken),
    })
}

/// What is known of a file before it is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Finding {
    /// Nothing.
    AsItIs,
    /// It is damaged.
    Damaged,
}

/// Whether this process opened the file before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Time {
    /// It did: what is open in the file is its own.
    Again,
    /// It did not: what is open in the file was left by a process that ended. The sums are read back, and as many entries
    /// as this says.
    First(usize),
}

/// Opens the file, which must be locked, and books what earlier processes left in `segments`.
///
/// A damaged file is set aside with what is left of it copied into a new one.
pub(super) fn open(
    path: &Path,
    finding: Finding,
    segments: &[Segment],
    registry: &Registry,
    time: Time,
) -> Result<Opened, Trouble> {
    let damaged = match kind_of(path)? {
        Kind::Future(version) => return Err(Trouble::Future(version)),
        Kind::Strange => return Err(Trouble::Strange),
        Kind::Broken => true,
        Kind::Known(_) | Kind::New => finding == Finding::Damaged,
    };
    if !damaged {
        match attempt(path, segments, registry, time) {
            Err(Trouble::Database(error)) if is_damage(&error) => {}
            result => return result,
        }
    }
    let salvage = salvage::set_aside(path, registry)?;
    let mut opened = attempt(path, segments, registry, time)?;
    opened.store.note(Timestamp::now().as_millisecond(), &salvage.told)?;
    opened.notes.push(salvage.told);
    opened.lost += salvage.lost;
    Ok(opened)
}

fn attempt(path: &Path, segments: &[Segment], registry: &Registry, time: Time) -> Result<Opened, Trouble> {
    inspect(path)?;
    let mut store = Store::open(path)?;
    let whose = if time == Time::Again { Whose::Living } else { Whose::Dead };
    let Replayed { notes, lost } = replay(&mut store, segments, registry, whose)?;
    for note in &notes {
        store.note(Timestamp::now().as_millisecond(), note)?;
    }
    let loaded = match time {
        Time::Again => None,
        Time::First(listed) => Some(load(&store, listed, registry)?),
    };
    for segment in segments {
        fs::remove_file(segment.path())?;
    }
    Ok(Opened { store, notes, lost, loaded })
}

/// Looks into a file that is not empty without the right to change it: what is not ours stays as it is.
fn inspect(path: &Path) -> Result<(), Trouble> {
    if fs::metadata(path).map_or(0, |data| data.len()) == 0 {
        return Ok(());
    }
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    match kind_inside(&rusqlite::Connection::open_with_flags(path, flags)?)? {
        Kind::Future(version) => Err(Trouble::Future(version)),
        Kind::Strange => Err(Trouble::Strange),
        Kind::Broken | Kind::Known(_) | Kind::New => Ok(()),
    }
}

/// Reads the sums and the last entries back.
fn load(store: &Store, listed: usize, registry: &Registry) -> rusqlite::Result<Loaded> {
    let connection = &store.connection;
    let (mut cells, mut keys) = (Vec::new(), HashMap::new());
    cells::visit(connection, (i64::MIN, i64::MAX), |cell, key, totals| {
        let key = registry.known(&key);
        keys.insert(cell, key.clone());
        cells.push((key, totals));
    })?;
    let select = format!("{} FROM entries ORDER BY seq DESC LIMIT ?", row::selection());
    let mut statement = connection.prepare(&select)?;
    let mut rows = statement.query([row::whole(listed as u64)])?;
    let mut last = Vec::new();
    while let Some(found) = rows.next()? {
        let entry = row::read(found)?;
        let key = keys.get(&found.get(1)?).cloned().unwrap_or_else(|| registry.key(&entry));
        last.push((found.get(0)?, key, entry));
    }
    last.reverse();
    let newest: Option<u64> = connection.query_row("SELECT max(seq) FROM entries", [], |row| row.get(0))?;
    // Along the index by time, past those that are listed.
    let mut older = connection.prepare(
        "SELECT time_ms FROM entries INDEXED BY entries_by_time WHERE seq < ? ORDER BY time_ms DESC LIMIT 1",
    )?;
    let first = last.first().map_or(i64::MAX, |(seq, ..)| row::whole(*seq));
    let mut older = older.query(params![first])?;
    let unlisted = older.next()?.map(|row| row.get(0)).transpose()?;
    Ok(Loaded { cells, last, next: newest.map_or(1, |seq| seq + 1), unlisted: unlisted.and_then(instant) })
}

/// What was in a journal when it was opened.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The hourly sums.
    pub(crate) cells: Vec<(Key, Totals)>,
    /// The entries that were closed last, with their places, the newest at the end.
    pub(crate) last: Vec<(u64, Key, Entry)>,
    /// The next free place.
    pub(crate) next: u64,
    /// When the youngest of the others began.
    pub(crate) unlisted: Option<Timestamp>,
}

fn instant(time_ms: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(time_ms).ok()
}
