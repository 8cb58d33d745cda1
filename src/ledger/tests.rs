//! The books add up, stay bounded, and say so in the contract's words.

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use super::entry::{Client, Ingress, Outcome};
use super::filter::Want;
use super::key::By;
use super::totals::Totals;
use super::*;
use crate::dialect::endpoint::{Dialect, Job};
use crate::policy::target::{Route, RouteKind};
use crate::units::{Basis, Cost, Usage};

static IDS: std::sync::LazyLock<ids::Ids> = std::sync::LazyLock::new(|| ids::Ids::new(7));

pub(crate) fn entry(model: &str, time: &str) -> Entry {
    Entry {
        id: Arc::clone(&IDS.issue(time.parse().unwrap())),
        session: None,
        time: time.parse().unwrap(),
        duration_ms: 12,
        first_byte_ms: Some(3),
        client: Client {
            address: [127, 0, 0, 1].into(),
            process: None,
            path: None,
            agent: None,
            label: None,
            key: None,
        },
        ingress: Ingress::Connect,
        host: "api.openai.com".into(),
        endpoint: Endpoint::Call(Dialect::Chat),
        stream: false,
        model: Model { asked: Some(model.into()), sent: None, served: None },
        route: Some(Route { kind: RouteKind::Origin, name: "api.openai.com".into() }),
        attempt: 1,
        status: 200,
        outcome: Outcome::Ok,
        usage: Some(Usage { input: Some(19), output: Some(10), ..Usage::default() }),
        basis: Basis::Reported,
        raw_usage: None,
        tier: Tier::default(),
        cost: Some(Cost(147_500_000)),
        region: Region::default(),
        media: Media::default(),
        price_source: None,
        rates: None,
        repriced: None,
        deferred: false,
        after_close: None,
        upstream_id: None,
        bytes_up: 1,
        bytes_down: 2,
        error: None,
    }
}

fn all(by: &[By]) -> StatsQuery {
    StatsQuery { by: by.to_vec(), ..StatsQuery::default() }
}

const NOON: &str = "2026-11-22T12:00:00Z";

#[test]
fn totals_equal_the_sum_over_entries_posted_at_once() {
    for listed in [100_000, 10] {
        let ledger = Ledger::new(listed);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let ledger = ledger.clone();
                scope.spawn(move || {
                    for n in 0..2000 {
                        let mut entry = entry(&format!("m{}", n % 7), NOON);
                        entry.status = if thread == 0 { 500 } else { 200 };
                        entry.outcome = if thread == 0 { Outcome::UpstreamError } else { Outcome::Ok };
                        ledger.post(entry);
                    }
                });
            }
        });
        let stats = ledger.stats(&all(&[By::Model, By::Status]));
        let totals = &stats.totals.totals;
        assert_eq!((totals.requests, totals.errors), (8000, 2000));
        assert_eq!((totals.input_tokens, totals.output_tokens, totals.total_tokens), (152_000, 80_000, 232_000));
        assert_eq!(totals.cost, Cost(8000 * 147_500_000));
        assert_eq!(stats.by[0].1.len(), 7);
        for (_, rows) in &stats.by {
            let mut sum = Totals::default();
            rows.iter().for_each(|row| sum.merge(&row.sums.totals));
            assert_eq!(&sum, totals);
        }
    }
}

#[test]
fn names_beyond_a_thousand_are_booked_as_other() {
    let ledger = Ledger::new(10);
    for n in 0..1500 {
        let mut entry = entry(&format!("m{n:04}"), NOON);
        entry.client.label = Some(format!("l{n}").into());
        ledger.post(entry);
    }
    let stats = ledger.stats(&all(&[By::Model, By::Label]));
    for (_, rows) in &stats.by {
        assert_eq!(rows.len(), 1001);
        assert_eq!((rows[0].key.as_str(), rows[0].sums.totals.requests), ("other", 500));
    }
    assert_eq!(stats.by[0].1[1].key, "m0000");
}

