//! What the books ask of their journal, from any thread that may wait.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Row, ToSql, params_from_iter};

use crate::dialect::endpoint::Endpoint;
use crate::ledger::entry::{Entry, Outcome};
use crate::ledger::journal::cells;
use crate::ledger::journal::question::{Conditions, condition, ends};
use crate::ledger::journal::read::{ReadError, Reader};
use crate::ledger::journal::row::Pico;
use crate::ledger::journal::words::Word;
use crate::ledger::key::{Key, Registry};
use crate::ledger::page::Query;
use crate::ledger::period::Period;
use crate::ledger::totals::{Line, Totals};
use crate::units::Usage;

/// A journal that is asked, by several at a time; it is opened when it is asked first.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    /// Readers at rest, each with the file that it has open: a damaged one is replaced by what could be saved of it.
    idle: Mutex<Vec<(u64, Reader)>>,
}

impl Archive {
    /// The journal in this file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), idle: Mutex::default() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first `most` of the entries that are asked for, newest first; those after a mark are those of a higher `seq`.
    ///
    /// # Errors
    /// The file cannot be read, or holds what no entry can be.
    pub(crate) fn find(&self, query: &Query, most: usize) -> Result<Vec<Entry>, ArchiveError> {
        let mut wanted = ends(Period { since: query.since, until: query.until });
        if let Some(mark) = &query.after {
            wanted.add(("seq > ?".into(), vec![i64::try_from(mark.posted).unwrap_or(i64::MAX).into()]));
        }
        if let Some(place) = &query.cursor {
            let values = vec![Value::from(place.time.as_millisecond()), Value::from(place.id.to_string())];
            wanted.add(("(time_ms, id) < (?, ?)".into(), values));
        }
        query.wants.iter().for_each(|want| wanted.add(condition(want)));
        let Conditions { text, values } = wanted;
        let rest = format!("WHERE {text} ORDER BY time_ms DESC, id DESC LIMIT {most}");
        let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
        let found = self.with(|reader| reader.entries(&rest, &values))?;
        Ok(found.into_iter().map(|(_, entry)| entry).collect())
    }

    /// When the oldest entry began.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn oldest(&self) -> Result<Option<Timestamp>, ArchiveError> {
        let first = "SELECT min(time_ms) FROM entries";
        let oldest =
            self.with(|reader| reader.connection().query_row(first, [], |row| row.get::<_, Option<i64>>(0)))?;
        Ok(oldest.and_then(|time| Timestamp::from_millisecond(time).ok()))
    }

    /// The number of the entry that was written last; 0 before the first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn newest(&self) -> Result<u64, ArchiveError> {
        let last = "SELECT max(seq) FROM entries";
        let newest = self.with(|reader| reader.connection().query_row(last, [], |row| row.get::<_, Option<u64>>(0)))?;
        Ok(newest.unwrap_or(0))
    }

    /// Calls `take` with every cell of the hours `first..past`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn visit_hours(
        &self,
        first: i64,
        past: i64,
        registry: &Registry,
        mut take: impl FnMut(&Key, &Totals),
    ) -> Result<(), ArchiveError> {
        self.with(|reader| reader.cells(first, past, |key, totals| take(&registry.known(&key), &totals)))
    }

    /// Calls `take` with the key and the sums of every single entry of a period, those of `known` ids left out.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn visit_entries(
        &self,
        period: Period,
        registry: &Registry,
        known: &HashSet<&str>,
        mut take: impl FnMut(&Key, &Totals),
    ) -> Result<(), ArchiveError> {
        let Conditions { text, values } = ends(period);
        self.with(|reader| {
            let connection = reader.connection();
            let mut statement = connection.prepare_cached(&format!("SELECT {LINE} FROM entries WHERE {text}"))?;
            let mut keys: HashMap<i64, Key> = HashMap::new();
            let mut rows = statement.query(params_from_iter(&values))?;
            while let Some(row) = rows.next()? {
                if !known.is_empty() && known.contains(row.get_ref(0)?.as_str()?) {
                    continue;
                }
                let key = match keys.entry(row.get(1)?) {
                    Slot::Occupied(known) => known.into_mut(),
                    Slot::Vacant(slot) => {
                        let key = cells::key_of(connection, *slot.key())?;
                        slot.insert(registry.known(&key))
                    }
                };
                take(key, &sums(row)?);
            }
            Ok(())
        })
    }

    /// Lends a reader to `ask`; one that failed is not used again.
    fn with<T>(&self, ask: impl FnOnce(&Reader) -> rusqlite::Result<T>) -> Result<T, ArchiveError> {
        let file = std::fs::metadata(&self.path).map_or(0, |file| file.ino());
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(opened, _)| *opened == file);
        let rested = idle.pop();
        drop(idle);
        let reader = match rested {
            Some((_, reader)) => reader,
            None => Reader::open(&self.path)?,
        };
        let answer = ask(&reader).map_err(|source| ArchiveError::Broken { path: self.path.clone(), source })?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push((file, reader));
        }
        Ok(answer)
    }
}

/// Why a journal does not answer.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It was opened, and then could not be read.
    #[error("the journal `{}` cannot be read: {source}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// It cannot be opened.
    #[error(transparent)]
    Closed(#[from] ReadError),
}

/// The sums of the one entry of a row of [`LINE`].
fn sums(row: &Row<'_>) -> rusqlite::Result<Totals> {
    let word = |at| row.get_ref(at).and_then(|value| Ok(value.as_str()?));
    let usage = Usage {
        input: row.get(6)?,
        cached_input: row.get(7)?,
        cache_write: row.get(8)?,
        output: row.get(9)?,
        reasoning: row.get(10)?,
        ..Usage::default()
    };
    let endpoint = Endpoint::named(word(2)?).unwrap_or(Endpoint::Other);
    Ok(Totals::of(&Line {
        endpoint: &endpoint,
        outcome: Outcome::read(word(3)?).unwrap_or(Outcome::Unknown),
        usage: row.get::<_, bool>(4)?.then_some(usage),
        basis: Word::read(word(5)?).unwrap_or_default(),
        cost: row.get::<_, Option<Pico>>(11)?.map(|pico| pico.0),
        deferred: row.get(12)?,
        is_turn: row.get(13)?,
    }))
}

/// What of an entry is summed, with its id and its cell.
const LINE: &str = "id, cell, endpoint, outcome, metered, basis, input, cached_input, cache_write, output, reasoning, \
                    cost_pico, deferred, session IS NOT NULL";

const MOST_IDLE: usize = 4;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ledger::journal::row;
    use crate::ledger::journal::schema::migrate;

    /// A journal of these entries in this file, under the names of a registry.
    pub(crate) fn filled(path: &Path, entries: &[Entry], registry: &Registry) -> Archive {
        let mut connection = rusqlite::Connection::open(path).unwrap();
        migrate(&mut connection).unwrap();
        let booking = connection.transaction().unwrap();
        for entry in entries {
            let cell = cells::cell_of(&booking, &registry.key(entry)).unwrap();
            let mut sums = Totals::default();
            sums.add(entry);
            cells::add(&booking, cell, &sums).unwrap();
            let mut insert = booking.prepare(row::insertion()).unwrap();
            row::bind(&mut insert, entry, None, cell).unwrap();
            insert.raw_execute().unwrap();
        }
        booking.commit().unwrap();
        Archive::at(path)
    }
}
