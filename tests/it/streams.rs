//! A stream through the gate is the direct stream, byte for byte and event by event.

use http::{Method, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tollgate::units::Basis;

use crate::bench::client::{Answered, Client, read};
use crate::bench::gate::TestGate;
use crate::bench::raw::guard;
use crate::bench::upstream::coding::Coding;
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const RESPONSES: &str = "/v1/responses";
const VERSIONS: [(Alpn, &str); 4] =
    [(Alpn::Http1, "http/1.1"), (Alpn::Http1, "h2"), (Alpn::Http2, "http/1.1"), (Alpn::Http2, "h2")];

fn chat(options: &Value) -> Value {
    json!({"model": "gpt-4o", "stream": true, "stream_options": options,
           "messages": [{"role": "user", "content": "count to ten"}]})
}

async fn direct(upstream: &Upstream, alpn: &str) -> Client {
    Client::direct(upstream.address(), "api.openai.com", upstream.ca_pem(), alpn).await
}

/// What a direct client and this stand-in agree on.
fn spoken(offered: Alpn) -> &'static str {
    if offered == Alpn::Http1 { "http/1.1" } else { "h2" }
}

async fn through(gate: &TestGate, alpn: &str) -> Client {
    Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await
}

async fn call(client: &mut Client, path: &str, body: &Value, fault: &str) -> Answered {
    let request =
        client.request(Method::POST, path).header("x-standin-fault", fault).body(Full::from(body.to_string())).unwrap();
    client.send(request).await
}

#[tokio::test]
async fn every_stream_reads_as_the_direct_one_does() {
    for (upstream_alpn, alpn) in VERSIONS {
        let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, "");
        let mut straight = direct(&upstream, spoken(upstream_alpn)).await;
        let mut client = through(&gate, alpn).await;
        let forms = [
            (CHAT, json!({"model": "gpt-4o", "stream": true, "messages": []})),
            (CHAT, chat(&Value::Null)),
            (CHAT, chat(&json!({}))),
            (CHAT, chat(&json!({"include_obfuscation": false}))),
            (CHAT, chat(&json!({"include_usage": false, "include_obfuscation": false}))),
            (CHAT, chat(&json!({"include_usage": true}))),
            (CHAT, chat(&json!({"include_obfuscation": false, "include_usage": true}))),
            (COMPLETIONS, json!({"model": "gpt-3.5-turbo-instruct", "stream": true, "prompt": "x", "n": 2})),
            (RESPONSES, json!({"model": "gpt-5", "stream": true, "input": "x"})),
        ];
        let mut booked = 0;
        for (path, body) in &forms {
            for fault in ["", "crlf"] {
                upstream.clear();
                let expected = call(&mut straight, path, body, fault).await;
                assert_eq!(expected.status, 200, "{}", expected.text());
                upstream.clear();
                let answered = call(&mut client, path, body, fault).await;
                assert_eq!(answered.text(), expected.text(), "{path} {body} {fault}");
                assert!(answered.whole);
                booked += 1;
                let entries = gate.wait_for_entries(booked).await;
                let usage = entries[booked - 1].usage.expect("usage is read whoever asked for it");
                let bill = &upstream.bill()[0];
                assert_eq!((usage.input, usage.output), (Some(bill.input), Some(bill.output)));
            }
        }
    }
}

#[tokio::test]
async fn asking_for_usage_keeps_every_other_option_of_the_client() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut client = through(&gate, "h2").await;
    for (given, sent) in [
        (json!({"include_obfuscation": false}), json!({"include_obfuscation": false, "include_usage": true})),
        (json!({"include_usage": true, "x": [1]}), json!({"include_usage": true, "x": [1]})),
        (Value::Null, json!({"include_usage": true})),
    ] {
        upstream.clear();
        call(&mut client, CHAT, &chat(&given), "").await;
        let body: Value = serde_json::from_slice(&upstream.seen()[0].body).unwrap();
        assert_eq!(body["stream_options"], sent);
    }
}

