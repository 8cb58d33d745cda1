//! What is asked of the books: narrowed, long, live, and hostile questions.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{fetch, send, serve, start, surface};
use crate::admin::desk::MOST_LISTENERS;
use crate::ledger::Ledger;
use crate::ledger::tests::entry;

/// A stream of events, read as it comes.
struct Events {
    stream: TcpStream,
    read: String,
}

impl Events {
    async fn open(at: std::net::SocketAddr, path: &str) -> Self {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, read: String::new() }
    }

    /// Reads on until the text holds `mark`, and gives what lies before its end.
    async fn until(&mut self, mark: &str) -> String {
        loop {
            if let Some(at) = self.read.find(mark) {
                return self.read.drain(..at + mark.len()).collect();
            }
            let mut piece = [0; 4096];
            let count = self.stream.read(&mut piece).await.unwrap();
            assert!(count > 0, "the stream ended before {mark:?}: {}", self.read);
            self.read.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
    }

    async fn next(&mut self) -> Value {
        self.until("data: ").await;
        serde_json::from_str(self.until("\n\n").await.trim_end()).unwrap()
    }
}

#[tokio::test]
async fn live_sums_come_when_something_has_changed_and_else_only_a_sign_of_life() {
    let surface = surface();
    let ledger = surface.ledger.clone();
    let at = start(surface).await;
    let mut events = Events::open(at, "/stats/live?by=model&since=2026-11-22T00:00:00Z").await;
    let head = events.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert_eq!(events.next().await["totals"]["requests"], 0);
    let quiet = events.until(": nothing new\n\n").await;
    assert!(!quiet.contains("data: "), "{quiet}");
    for count in 1..4 {
        ledger.post(entry("<m>", "2026-11-22T12:00:00Z"));
        let told = events.next().await;
        assert_eq!(told["totals"]["requests"], count);
        assert_eq!(told["by"]["model"][0]["key"], "<m>");
    }
    ledger.tunnel_opened();
    assert_eq!(events.next().await["tunnels"]["connections"], 1);
}

#[tokio::test]
async fn only_so_many_listen_and_a_place_that_was_left_is_free_again() {
    let at = start(surface()).await;
    let mut listeners = Vec::new();
    for _ in 0..MOST_LISTENERS {
        let mut events = Events::open(at, "/stats/live").await;
        events.next().await;
        listeners.push(events);
    }
    let refused = fetch(at, "/stats/live").await;
    assert_eq!(refused.status, 503);
    assert!(refused.head.contains("retry-after"), "{}", refused.head);
    assert_eq!(fetch(at, "/stats").await.status, 200, "who asks once is still answered");
    listeners.pop();
    loop {
        // The gate learns of it when it next has something to say.
        let mut events = Events::open(at, "/stats/live").await;
        if events.until("\r\n").await.contains(" 200 ") {
            break;
        }
    }
}

#[tokio::test]
async fn listeners_are_sent_home_when_the_surface_stops() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(serve(listener, surface(), async move { drop(stopped.await) }));
    let mut events = Events::open(at, "/stats/live").await;
    events.next().await;
    drop(stop);
    assert!(served.await.unwrap().is_ok());
    let mut rest = Vec::new();
    events.stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "it ends as a whole answer");
}

/// The body of a chunked answer.
fn unchunked(body: &[u8]) -> Option<String> {
    let (mut rest, mut text) = (std::str::from_utf8(body).ok()?, String::new());
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return (after == "\r\n").then_some(text);
        }
        text.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[tokio::test]
