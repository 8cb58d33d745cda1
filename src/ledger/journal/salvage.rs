//! Sets a damaged journal aside and copies what can be read of it into a new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::ledger::entry::Entry;
use crate::ledger::journal::spool::beside;
use crate::ledger::journal::start::Trouble;
use crate::ledger::journal::store::{Group, Store};
use crate::ledger::journal::{cells, row};
use crate::ledger::key::{Key, Registry};
use crate::ledger::totals::Totals;

/// What became of a damaged journal.
#[derive(Debug)]
pub(super) struct Salvage {
    /// In a sentence.
    pub(super) told: String,
    /// Entries that were there and cannot be read, as far as that is known.
    pub(super) lost: u64,
}

/// Renames the file and what belongs to it to `NAME.corrupt-TIME`, and makes a new one of what can be read.
pub(super) fn set_aside(path: &Path, registry: &Registry) -> Result<Salvage, Trouble> {
    let damaged = renamed(path)?;
    let store = Store::open(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let old = Connection::open_with_flags(&damaged, flags);
    let sums = old.as_ref().ok().and_then(|old| sums_of(old, registry));
    let mut copy = Copy { store, registry, batch: Vec::new(), saved: 0, past: None, lost: 0 };
    if let Ok(old) = &old {
        copy.climb(old)?;
        copy.take_open(old)?;
    }
    copy.flush()?;
    // The old sums, where they can be read, also count what was not saved.
    if let Some(sums) = &sums {
        let transaction = copy.store.connection.transaction()?;
        for (key, totals) in sums {
            let cell = cells::cell_of(&transaction, key)?;
            cells::set(&transaction, cell, totals)?;
        }
        transaction.commit()?;
    }
    let (saved, mut lost) = (copy.saved, copy.lost);
    let summed = sums.as_ref().map(|sums| sums.iter().map(|(_, totals)| totals.requests).sum::<u64>());
    if let Some(summed) = summed {
        lost = lost.max(summed.saturating_sub(saved));
    }
    let sums = if summed.is_some() { "its hourly sums are kept" } else { "its hourly sums were made anew from them" };
    let told = format!(
        "the journal was damaged and is now `{}`; {saved} entries were saved from it, at least {lost} are lost; {sums}",
        damaged.display()
    );
    Ok(Salvage { told, lost })
}

/// The hourly sums, where all of them can be read; their names are known from now on.
fn sums_of(old: &Connection, registry: &Registry) -> Option<Vec<(Key, Totals)>> {
    let mut sums = Vec::new();
    cells::visit(old, (i64::MIN, i64::MAX), |_, key, totals| sums.push((registry.known(&key), totals))).ok()?;
    Some(sums)
}

fn renamed(path: &Path) -> io::Result<PathBuf> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S").to_string();
    let free = |number: u32| {
        let again = if number == 0 { String::new() } else { format!("-{number}") };
        let name = beside(path, &format!(".corrupt-{stamp}{again}"));
        (!name.exists()).then_some(name)
    };
    let name = (0..1000).find_map(free).ok_or_else(|| io::Error::other("too many damaged files lie there already"))?;
    // The log first: without it the file is older but whole, while the log alone is nothing.
    for suffix in ["-wal", "-shm"] {
        match fs::rename(beside(path, suffix), beside(&name, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, &name)?;
    Ok(name)
}

/// Copies entries from a damaged file into a new one.
struct Copy<'a> {
    store: Store,
    registry: &'a Registry,
    batch: Vec<(u64, Entry)>,
    saved: u64,
    /// The place after the last entry that was read.
    past: Option<u64>,
    /// Places between those of entries that were read.
    lost: u64,
}

impl Copy<'_> {
    /// Reads upwards; where a page cannot be read, tries again further on, in ever longer strides.
    fn climb(&mut self, old: &Connection) -> rusqlite::Result<()> {
        let last = old.query_row("SELECT max(seq) FROM entries", [], |row| row.get::<_, Option<u64>>(0));
        let last = last.ok().flatten().unwrap_or(u64::MAX >> 1);
        let (mut from, mut stride) = (0_u64, 1_u64);
        while from <= last {
            let before = self.past;
            if self.read_from(old, from)? {
                return Ok(());
            }
            if self.past != before {
                stride = 1;
                from = self.past.unwrap_or(from);
            }
            from = from.saturating_add(stride);
            stride = stride.saturating_mul(2);
        }
        Ok(())
    }

    /// Whether it came to the end of the table; errors are those of the new file.
    fn read_from(&mut self, old: &Connection, from: u64) -> rusqlite::Result<bool> {
        let select = format!("{} FROM entries NOT INDEXED WHERE seq >= ? ORDER BY seq", row::selection());
        let Ok(mut statement) = old.prepare_cached(&select) else { return Ok(true) };
        let Ok(mut rows) = statement.query([row::whole(from)]) else { return Ok(false) };
        loop {
            match rows.next() {
                Ok(None) => return Ok(true),
                Err(_) => return Ok(false),
                Ok(Some(found)) => {
                    if let (Ok(seq), Ok(entry)) = (found.get(0), row::read(found)) {
                        self.take(seq, entry)?;
                    }
                }
            }
        }
    }

    fn take(&mut self, seq: u64, entry: Entry) -> rusqlite::Result<()> {
        self.lost += self.past.map_or(0, |past| seq.saturating_sub(past));
        self.past = Some(seq + 1);
        self.batch.push((seq, entry));
        if self.batch.len() < BATCH { Ok(()) } else { self.flush() }
    }

    /// What was under way, as far as it can be read.
    fn take_open(&mut self, old: &Connection) -> rusqlite::Result<()> {
        let Ok(mut statement) = old.prepare("SELECT id, entry FROM open") else { return Ok(()) };
        let Ok(rows) = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))) else { return Ok(()) };
        let begun: Vec<(Arc<str>, String)> = rows.map_while(Result::ok).collect();
        self.store.write(&Group { begun: &begun, ..Group::default() }).map(|_| ())
    }

    fn flush(&mut self) -> rusqlite::Result<()> {
        let keys: Vec<Key> = self.batch.iter().map(|(_, entry)| self.registry.key(entry)).collect();
        let entries = self.batch.iter().zip(&keys).map(|((seq, entry), key)| (entry, key, Some(*seq))).collect();
        self.saved += self.store.write(&Group { entries, ..Group::default() })?;
        self.batch.clear();
        Ok(())
    }
}

const BATCH: usize = 1000;
