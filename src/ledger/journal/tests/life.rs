//! The books outlive their process, however it ends.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{State, number, numbered, requests, rows, until, until_written};
use crate::dialect::endpoint::{Dialect, Endpoint};
use crate::ledger::Ledger;
use crate::ledger::claims::Claim;
use crate::ledger::entry::Outcome;
use crate::ledger::journal::spool;
use crate::ledger::key::By;
use crate::ledger::page::Query;
use crate::ledger::stats::StatsQuery;

fn open(path: &Path) -> Ledger {
    Ledger::open(100, path.to_owned(), None).unwrap()
}

/// What a kill at this moment would leave, in a folder of its own.
fn image(folder: &TempDir) -> TempDir {
    let copy = TempDir::new().unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

/// Keeps the writer from writing until it is dropped.
fn hold(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

#[test]
fn sums_and_lists_are_the_same_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("deep/er/ledger.sqlite");
    let shape = |ledger: &Ledger| {
        let stats = ledger.stats(&StatsQuery { by: By::ALL.to_vec(), ..StatsQuery::default() });
        let page = ledger.entries(&Query::default());
        let rows: Vec<_> =
            stats.by.iter().flat_map(|(_, rows)| rows).map(|row| (row.key.clone(), row.sums.totals.clone())).collect();
        (
            stats.totals.totals,
            rows,
            serde_json::to_string(&page.entries.iter().map(|kept| &kept.entry).collect::<Vec<_>>()),
        )
    };
    let before = {
        let ledger = open(&path);
        assert_eq!((ledger.journal().state, requests(&ledger)), (State::Ok, 0));
        for one in 0..250 {
            let mut entry = numbered(one);
            entry.client.label = (one % 2 == 0).then(|| "team".into());
            entry.status = if one % 5 == 0 { 500 } else { 200 };
            entry.cost = (one % 7 != 0).then_some(crate::units::Cost(i128::from(one)));
            ledger.post(entry);
        }
        ledger.close();
        shape(&ledger)
    };
    assert_eq!(spool::found(&path).unwrap(), [], "nothing is left to be replayed");
    let ledger = open(&path);
    let after = shape(&ledger);
    assert_eq!((&after.0, &after.1, after.2.unwrap()), (&before.0, &before.1, before.2.unwrap()));
    ledger.post(numbered(250));
    ledger.close();
    assert_eq!(number(&path, "SELECT max(seq) FROM entries"), number(&path, "SELECT count(*) FROM entries"));
}

#[test]
fn what_was_posted_is_there_after_a_kill_and_what_was_not_is_unknown() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let ledger = open(&path);
    ledger.post(numbered(1));
    until_written(&ledger);
    let held = hold(&path);
    for one in 2..6 {
        let mut begun = numbered(one);
        begun.usage = None;
        ledger.begin(&begun);
    }
    ledger.post(numbered(2));
    ledger.post(numbered(3));
    let killed = image(&folder);
    let path = killed.path().join("j");
    for _ in 0..2 {
        let again = open(&path);
        assert_eq!(requests(&again), 5);
        again.close();
        let told = rows(&path, "SELECT outcome || ' ' || metered FROM entries ORDER BY id");
        assert_eq!(told, ["ok 1", "ok 1", "ok 1", "unknown 0", "unknown 0"]);
        assert_eq!(number(&path, "SELECT sum(entries) FROM hours"), 5);
        assert_eq!(number(&path, "SELECT count(*) FROM open"), 0);
    }
    drop(held);
}

#[test]
fn a_spool_that_is_replayed_twice_books_nothing_twice() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let ledger = open(&path);
    let held = hold(&path);
    (0..20).for_each(|one| ledger.post(numbered(one)));
    let killed = image(&folder);
    drop(held);
    let path = killed.path().join("j");
    let segments = spool::found(&path).unwrap();
    let (_, segment) = &segments[0];
    let kept = fs::read(segment).unwrap();
    open(&path).close();
    assert!(!segment.exists());
    // A kill between the commit and the removal leaves both; and a segment may be there twice.
    fs::write(segment, &kept).unwrap();
    fs::write(segment.with_file_name("j-spool-7"), &kept).unwrap();
    let again = open(&path);
    assert_eq!(requests(&again), 20);
    assert_eq!(number(&path, "SELECT count(*) FROM entries"), 20);
    assert_eq!(number(&path, "SELECT sum(input) FROM hours"), 20 * 19);
}

