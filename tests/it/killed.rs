//! A gate that is killed at any moment: no finished call is lost, no unfinished one is invisible, none is booked twice.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use http_body_util::Full;
use rusqlite::Connection;
use serde_json::json;

use crate::bench::client::{Client, read};
use crate::bench::process::Home;
use crate::bench::raw::guard;
use crate::bench::upstream::{Options, Upstream};

/// What a client knows of a call whose answer it has whole.
#[derive(Debug)]
struct Had {
    /// `x-tollgate-id`.
    id: String,
}

/// What the books say of an attempt.
#[derive(Debug, Eq, PartialEq)]
struct Booked {
    outcome: String,
    metered: bool,
    input: Option<u64>,
    output: Option<u64>,
    upstream_id: Option<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_have_is_booked_whatever_moment_the_gate_is_killed_at() {
    let upstream = Arc::new(Upstream::start(Options::default()));
    let home = Home::toward(&upstream, "workers: 2");
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id()));
    let mut had = Vec::new();
    for round in 0..8 {
        let gate = home.start().await;
        let whole = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> =
            (0..6).map(|number| tokio::spawn(calls(number, gate.proxy, Arc::clone(&whole)))).collect();
        // The first moments count too, and those while the first groups are written.
        let moment = usize::try_from(chance.below(if round % 2 == 0 { 20 } else { 300 })).unwrap();
        if chance.below(2) == 0 {
            upstream.until_seen(upstream.seen().len() + moment).await;
        } else {
            guard(async {
                while whole.load(Ordering::Relaxed) < moment {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        gate.kill().await;
        for client in clients {
            had.extend(guard(client).await.unwrap());
        }
    }
    home.start().await.stop().await;

    let books = booked(&home);
    assert!(had.len() > 50, "too little happened: {} calls", had.len());
    for Had { id } in &had {
        let entry = books.get(id).unwrap_or_else(|| panic!("the client has {id}, and the books do not"));
        assert!(entry.outcome == "ok" && entry.metered, "{id}: {entry:?}");
    }
    let bill: HashMap<String, _> = upstream.bill().into_iter().map(|line| (line.id.clone(), line)).collect();
    let mut seen = HashSet::new();
    for entry in books.values().filter(|entry| entry.outcome == "ok") {
        let id = entry.upstream_id.clone().unwrap();
        let line = &bill[&id];
        assert_eq!((entry.input, entry.output), (Some(line.input), Some(line.output)));
        assert!(seen.insert(id), "{entry:?} is booked twice");
    }
    // Each attempt that the upstream saw is in the books; one may be there that it never saw.
    let (attempts, asked) = (books.len(), upstream.seen().len());
    assert!(attempts >= asked, "the upstream saw {asked} requests, the books {attempts} attempts");
    let ends = ["ok", "unknown", "client_closed", "upstream_cut", "upstream_error"];
    assert!(books.values().all(|entry| ends.contains(&&*entry.outcome)), "{books:#?}");
    let connection = Connection::open(home.journal()).unwrap();
    let sums: (u64, u64, u64) = connection
        .query_row("SELECT sum(entries), sum(input), sum(output) FROM hours", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    let of = |count: fn(&Booked) -> Option<u64>| books.values().filter_map(count).sum::<u64>();
    assert_eq!(
        sums,
        (attempts as u64, of(|entry| entry.input), of(|entry| entry.output)),
        "the sums are those of the rows"
    );
}

/// Calls over one connection until it breaks.
async fn calls(number: usize, proxy: SocketAddr, whole: Arc<AtomicUsize>) -> Vec<Had> {
    let mut client = Client::plain(proxy).await;
    let mut had = Vec::new();
    for turn in 0.. {
        let (path, body) = match (number + turn) % 3 {
            0 => ("/v1/chat/completions", json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]})),
            1 => {
                let messages = json!([{"role": "user", "content": "a longer question"}]);
                ("/v1/chat/completions", json!({"model": "o3", "stream": true, "messages": messages}))
            }
            _ => ("/v1/responses", json!({"model": "gpt-4o-mini", "input": "hello", "stream": turn % 2 == 0})),
        };
        let request = client.request(Method::POST, path).body(Full::from(body.to_string())).unwrap();
        let Ok(response) = client.begin(request).await else { break };
        let answered = read(response).await;
        if !answered.whole {
            break;
        }
        assert_eq!(answered.status, 200, "{}", answered.text());
        had.push(Had { id: answered.headers["x-tollgate-id"].to_str().unwrap().to_owned() });
        whole.fetch_add(1, Ordering::Relaxed);
    }
    had
}

fn booked(home: &Home) -> HashMap<String, Booked> {
    let connection = Connection::open(home.journal()).unwrap();
    let mut statement =
        connection.prepare("SELECT id, outcome, metered, input, output, upstream_id FROM entries").unwrap();
    let rows = statement.query_map([], |row| {
        let entry = Booked {
            outcome: row.get(1)?,
            metered: row.get(2)?,
            input: row.get(3)?,
            output: row.get(4)?,
            upstream_id: row.get(5)?,
        };
        Ok((row.get(0)?, entry))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Chance, other in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
