//! Whatever happens to the file or its disk: the books go on, and say what the file lacks.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{State, number, numbered, requests, until, until_written};
use crate::ledger::Ledger;
use crate::ledger::page::Query;

fn open(path: &Path) -> Ledger {
    Ledger::open(100, path.to_owned(), None).unwrap()
}

/// A closed journal of `count` entries.
fn filled(path: &Path, count: u64) {
    let ledger = open(path);
    (0..count).for_each(|one| ledger.post(numbered(one)));
    ledger.close();
}

fn set_aside(folder: &TempDir) -> Vec<String> {
    let names =
        fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(".corrupt-")).collect()
}

#[test]
fn a_second_gate_is_told_which_process_has_the_books_and_a_reader_is_not_hindered() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let first = open(&path);
    first.post(numbered(1));
    until_written(&first);
    let refused = Ledger::open(10, path.clone(), None).unwrap_err().to_string();
    let expected = format!("another gate (process {}) keeps its books in `{}`", std::process::id(), path.display());
    assert_eq!(refused, expected);
    assert_eq!(number(&path, "SELECT count(*) FROM calls"), 1);
    first.close();
    drop(first);
    assert_eq!(requests(&open(&path)), 1);
}

#[test]
fn a_file_from_the_future_and_one_of_another_program_are_left_as_they_are() {
    for (pragma, word) in
        [("PRAGMA user_version = 99", "newer program"), ("PRAGMA application_id = 7", "another program")]
    {
        for log in [false, true] {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("j");
            filled(&path, 3);
            let changed = Connection::open(&path).unwrap();
            changed.execute_batch(pragma).unwrap();
            // What was changed may be in the log alone.
            let held = if log { Some(changed) } else { None };
            let before = fs::read(&path).unwrap();
            let ledger = open(&path);
            ledger.post(numbered(7));
            let status = ledger.journal();
            assert_eq!((status.state, status.pending, requests(&ledger)), (State::Degraded, 1, 1));
            assert!(status.last_error.as_ref().unwrap().contains(word), "{status:?}");
            ledger.close();
            drop(ledger);
            assert_eq!(fs::read(&path).unwrap(), before, "{pragma}, in the log: {log}");
            assert!(!folder.path().join("j-spool-0").exists(), "and nothing is put beside it");
            drop(held);
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_waited_for() {
    let folder = TempDir::new().unwrap();
    let blocker = folder.path().join("data");
    fs::write(&blocker, "not a folder").unwrap();
    let path = blocker.join("j");
    let ledger = open(&path);
    (0..20).for_each(|one| ledger.post(numbered(one)));
    let status = ledger.journal();
    assert_eq!((status.state, status.pending, status.lost), (State::Degraded, 20, 0));
    assert!(status.alarm().unwrap().contains("20 entries wait in memory"), "{status:?}");
    assert_eq!(ledger.entries(&Query::default()).entries.len(), 20);
    fs::remove_file(&blocker).unwrap();
    until_written(&ledger);
    assert_eq!(number(&path, "SELECT count(*) FROM entries"), 20);
    ledger.post(numbered(20));
    ledger.close();
    drop(ledger);
    assert_eq!(requests(&open(&path)), 21);
}

#[test]
fn a_folder_that_can_be_written_again_is_found_also_while_nothing_comes() {
    let folder = TempDir::new().unwrap();
    let blocker = folder.path().join("data");
    fs::write(&blocker, "not a folder").unwrap();
    let ledger = open(&blocker.join("j"));
    // It tries once more at once, and then waits.
    std::thread::sleep(std::time::Duration::from_millis(300));
    fs::remove_file(&blocker).unwrap();
    until_written(&ledger);
}

#[test]
fn an_attempt_that_ends_while_the_file_is_held_is_not_open_in_it_afterwards() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let ledger = open(&path);
    ledger.begin(&numbered(1));
    until("it is in the file", || number(&path, "SELECT count(*) FROM open") == 1);
    let held = Connection::open(&path).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    ledger.post(numbered(2));
    until("it says so", || ledger.journal().state == State::Degraded);
    held.execute_batch("ROLLBACK").unwrap();
    // Just after it is opened again, before its attempts are told to it.
    until("it is open", || ledger.journal().state == State::Ok);
    ledger.post(numbered(1));
    until_written(&ledger);
    assert_eq!(number(&path, "SELECT count(*) FROM open"), 0);
}

#[test]
fn a_spool_that_was_given_up_is_made_again_also_while_nothing_comes() {
    let folder = TempDir::new().unwrap();
    let ledger = open(&folder.path().join("j"));
    // As where a record could not be appended; it is too early yet to make another one.
    let given_up = ledger.0.journal.as_ref().unwrap().shared.lock().segment.take();
    assert!(given_up.is_some());
    ledger.post(numbered(1));
    until_written(&ledger);
    assert_eq!(ledger.journal().lost, 0);
}

#[test]
fn what_comes_while_the_file_cannot_be_opened_survives_a_kill() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    fs::create_dir(&path).unwrap();
    let ledger = open(&path);
    (0..20).for_each(|one| ledger.post(numbered(one)));
    assert_eq!(ledger.journal().state, State::Degraded);
    // What a kill would leave; the place is free by then.
    let killed = TempDir::new().unwrap();
    fs::copy(folder.path().join("j-spool-0"), killed.path().join("j-spool-0")).unwrap();
    assert_eq!(requests(&open(&killed.path().join("j"))), 20);
}

#[test]
fn books_that_are_opened_late_have_the_old_sums_too() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    filled(&path, 10);
    let away = folder.path().join("away");
    fs::rename(&path, &away).unwrap();
    fs::create_dir(&path).unwrap();
    let ledger = open(&path);
    ledger.post(numbered(77));
    assert_eq!((ledger.journal().state, requests(&ledger)), (State::Degraded, 1));
    fs::remove_dir(&path).unwrap();
    fs::rename(&away, &path).unwrap();
    until_written(&ledger);
    assert_eq!(requests(&ledger), 11);
    ledger.close();
    drop(ledger);
    assert_eq!(requests(&open(&path)), 11);
    assert_eq!(number(&path, "SELECT sum(entries) FROM hours"), 11);
}

