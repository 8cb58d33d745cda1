//! What is written to the journal is read back as it was.

mod harm;
mod life;
mod money;
mod succession;

use proptest::prelude::*;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde_json::value::RawValue;

use super::status::State;
use super::words::Word;
use super::*;
use crate::dialect::endpoint::{Dialect, Endpoint, Job, Socket};
use crate::ledger::Ledger;
use crate::ledger::entry::{AfterClose, Client, Entry, Ingress, Media, Model, Outcome, Region, Repriced, Tier};
use crate::ledger::stats::StatsQuery;
use crate::policy::target::{Route, RouteKind};
use crate::units::{Basis, Cost, Usage};

fn text() -> BoxedStrategy<String> {
    prop_oneof![Just(String::new()), any::<String>(), "[a-z0-9-]{1,20}"].boxed()
}

fn maybe<T: From<String> + std::fmt::Debug + Clone + 'static>() -> BoxedStrategy<Option<T>> {
    proptest::option::of(text().prop_map(T::from)).boxed()
}

fn count() -> BoxedStrategy<u64> {
    prop_oneof![Just(0), Just(i64::MAX as u64), 0..=i64::MAX as u64, 0..1000_u64].boxed()
}

fn usage() -> BoxedStrategy<Usage> {
    proptest::array::uniform20(proptest::option::of(count()))
        .prop_map(|counts| {
            let names = [
                "input",
                "cachedInput",
                "cachedAudio",
                "cachedImage",
                "cacheWrite",
                "cacheWrite12h",
                "audioInput",
                "imageInput",
                "output",
                "reasoning",
                "audioOutput",
                "imageOutput",
                "requests",
                "seconds",
                "characters",
                "images",
                "trained",
                "webSearches",
                "fileSearches",
                "codeSessions",
            ];
            let members = names.into_iter().map(str::to_owned).zip(counts.map(|count| serde_json::json!(count)));
            serde_json::from_value(serde_json::Value::Object(members.collect())).unwrap()
        })
        .boxed()
}

fn cost() -> BoxedStrategy<Cost> {
    prop_oneof![any::<i128>(), any::<i64>().prop_map(i128::from), Just(i128::from(i64::MAX) + 1)].prop_map(Cost).boxed()
}

fn time() -> BoxedStrategy<jiff::Timestamp> {
    (-1_000_000_000_000_i64..4_000_000_000_000).prop_map(|ms| jiff::Timestamp::from_millisecond(ms).unwrap()).boxed()
}

fn json() -> BoxedStrategy<Box<RawValue>> {
    let document = text().prop_map(|text| format!("{{ \"a\" : {} }}", serde_json::json!(text)));
    document.prop_map(|text| RawValue::from_string(text).unwrap()).boxed()
}

/// Any entry, every member of it.
pub(super) fn entry() -> BoxedStrategy<Entry> {
    let calls = Dialect::ALL.map(Endpoint::Call).into_iter().chain(Job::ALL.map(Endpoint::Job));
    let endpoints: Vec<Endpoint> =
        calls.chain(Socket::ALL.map(Endpoint::Socket)).chain([Endpoint::Models, Endpoint::Other]).collect();
    let who = (any::<std::net::IpAddr>(), maybe(), maybe(), maybe(), maybe(), maybe())
        .prop_map(|(address, process, path, agent, label, key)| Client { address, process, path, agent, label, key });
    let ways = proptest::sample::select(WAYS.to_vec());
    let outcomes = proptest::sample::select(vec![
        Outcome::ClientClosed,
        Outcome::Ok,
        Outcome::Refused,
        Outcome::Timeout,
        Outcome::Unknown,
        Outcome::UpstreamCut,
        Outcome::UpstreamError,
    ]);
    let bases = proptest::sample::select(vec![Basis::Reported, Basis::Counted, Basis::Estimated, Basis::None]);
    let kinds = proptest::sample::select(vec![RouteKind::Custom, RouteKind::Duplicate, RouteKind::Origin]);
    let ends = proptest::sample::select(vec![AfterClose::Cancelled, AfterClose::Drained, AfterClose::GivenUp]);
    let route = (kinds, text()).prop_map(|(kind, name)| Route { kind, name: name.into() });
    let model = (maybe(), maybe(), maybe()).prop_map(|(asked, sent, served)| Model { asked, sent, served });
    let repriced = (time(), proptest::option::of(cost()), maybe()).prop_map(|(time, cost, price_source)| Repriced {
        time,
        cost,
        price_source,
    });
    let first = (
        ("[0-9A-Z]{26}", maybe(), time(), count(), proptest::option::of(count())),
        (who, ways, text(), proptest::sample::select(endpoints), any::<bool>()),
        (model, proptest::option::of(route), any::<u32>(), any::<u16>(), outcomes),
        (proptest::option::of(usage()), bases, proptest::option::of(json())),
    );
    let second = (
        (maybe(), maybe(), maybe(), maybe(), maybe(), maybe()),
        (proptest::option::of(cost()), maybe(), proptest::option::of(json()), proptest::option::of(repriced)),
        (any::<bool>(), proptest::option::of(ends), maybe(), count(), count(), maybe()),
    );
    (first, second)
        .prop_map(|((begun, asked, sent, used), (names, priced, end))| Entry {
            id: begun.0.into(),
            session: begun.1,
            time: begun.2,
            duration_ms: begun.3,
            first_byte_ms: begun.4,
            client: asked.0,
            ingress: asked.1,
            host: asked.2.into(),
            endpoint: asked.3,
            stream: asked.4,
            model: sent.0,
            route: sent.1,
            attempt: sent.2,
            status: sent.3,
            outcome: sent.4,
            usage: used.0,
            basis: used.1,
            raw_usage: used.2,
            tier: Tier { asked: names.0, served: names.1 },
            region: Region { asked: names.2, served: names.3 },
            media: Media { size: names.4, quality: names.5 },
            cost: priced.0,
            price_source: priced.1,
            rates: priced.2.map(Into::into),
            repriced: priced.3,
            deferred: end.0,
            after_close: end.1,
            upstream_id: end.2,
            bytes_up: end.3,
            bytes_down: end.4,
            error: end.5,
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn an_entry_is_read_back_as_it_was_written(entry in entry(), seq in 1..=i64::MAX as u64) {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        let mut insert = connection.prepare(row::insertion()).unwrap();
        row::bind(&mut insert, &entry, Some(seq), 7).unwrap();
        insert.raw_execute().unwrap();
        let select = format!("{} FROM entries", row::selection());
        let (back, place, cell) = connection
            .query_row(&select, [], |row| Ok((row::read(row)?, row.get::<_, u64>(0)?, row.get::<_, i64>(1)?)))
            .unwrap();
        prop_assert_eq!((place, cell), (seq, 7));
        prop_assert_eq!(serde_json::to_string(&back).unwrap(), serde_json::to_string(&entry).unwrap());
        let again: Entry = serde_json::from_str(&serde_json::to_string(&entry).unwrap()).unwrap();
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&entry).unwrap());
    }
}

