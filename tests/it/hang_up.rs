//! A client that hangs up leaves exactly one entry, and its reply is read to the usage or cancelled, as configured.

use http::Method;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tollgate::ledger::entry::{AfterClose, Entry, Outcome};
use tollgate::ledger::page::Query;
use tollgate::units::Basis;

use crate::bench::client::{Client, connect, handshake};
use crate::bench::gate::TestGate;
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};
use crate::bench::verbatim::{Said, Then, Verbatim};

const CHAT: &str = "/v1/chat/completions";
const CANCEL: &str = r#"metering: { onDisconnect: "cancel" },"#;
const VERSIONS: [(Alpn, &str); 4] =
    [(Alpn::Http1, "http/1.1"), (Alpn::Http1, "h2"), (Alpn::Http2, "http/1.1"), (Alpn::Http2, "h2")];

fn chat(stream: bool) -> String {
    json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "x y z"}]}).to_string()
}

async fn client(gate: &TestGate, alpn: &str) -> Client {
    Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await
}

/// Reads the first event of a held stream and hangs up; afterwards the gate knows it.
async fn hang_up_mid_stream(upstream: &Upstream, gate: &TestGate, alpn: &str) {
    upstream.hold();
    upstream.release(2);
    let mut client = client(gate, alpn).await;
    let request = client.request(Method::POST, CHAT).body(Full::from(chat(true))).unwrap();
    let mut response = client.begin(request).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop((response, client));
    settle(gate).await;
}

/// Asks what the gate answers by itself. Its only worker has then seen everything that came before.
async fn settle(gate: &TestGate) {
    for _ in 0..2 {
        let mut other = client(gate, "http/1.1").await;
        let preflight = other
            .request(Method::OPTIONS, CHAT)
            .header("origin", "https://example.com")
            .header("access-control-request-method", "POST")
            .body(Full::default())
            .unwrap();
        assert!(other.send(preflight).await.status.is_success());
    }
}

/// The only entry; a second one would come before that of the call made here.
async fn only_entry(gate: &TestGate) -> Entry {
    gate.wait_for_entries(1).await;
    client(gate, "http/1.1").await.get("/v1/after").await;
    let entries = gate.wait_for_entries(2).await;
    assert_eq!(entries.len(), 2, "{entries:#?}");
    entries[0].clone()
}

fn assert_billed(entry: &Entry, upstream: &Upstream) {
    assert_eq!((entry.outcome, entry.after_close), (Outcome::ClientClosed, Some(AfterClose::Drained)), "{entry:?}");
    assert_eq!(entry.basis, Basis::Reported);
    let (usage, bill) = (entry.usage.expect("usage was read to the end"), &upstream.bill()[0]);
    assert!(bill.completed);
    assert_eq!((usage.input, usage.output), (Some(bill.input), Some(bill.output)));
    assert!(entry.cost.is_some());
}

#[tokio::test]
async fn what_was_read_before_a_forced_stop_is_booked() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    hang_up_mid_stream(&upstream, &gate, "http/1.1").await;
    let ledger = gate.gate.ledger().clone();
    assert!(gate.entries().is_empty(), "it is still being read");
    drop(gate);
    let page = ledger.entries(&Query::default());
    assert_eq!(page.entries.len(), 1);
    let entry = &page.entries[0].entry;
    assert_eq!(entry.outcome, Outcome::ClientClosed);
    assert!(entry.model.served.is_some() && entry.upstream_id.is_some(), "{entry:?}");
    assert_eq!((entry.after_close, entry.basis), (Some(AfterClose::GivenUp), Basis::Estimated));
}

#[tokio::test]
async fn a_stream_that_lost_its_client_is_read_to_its_usage() {
    for (upstream_alpn, alpn) in VERSIONS {
        let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, "");
        hang_up_mid_stream(&upstream, &gate, alpn).await;
        assert!(gate.entries().is_empty(), "it is still being read");
        upstream.release_all();
        assert_billed(&only_entry(&gate).await, &upstream);
        drop(gate);
        upstream.wait_for_open_connections(0);
    }
}

#[tokio::test]
async fn a_stream_that_lost_its_client_is_cancelled_where_the_owner_says_so() {
    for (upstream_alpn, alpn) in VERSIONS {
        let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, CANCEL);
        hang_up_mid_stream(&upstream, &gate, alpn).await;
        upstream.wait_for_ended(1);
        assert!(!upstream.bill()[0].completed);
        if upstream_alpn == Alpn::Http1 {
            upstream.wait_for_open_connections(0);
        }
        upstream.release_all();
        let entry = only_entry(&gate).await;
        assert_eq!((entry.outcome, entry.basis), (Outcome::ClientClosed, Basis::Estimated), "{entry:?}");
        assert_eq!(entry.after_close, Some(AfterClose::Cancelled));
        assert!(entry.cost.is_some());
    }
}

#[tokio::test]
async fn a_call_that_lost_its_client_before_the_answer_is_read_to_its_usage() {
    for (upstream_alpn, alpn) in VERSIONS {
        for stream in [false, true] {
            let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
            let gate = TestGate::start(&upstream, "");
            leave_before_the_answer(&upstream, &gate, alpn, stream).await;
            assert!(gate.entries().is_empty());
            upstream.release_all();
            assert_billed(&only_entry(&gate).await, &upstream);
        }
    }
}

