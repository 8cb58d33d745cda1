//! The command line reads the same from a journal as from the gate that writes it, and says what it cannot read.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use tollgate::ledger::Ledger;
use tollgate::ledger::entry::Entry;

use crate::bench::client::Client;
use crate::bench::gate::TestGate;
use crate::bench::upstream::{Options, Upstream};

/// A gate with a journal that has served `calls` chats.
async fn busy(upstream: &Upstream, calls: usize) -> TestGate {
    let gate = TestGate::start(upstream, r#"ledger: { path: "books.sqlite", entries: 5 },"#);
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    for number in 0..calls {
        let model = if number % 2 == 0 { "gpt-4o" } else { "gpt-4o-mini" };
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"one two"}}]}}"#);
        assert_eq!(client.post("/v1/chat/completions", body).await.status, 200);
    }
    written(gate.gate.ledger(), calls);
    gate
}

/// Waits until so many entries are on disk.
fn written(ledger: &Ledger, count: usize) {
    let begun = std::time::Instant::now();
    let sum = || ledger.stats(&tollgate::ledger::stats::StatsQuery::default()).totals.totals.requests;
    while sum() < count as u64 || ledger.journal().pending > 0 {
        assert!(begun.elapsed().as_secs() < 10, "waited in vain: {:?}", ledger.journal());
        std::thread::yield_now();
    }
}

fn run(words: &[&str]) -> Output {
    let nowhere = TempDir::new().unwrap();
    Command::new(env!("CARGO_BIN_EXE_tollgate")).args(words).current_dir(nowhere.path()).output().unwrap()
}

fn told(words: &[&str]) -> String {
    let output = run(words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_file_is_read_also_where_the_environment_names_a_gate() {
    let folder = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["stats", "--ledger", "none.sqlite"])
        .env("TOLLGATE_ADMIN", "127.0.0.1:1")
        .env("TOLLGATE_ADMIN_TOKEN", "token")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("`none.sqlite` cannot be read"), "{told}");
}

#[tokio::test]
async fn a_file_says_what_its_gate_says_while_it_writes() {
    let upstream = Upstream::start(Options::default());
    let gate = busy(&upstream, 23).await;
    let (file, admin) = (gate.path("books.sqlite").display().to_string(), gate.admin().to_string());
    let both =
        |words: &[&str]| [["--ledger", &file], ["--admin", &admin]].map(|books| told(&[words, &books[..]].concat()));
    for words in [
        &["stats", "--by", "model,route,client,label,endpoint,status", "--json"][..],
        &["stats", "--by", "day", "--json", "--model", "gpt-4o", "--since", "1h"],
        &["stats", "--json", "--until", "1h"],
    ] {
        let [of_file, of_gate] = both(words).map(|text| {
            let mut stats: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(stats["missing"], Value::Null, "{text}");
            // The moment of asking, and what only a gate has: its latest calls' times, its tunnels, its journal's state.
            for name in ["since", "until", "tunnels", "journal"] {
                stats.as_object_mut().unwrap().remove(name);
            }
            without_times(&mut stats);
            stats
        });
        assert_eq!(of_file, of_gate, "{words:?}");
    }
    for words in [
        &["export", "--format", "csv"][..],
        &["export", "--format", "jsonl", "--since", "1h", "--model", "gpt-4o-mini", "--outcome", "ok"],
        &["tail", "-n", "12", "--json"],
        &["tail", "-n", "12"],
    ] {
        let [of_file, of_gate] = both(words);
        assert_eq!(of_file, of_gate, "{words:?}");
        assert!(of_file.lines().count() > 10, "{of_file}");
    }
    let out = gate.path("out.csv");
    told(&["export", "-o", &out.display().to_string(), "--ledger", &file]);
    assert_eq!(fs::read_to_string(&out).unwrap(), told(&["export", "--ledger", &file]));
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 24);
    let first = told(&["tail", "-n", "1", "--json", "--ledger", &file]);
    let id = serde_json::from_str::<Value>(&first).unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(told(&["export", "--format", "jsonl", "--id", &id, "--ledger", &file]), first);
}

