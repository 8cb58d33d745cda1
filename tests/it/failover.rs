//! A call is tried at another duplicate only while nothing of it was sent, and nothing is ever sent twice.

use std::net::{SocketAddr, TcpListener};

use http::StatusCode;
use tollgate::ledger::entry::Outcome;

use crate::bench::client::Client;
use crate::bench::gate::TestGate;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn where_the_first_refuses_connections_the_second_answers_and_both_are_booked() {
    let (origin, second) = (Upstream::start(Options::default()), plain(None));
    let gate = TestGate::start(&origin, &two(&format!("http://{}", closed_port()), &second.url()));
    for alpn in ["http/1.1", "h2"] {
        second.clear();
        let before = gate.entries().len();
        let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await;
        let answered = client.post("/v1/chat/completions", CHAT).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
        assert_eq!(second.seen()[0].body, CHAT.as_bytes());
        assert_eq!(second.seen()[0].headers["authorization"], "Bearer sk-second");

        let mut entries = gate.wait_for_entries(before + 2).await.split_off(before);
        entries.sort_by_key(|entry| entry.attempt);
        let told: Vec<_> = entries.iter().map(|entry| (entry.attempt, entry.outcome, entry.status)).collect();
        assert_eq!(told, [(1, Outcome::UpstreamError, 502), (2, Outcome::Ok, 200)]);
        let names: Vec<_> = entries.iter().map(|entry| entry.route.as_ref().unwrap().name.to_string()).collect();
        assert_eq!(names, ["first", "second"]);
        assert!(entries[0].usage.is_none() && entries[1].usage.is_some());
        assert_ne!(entries[0].id, entries[1].id);
    }
    assert_eq!((second.bill().len(), origin.seen().len()), (1, 0));
}

#[tokio::test]
async fn a_failure_after_something_was_sent_is_the_clients_to_retry() {
    let (origin, first, second) = (Upstream::start(Options::default()), plain(None), plain(None));
    let gate = TestGate::start(&origin, &two(&first.url(), &second.url()));
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    // On a fresh connection, then on a kept one.
    for count in [1, 3] {
        first.fault_next("cut-head");
        let answered = client.post("/v1/chat/completions", CHAT).await;
        assert_eq!(answered.status, StatusCode::BAD_GATEWAY);
        assert_eq!(answered.headers["x-should-retry"], "false");
        assert_eq!(answered.json()["error"]["code"], "upstream_closed");
        let entry = gate.wait_for_entries(count).await.remove(count - 1);
        assert_eq!((entry.attempt, entry.outcome), (1, Outcome::UpstreamError));
        assert_eq!(first.seen().len(), count);
        assert_eq!(client.post("/v1/chat/completions", CHAT).await.status, StatusCode::OK);
        gate.wait_for_entries(count + 1).await;
    }
    assert_eq!((first.seen().len(), second.seen().len(), gate.entries().len()), (4, 0, 4));
}

#[tokio::test]
async fn an_answer_is_an_answer_whatever_its_status() {
    let (origin, first, second) = (Upstream::start(Options::default()), plain(None), plain(None));
    let gate = TestGate::start(&origin, &two(&first.url(), &second.url()));
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    for status in [429, 500, 503] {
        first.fault_next(&format!("status={status}"));
        assert_eq!(client.post("/v1/chat/completions", CHAT).await.status.as_u16(), status);
    }
    assert_eq!((first.seen().len(), second.seen().len()), (3, 0));
}

#[tokio::test]
async fn a_refused_connection_without_another_place_may_be_retried() {
    let mut origin = Upstream::start(Options::default());
    let gate = TestGate::start(&origin, "");
    origin.stop();
    for path in ["/v1/chat/completions", "/v1/files"] {
        let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
        let answered = client.post(path, CHAT).await;
        assert_eq!(answered.status, StatusCode::BAD_GATEWAY);
        assert_eq!(answered.headers["x-should-retry"], "true");
        assert_eq!(answered.json()["error"]["type"], "server_error");
    }
    let entries = gate.wait_for_entries(2).await;
    assert!(entries.iter().all(|entry| entry.outcome == Outcome::UpstreamError && entry.status == 502));
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced_without_a_second_send() {
    let origin = Upstream::start(Options::default());
    let mut mirror = plain(None);
    let gate = TestGate::start(
        &origin,
        &format!(r#"duplicates: [{{ name: "mirror", url: "{}", apiKey: "sk-mirror" }}]"#, mirror.url()),
    );
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    for fault in ["", "close", "", "close", ""] {
        mirror.fault_next(fault);
        assert_eq!(client.post("/v1/chat/completions", CHAT).await.status, StatusCode::OK);
    }
    assert_eq!((mirror.seen().len(), mirror.bill().len(), mirror.connections().0), (5, 5, 3));

    for _ in 0..3 {
        let address = mirror.address();
        mirror.stop();
        mirror = plain(Some(address));
        for _ in 0..2 {
            let answered = client.post("/v1/chat/completions", CHAT).await;
            assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
        }
        assert_eq!((mirror.seen().len(), mirror.bill().len(), mirror.connections().0), (2, 2, 1));
    }
    let entries = gate.wait_for_entries(11).await;
    assert!(entries.iter().all(|entry| entry.attempt == 1 && entry.outcome == Outcome::Ok));
    assert_eq!(entries.len(), 11);
}

#[tokio::test]
async fn a_shared_connection_that_is_going_away_is_replaced_without_a_second_send() {
    let origin = Upstream::start(Options::default());
    let gate = TestGate::start(&origin, "");
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    for fault in ["", "goaway", "", "goaway", ""] {
        origin.fault_next(fault);
        let answered = client.post("/v1/chat/completions", CHAT).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    }
    assert_eq!((origin.seen().len(), origin.bill().len()), (5, 5));
}

fn plain(at: Option<SocketAddr>) -> Upstream {
    Upstream::start(Options { name: "mirror", at, tls: false, ..Options::default() })
}

fn two(first: &str, second: &str) -> String {
    format!(
        r#"duplicates: [
             {{ name: "second", url: "{second}", apiKey: "sk-second", priority: 2 }},
             {{ name: "first", url: "{first}", apiKey: "sk-first" }},
           ]"#
    )
}

/// A port on which nobody listens.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

const CHAT: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"one two three"}]}"#;
