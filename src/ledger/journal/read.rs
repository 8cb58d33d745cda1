//! Reads a journal, also one that a running gate writes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, ToSql};

use crate::ledger::entry::Entry;
use crate::ledger::journal::schema::{Kind, kind_inside, kind_of};
use crate::ledger::journal::{cells, row};
use crate::ledger::key::Key;
use crate::ledger::totals::Totals;

/// A journal that is only read; nothing that is done with it changes the file.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens the file.
    ///
    /// # Errors
    /// There is none, or it is no journal that this program reads.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let error = |trouble| ReadError { path: path.to_owned(), trouble };
        match std::fs::metadata(path).map(|_| kind_of(path)) {
            Ok(Ok(Kind::Broken)) => return Err(error(Trouble::Broken)),
            Ok(Ok(Kind::Future(version))) => return Err(error(Trouble::Future(version))),
            Ok(Ok(Kind::Strange)) => return Err(error(Trouble::Strange)),
            Ok(Ok(Kind::Known(_) | Kind::New)) => {}
            Ok(Err(source)) | Err(source) => return Err(error(Trouble::Unreadable(source))),
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.busy_timeout(PATIENCE)?;
            let kind = kind_inside(&connection)?;
            Ok((connection, kind))
        });
        match opened.map_err(|source| error(Trouble::Database(source)))? {
            (connection, Kind::Known(1)) => Ok(Self { connection }),
            (_, Kind::Known(_) | Kind::New) => Err(error(Trouble::Empty)),
            (_, Kind::Future(version)) => Err(error(Trouble::Future(version))),
            (_, Kind::Broken | Kind::Strange) => Err(error(Trouble::Strange)),
        }
    }

    /// The entries of the rows that `rest` chooses, with their `seq`: what follows `FROM entries`, such as
    /// `WHERE time_ms >= ? ORDER BY time_ms DESC, id DESC LIMIT 100`, its values in `parameters`.
    ///
    /// # Errors
    /// The file cannot be read, or holds what no entry can be.
    pub(crate) fn entries(&self, rest: &str, parameters: &[&dyn ToSql]) -> rusqlite::Result<Vec<(u64, Entry)>> {
        let mut statement = self.connection.prepare_cached(&format!("{} FROM entries {rest}", row::selection()))?;
        let read = |row: &Row<'_>| Ok((row.get(0)?, row::read(row)?));
        statement.query_map(parameters, read)?.collect()
    }

    /// Calls `take` with every cell of the hourly totals whose hour lies in `first..past`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn cells(&self, first: i64, past: i64, mut take: impl FnMut(Key, Totals)) -> rusqlite::Result<()> {
        cells::visit(&self.connection, (first, past), |_, key, totals| take(key, totals))
    }

    /// Whether an entry tells of this object of an upstream, and if so whether its usage is booked.
    ///
    /// Chat completions and completions are not looked for: nothing is told of them again.
    pub(crate) fn is_booked(&self, upstream_id: &str) -> rusqlite::Result<Option<bool>> {
        // The condition is that of the index.
        let mut statement = self.connection.prepare_cached(
            "SELECT max(metered) FROM entries WHERE upstream_id = ? \
             AND endpoint NOT IN ('/v1/chat/completions', '/v1/completions')",
        )?;
        Ok(statement.query_row([upstream_id], |row| row.get::<_, Option<bool>>(0)).optional()?.flatten())
    }

    /// The connection itself, for questions of other kinds.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the journal `{}` cannot be read", path.display())]
pub struct ReadError {
    path: PathBuf,
    #[source]
    trouble: Trouble,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the file is damaged: it is no SQLite database")]
    Broken,
    #[error("{0}")]
    Database(rusqlite::Error),
    #[error("nothing was ever booked there")]
    Empty,
    #[error("its schema has version {0}, which a newer program made")]
    Future(i32),
    #[error("it is the database of another program")]
    Strange,
    #[error("{0}")]
    Unreadable(std::io::Error),
}

/// How long a reader waits for a writer that changes more than rows.
const PATIENCE: Duration = Duration::from_secs(5);
