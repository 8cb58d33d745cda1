//! Whose file it is, what version its schema has, and how an older one becomes the newest.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

/// What a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// No database at all: what it begins with is damaged.
    Broken,
    /// A journal of a newer program, of this version.
    Future(i32),
    /// A journal that this program reads, or nothing yet, of this version.
    Known(i32),
    /// Nothing, or a database without anything in it.
    New,
    /// The database of another program.
    Strange,
}

/// Looks at the first bytes of a file, and at nothing else; no file is a new one.
pub(super) fn kind_of(path: &Path) -> io::Result<Kind> {
    let mut head = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(HEAD as u64).read_to_end(&mut head)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kind::New),
        Err(error) => return Err(error),
    };
    if head.is_empty() {
        return Ok(Kind::New);
    }
    if head.len() < HEAD || !head.starts_with(b"SQLite format 3\0") {
        return Ok(Kind::Broken);
    }
    // Both are big-endian, by SQLite's file format.
    let number = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Ok(told(number(68), number(60)))
}

/// What a database says that it is; the head of a file can be older than what a log beside it says.
pub(super) fn kind_inside(connection: &Connection) -> rusqlite::Result<Kind> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let kind = told(pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match kind {
        Kind::Known(0) if tables == 0 => Kind::New,
        // A journal says so from its first version on.
        Kind::Known(0) => Kind::Strange,
        kind => kind,
    })
}

fn told(application: i32, version: i32) -> Kind {
    match (application, version) {
        (APPLICATION, version) if version > newest(&STEPS) => Kind::Future(version),
        // Whether a file without a mark is empty is told by its tables.
        (APPLICATION, version) => Kind::Known(version.max(0)),
        (0, 0) => Kind::Known(0),
        _ => Kind::Strange,
    }
}

/// Brings a file to the newest version, in one transaction; a new file too.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    climb(connection, &STEPS)
}

/// Takes the steps that a file has not taken yet; `steps[n]` leads from version `n` to the next.
fn climb(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let taken = usize::try_from(version).unwrap_or(0);
    for step in steps.iter().skip(taken) {
        transaction.execute_batch(step)?;
    }
    if taken < steps.len() {
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", newest(steps))?;
    }
    transaction.commit()
}

fn newest(steps: &[&str]) -> i32 {
    i32::try_from(steps.len()).unwrap_or(i32::MAX)
}

/// One for each version; what was published is never changed.
const STEPS: [&str; 1] = [include_str!("schema.sql")];

/// `TlGt`: tells a journal from any other database.
const APPLICATION: i32 = 0x546c_4774;

/// Bytes of a database's own head.
const HEAD: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_schema_is_brought_up_step_by_step_and_keeps_its_rows() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = [
            "CREATE TABLE t (a)",
            "ALTER TABLE t ADD COLUMN b DEFAULT 'new'",
            "CREATE TABLE u (c); INSERT INTO u SELECT b FROM t",
        ];
        climb(&mut connection, &steps[..1]).unwrap();
        connection.execute("INSERT INTO t VALUES (1)", []).unwrap();
        climb(&mut connection, &steps).unwrap();
        climb(&mut connection, &steps).unwrap();
        let copied: String = connection.query_row("SELECT c FROM u JOIN t ON a = 1", [], |row| row.get(0)).unwrap();
        assert_eq!(copied, "new");
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 3);
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        climb(&mut connection, &["CREATE TABLE t (a)"]).unwrap();
        climb(&mut connection, &["", "CREATE TABLE u (c)", "CREATE TABLE t (a)"]).unwrap_err();
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!((tables, version), (1, 1));
    }

    #[test]
    fn a_file_is_known_by_its_head() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("j");
        assert_eq!(kind_of(&path).unwrap(), Kind::New);
        for (bytes, kind) in [(&b""[..], Kind::New), (b"x", Kind::Broken), (&[0; 4096], Kind::Broken)] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(kind_of(&path).unwrap(), kind);
        }
        std::fs::remove_file(&path).unwrap();
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!((kind_of(&path).unwrap(), kind_inside(&connection).unwrap()), (Kind::Known(1), Kind::Known(1)));
        connection.pragma_update(None, "user_version", 2).unwrap();
        assert_eq!((kind_of(&path).unwrap(), kind_inside(&connection).unwrap()), (Kind::Future(2), Kind::Future(2)));
        connection.pragma_update(None, "application_id", 7).unwrap();
        assert_eq!(kind_of(&path).unwrap(), Kind::Strange);
    }

    #[test]
    fn a_database_without_a_mark_is_ours_only_while_it_is_empty() {
        let connection = Connection::open_in_memory().unwrap();
        assert_eq!(kind_inside(&connection).unwrap(), Kind::New);
        connection.execute("CREATE TABLE photos (a)", []).unwrap();
        assert_eq!(kind_inside(&connection).unwrap(), Kind::Strange);
    }
}