#[test]
fn a_writer_that_is_held_up_loses_nothing_however_much_comes() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let ledger = open(&path);
    let long = numbered(1000);
    ledger.begin(&long);
    until("it is in the file", || number(&path, "SELECT count(*) FROM open") == 1);
    let held = Connection::open(&path).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Three times as many as memory holds.
    (0..300).for_each(|one| {
        ledger.begin(&numbered(one));
        ledger.post(numbered(one));
    });
    until("it says so", || ledger.journal().state == State::Degraded);
    let told = ledger.journal().last_error.unwrap();
    assert!(told.contains("locked"), "{told}");
    held.execute_batch("ROLLBACK").unwrap();
    until_written(&ledger);
    assert_eq!((ledger.journal().lost, requests(&ledger)), (0, 300));
    // What is under way was not taken for what a dead process left.
    until("it is open in the file", || number(&path, "SELECT count(*) FROM open") == 1);
    ledger.post(long);
    until_written(&ledger);
    assert_eq!(number(&path, "SELECT count(*) FROM entries WHERE outcome = 'ok'"), 301);
    assert_eq!(number(&path, "SELECT sum(entries) FROM hours"), 301);
    assert_eq!(number(&path, "SELECT count(*) FROM open"), 0);
    ledger.close();
    drop(ledger);
    assert_eq!(requests(&open(&path)), 301);
}

#[test]
fn what_is_no_database_is_set_aside() {
    for bytes in [&b"x"[..], &[0; 8192], b"SQLite format 3"] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("j");
        fs::write(&path, bytes).unwrap();
        let ledger = open(&path);
        ledger.post(numbered(1));
        until_written(&ledger);
        assert_eq!(set_aside(&folder).len(), 1);
        assert_eq!(fs::read(folder.path().join(&set_aside(&folder)[0])).unwrap(), bytes);
        assert!(ledger.journal().last_error.unwrap().contains("the journal was damaged"));
        assert_eq!(number(&path, "SELECT count(*) FROM entries"), 1);
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    fs::write(&path, "").unwrap();
    let ledger = open(&path);
    assert_eq!((ledger.journal().state, ledger.journal().last_error), (State::Ok, None), "an empty file is a new one");
}

#[test]
fn whatever_page_is_damaged_the_books_open_and_what_is_lost_is_said() {
    let folder = TempDir::new().unwrap();
    let whole = folder.path().join("whole");
    filled(&whole, 150);
    let bytes = fs::read(&whole).unwrap();
    for page in 0..bytes.len() / 4096 {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("j");
        fs::write(&path, &bytes).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        // The head of a page says what is in it.
        let at = if page == 0 { 100 } else { page * 4096 };
        file.write_all_at(&[0xff; 64], at as u64).unwrap();
        let ledger = open(&path);
        (150..160).for_each(|one| ledger.post(numbered(one)));
        until_written(&ledger);
        let status = ledger.journal();
        ledger.close();
        drop(ledger);
        let there = number(&path, "SELECT count(*) FROM entries");
        let damaged = !set_aside(&folder).is_empty();
        let missing = 160 - u64::try_from(there).unwrap();
        // A page that nobody read is found by whoever reads it; then nothing of it was told to be there.
        assert!(damaged || missing == 0, "page {page}: {missing} are missing, and nobody says so");
        assert!(status.lost <= missing, "page {page}: {missing} are missing, {} are said to be", status.lost);
        let later = number(&path, "SELECT count(*) FROM entries WHERE id >= '00000000000000000000000150'");
        assert_eq!(later, 10, "page {page}: what was posted later is there");
    }
}
