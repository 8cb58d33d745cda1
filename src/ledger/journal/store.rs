//! The file itself: opened for writing, and written in groups.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};

use crate::ledger::entry::Entry;
use crate::ledger::journal::{cells, row, schema};
use crate::ledger::key::Key;
use crate::ledger::totals::Totals;

/// An open journal; there is one in a process.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) connection: Connection,
    /// Rows of `hours` that were used lately.
    cells: HashMap<Key, i64>,
}

/// What is written in one transaction.
#[derive(Debug, Default)]
pub(super) struct Group<'a> {
    /// Entries with their cells, and their places where they have one.
    pub(super) entries: Vec<(&'a Entry, &'a Key, Option<u64>)>,
    /// Attempts that began and have not ended: id, and the entry as JSON.
    pub(super) begun: &'a [(Arc<str>, String)],
    /// Ids of attempts that ended after they were written as begun.
    pub(super) ended: Vec<&'a str>,
}

impl Store {
    /// Opens the file, makes it where there is none, and brings it to the newest schema.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        // Made here, because SQLite lets everybody read what it makes; what is there already keeps its mode.
        let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(PATIENCE)?;
        // Has an effect on an empty file only: room that old entries leave can be given back later.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        // Each commit reaches the disk: a power cut takes what was posted since the last group, and no more.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "journal_size_limit", LOG)?;
        schema::migrate(&mut connection)?;
        // What an earlier process was told is on the disk may not be there; what is copied now is.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(Self { connection, cells: HashMap::new() })
    }

    /// Writes a group, all of it or nothing; entries that are there already are left as they are. Says how many were new.
    pub(super) fn write(&mut self, group: &Group<'_>) -> rusqlite::Result<u64> {
        let Self { connection, cells } = self;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut sums: HashMap<i64, Totals> = HashMap::new();
        let mut written = 0;
        for (entry, key, seq) in &group.entries {
            let cell = match cells.get(*key) {
                Some(cell) => *cell,
                None => {
                    let cell = cells::cell_of(&transaction, key)?;
                    if cells.len() >= MOST_CELLS {
                        cells.clear();
                    }
                    cells.insert((*key).clone(), cell);
                    cell
                }
            };
            if insert(&transaction, entry, *seq, cell)? {
                sums.entry(cell).or_default().add(entry);
                written += 1;
            }
        }
        for (cell, more) in &sums {
            cells::add(&transaction, *cell, more)?;
        }
        for (id, entry) in group.begun {
            transaction.prepare_cached("INSERT OR REPLACE INTO open VALUES (?, ?)")?.execute(params![id, entry])?;
        }
        for id in &group.ended {
            transaction.prepare_cached("DELETE FROM open WHERE id = ?")?.execute([id])?;
        }
        transaction.commit()?;
        Ok(written)
    }

    /// Forgets which rows of `hours` there are.
    pub(super) fn forget_cells(&mut self) {
        self.cells.clear();
    }

    /// Notes in the file what happened to it.
    pub(super) fn note(&self, time_ms: i64, event: &str) -> rusqlite::Result<()> {
        self.connection.execute("INSERT INTO events VALUES (?, ?)", params![time_ms, event]).map(|_| ())
    }
}

/// Whether a row was written; one whose place is taken gets the next free one.
fn insert(connection: &Connection, entry: &Entry, seq: Option<u64>, cell: i64) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(row::insertion())?;
    row::bind(&mut statement, entry, seq, cell)?;
    match statement.raw_execute() {
        Err(error) if seq.is_some() && error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            row::bind(&mut statement, entry, None, cell)?;
            Ok(statement.raw_execute()? > 0)
        }
        result => Ok(result? > 0),
    }
}

/// Whether the file itself is damaged, so that opening it again would not help.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// How long the writer waits for another writer, such as a person with a tool.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(1) };

/// Bytes that the log may keep.
const LOG: i64 = 16 << 20;

const MOST_CELLS: usize = 4096;