#[test]
fn a_torn_spool_keeps_what_is_whole_and_says_what_was_lost() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let ledger = open(&path);
    let held = hold(&path);
    (0..5).for_each(|one| ledger.post(numbered(one)));
    let killed = image(&folder);
    drop(held);
    let path = killed.path().join("j");
    let (_, segment) = spool::found(&path).unwrap().remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    bytes.truncate(bytes.len() - 10);
    bytes[100] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let again = open(&path);
    let status = again.journal();
    assert_eq!((requests(&again), status.lost, status.state), (3, 2, State::Ok));
    assert!(status.last_error.unwrap().contains("the last record is torn"));
    let told = number(&path, "SELECT count(*) FROM events WHERE event LIKE 'bytes % of %were skipped%'");
    assert_eq!(told, 2);
}

#[test]
fn a_long_attempt_can_be_seen_in_the_file_and_a_short_one_never_was() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let ledger = open(&path);
    ledger.begin(&numbered(1));
    until("it is in the file", || number(&path, "SELECT count(*) FROM open") == 1);
    ledger.post(numbered(1));
    until_written(&ledger);
    assert_eq!(number(&path, "SELECT count(*) FROM open"), 0);
    assert_eq!(number(&path, "SELECT count(*) FROM entries"), 1);
}

#[test]
fn a_segment_makes_room_for_the_next_and_none_is_lost() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let ledger = open(&path);
    for one in 0..400 {
        ledger.begin(&numbered(one));
        if one % 4 != 0 {
            ledger.post(numbered(one));
        }
        if one % 40 == 0 {
            until_written(&ledger);
        }
    }
    until_written(&ledger);
    let spooled: u64 = spool::found(&path).unwrap().iter().map(|(_, path)| fs::metadata(path).unwrap().len()).sum();
    assert!(spooled < 100_000, "{spooled} bytes are kept though all is written");
    let killed = image(&folder);
    let again = open(&killed.path().join("j"));
    assert_eq!(requests(&again), 400);
    let unknown = number(&killed.path().join("j"), "SELECT count(*) FROM entries WHERE outcome = 'unknown'");
    assert_eq!(unknown, 100);
}

#[test]
fn the_usage_of_an_object_is_not_given_twice_across_a_restart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    {
        let ledger = open(&path);
        for (id, usage) in [("resp_known", true), ("resp_open", false)] {
            let mut entry = numbered(u64::from(usage));
            entry.endpoint = Endpoint::Call(Dialect::Responses);
            entry.upstream_id = Some(id.into());
            entry.usage = entry.usage.filter(|_| usage);
            ledger.post(entry);
        }
        (2..200).for_each(|one| ledger.post(numbered(one)));
        ledger.close();
    }
    // So few are listed that the answers are in the file alone.
    let ledger = Ledger::open(1, path, None).unwrap();
    let asked = ["resp_known", "resp_open", "resp_open", "resp_new", "resp_new"].map(|id| ledger.claim(id));
    assert_eq!(asked, [Claim::Booked, Claim::Open, Claim::Booked, Claim::Fresh, Claim::Booked]);
}

#[test]
fn what_is_too_old_goes_with_its_sums_and_the_rest_stays() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    {
        let ledger = open(&path);
        for one in 0..20_u64 {
            let mut entry = numbered(one);
            let days = if one < 10 { 30 } else { 0 };
            entry.time = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(days * 24);
            ledger.post(entry);
        }
        ledger.close();
    }
    let ledger = Ledger::open(100, path.clone(), Some(std::time::Duration::from_secs(86_400))).unwrap();
    until("the old ones are gone", || {
        number(&path, "SELECT count(*) FROM entries") == 10 && number(&path, "SELECT sum(entries) FROM hours") == 10
    });
    drop(ledger);
    assert_eq!(requests(&open(&path)), 10);
}

#[test]
fn a_clock_that_makes_everything_too_old_is_not_believed_at_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    {
        let ledger = open(&path);
        (0..5).for_each(|one| {
            let mut entry = numbered(one);
            entry.time = "2016-01-01T00:00:00Z".parse().unwrap();
            ledger.post(entry);
        });
        ledger.close();
    }
    let ledger = Ledger::open(100, path.clone(), Some(std::time::Duration::from_secs(86_400))).unwrap();
    ledger.begin(&numbered(9));
    until("the writer has run", || number(&path, "SELECT count(*) FROM open") == 1);
    assert_eq!(number(&path, "SELECT count(*) FROM entries"), 5);
}

#[test]
fn an_outcome_that_nobody_knows_costs_nothing_that_is_known() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let ledger = open(&path);
    let mut begun = numbered(1);
    (begun.usage, begun.cost, begun.outcome) = (None, None, Outcome::Unknown);
    ledger.begin(&begun);
    until("it is in the file", || number(&path, "SELECT count(*) FROM open") == 1);
    let killed = image(&folder);
    let again = open(&killed.path().join("j"));
    let totals = again.stats(&StatsQuery::default()).totals.totals;
    assert_eq!((totals.requests, totals.errors, totals.unpriced_requests, totals.by_basis.none), (1, 1, 1, 1));
    assert_eq!(totals.cost, crate::units::Cost(0));
}
