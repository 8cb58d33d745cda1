//! The journal of a running gate, and what becomes of the gate when the journal cannot be.

use std::fs;
use std::process::Command;

use http_body_util::Full;
use rusqlite::Connection;
use serde_json::json;

use crate::bench::admin::ask;
use crate::bench::client::Client;
use crate::bench::process::{Home, Process};
use crate::bench::raw::guard;
use crate::bench::upstream::{Options, Upstream};

const CALL: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;

async fn call(gate: &Process, times: usize) {
    let mut client = Client::plain(gate.proxy).await;
    for _ in 0..times {
        let request = client.request(http::Method::POST, "/v1/chat/completions").body(Full::from(CALL)).unwrap();
        assert_eq!(guard(client.send(request)).await.status, 200);
    }
}

fn count(home: &Home, table: &str) -> usize {
    let connection = Connection::open(home.journal()).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

async fn requests(gate: &Process) -> u64 {
    ask(gate.admin, "/stats").await.json()["totals"]["requests"].as_u64().unwrap()
}

#[tokio::test]
async fn the_books_go_on_where_they_stopped_and_any_tool_reads_them_meanwhile() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "");
    let gate = home.start().await;
    assert_eq!(gate.books, home.journal().display().to_string());
    call(&gate, 5).await;
    gate.until_journal(|journal| journal["pending"] == 0).await;
    let (path, alarm) = (gate.journal().await["path"].clone(), ask(gate.admin, "/readyz").await.text());
    assert_eq!((path, alarm), (json!(home.journal()), "ready\n".to_owned()));
    assert_eq!(count(&home, "calls WHERE cost_usd > '0.0'"), 5);
    gate.stop().await;
    let gate = home.start().await;
    assert_eq!(requests(&gate).await, 5);
    call(&gate, 1).await;
    gate.stop().await;
    assert_eq!((count(&home, "entries"), upstream.bill().len()), (6, 6));
}

#[tokio::test]
async fn a_second_gate_on_the_same_books_is_refused_and_the_first_goes_on() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "");
    let first = home.start().await;
    let output = home.refused();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    let books = home.journal().display().to_string();
    assert!(told.contains(&format!("another gate (process {}) keeps its books in `{books}`", first.id())), "{told}");
    assert!(told.contains("hint: stop that gate, or give this one a file of its own as `ledger.path`"), "{told}");
    call(&first, 1).await;
    first.kill().await;
    // The right ends with its process, whatever ended it.
    let second = home.start().await;
    assert_eq!(requests(&second).await, 1);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_no_reason_not_to_serve() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "");
    fs::write(home.path("data"), "in the way").unwrap();
    let gate = home.start().await;
    assert!(gate.books.starts_with("in memory for now: the journal"), "{}", gate.books);
    call(&gate, 3).await;
    for path in ["/healthz", "/readyz"] {
        let told = ask(gate.admin, path).await;
        assert_eq!(told.status, 200);
        assert!(told.text().contains("is not written: ") && told.text().contains("3 entries wait"), "{}", told.text());
    }
    let journal = gate.journal().await;
    assert_eq!((&journal["state"], &journal["pending"], &journal["lost"]), (&json!("degraded"), &json!(3), &json!(0)));
    fs::remove_file(home.path("data")).unwrap();
    gate.until_journal(|journal| journal["state"] == "ok" && journal["pending"] == 0).await;
    assert_eq!(ask(gate.admin, "/healthz").await.text(), "ok\n");
    assert_eq!(count(&home, "entries"), 3);
}

#[tokio::test]
async fn a_full_disk_is_outlived_and_made_up_for() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "");
    // Half a mebibyte or a whole one, as the shell counts it, is enough for all but the books. The signal is ignored, so
    // that writing fails as on a full disk.
    let gate = home.start_after("trap '' XFSZ; ulimit -S -f 900").await;
    let mut calls = 0;
    while gate.journal().await["state"] == "ok" {
        assert!(calls < 5000, "it never was full");
        call(&gate, 50).await;
        calls += 50;
    }
    call(&gate, 300).await;
    calls += 300;
    assert_eq!(requests(&gate).await, calls as u64, "it serves and counts on");
    let journal = gate.journal().await;
    assert!(journal["lastError"].as_str().is_some_and(|error| !error.is_empty()), "{journal}");
    assert_eq!(journal["lost"], 0);
    let more = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &gate.id()]).status().unwrap();
    assert!(more.success());
    gate.until_journal(|journal| journal["state"] == "ok" && journal["pending"] == 0).await;
    assert_eq!(gate.journal().await["lost"], 0);
    gate.stop().await;
    assert_eq!((count(&home, "entries"), upstream.bill().len()), (calls, calls));
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_a_newer_one_is_left_alone() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "");
    fs::create_dir(home.path("data")).unwrap();
    fs::write(home.journal(), "no database").unwrap();
    let gate = home.start().await;
    call(&gate, 1).await;
    let told = gate.journal().await["lastError"].as_str().unwrap().to_owned();
    assert!(told.contains("the journal was damaged and is now `") && told.contains(".corrupt-"), "{told}");
    gate.stop().await;
    assert_eq!(count(&home, "entries"), 1);

    Connection::open(home.journal()).unwrap().execute_batch("PRAGMA user_version = 1000").unwrap();
    let before = fs::read(home.journal()).unwrap();
    let gate = home.start().await;
    call(&gate, 1).await;
    let told = ask(gate.admin, "/healthz").await.text();
    assert!(told.contains("its schema has version 1000, which a newer program made"), "{told}");
    gate.stop().await;
    assert!(fs::read(home.journal()).unwrap() == before);
}

#[tokio::test]
async fn a_database_that_somebody_else_holds_delays_no_call() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "");
    let gate = home.start().await;
    call(&gate, 1).await;
    gate.until_journal(|journal| journal["pending"] == 0).await;
    let other = Connection::open(home.journal()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    call(&gate, 20).await;
    assert_eq!(requests(&gate).await, 21, "the sums are there at once");
    assert_eq!(count(&home, "entries"), 1, "nothing could be written");
    other.execute_batch("ROLLBACK").unwrap();
    gate.until_journal(|journal| journal["pending"] == 0).await;
    assert_eq!(count(&home, "entries"), 21);
    gate.stop().await;
}