#[test]
fn whatever_strangers_chose_a_listed_entry_stays_small() {
    let ledger = Ledger::new(1);
    let long = "x".repeat(1 << 20);
    let mut entry = entry(&long, NOON);
    entry.endpoint = Endpoint::Model(long.clone());
    entry.tier = Tier { asked: Some(long.as_str().into()), served: Some(long.as_str().into()) };
    entry.upstream_id = Some(long.as_str().into());
    entry.client.agent = Some(long.as_str().into());
    ledger.post(entry);
    let page = ledger.entries(&Query::default());
    let listed = format!("{:?}", page.entries[0].entry);
    assert!(listed.len() < 4096, "{} bytes", listed.len());
}

#[test]
fn cells_stay_bounded_and_folding_them_loses_no_sum() {
    let ledger = Ledger::new(1);
    for n in 0..20_000_u64 {
        let mut entry = entry(&format!("m{}", n % 900), NOON);
        entry.client.label = Some(format!("l{}", n % 901).into());
        entry.time += SignedDuration::from_hours(i64::try_from(n / 4000).unwrap());
        ledger.post(entry);
    }
    let mut cells = 0;
    ledger.0.hours.visit(i64::MIN, i64::MAX, |_, _| cells += 1);
    assert!(cells <= 3001, "{cells}");
    let stats = ledger.stats(&all(&[By::Hour]));
    assert_eq!(stats.totals.totals.requests, 20_000);
    assert!(stats.by[0].1.iter().all(|row| row.sums.totals.requests == 4000), "hours are kept apart");
}

#[test]
fn the_list_is_bounded_and_newest_first() {
    let ledger = Ledger::new(5);
    for n in 0..12 {
        ledger.post(entry(&format!("m{n}"), NOON));
    }
    let models = |page: &Page| -> Vec<String> {
        page.entries.iter().map(|kept| kept.entry.model.asked.as_deref().unwrap_or("").into()).collect()
    };
    let first = ledger.entries(&Query { limit: 3, ..Query::default() });
    assert_eq!(models(&first), ["m11", "m10", "m9"]);
    ledger.post(entry("late", NOON));
    let second = ledger.entries(&Query { limit: 3, cursor: first.next, ..Query::default() });
    assert_eq!(models(&second), ["m8"], "a new entry moves no page, and m7 made room for it");
    assert_eq!(second.next, None);
    assert_eq!(ledger.entries(&Query { limit: 5, ..Query::default() }).next, None);
    let one = ledger.entries(&Query { wants: vec![Want::Model("m9".into())], ..Query::default() });
    assert_eq!(models(&one), ["m9"]);
    let none = ledger.entries(&Query { since: Some(Timestamp::MAX), ..Query::default() });
    assert!(none.entries.is_empty());
}

#[test]
fn long_names_are_shortened_in_the_list_too() {
    let ledger = Ledger::new(5);
    ledger.post(entry(&"x".repeat(5000), NOON));
    let page = ledger.entries(&Query::default());
    assert_eq!(page.entries[0].entry.model.asked.as_ref().map(|name| name.len()), Some(128));
}

