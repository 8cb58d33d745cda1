//! Connections to upstreams are kept and shared, and none ever brings one client what belongs to another.

use futures_util::future::join_all;
use http::Method;
use http_body_util::Full;
use serde_json::json;

use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};
use crate::bench::verbatim::{Said, Then, Verbatim};

const CHAT: &str = "/v1/chat/completions";
const BOTH: [Alpn; 2] = [Alpn::Http1, Alpn::Http2];

/// A call whose reply repeats `nonce`.
fn chat(nonce: &str) -> String {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": nonce}],
           "tools": [{"type": "function", "function": {"name": "f"}}]})
    .to_string()
}

async fn client(gate: &TestGate, alpn: &str) -> Client {
    Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await
}

async fn call(client: &mut Client, nonce: &str, fault: &str) -> Answered {
    let request =
        client.request(Method::POST, CHAT).header("x-standin-fault", fault).body(Full::from(chat(nonce))).unwrap();
    client.send(request).await
}

#[tokio::test]
async fn calls_one_after_the_other_use_one_connection() {
    for alpn in BOTH {
        let upstream = Upstream::start(Options { alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, "");
        for number in 0..6 {
            let version = if number % 2 == 0 { "h2" } else { "http/1.1" };
            let answered = call(&mut client(&gate, version).await, "x", "").await;
            assert!(answered.status.is_success() && answered.whole);
        }
        assert_eq!(upstream.connections().0, 1, "{alpn:?}");
    }
}

#[tokio::test]
async fn calls_at_once_share_one_http2_connection() {
    let upstream = Upstream::start(Options { alpn: Alpn::Http2, ..Options::default() });
    let gate = TestGate::start(&upstream, "");
    call(&mut client(&gate, "h2").await, "first", "").await;
    let calls = (0..20).map(|_| async { call(&mut client(&gate, "h2").await, "x", "").await.whole });
    assert!(join_all(calls).await.into_iter().all(|whole| whole));
    assert_eq!(upstream.connections().0, 1);
}

#[tokio::test]
async fn an_upstream_that_takes_no_more_requests_gets_the_next_one_over_a_new_connection() {
    for (alpn, fault) in [(Alpn::Http1, "close"), (Alpn::Http1, "goaway"), (Alpn::Http2, "goaway")] {
        let upstream = Upstream::start(Options { alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, "");
        for _ in 0..3 {
            let answered = call(&mut client(&gate, "h2").await, "x", fault).await;
            assert!(answered.status.is_success() && answered.whole, "{answered:?}");
        }
        assert_eq!(upstream.connections().0, 3, "{alpn:?} {fault}");
        assert_eq!((upstream.seen().len(), gate.wait_for_entries(3).await.len()), (3, 3));
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_arrives_and_the_next_request_is_itself() {
    for (upstream_alpn, size) in [(Alpn::Http1, 10), (Alpn::Http2, 10), (Alpn::Http2, 300_000)] {
        for alpn in ["http/1.1", "h2"] {
            let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
            let gate = TestGate::start(&upstream, "");
            let mut client = client(&gate, alpn).await;
            for _ in 0..2 {
                let answered = call(&mut client, &"long ".repeat(size), "early-answer").await;
                assert_eq!(answered.status, 413, "{upstream_alpn:?} {alpn} {size}");
                assert!(answered.whole && answered.text().contains("cannot be served"));
                let answered = call(&mut client, "next", "").await;
                assert!(answered.text().contains("next"), "{}", answered.text());
                assert_eq!(upstream.seen().pop().unwrap().body, chat("next"));
            }
        }
    }
}

#[tokio::test]
async fn a_connection_with_an_unfinished_request_takes_no_other_one() {
    for path in [CHAT, "/v1/files"] {
        let verbatim = Verbatim::start(|number| {
            let (status, then) = if number == 0 { (413, Then::Deaf) } else { (200, Then::Keep) };
            let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: 7");
            Said { bytes: format!("{head}\r\n\r\n{{\"n\":{number}}}").into_bytes(), then }
        });
        let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", "");
        // More than the sockets between take in.
        let body = chat(&"long ".repeat(6 << 20));
        let answered = client(&gate, "h2").await.post(path, body).await;
        assert_eq!((answered.status.as_u16(), &*answered.text()), (413, "{\"n\":0}"), "{path}");
        let answered = client(&gate, "h2").await.post(path, chat("next")).await;
        assert_eq!((answered.status.as_u16(), &*answered.text()), (200, "{\"n\":1}"), "{path}");
        assert_eq!(verbatim.connections(), 2, "{path}");
        let entries = gate.wait_for_entries(2).await;
        assert_eq!((entries[0].status, entries[1].status), (413, 200));
    }
}

#[tokio::test]
async fn bytes_behind_a_reply_reach_nobody() {
    let said = |body: &str| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        format!("{head}\r\n\r\n{body}")
    };
    let verbatim = Verbatim::start(move |number| {
        let bytes = if number == 0 { said("{\"n\":0}") + &said("{\"poison\":1}") } else { said("{\"n\":1}") };
        Said { bytes: bytes.into_bytes(), then: Then::Keep }
    });
    let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", "");
    for expected in ["{\"n\":0}", "{\"n\":1}", "{\"n\":1}"] {
        assert_eq!(call(&mut client(&gate, "h2").await, "x", "").await.text(), expected);
    }
    assert_eq!(verbatim.connections(), 2, "the first is dropped, the second is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_at_once_get_their_own_answers() {
    for upstream_alpn in BOTH {
        let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, "");
        let (proxy, root) = (gate.proxy(), gate.root_pem());
        let calls = (0..200).map(|number| {
            let root = root.clone();
            tokio::spawn(async move {
                let alpn = if number % 2 == 0 { "http/1.1" } else { "h2" };
                let mut client = Client::intercepted(proxy, "api.openai.com", &root, alpn).await;
                for round in 0..2 {
                    let nonce = format!("nonce-{number}-{round}-end");
                    let fault = if number % 5 == 0 { "reset-stream=1, chunked" } else { "" };
                    let request = client
                        .request(Method::POST, CHAT)
                        .header("x-standin-fault", fault)
                        .body(Full::from(chat(&nonce)))
                        .unwrap();
                    let Ok(response) = client.begin(request).await else {
                        assert_ne!(fault, "", "only those that are broken may break");
                        return;
                    };
                    let answered = crate::bench::client::read(response).await;
                    let text = answered.text();
                    assert_eq!(text.matches("nonce-").count(), text.matches(&nonce).count(), "{nonce}: {text}");
                    assert_eq!(answered.whole, fault.is_empty(), "{nonce}");
                    if !answered.whole {
                        return;
                    }
                    assert!(text.contains(&nonce));
                }
            })
        });
        for call in join_all(calls).await {
            call.unwrap();
        }
    }
}