/// Percentiles are of what is in memory.
fn without_times(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("latencyMs");
            members.remove("firstByteMs");
            members.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

#[tokio::test]
async fn a_budget_is_an_exit_code() {
    let upstream = Upstream::start(Options::default());
    let gate = busy(&upstream, 4).await;
    let (file, admin) = (gate.path("books.sqlite").display().to_string(), gate.admin().to_string());
    let spent = gate.gate.ledger().stats(&Default::default()).totals.totals.cost;
    let above = tollgate::units::Cost(spent.0 + 1);
    for books in [["--ledger", &file], ["--admin", &admin]] {
        for (limit, more, code) in [
            (format!("{above}/day"), &[][..], 0),
            (format!("{spent}/day"), &[], 1),
            (format!("{spent}/24h"), &["--label", "none"], 1),
            (format!("{spent}/total"), &["--model", "gpt-4o"], 0),
            ("0.000000000001/month".into(), &[], 1),
            (format!("{above}/day"), &["--label", "nobody"], 3),
            ("50/year".into(), &[], 2),
            (format!("{above}/day"), &["--status", "x"], 2),
        ] {
            let words = [&["budget", "--limit", &limit], more, &books].concat();
            let output = run(&words);
            let words = format!("{words:?}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(code), "{words}");
            assert_eq!(output.stdout.is_empty(), code == 2, "{words}");
        }
    }
    let told = run(&["budget", "--json", "--limit", "0.5/day", "--ledger", &file]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((&told["state"], &told["spentUsd"]), (&"under".into(), &spent.to_string().into()));
    assert_eq!(run(&["budget", "--limit", "1/day", "--admin", "127.0.0.1:1"]).status.code(), Some(2));
    assert_eq!(run(&["budget", "--limit", "1/day", "--ledger", "nowhere"]).status.code(), Some(2));
}

#[test]
fn a_call_without_a_price_makes_a_budget_unknown_until_it_is_reached() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("books.sqlite");
    let ledger = Ledger::open(10, file.clone(), None).unwrap();
    for (id, cost) in [("1", Some("1.000000000000")), ("2", None)] {
        let time = jiff::Timestamp::now();
        let entry: Entry = serde_json::from_value(serde_json::json!({
            "id": id, "session": null, "time": time, "durationMs": 1, "firstByteMs": null,
            "client": {"address": "127.0.0.1", "process": null, "path": null, "agent": null, "label": null, "key": null},
            "ingress": "forward", "host": "h", "endpoint": "/v1/embeddings", "stream": false,
            "model": {"asked": "m", "sent": null, "served": null}, "route": null, "attempt": 1, "status": 200,
            "outcome": "ok", "usage": {"input": 3}, "basis": "reported", "rawUsage": null,
            "tier": {"asked": null, "served": null}, "region": {"asked": null, "served": null},
            "media": {"size": null, "quality": null}, "costUsd": cost, "priceSource": null, "rates": null,
            "repriced": null, "deferred": false, "afterClose": null, "upstreamId": null, "bytesUp": 0, "bytesDown": 0,
            "error": null,
        }))
        .unwrap();
        ledger.post(entry);
    }
    written(&ledger, 2);
    let file = file.display().to_string();
    for (limit, code) in [("2/total", 3), ("1/total", 1), ("0.99/total", 1)] {
        assert_eq!(run(&["budget", "--limit", limit, "--ledger", &file]).status.code(), Some(code), "{limit}");
    }
}

#[test]
fn what_is_no_journal_is_named_with_its_reason() {
    let folder = TempDir::new().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let strange = folder.path().join("strange");
    let future = folder.path().join("future");
    rusqlite::Connection::open(&strange).unwrap().execute_batch("CREATE TABLE photos (a)").unwrap();
    drop(Ledger::open(1, future.clone(), None).unwrap());
    rusqlite::Connection::open(&future).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let torn = {
        let path = folder.path().join("whole");
        drop(Ledger::open(1, path.clone(), None).unwrap());
        let mut bytes = fs::read(path).unwrap();
        let half = bytes.len() / 4;
        bytes[half..].fill(0xff);
        put("torn", &bytes)
    };
    for (path, reason) in [
        (folder.path().join("absent"), "No such file"),
        (put("text", b"not a database"), "no SQLite database"),
        (put("empty", b""), "nothing was ever booked"),
        (strange, "another program"),
        (future, "version 99"),
        (torn, "malformed"),
    ] {
        for words in [&["stats"][..], &["tail"], &["export"], &["top"]] {
            let output = run(&[words, &["--ledger", &path.display().to_string()]].concat());
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{words:?} {error}");
            assert!(error.starts_with("error: ") && error.contains(&path.display().to_string()), "{error}");
            assert!(error.contains(reason) && error.contains("hint: "), "{words:?} {reason}: {error}");
        }
    }
    let out = folder.path().join("out.csv");
    run(&["export", "--ledger", "absent", "-o", &out.display().to_string()]);
    assert!(!out.exists() && !Path::new(&format!("{}.part", out.display())).exists());
}