#[tokio::test]
async fn a_compressed_stream_that_was_not_asked_for_reads_as_the_plain_one() {
    for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
        let upstream = Upstream::start(Options::default());
        let gate = TestGate::start(&upstream, "");
        let expected = call(&mut direct(&upstream, "h2").await, CHAT, &chat(&Value::Null), "").await;
        upstream.clear();
        let fault = format!("{}, insist", coding.name());
        let answered = call(&mut through(&gate, "h2").await, CHAT, &chat(&Value::Null), &fault).await;
        assert_eq!(answered.text(), expected.text());
        assert!(!answered.headers.contains_key("content-encoding"));
        assert_eq!(upstream.seen()[0].headers["accept-encoding"], "identity");
        let entries = gate.wait_for_entries(1).await;
        assert_eq!(entries[0].usage.unwrap().output, Some(upstream.bill()[0].output));
    }
}

#[tokio::test]
async fn without_injection_nothing_is_changed_either_way() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "metering: { injectUsage: false },");
    let mut client = through(&gate, "h2").await;
    let body = chat(&json!({"include_obfuscation": false}));
    let expected = call(&mut direct(&upstream, "h2").await, CHAT, &body, "").await;
    upstream.clear();
    let answered = call(&mut client, CHAT, &body, "").await;
    assert_eq!(answered.text(), expected.text());
    assert_eq!(upstream.seen()[0].body, body.to_string());
    let entry = gate.wait_for_entries(1).await.remove(0);
    assert_eq!(entry.basis, Basis::Counted, "nobody was asked for it: {entry:?}");
    let coded = client
        .request(Method::POST, CHAT)
        .header("accept-encoding", "gzip")
        .header("x-standin-fault", "gzip")
        .body(Full::from(body.to_string()))
        .unwrap();
    let answered = client.send(coded).await;
    assert_eq!(answered.headers["content-encoding"], "gzip");
    assert!(Coding::Gzip.decode(&answered.body).is_some());
}

#[tokio::test]
async fn no_event_waits_for_the_next_one() {
    for (upstream_alpn, alpn) in VERSIONS {
        for fault in ["", "crlf"] {
            let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
            let gate = TestGate::start(&upstream, "");
            let whole = call(&mut direct(&upstream, spoken(upstream_alpn)).await, CHAT, &chat(&Value::Null), fault)
                .await
                .text();
            let mark = if fault == "crlf" { "\r\n\r\n" } else { "\n\n" };
            upstream.clear();
            upstream.hold();
            let mut client = through(&gate, alpn).await;
            let request = client
                .request(Method::POST, CHAT)
                .header("x-standin-fault", fault)
                .body(Full::from(chat(&Value::Null).to_string()))
                .unwrap();
            upstream.release(1);
            let mut response = client.begin(request).await.unwrap();
            let events: Vec<&str> = whole.split_inclusive(mark).collect();
            // All but the last: what the gate takes out comes before `[DONE]`.
            for event in &events[..events.len() - 1] {
                assert_eq!(read_some(&mut response, event.len()).await, *event);
                upstream.release(1);
            }
            upstream.release_all();
            let last = events[events.len() - 1];
            assert_eq!(read_some(&mut response, last.len()).await, last);
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_else() {
    let upstream = Upstream::start(Options { alpn: Alpn::Http2, ..Options::default() });
    let gate = TestGate::start(&upstream, "");
    let large = json!({"model": "text-embedding-3-small", "input": vec!["a"; 300], "dimensions": 3072}).to_string();
    let mut unread = Vec::new();
    for _ in 0..3 {
        let mut idle = through(&gate, "h2").await;
        let request = idle.request(Method::POST, "/v1/embeddings").body(Full::from(large.clone())).unwrap();
        unread.push((idle.begin(request).await.unwrap(), idle));
    }
    let mut other = through(&gate, "h2").await;
    for _ in 0..40 {
        let answered = guard(call(&mut other, CHAT, &chat(&json!({})), "")).await;
        assert!(answered.whole, "{}", answered.text());
    }
    assert_eq!(upstream.connections().0, 1, "all share one connection");
    for (response, _idle) in unread {
        assert!(guard(read(response)).await.whole);
    }
}

/// The next `count` bytes of a body.
async fn read_some(response: &mut Response<Incoming>, count: usize) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let frame = response.body_mut().frame().await.expect("more").expect("no error");
        bytes.extend_from_slice(frame.data_ref().unwrap());
    }
    String::from_utf8(bytes).unwrap()
}
