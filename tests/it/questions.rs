//! The questions in SQL that the documentation shows are answered by a journal that a gate has open, and rightly.

use std::fs;
use std::path::Path;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use tempfile::TempDir;
use tollgate::ledger::Ledger;
use tollgate::ledger::entry::Entry;
use tollgate::units::Cost;

/// A call at an instant, as the books would list it.
fn call(number: u32, time: Timestamp, model: &str, label: Option<&str>) -> Entry {
    let cost = if model == "mystery" { None } else { Some("0.250000000001") };
    serde_json::from_value(json!({
        "id": format!("{number:026}"), "session": null, "time": time, "durationMs": 100 + number, "firstByteMs": 5,
        "client": {"address": "127.0.0.1", "process": "python", "path": null, "agent": null, "label": label, "key": null},
        "ingress": "connect", "host": "api.openai.com", "endpoint": "/v1/chat/completions", "stream": false,
        "model": {"asked": model, "sent": null, "served": null}, "route": {"kind": "origin", "name": "api.openai.com"},
        "attempt": 1, "status": 200, "outcome": "ok", "usage": {"input": 100, "cachedInput": 25, "output": 10},
        "basis": "reported", "rawUsage": null, "tier": {"asked": null, "served": null},
        "region": {"asked": null, "served": null}, "media": {"size": null, "quality": null}, "costUsd": cost,
        "priceSource": null, "rates": null, "repriced": null, "deferred": false, "afterClose": null,
        "upstreamId": null, "bytesUp": 1, "bytesDown": 1, "error": null,
    }))
    .unwrap()
}

/// The rows of a question, each cell as text.
fn ask(connection: &Connection, name: &str) -> Vec<Vec<String>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sql").join(name);
    let mut statement = connection.prepare(&fs::read_to_string(file).unwrap()).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cell = |at| {
            Ok(match row.get::<_, Value>(at)? {
                Value::Null => "-".to_owned(),
                Value::Integer(number) => number.to_string(),
                Value::Real(number) => number.to_string(),
                Value::Text(text) => text,
                Value::Blob(_) => "blob".to_owned(),
            })
        };
        (0..columns).map(cell).collect::<Result<Vec<_>, _>>()
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_question_in_the_documentation_is_answered_while_the_books_are_open() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let ledger = Ledger::open(10, path.clone(), None).unwrap();
    let now = Timestamp::now();
    let today = now.to_zoned(TimeZone::UTC).date();
    let since_monday = i64::from(today.weekday().since(Weekday::Monday));
    let monday = today.checked_sub((since_monday + 7).days()).unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp();
    let mut number = 0;
    let mut post = |time, model: &str, label: Option<&str>| {
        number += 1;
        let mut one = call(number, time, model, label);
        if model == "broken" {
            (one.outcome, one.status, one.error) =
                (tollgate::ledger::entry::Outcome::UpstreamCut, 200, Some("cut".into()));
        }
        ledger.post(one);
    };
    let hours = SignedDuration::from_hours;
    // The first and the last millisecond of last week, and those beside them.
    post(monday, "gpt-4o", Some("team"));
    post(monday + hours(7 * 24) - SignedDuration::from_millis(1), "gpt-4o", Some("team"));
    post(monday + hours(50), "mystery", Some("team"));
    post(monday + hours(51), "gpt-4o", None);
    post(monday - SignedDuration::from_millis(1), "gpt-4o", Some("team"));
    post(monday + hours(7 * 24), "gpt-4o", Some("team"));
    let recent = now - SignedDuration::from_secs(5);
    post(recent, "broken", None);
    for _ in 0..30 {
        post(recent, "fast", None);
    }
    while ledger.journal().pending > 0 {
        std::thread::yield_now();
    }

    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let spent = ask(&connection, "spent_last_week.sql");
    let of = |who: &str, model: &str| {
        let found: Vec<_> = spent.iter().filter(|row| row[0] == who && row[1] == model).collect();
        assert_eq!(found.len(), 1, "{spent:#?}");
        found[0][2..].to_vec()
    };
    assert_eq!(of("team", "gpt-4o"), ["2", "200", "20", "0.500000000002", "0"]);
    assert_eq!(of("team", "mystery"), ["1", "100", "10", "-", "1"]);
    assert_eq!(of("python", "gpt-4o"), ["1", "100", "10", "0.250000000001", "0"]);

    let unpriced = ask(&connection, "unpriced_by_model.sql");
    assert_eq!(unpriced.len(), 1, "{unpriced:#?}");
    assert_eq!(unpriced[0][..4], ["mystery", "origin/api.openai.com", "1", "1"]);

    let days = ask(&connection, "spend_per_day.sql");
    let sum: i128 = days.iter().map(|row| Cost::parse(&row[3]).unwrap().0).sum();
    assert_eq!(sum, 36 * 250_000_000_001);
    assert_eq!(days.iter().map(|row| row[4].parse::<u32>().unwrap()).sum::<u32>(), 1);
    assert!(days.iter().any(|row| row[0] == monday.to_zoned(TimeZone::UTC).date().to_string()), "{days:#?}");

    let slowest = ask(&connection, "slowest.sql");
    let took: Vec<u32> = slowest.iter().map(|row| row[7].parse().unwrap()).collect();
    assert_eq!(took, (118..=137).rev().collect::<Vec<_>>());

    let failures = ask(&connection, "failures.sql");
    assert_eq!(failures, [["upstream_cut", "200", "broken", "origin/api.openai.com", "1", "10", "cut"]]);

    let known = ask(&connection, "how_known.sql");
    assert_eq!(known[0], ["fast", "30", "30", "0", "0", "0"]);

    let shares = ask(&connection, "cache_share.sql");
    assert_eq!(shares[0], ["fast", "3000", "750", "25"]);

    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sql")).unwrap();
    assert_eq!(files.count(), 7, "every question is tried here");
}

#[test]
fn the_questions_of_the_readme_are_those_that_are_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let asked: Vec<&str> =
        readme.split("```sql\n").skip(1).map(|behind| behind.split("```").next().unwrap_or_default()).collect();
    assert!(asked.len() >= 2, "{asked:?}");
    let folder = fs::read_dir(root.join("tests/fixtures/sql")).unwrap();
    let tested: Vec<String> = folder.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    for question in asked {
        assert!(tested.iter().any(|tested| tested == question), "not tested: {question}");
    }
}