#[test]
fn stats_have_the_shape_of_the_contract() {
    let ledger = Ledger::new(10);
    ledger.post(entry("gpt-4o", NOON));
    let mut unknown = entry("gpt-4o", NOON);
    (unknown.usage, unknown.cost, unknown.basis) = (None, None, Basis::Reported);
    (unknown.status, unknown.outcome, unknown.first_byte_ms) = (502, Outcome::UpstreamError, None);
    ledger.post(unknown);
    ledger.tunnel_opened();
    ledger.tunnel_closed(5, 6);
    let since = "2026-11-22T00:00:00Z".parse().ok();
    let until = "2026-11-23T00:00:00Z".parse().ok();
    let stats = ledger.stats(&StatsQuery { since, until, by: vec![By::Model, By::Route], only: Vec::new() });
    let sums = json!({
        "requests": 2, "errors": 1, "inputTokens": 19, "cachedInputTokens": 0, "cacheWriteTokens": 0,
        "outputTokens": 10, "reasoningTokens": 0, "totalTokens": 29, "costUsd": "0.000147500000",
        "unpricedRequests": 0, "byBasis": {"reported": 1, "counted": 0, "estimated": 0, "none": 1},
        "latencyMs": {"p50": 12, "p95": 12, "p99": 12}, "firstByteMs": {"p50": 3, "p95": 3, "p99": 3},
    });
    let row = |key: &str| {
        let mut row = json!({ "key": key });
        row.as_object_mut().unwrap().extend(sums.as_object().unwrap().clone());
        row
    };
    let expected = json!({
        "since": "2026-11-22T00:00:00Z", "until": "2026-11-23T00:00:00Z", "totals": sums,
        "by": {"model": [row("gpt-4o")], "route": [row("origin/api.openai.com")]},
        "tunnels": {"connections": 1, "bytesUp": 5, "bytesDown": 6, "unmeteredAi": 0,
            "mtls": 0, "pinned": 0, "bypassed": 0, "webrtcCalls": 0, "upgrades": 0},
        "journal": {"path": null, "state": "off", "lastError": null, "pending": 0, "lost": 0, "lastCommit": null},
    });
    assert_eq!(serde_json::to_string(&stats).unwrap(), serde_json::to_string(&expected).unwrap());
}

#[test]
fn an_entry_has_the_names_of_the_contract() {
    let ledger = Ledger::new(10);
    ledger.post(entry("gpt-4o", NOON));
    let page = serde_json::to_value(ledger.entries(&Query::default())).unwrap();
    assert_eq!(page["next"], json!(null));
    let names: Vec<_> = page["entries"][0].as_object().unwrap().keys().cloned().collect();
    let expected = "id session time durationMs firstByteMs client ingress host endpoint stream model route attempt status \
                    outcome usage basis rawUsage tier region media costUsd priceSource rates repriced deferred \
                    afterClose upstreamId bytesUp bytesDown error";
    assert_eq!(names.join(" "), expected);
}

#[test]
fn the_period_is_exact_while_its_entries_are_listed_and_whole_hours_after() {
    let ledger = Ledger::new(3);
    for time in ["12:10", "12:20", "12:40", "13:05"] {
        ledger.post(entry("m", &format!("2026-11-22T{time}:00Z")));
    }
    let stats = |since: &str| {
        let since = Some(format!("2026-11-22T{since}:00Z").parse().unwrap());
        let stats = ledger.stats(&StatsQuery { since, ..StatsQuery::default() });
        (stats.since.to_string(), stats.totals.totals.requests)
    };
    assert_eq!(stats("12:30"), ("2026-11-22T12:30:00Z".into(), 2), "listed, so exact");
    assert_eq!(stats("12:11"), ("2026-11-22T12:11:00Z".into(), 3), "the lost entry is older");
    assert_eq!(stats("12:10"), ("2026-11-22T12:00:00Z".into(), 4), "the lost entry is its first");
    assert_eq!(stats("12:05"), ("2026-11-22T12:00:00Z".into(), 4), "the lost entry is part of it");
    assert_eq!(ledger.stats(&all(&[])).totals.totals.requests, 4);
}

#[test]
fn percentiles_are_taken_by_nearest_rank() {
    let of = |values: Vec<u64>| {
        let ranked = stats::Percentiles::of(values);
        [ranked.p50, ranked.p95, ranked.p99]
    };
    assert_eq!(of((1..=100).rev().collect()), [Some(50), Some(95), Some(99)]);
    assert_eq!(of(vec![7]), [Some(7); 3]);
    assert_eq!(of(vec![1, 2, 3]), [Some(2), Some(3), Some(3)]);
    assert_eq!(of(vec![]), [None; 3]);
}

