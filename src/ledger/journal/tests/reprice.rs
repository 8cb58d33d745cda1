//! Costs that were reckoned anew: all of them or none, with the first ones kept and the sums in step.

use jiff::Timestamp;
use tempfile::TempDir;

use super::{number, numbered, until_written};
use crate::ledger::Ledger;
use crate::ledger::entry::Entry;
use crate::ledger::journal::reprice::{Change, look, reprice};
use crate::ledger::key::By;
use crate::ledger::page::Query;
use crate::ledger::stats::StatsQuery;
use crate::policy::pricing::sale::Priced;
use crate::units::Cost;

/// Books of seven entries, of which three cost something, three are unpriced, and one is of another model.
fn books(folder: &TempDir) -> std::path::PathBuf {
    let path = folder.path().join("ledger.sqlite");
    let ledger = Ledger::open(100, path.clone(), None).unwrap();
    for one in 0..7 {
        ledger.post(Entry { cost: cost(one), price_source: cost(one).map(|_| "old:m".into()), ..named(one) });
    }
    ledger.close();
    path
}

fn named(one: u64) -> Entry {
    let mut entry = numbered(one);
    entry.model.asked = Some(if one == 6 { "other".into() } else { "m".into() });
    // An hour each, so that there are several sums to keep in step.
    entry.time = Timestamp::from_second(1_700_000_000 + i64::try_from(one).unwrap() * 3600).unwrap();
    entry
}

fn cost(one: u64) -> Option<Cost> {
    (one % 2 == 0).then_some(Cost(100 + i128::from(one)))
}

/// Everything costs this much, but for the other model.
fn at(pico: i128) -> impl Fn(&Entry) -> Option<Priced> {
    move |entry| {
        let priced = Priced { cost: Cost(pico), source: "new:m".into(), rates: None };
        (entry.model.asked.as_deref() == Some("m")).then_some(priced)
    }
}

fn list(path: &std::path::Path) -> Vec<Entry> {
    let ledger = Ledger::open(100, path.to_owned(), None).unwrap();
    let stats = ledger.stats(&StatsQuery { by: vec![By::Hour], ..StatsQuery::default() });
    let entries: Vec<Entry> = ledger.entries(&Query::default()).entries.iter().map(|kept| kept.entry.clone()).collect();
    let sum = entries.iter().fold(Cost(0), |sum, entry| sum.plus(entry.cost.unwrap_or_default()));
    assert_eq!(stats.totals.totals.cost, sum, "the sums are those of the entries");
    let unpriced = entries.iter().filter(|entry| entry.cost.is_none()).count() as u64;
    assert_eq!(stats.totals.totals.unpriced_requests, unpriced);
    entries
}

fn since(one: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + one * 3600).unwrap()
}

#[test]
fn the_first_cost_is_kept_and_the_sums_follow_however_often_it_happens() {
    let folder = TempDir::new().unwrap();
    let path = books(&folder);
    let (first, second) = (since(1000), since(2000));
    let told = reprice(&path, (since(2), first), &at(7)).unwrap();
    let expected = Change { entries: 4, unpriced: 2, before: Cost(102 + 104), after: Cost(28) };
    assert_eq!(told.models.into_iter().collect::<Vec<_>>(), [("m".to_owned(), expected)]);
    assert_eq!((told.same, told.kept), (0, 1), "the other model has no price and keeps what it cost");
    let told = reprice(&path, (since(0), second), &at(8)).unwrap();
    assert_eq!((told.models["m"].entries, told.kept), (6, 1));
    for entry in list(&path) {
        let one = (entry.time.as_second() - 1_700_000_000) / 3600;
        let Some(before) = &entry.repriced else {
            assert_eq!((one, entry.cost, entry.price_source.as_deref()), (6, Some(Cost(106)), Some("old:m")));
            continue;
        };
        assert_eq!((entry.cost, entry.price_source.as_deref()), (Some(Cost(8)), Some("new:m")));
        assert_eq!(before.time, if one < 2 { second } else { first });
        assert_eq!(before.cost, cost(one.unsigned_abs()), "what it cost at first");
        assert_eq!(before.price_source.as_deref(), before.cost.map(|_| "old:m"));
    }
    assert_eq!(reprice(&path, (since(0), second), &at(8)).unwrap().same, 6);
    assert_eq!(number(&path, "SELECT count(*) FROM events"), 2, "what changed nothing is no event");
}

#[test]
fn looking_changes_nothing_even_while_a_gate_writes() {
    let folder = TempDir::new().unwrap();
    let path = books(&folder);
    let before = format!("{:?}", list(&path));
    let ledger = Ledger::open(100, path.clone(), None).unwrap();
    let told = look(&path, since(0), &at(7)).unwrap();
    assert_eq!((told.models["m"].entries, told.kept), (6, 1));
    let error = reprice(&path, (since(0), since(9)), &at(7)).unwrap_err();
    assert!(error.is_in_use(), "{error:?}");
    ledger.close();
    drop(ledger);
    assert_eq!(format!("{:?}", list(&path)), before);
}

#[test]
fn what_a_killed_gate_left_is_booked_before() {
    let folder = TempDir::new().unwrap();
    let path = books(&folder);
    let ledger = Ledger::open(100, path.clone(), None).unwrap();
    until_written(&ledger);
    let held = super::life::hold(&path);
    ledger.post(named(1007));
    let left = super::life::image(&folder);
    drop(held);
    let path = left.path().join("ledger.sqlite");
    let told = reprice(&path, (since(1000), since(2000)), &at(7)).unwrap();
    assert_eq!(told.models["m"].entries, 1);
    assert_eq!(list(&path).len(), 8);
}

#[test]
fn a_file_that_is_not_there_is_not_made() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("none.sqlite");
    assert!(reprice(&path, (since(0), since(1)), &at(7)).is_err() && look(&path, since(0), &at(7)).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
