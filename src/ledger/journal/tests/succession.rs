//! Two gates at one journal, one after the other: nothing is lost between them, and nothing is booked twice.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{State, number, numbered, requests, rows, until, until_written};
use crate::ledger::Ledger;
use crate::ledger::journal::spool;

fn open(path: &Path) -> Ledger {
    Ledger::open(100, path.to_owned(), None).unwrap()
}

/// What a kill of both processes at this moment would leave. The spool comes first: what leaves it while this copies is
/// in the file by then, as it would be.
fn image(folder: &TempDir) -> TempDir {
    let copy = TempDir::new().unwrap();
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort_by_key(|file| !file.to_string_lossy().contains("-spool-"));
    for file in files {
        match fs::copy(&file, copy.path().join(file.file_name().unwrap())) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            copied => drop(copied.unwrap()),
        }
    }
    copy
}

/// Lets go of the spool as the end of a process does, however it comes.
fn die(ledger: &Ledger) {
    let shared = &ledger.0.journal.as_ref().unwrap().shared;
    let mut inside = shared.lock();
    drop((inside.segment.take(), std::mem::take(&mut inside.retired)));
}

fn outcomes(path: &Path) -> Vec<String> {
    rows(path, "SELECT id || ' ' || outcome FROM entries ORDER BY id")
}

#[test]
fn what_the_first_still_books_reaches_the_second_once_the_first_has_closed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let first = open(&path);
    (0..5).for_each(|one| first.post(numbered(one)));
    first.begin(&numbered(5));
    first.begin(&numbered(6));
    until_written(&first);
    until("the open attempts are in the file", || number(&path, "SELECT count(*) FROM open") == 2);
    first.leave_journal().unwrap();
    let second = open(&path);
    assert_eq!((requests(&second), number(&path, "SELECT count(*) FROM open")), (5, 0));
    first.post(numbered(5));
    second.post(numbered(7));
    assert_eq!(first.journal().state, State::Ok);
    until_written(&second);
    assert_eq!(requests(&second), 6, "what the first books is its own while it lives");
    first.post(numbered(6));
    first.close();
    until("the second has all of them", || requests(&second) == 8);
    until_written(&second);
    until("all is written", || number(&path, "SELECT count(*) FROM entries") == 8);
    second.close();
    assert!(outcomes(&path).iter().all(|told| told.ends_with(" ok")), "{:?}", outcomes(&path));
    assert_eq!(number(&path, "SELECT sum(entries) FROM hours"), 8);
    assert_eq!(number(&path, "SELECT count(*) FROM open"), 0);
    assert_eq!(spool::found(&path).unwrap(), []);
}

#[test]
fn a_kill_of_the_first_leaves_the_second_its_entries_and_what_was_open_as_unknown() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let first = open(&path);
    first.begin(&numbered(1));
    first.begin(&numbered(2));
    first.leave_journal().unwrap();
    let second = open(&path);
    first.post(numbered(1));
    die(&first);
    until("the second has both", || requests(&second) == 2);
    second.close();
    let told = outcomes(&path);
    assert!(told[0].ends_with(" ok") && told[1].ends_with(" unknown"), "{told:?}");
}

#[test]
fn a_kill_of_both_at_any_step_leaves_every_entry_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let mut killed = vec![];
    let first = open(&path);
    first.post(numbered(1));
    first.begin(&numbered(2));
    killed.push((2, image(&folder)));
    first.leave_journal().unwrap();
    killed.push((2, image(&folder)));
    let second = open(&path);
    second.post(numbered(3));
    killed.push((3, image(&folder)));
    first.post(numbered(2));
    second.begin(&numbered(4));
    killed.push((4, image(&folder)));
    first.close();
    killed.push((4, image(&folder)));
    until("the second has it", || requests(&second) == 3);
    killed.push((4, image(&folder)));
    for (step, (entries, folder)) in killed.iter().enumerate() {
        let path = folder.path().join("j");
        for _ in 0..2 {
            let again = open(&path);
            assert_eq!(requests(&again), *entries, "step {step}");
            again.close();
            assert_eq!(number(&path, "SELECT count(*) FROM entries"), *entries as i64, "step {step}");
            assert_eq!(number(&path, "SELECT sum(entries) FROM hours"), *entries as i64, "step {step}");
        }
    }
}

#[test]
fn a_journal_that_is_taken_back_is_written_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let first = open(&path);
    first.begin(&numbered(1));
    first.leave_journal().unwrap();
    first.post(numbered(2));
    {
        // One that never served, and one whose end nobody saw.
        let second = open(&path);
        second.begin(&numbered(3));
        until("its attempt is in the file", || number(&path, "SELECT count(*) FROM open") == 1);
        die(&second);
        second.close();
    }
    first.take_journal_back();
    first.post(numbered(1));
    until("all is written", || number(&path, "SELECT count(*) FROM entries") == 3);
    until("all is summed", || requests(&first) == 3);
    first.close();
    let told = outcomes(&path);
    assert!(told[0].ends_with(" ok") && told[1].ends_with(" ok") && told[2].ends_with(" unknown"), "{told:?}");
    drop(first);
    let again = open(&path);
    assert_eq!(requests(&again), 3);
}

#[test]
fn a_third_does_not_take_what_the_first_two_still_write() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let first = open(&path);
    first.begin(&numbered(1));
    first.leave_journal().unwrap();
    let second = open(&path);
    second.begin(&numbered(2));
    second.leave_journal().unwrap();
    let third = open(&path);
    third.post(numbered(3));
    until_written(&third);
    second.post(numbered(2));
    second.close();
    first.post(numbered(1));
    first.close();
    until("the third has all of them", || requests(&third) == 3);
    third.close();
    assert!(outcomes(&path).iter().all(|told| told.ends_with(" ok")), "{:?}", outcomes(&path));
    assert_eq!(spool::found(&path).unwrap(), []);
}

#[test]
fn what_the_first_books_reaches_the_second_while_the_first_lives() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let first = open(&path);
    first.begin(&numbered(1));
    first.begin(&numbered(2));
    first.leave_journal().unwrap();
    let second = open(&path);
    first.settle_journal();
    first.post(numbered(1));
    until("the second has it", || requests(&second) == 1);
    first.post(numbered(2));
    until("the second has both", || requests(&second) == 2);
    first.begin(&numbered(3));
    die(&first);
    until("the second has what was open", || requests(&second) == 3);
    second.close();
    let told = outcomes(&path);
    assert!(told[0].ends_with(" ok") && told[1].ends_with(" ok") && told[2].ends_with(" unknown"), "{told:?}");
    assert_eq!(number(&path, "SELECT sum(entries) FROM hours"), 3);
}