async fn a_list_may_be_as_long_as_the_books_in_every_form() {
    let mut surface = surface();
    surface.ledger = Ledger::new(5000);
    for n in 0..3500 {
        surface.ledger.post(entry(&format!("m{n}"), "2026-11-22T12:00:00Z"));
    }
    let at = start(surface).await;
    let newest = |count: usize| (0..count).map(|n| format!("m{}", 3499 - n)).collect::<Vec<_>>();
    let lines = unchunked(&fetch(at, "/entries?format=jsonl&limit=all").await.body).unwrap();
    let models: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["model"]["asked"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(models, newest(3500));
    let table = fetch(at, "/entries?format=csv&limit=2500").await;
    assert!(table.head.contains("content-disposition: attachment"), "{}", table.head);
    let table = unchunked(&table.body).unwrap();
    assert_eq!((table.matches("\r\n").count(), table.matches("durationMs").count()), (2501, 1));
    let page: Value = serde_json::from_str(&unchunked(&fetch(at, "/entries?limit=3000").await.body).unwrap()).unwrap();
    let models: Vec<&str> =
        page["entries"].as_array().unwrap().iter().map(|entry| entry["model"]["asked"].as_str().unwrap()).collect();
    assert_eq!(models, newest(3000));
    let next = page["next"].as_str().unwrap();
    let rest = fetch(at, &format!("/entries?limit=1000&cursor={next}")).await.json();
    assert_eq!(rest["entries"].as_array().unwrap().len(), 500);
    assert_eq!((&rest["next"], &rest["entries"][0]["model"]["asked"]), (&Value::Null, &"m499".into()));
}

#[tokio::test]
async fn lists_and_sums_are_narrowed_by_the_same_names() {
    let surface = surface();
    for n in 0..6 {
        let mut one = entry(if n % 2 == 0 { "a" } else { "b" }, "2026-11-22T12:00:00Z");
        one.client.label = (n % 3 == 0).then(|| "team".into());
        one.status = if n == 5 { 429 } else { 200 };
        surface.ledger.post(one);
    }
    let at = start(surface).await;
    for (narrowed, count) in [
        ("model=a", 3),
        ("model=a&label=team", 1),
        ("label=none", 4),
        ("status=429", 1),
        ("route=origin/api.openai.com&endpoint=/v1/chat/completions&client=127.0.0.1", 6),
        ("model=c", 0),
        ("model=", 6),
    ] {
        let listed = fetch(at, &format!("/entries?{narrowed}")).await.json();
        assert_eq!(listed["entries"].as_array().unwrap().len(), count, "{narrowed}");
        let summed = fetch(at, &format!("/stats?{narrowed}")).await.json();
        assert_eq!(summed["totals"]["requests"], count, "{narrowed}");
    }
}

#[tokio::test]
async fn a_question_of_any_size_is_refused_or_answered_and_nobody_else_waits() {
    let at = start(surface()).await;
    for (query, statuses) in [
        ("a=1&".repeat(10_000), &[400][..]),
        (format!("by={}", "model,".repeat(9_000)), &[200]),
        (format!("by={}", "x".repeat(60_000)), &[400]),
        (format!("model={}", "x".repeat(60_000)), &[200]),
    ] {
        let reply = fetch(at, &format!("/stats?{query}")).await;
        assert!(statuses.contains(&reply.status), "{} for {}", reply.status, &query[..20]);
        assert!(reply.body.len() < 2000, "{}", reply.text());
    }
    let mut stream = TcpStream::connect(at).await.unwrap();
    let line = format!("GET /stats?model={} HTTP/1.1\r\nHost: {at}\r\n\r\n", "x".repeat(10 << 20));
    // The gate need not read it all.
    let _ = stream.write_all(line.as_bytes()).await;
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    let status = String::from_utf8_lossy(&reply).get(9..12).map(str::to_owned);
    assert!(status.as_deref().is_none_or(|status| ["414", "431"].contains(&status)), "{status:?}");
    for path in ["//stats", "/stats/../entries", "/%2e%2e/stats", "/stats%00", "/stats/live/x"] {
        let reply = fetch(at, path).await;
        assert!(matches!(reply.status, 400 | 404), "{path}: {}", reply.status);
    }
    let upgrade = "GET /stats HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nUpgrade: websocket";
    assert_eq!(send(at, upgrade).await.status, 200, "an upgrade is not taken");
}
