//! Memory and journal together answer as a memory does that has lost nothing.

use jiff::SignedDuration;
use proptest::prelude::*;
use tempfile::TempDir;

use super::entry::{Entry, Outcome};
use super::filter::Want;
use super::journal::archive::Archive;
use super::journal::archive::tests::filled;
use super::key::By;
use super::page::Page;
use super::place::Place;
use super::tests::entry;
use super::*;
use crate::dialect::endpoint::{Dialect, Job};
use crate::policy::target::{Route, RouteKind};
use crate::units::{Basis, Cost, Usage};

/// An entry of the first ten hours of a day, with few different names, so that many share theirs.
fn posted() -> BoxedStrategy<Entry> {
    let name = || proptest::option::of(proptest::sample::select(vec!["a", "b", "none", "unknown", "other"]));
    let route = proptest::option::of((
        proptest::sample::select(vec![RouteKind::Custom, RouteKind::Duplicate, RouteKind::Origin]),
        proptest::sample::select(vec!["x", "y", "a/b"]),
    ));
    let endpoints = [
        Endpoint::Call(Dialect::Chat),
        Endpoint::Call(Dialect::Embeddings),
        Endpoint::Job(Job::Batch),
        Endpoint::Other,
    ];
    let counts = proptest::option::of((proptest::option::of(0u64..1000), proptest::option::of(0u64..1000)));
    let bases = vec![Basis::Reported, Basis::Counted, Basis::Estimated, Basis::None];
    (
        // Whole hours and their edges are as likely as anything between.
        prop_oneof![0i64..36_000_000, (0i64..10, -1i64..2).prop_map(|(hour, off)| (hour * 3_600_000 + off).max(0))],
        (name(), name(), name(), name(), name(), name()),
        (route, proptest::sample::select(endpoints.to_vec()), proptest::sample::select(vec![200u16, 429, 503, 0])),
        (proptest::sample::select(Outcome::ALL.to_vec()), counts, proptest::sample::select(bases)),
        (proptest::option::of(-5i64..i64::MAX), any::<bool>(), 0u64..50),
    )
        .prop_map(
            |(
                at,
                (asked, served, agent, process, label, key),
                (route, endpoint, status),
                used,
                (cost, deferred, took),
            )| {
                let mut one = entry("m", "2026-11-22T00:00:00Z");
                one.time += SignedDuration::from_millis(at);
                one.model.asked = asked.map(Into::into);
                one.model.served = served.map(Into::into);
                one.client.agent = agent.map(Into::into);
                one.client.process = process.map(Into::into);
                one.client.label = label.map(Into::into);
                one.client.key = key.map(Into::into);
                one.route = route.map(|(kind, name)| Route { kind, name: name.into() });
                (one.endpoint, one.status, one.outcome) = (endpoint, status, used.0);
                one.usage =
                    used.1.map(|(input, output)| Usage { input, output, cached_input: input, ..Usage::default() });
                one.basis = used.2;
                // Sums of these do not fit into 64 bits.
                one.cost = cost.map(|pico| Cost(i128::from(pico)));
                (one.deferred, one.duration_ms, one.session) = (deferred, took, key.map(Into::into));
                one
            },
        )
        .boxed()
}

fn instant() -> BoxedStrategy<Option<Timestamp>> {
    let start: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
    let nanoseconds = prop_oneof![
        (-1i64..11).prop_map(|hour| hour * 3_600_000_000_000),
        (-1i64..37_000_000).prop_map(|ms| ms * 1_000_000),
        0i64..37_000_000_000_000,
        // Within the milliseconds in which many entries are.
        (0i64..10, -1i64..2, proptest::sample::select(vec![0, 1, 999_999]))
            .prop_map(|(hour, millisecond, part)| hour * 3_600_000_000_000 + millisecond * 1_000_000 + part),
    ];
    proptest::option::of(nanoseconds.prop_map(move |off| start + SignedDuration::from_nanos(off))).boxed()
}

fn only() -> BoxedStrategy<Vec<(By, Box<str>)>> {
    let one = prop_oneof![
        proptest::sample::select(vec!["a", "b", "unknown", "other"]).prop_map(|name| (By::Model, name.into())),
        proptest::sample::select(vec!["a", "none"]).prop_map(|name| (By::Label, name.into())),
        proptest::sample::select(vec!["a", "127.0.0.1"]).prop_map(|name| (By::Client, name.into())),
        proptest::sample::select(vec!["custom/x", "origin/a/b", "none"]).prop_map(|name| (By::Route, name.into())),
        Just((By::Status, "200".into())),
        Just((By::Hour, "2026-11-22T03:00:00Z".into())),
        Just((By::Endpoint, "/v1/batches".into())),
    ];
    proptest::collection::vec(one, 0..3).boxed()
}

fn wants() -> BoxedStrategy<Vec<Want>> {
    let pairs = [
        ("client", "a"),
        ("client", "127.0.0.1"),
        ("endpoint", "/v1/batches"),
        ("key", "a"),
        ("label", "none"),
        ("label", "a"),
        ("model", "a"),
        ("model", "none"),
        ("outcome", "ok"),
        ("outcome", "unknown"),
        ("process", "b"),
        ("route", "none"),
        ("route", "duplicate/a/b"),
        ("session", "a"),
        ("status", "200"),
        ("id", "none"),
    ];
    let one = proptest::sample::select(pairs.to_vec()).prop_map(|(name, value)| Want::read(name, value).unwrap());
    proptest::collection::vec(one, 0..3).boxed()
}