#[test]
fn groups_name_what_is_missing() {
    let ledger = Ledger::new(10);
    let mut bare = entry("m", NOON);
    (bare.model.asked, bare.route) = (None, None);
    ledger.post(bare);
    let mut named = entry("m", NOON);
    (named.client.agent, named.client.label) = (Some("openai-python".into()), Some("team".into()));
    ledger.post(named);
    let stats = ledger.stats(&all(&By::ALL));
    let keys = |by: By| -> Vec<&str> {
        let (_, rows) = stats.by.iter().find(|(one, _)| *one == by).unwrap();
        rows.iter().map(|row| row.key.as_str()).collect()
    };
    assert_eq!(keys(By::Model), ["m", "unknown"]);
    assert_eq!(keys(By::Route), ["none", "origin/api.openai.com"]);
    assert_eq!(keys(By::Client), ["127.0.0.1", "openai-python"]);
    assert_eq!(keys(By::Label), ["none", "team"]);
    assert_eq!(keys(By::Day), ["2026-11-22"]);
    assert_eq!(keys(By::Hour), ["2026-11-22T12:00:00Z"]);
    assert_eq!(keys(By::Endpoint), ["/v1/chat/completions"]);
    assert_eq!(keys(By::Status), ["200"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whole_hours_sum_alike_from_the_list_and_from_the_totals(
        posts in proptest::collection::vec((0i64..36_000, 0u8..3, proptest::option::of(0u64..1000)), 1..80),
        (first, length) in (0i64..9, 1i64..9),
    ) {
        let (long, short) = (Ledger::new(1000), Ledger::new(0));
        for (second, model, tokens) in posts {
            let mut entry = entry(&format!("m{model}"), NOON);
            entry.time += SignedDuration::from_secs(second);
            entry.usage = tokens.map(|tokens| Usage { input: Some(tokens), ..Usage::default() });
            entry.cost = tokens.map(|tokens| Cost(i128::from(tokens)));
            long.post(entry.clone());
            short.post(entry);
        }
        let start: Timestamp = NOON.parse().unwrap();
        let since = start + SignedDuration::from_hours(first);
        let until = since + SignedDuration::from_hours(length);
        let by = vec![By::Model, By::Hour, By::Day];
        let query = StatsQuery { since: Some(since), until: Some(until), by, only: Vec::new() };
        let shape = |ledger: &Ledger| {
            let stats = ledger.stats(&query);
            let rows = stats.by.iter().flat_map(|(_, rows)| rows);
            let rows = rows.map(|row| (row.key.clone(), row.sums.totals.clone()));
            (stats.since, stats.until, stats.totals.totals.clone(), rows.collect::<Vec<_>>())
        };
        prop_assert_eq!(shape(&long), shape(&short));
    }
}

#[test]
fn only_calls_that_may_be_charged_count_as_unpriced() {
    let unpriced = |endpoint: Endpoint, outcome| {
        let mut totals = Totals::default();
        totals.add(&Entry { endpoint, outcome, usage: None, cost: None, ..entry("m", NOON) });
        totals.unpriced_requests
    };
    let call = || Endpoint::Call(Dialect::Chat);
    for outcome in [Outcome::ClientClosed, Outcome::Ok, Outcome::Timeout, Outcome::Unknown, Outcome::UpstreamCut] {
        assert_eq!(unpriced(call(), outcome), 1, "{outcome:?}");
        for free in [Endpoint::Models, Endpoint::Model("m".into()), Endpoint::Other] {
            assert_eq!(unpriced(free, outcome), 0, "{outcome:?}");
        }
    }
    let mut totals = Totals::default();
    let told = |deferred| Entry { endpoint: Endpoint::Job(Job::Batch), cost: None, deferred, ..entry("m", NOON) };
    totals.add(&told(false));
    assert_eq!(totals.unpriced_requests, 1, "usage without a price");
    totals.add(&told(true));
    assert_eq!(totals.unpriced_requests, 1, "its usage is told by a later call");
    for outcome in [Outcome::Refused, Outcome::UpstreamError] {
        assert_eq!(unpriced(call(), outcome), 0, "{outcome:?}");
    }
}