#[tokio::test]
async fn a_call_that_lost_its_client_before_the_answer_is_cancelled_where_the_owner_says_so() {
    for (upstream_alpn, alpn) in VERSIONS {
        let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, CANCEL);
        leave_before_the_answer(&upstream, &gate, alpn, false).await;
        if upstream_alpn == Alpn::Http1 {
            upstream.wait_for_open_connections(0);
        }
        let entry = only_entry(&gate).await;
        assert_eq!((entry.outcome, entry.basis, entry.status), (Outcome::ClientClosed, Basis::Estimated, 0));
        // It had taken the prompt in, and nobody knows of more.
        let usage = entry.usage.unwrap();
        assert!(usage.input > Some(0) && usage.output == Some(0), "{usage:?}");
        assert_eq!(entry.after_close, Some(AfterClose::Cancelled));
        upstream.release_all();
    }
}

#[tokio::test]
async fn a_call_for_a_custom_model_that_lost_its_client_is_booked_as_abandoned_with_its_usage() {
    for path in ["/serve/chat/completions", "/serve/completions"] {
        for stream in [false, true] {
            let plain = Options { tls: false, alpn: Alpn::Http1, ..Options::default() };
            let (origin, other) = (Upstream::start(Options::default()), Upstream::start(plain));
            let line = format!(r#"models: [{{ name: "gpt-4o", endpointUrl: "{}{path}" }}]"#, other.url());
            let gate = TestGate::start(&origin, &line);
            leave_before_the_answer(&other, &gate, "http/1.1", stream).await;
            assert!(gate.entries().is_empty());
            other.release_all();
            let entry = only_entry(&gate).await;
            assert_eq!(entry.outcome, Outcome::ClientClosed, "{path} {stream}: {entry:?}");
            assert_eq!(entry.after_close, Some(AfterClose::Drained), "{path} {stream}");
            let (usage, bill) = (entry.usage.expect("usage was read to the end"), &other.bill()[0]);
            assert_eq!((usage.input, usage.output), (Some(bill.input), Some(bill.output)), "{path} {stream}");
        }
    }
}

async fn leave_before_the_answer(upstream: &Upstream, gate: &TestGate, alpn: &str, stream: bool) {
    upstream.fault_next("stall");
    let mut client = client(gate, alpn).await;
    let request = client.request(Method::POST, CHAT).body(Full::from(chat(stream))).unwrap();
    let call = tokio::spawn(async move { client.begin(request).await.map(drop) });
    upstream.until_seen(1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    settle(gate).await;
}

#[tokio::test]
async fn as_many_as_may_be_read_on_are_read_to_their_usage_and_one_more_is_given_up() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let Client::H2(sender) = client(&gate, "h2").await else { panic!("it speaks HTTP/2") };
    let mut asked = Vec::new();
    for number in 0..65 {
        upstream.fault_next("stall");
        let mut client = Client::H2(sender.clone());
        let request = client.request(Method::POST, CHAT).body(Full::from(chat(number % 2 == 0))).unwrap();
        asked.push(tokio::spawn(async move { client.begin(request).await.map(drop) }));
    }
    upstream.until_seen(65).await;
    for call in asked {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    let given_up = gate.wait_for_entries(1).await;
    assert_eq!(given_up.len(), 1, "the others are being waited for");
    assert_eq!((given_up[0].after_close, given_up[0].basis), (Some(AfterClose::GivenUp), Basis::Estimated));
    upstream.release_all();
    let entries = gate.wait_for_entries(65).await;
    let drained = entries.iter().filter(|entry| entry.after_close == Some(AfterClose::Drained));
    assert_eq!(drained.filter(|entry| entry.basis == Basis::Reported).count(), 64, "{entries:#?}");
}

#[tokio::test]
async fn a_client_that_leaves_within_its_request_reaches_no_upstream() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let stream = connect(gate.proxy(), "api.openai.com:443").await.unwrap();
    let mut stream = handshake(stream, "api.openai.com", &gate.root_pem(), "http/1.1").await.unwrap();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: api.openai.com\r\nauthorization: Bearer x\r\n\
                        content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"model\":"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    settle(&gate).await;
    drop(stream);
    settle(&gate).await;
    assert!(upstream.seen().is_empty());
    let entries = gate.entries();
    assert_eq!(entries.len(), 1, "{entries:#?}");
    assert_eq!((entries[0].attempt, entries[0].cost), (0, None));
}

#[tokio::test]
async fn a_reply_without_end_is_not_read_for_a_client_that_left() {
    let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_vec();
    bytes.extend(b"data: {\"choices\":[{}]}\n\n".repeat(2 << 20));
    let verbatim = Verbatim::start(move |_| Said { bytes: bytes.clone(), then: Then::Keep });
    let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", "");
    let mut client = client(&gate, "h2").await;
    let request = client.request(Method::POST, CHAT).body(Full::from(chat(true))).unwrap();
    let mut response = client.begin(request).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop((response, client));
    let entry = gate.wait_for_entries(1).await.remove(0);
    assert_eq!(entry.outcome, Outcome::ClientClosed);
    assert!(entry.error.as_deref().is_some_and(|error| error.contains("too long")), "{entry:?}");
    assert!(entry.bytes_down < 20 << 20, "{}", entry.bytes_down);
    assert_eq!((entry.after_close, entry.basis), (Some(AfterClose::GivenUp), Basis::Estimated));
}