/// The same books three times: all in memory; and memory of the last `kept` entries before a journal that has all, or all
/// but those that memory has.
fn books(entries: &[Entry], kept: usize, folder: &TempDir) -> [Ledger; 3] {
    let ledgers = [Ledger::new(10_000), Ledger::new(kept), Ledger::new(kept)];
    for ledger in &ledgers {
        entries.iter().for_each(|entry| ledger.post(entry.clone()));
    }
    let late = entries.len().saturating_sub(kept);
    for (ledger, written) in ledgers[1..].iter().zip([entries, &entries[..late]]) {
        let path = folder.path().join(format!("{}.sqlite", written.len()));
        let _ = std::fs::remove_file(&path);
        ledger.read_from(filled(&path, written, &ledger.0.registry));
    }
    ledgers
}

fn sums(ledger: &Ledger, query: &StatsQuery) -> impl PartialEq + std::fmt::Debug + use<> {
    let stats = ledger.stats(query);
    assert_eq!(stats.missing, None);
    let rows = stats.by.into_iter().flat_map(|(by, rows)| rows.into_iter().map(move |row| (by, row)));
    let rows: Vec<_> = rows.map(|(by, row)| (by, row.key, row.sums.totals)).collect();
    let period = [query.since.map(|_| stats.since), query.until.map(|_| stats.until)];
    (period, stats.totals.totals, rows)
}

/// All pages of a list, as JSON.
fn walk(ledger: &Ledger, query: &Query) -> Vec<String> {
    let mut query = query.clone();
    let mut listed = Vec::new();
    loop {
        let Page { entries, next, missing, .. } = ledger.entries(&query);
        assert_eq!(missing, None);
        assert!(next.is_none() || entries.len() == query.limit);
        listed.extend(entries.iter().map(|kept| serde_json::to_string(&kept.entry).unwrap()));
        match next {
            // A cursor travels as text.
            Some(next) => query.cursor = Place::read(&next.to_string()),
            None => return listed,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn what_memory_has_lost_the_journal_adds_to_the_entry_and_to_the_instant(
        entries in proptest::collection::vec(posted(), 0..60),
        kept in 0usize..30,
        asked in proptest::collection::vec(((instant(), instant()), only(), wants(), 1usize..12), 6),
    ) {
        let folder = TempDir::new().unwrap();
        let [whole, beside, behind] = books(&entries, kept, &folder);
        for ((since, until), only, wants, limit) in asked {
            let query = StatsQuery { since, until, by: By::ALL.to_vec(), only };
            prop_assert_eq!(sums(&beside, &query), sums(&whole, &query));
            prop_assert_eq!(sums(&behind, &query), sums(&whole, &query));
            let query = Query { since, until, limit, wants, ..Query::default() };
            let listed = walk(&whole, &query);
            prop_assert_eq!(&walk(&beside, &query), &listed);
            prop_assert_eq!(&walk(&behind, &query), &listed);
        }
    }
}

#[test]
fn names_that_were_folded_in_memory_come_from_the_journal() {
    let entries: Vec<Entry> = (0..4000_i64)
        .map(|number| {
            let mut one = entry(&format!("m{}", number % 40), "2026-11-22T00:00:00Z");
            one.client.label = Some(format!("l{}", number % 7).into());
            one.time += SignedDuration::from_mins(number * 10);
            one
        })
        .collect();
    let folder = TempDir::new().unwrap();
    let [whole, beside, _] = books(&entries, 10, &folder);
    assert!(beside.0.hours.named_from() > i64::MIN, "some are folded");
    for by in [vec![By::Model, By::Label], vec![By::Hour], vec![]] {
        for only in [vec![], vec![(By::Label, "l3".into())]] {
            let since = Some("2026-11-22T00:30:00Z".parse().unwrap());
            let query = StatsQuery { since, until: None, by: by.clone(), only };
            assert_eq!(sums(&beside, &query), sums(&whole, &query), "{query:?}");
        }
    }
}

#[test]
fn a_journal_that_cannot_be_read_is_named_and_memory_answers() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("gone.sqlite");
    let ledger = Ledger::new(2);
    (0..5).for_each(|_| ledger.post(entry("m", "2026-11-22T12:10:00Z")));
    ledger.read_from(Archive::at(&path));
    let since = Some("2026-11-22T12:05:00Z".parse().unwrap());
    let stats = ledger.stats(&StatsQuery { since, ..StatsQuery::default() });
    assert_eq!((stats.since.to_string().as_str(), stats.totals.totals.requests), ("2026-11-22T12:00:00Z", 5));
    assert!(stats.missing.unwrap().contains("gone.sqlite"));
    let page = ledger.entries(&Query::default());
    assert_eq!(page.entries.len(), 2);
    assert!(serde_json::to_value(&page).unwrap()["missing"].as_str().unwrap().contains("gone.sqlite"));
}

#[test]
fn what_was_posted_after_a_page_is_found_by_its_mark() {
    let ledger = Ledger::new(10);
    ledger.post(entry("m0", "2026-11-22T12:00:00Z"));
    let first = ledger.entries(&Query::default());
    // A long call, which began before the other and ended after it.
    ledger.post(entry("m1", "2026-11-22T11:00:00Z"));
    let models = |page: &Page| page.entries.iter().map(|kept| kept.entry.model.asked.clone()).collect::<Vec<_>>();
    let since = ledger.entries(&Query { after: Some(first.newest), ..Query::default() });
    assert_eq!(models(&since), [Some("m1".into())]);
    assert!(ledger.entries(&Query { after: Some(since.newest), ..Query::default() }).entries.is_empty());
    let of_another_process = Mark { books: 1, ..since.newest };
    assert_eq!(ledger.entries(&Query { after: Some(of_another_process), ..Query::default() }).entries.len(), 2);
}
