//! A new gate takes over from the running one: no connection is refused, no call is cut, none is lost or booked twice.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use http::Method;
use http::header::CONNECTION;
use http_body_util::Full;
use rusqlite::Connection;
use serde_json::json;
use tollgate::system::channel::Channel;

use crate::bench::admin::ask;
use crate::bench::client::{Answered, Client, read};
use crate::bench::process::{Home, Process};
use crate::bench::raw::guard;
use crate::bench::upstream::{Options, Upstream};

/// How a client reaches the gate.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// One connection to the base URL for as long as it is kept.
    Kept,
    /// A new connection to the base URL for each call.
    New,
    /// CONNECT and HTTP/1.1, for as long as it is kept.
    H1,
    /// CONNECT and HTTP/2, for as long as it is kept.
    H2,
}

const WAYS: [Way; 4] = [Way::Kept, Way::New, Way::H1, Way::H2];

/// Calls that go on whatever gate serves.
struct Load {
    stop: Arc<AtomicBool>,
    whole: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(home: &Home, proxy: SocketAddr) -> Self {
        let root = std::fs::read_to_string(home.path("certs/ca.pem")).unwrap();
        let (stop, whole) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let start = |way| tokio::spawn(calls(way, proxy, root.clone(), (Arc::clone(&stop), Arc::clone(&whole))));
        let clients = WAYS.into_iter().map(start).collect();
        Self { stop, whole, clients }
    }