#[test]
fn the_words_are_those_of_json() {
    fn holds<T: Word + serde::Serialize>(all: &[T]) {
        for one in all {
            assert_eq!(serde_json::to_value(one).unwrap(), one.word());
        }
    }
    holds(&[Basis::Reported, Basis::Counted, Basis::Estimated, Basis::None]);
    holds(&WAYS);
    holds(&[AfterClose::Cancelled, AfterClose::Drained, AfterClose::GivenUp]);
    holds(&[RouteKind::Custom, RouteKind::Duplicate, RouteKind::Origin]);
    holds(&[Outcome::ClientClosed, Outcome::Ok, Outcome::Refused, Outcome::Timeout]);
    holds(&[Outcome::Unknown, Outcome::UpstreamCut, Outcome::UpstreamError]);
}

#[test]
fn people_read_times_and_exact_dollars() {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
    for (number, (cost, shown)) in [
        (Some(Cost(147_500_000)), Some("0.000147500000")),
        (Some(Cost(-1_000_000_000_005)), Some("-1.000000000005")),
        (Some(Cost(i128::MAX)), Some("170141183460469231731687303.715884105727")),
        (None, None),
    ]
    .into_iter()
    .enumerate()
    {
        let mut one = crate::ledger::tests::entry("gpt-4o", "2026-11-22T12:00:00.007Z");
        (one.id, one.cost) = (number.to_string().into(), cost);
        let mut insert = connection.prepare(row::insertion()).unwrap();
        row::bind(&mut insert, &one, None, 1).unwrap();
        insert.raw_execute().unwrap();
        let told = connection
            .query_row("SELECT time, cost_usd FROM calls ORDER BY seq DESC LIMIT 1", [], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
            })
            .unwrap();
        assert_eq!(told, ("2026-11-22T12:00:00.007Z".into(), shown.map(Into::into)));
    }
}

/// Waits until `fact` is one, and fails after twenty seconds.
fn until(what: &str, fact: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !fact() {
        assert!(begun.elapsed().as_secs() < 20, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

fn until_written(ledger: &Ledger) {
    until("all is written", || {
        let status = ledger.journal();
        status.state == State::Ok && status.pending == 0
    });
}

/// A small entry with an id of its own.
fn numbered(number: u64) -> Entry {
    let mut entry = crate::ledger::tests::entry(&format!("m{}", number % 3), "2026-11-22T12:00:00Z");
    entry.id = format!("{number:026}").into();
    entry
}

/// A journal that is only looked at.
fn rows(path: &Path, question: &str) -> Vec<String> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = connection.prepare(question).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn number(path: &Path, question: &str) -> i64 {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.query_row(question, [], |row| row.get(0)).unwrap()
}

fn requests(ledger: &Ledger) -> u64 {
    ledger.stats(&StatsQuery::default()).totals.totals.requests
}

/// Every way in.
const WAYS: [Ingress; 5] =
    [Ingress::BaseUrl, Ingress::Connect, Ingress::Forward, Ingress::Socks5, Ingress::Transparent];