    /// Waits until so many more calls have been answered.
    async fn further(&self, calls: usize) {
        let aim = self.whole.load(Ordering::Relaxed) + calls;
        guard(async {
            while self.whole.load(Ordering::Relaxed) < aim {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// The ids of all calls.
    async fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut ids = Vec::new();
        for client in self.clients {
            ids.extend(guard(client).await.unwrap());
        }
        ids
    }
}

async fn calls(
    way: Way,
    proxy: SocketAddr,
    root: String,
    (stop, whole): (Arc<AtomicBool>, Arc<AtomicUsize>),
) -> Vec<String> {
    let open = || async {
        match way {
            Way::Kept | Way::New => Client::plain(proxy).await,
            Way::H1 => Client::intercepted(proxy, "api.openai.com", &root, "http/1.1").await,
            Way::H2 => Client::intercepted(proxy, "api.openai.com", &root, "h2").await,
        }
    };
    let mut client = open().await;
    let mut ids = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let body =
            json!({"model": "gpt-4o", "stream": ids.len() % 2 == 0, "messages": [{"role": "user", "content": "hi"}]});
        let answered = loop {
            let request = client.request(Method::POST, "/v1/chat/completions");
            match client.begin(request.body(Full::from(body.to_string())).unwrap()).await {
                Ok(response) => break read(response).await,
                // HTTP/2 says goodbye, and which requests it has not seen.
                Err(error) if matches!(way, Way::H2) && is_goodbye(&error) => {
                    client = open().await;
                }
                Err(error) => panic!("{way:?}, after {} calls: {error:?}", ids.len()),
            }
        };
        assert!(answered.whole && answered.status == 200, "{way:?}: {answered:?}");
        ids.push(answered.headers["x-tollgate-id"].to_str().unwrap().to_owned());
        whole.fetch_add(1, Ordering::Relaxed);
        if matches!(way, Way::New) || is_last(&answered) {
            client = open().await;
        }
    }
    ids
}

/// Whether the request was not seen because the connection was said to be over; what was seen after all would be in the
/// bill and not among the answers.
fn is_goodbye(error: &hyper::Error) -> bool {
    error.is_canceled() || error.is_closed() || format!("{error:?}").contains("GoAway(b\"\", NO_ERROR, Remote)")
}

fn is_last(answered: &Answered) -> bool {
    answered.headers.get(CONNECTION).is_some_and(|value| value == "close")
}

/// How often gates follow each other; more by hand, with `TOLLGATE_TAKE_OVERS`.
fn rounds() -> usize {
    std::env::var("TOLLGATE_TAKE_OVERS").ok().and_then(|count| count.parse().ok()).unwrap_or(20)
}

/// The upstream's bill is what the journal says, entry by entry.
fn assert_booked(home: &Home, upstream: &Upstream, ids: &[String]) {
    let connection = Connection::open(home.journal()).unwrap();
    let mut select = connection.prepare("SELECT id, upstream_id, input, output, outcome FROM entries").unwrap();
    let rows = select.query_map([], |row| {
        let of = |at| row.get::<_, Option<String>>(at);
        Ok((row.get::<_, String>(0)?, (of(1)?, row.get::<_, Option<u64>>(2)?, row.get::<_, Option<u64>>(3)?, of(4)?)))
    });
    let booked: HashMap<_, _> = rows.unwrap().map(Result::unwrap).collect();
    for id in ids {
        let (_, _, _, outcome) = booked.get(id).unwrap_or_else(|| panic!("{id} is not in the books"));
        assert_eq!(outcome.as_deref(), Some("ok"), "{id}");
    }
    let bill = upstream.bill();
    assert_eq!((booked.len(), ids.len()), (bill.len(), bill.len()), "entries and answers against the bill");
    let by_id: HashMap<_, _> = bill.iter().map(|line| (line.id.as_str(), line)).collect();
    assert_eq!(by_id.len(), bill.len());
    for (id, (upstream_id, input, output, _)) in &booked {
        let line = by_id[upstream_id.as_deref().unwrap()];
        assert_eq!((*input, *output), (Some(line.input), Some(line.output)), "{id}");
    }
    let sums: (u64, u64) = connection
        .query_row("SELECT sum(entries), sum(input) FROM hours", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(sums, (bill.len() as u64, bill.iter().map(|line| line.input).sum()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gate_after_gate_takes_over_under_load_and_no_call_notices() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "workers: 1");
    let mut gate = home.start().await;
    let load = Load::start(&home, gate.proxy);
    load.further(20).await;
    let mut before = Vec::new();
    for round in 0..rounds() {
        let next = home.follow(&gate).await;
        assert_eq!((next.proxy, next.admin), (gate.proxy, gate.admin), "round {round}");
        load.further(20).await;
        before.push(std::mem::replace(&mut gate, next));
    }
    let ids = load.finish().await;
    for old in before {
        old.ended().await;
    }
    // What the ones before booked last is found by the one that serves, while it does.
    until_requests(&gate, ids.len() as u64).await;
    gate.stop().await;
    assert_booked(&home, &upstream, &ids);
}

/// Waits until the gate has as many calls in its books.
async fn until_requests(gate: &Process, count: u64) {
    let begun = Instant::now();
    loop {
        let told = ask(gate.admin, "/stats").await.json()["totals"]["requests"].as_u64();
        if told == Some(count) {
            return;
        }
        assert!(begun.elapsed().as_secs() < 20, "the books have {told:?} calls of {count}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_fails_to_follow_leaves_the_running_one_as_it_was() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "workers: 1");
    let gate = home.start().await;
    let load = Load::start(&home, gate.proxy);
    let config = home.path("config/tollgate.json5");
    let good = std::fs::read_to_string(&config).unwrap();
    let more = |members: &str| good.replacen('{', &format!("{{ {members},"), 1);
    let broken = [
        (good.replace("standin.pem", "missing.pem"), 2, "missing.pem"),
        (more("intercept: ['api.openai.com', 'example.com']"), 2, "ca renew"),
    ];
    for (text, code, told) in &broken {
        std::fs::write(&config, text).unwrap();
        let output = home.cannot_follow(&gate);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(*code) && stderr.contains(told), "{:?} {stderr}", output.status);
        load.further(20).await;
    }
    std::fs::write(&config, &good).unwrap();
    // A process that is killed at any step of its start has said so much, and no more.
    let socket = home.path("certs").join(format!("gate-{}.sock", gate.proxy));
    let journal = std::fs::canonicalize(home.path("data")).unwrap().join("ledger.sqlite");
    let journal = json!({"books": {"journal": journal}}).to_string();
    for said in [&[][..], &[r#""listeners""#], &[r#""listeners""#, &journal], &["nonsense"], &[r#""listeners""#, "{}"]]
    {
        let heir = Channel::call(&socket).unwrap();
        for word in said {
            heir.send(word, &[]).unwrap();
            let _ = heir.receive();
        }
        drop(heir);
        load.further(20).await;
        gate.until_journal(|journal| journal["state"] == "ok" && journal["pending"] == 0).await;
    }
    let next = home.follow(&gate).await;
    gate.ended().await;
    load.further(20).await;
    let ids = load.finish().await;
    until_requests(&next, ids.len() as u64).await;
    next.stop().await;
    assert_booked(&home, &upstream, &ids);
}

#[tokio::test]
async fn a_stream_that_is_open_ends_where_it_began_and_is_booked_by_the_gate_that_follows() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "workers: 1");
    let gate = home.start().await;
    upstream.hold();
    upstream.release(1);
    let mut client = Client::plain(gate.proxy).await;
    let body = r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"count"}]}"#;
    let request = client.request(Method::POST, "/v1/chat/completions").body(Full::from(body)).unwrap();
    let stream = guard(client.begin(request)).await.unwrap();
    let next = home.follow(&gate).await;
    upstream.release_all();
    let mut other = Client::plain(next.proxy).await;
    assert_eq!(other.post("/v1/chat/completions", r#"{"model":"gpt-4o","messages":[]}"#).await.status, 200);
    let answered = guard(read(stream)).await;
    assert!(answered.whole && answered.text().ends_with("data: [DONE]\n\n"), "{}", answered.text());
    until_requests(&next, 2).await;
    gate.ended().await;
    next.kill().await;
    let again = home.start().await;
    until_requests(&again, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_of_either_gate_while_one_follows_the_other_loses_no_call() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "workers: 1");
    for kills_first in [true, false] {
        let gate = home.start().await;
        let mut client = Client::plain(gate.proxy).await;
        upstream.hold();
        upstream.release(1);
        let body = r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"count"}]}"#;
        let request = client.request(Method::POST, "/v1/chat/completions").body(Full::from(body)).unwrap();
        let open = guard(client.begin(request)).await.unwrap();
        let next = home.follow(&gate).await;
        if kills_first {
            gate.kill().await;
            drop(open);
            upstream.release_all();
        } else {
            next.kill().await;
            upstream.release_all();
            assert!(guard(read(open)).await.whole);
            gate.ended().await;
        }
    }
    home.start().await.stop().await;
    let connection = Connection::open(home.journal()).unwrap();
    let mut select = connection.prepare("SELECT outcome FROM entries ORDER BY seq").unwrap();
    let outcomes: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(outcomes, ["unknown", "ok"]);
}

#[tokio::test]
async fn the_program_follows_itself_when_it_is_told_to() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "workers: 1");
    let gate = home.start().await;
    let (proxy, admin) = (gate.proxy, gate.admin);
    gate.signal("USR2");
    gate.ended().await;
    let mut client = Client::plain(proxy).await;
    assert_eq!(client.post("/v1/chat/completions", r#"{"model":"gpt-4o","messages":[]}"#).await.status, 200);
    let journal = home.journal();
    let lock = std::fs::read_to_string(journal.with_file_name("ledger.sqlite-lock")).unwrap();
    assert!(std::process::Command::new("kill").arg(lock.trim()).status().unwrap().success());
    guard(async {
        while tokio::net::TcpStream::connect(admin).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn where_no_gate_runs_there_is_none_to_follow() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "workers: 1");
    let gate = home.start().await;
    let admin = gate.admin;
    let folder = home.path("certs");
    gate.stop().await;
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains(".sock")), "{left:?}");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["serve", &format!("--take-over={admin}")]).current_dir(home.path("")).env_clear();
    let output = command.env("HOME", home.path("")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("error: no gate that could hand over listens on"), "{stderr}");
    assert!(stderr.contains("hint: start the gate without `--take-over`"), "{stderr}");
}
