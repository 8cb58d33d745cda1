//! A reply that is not whole never looks whole, and every failure is booked once under its name.

use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tollgate::ledger::entry::{Entry, Outcome};
use tollgate::units::Basis;

use crate::bench::client::{Answered, Client, read};
use crate::bench::gate::TestGate;
use crate::bench::upstream::coding::Coding;
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};
use crate::bench::verbatim::{Said, Then, Verbatim};

const CHAT: &str = "/v1/chat/completions";
const VERSIONS: [(Alpn, &str); 4] =
    [(Alpn::Http1, "http/1.1"), (Alpn::Http1, "h2"), (Alpn::Http2, "http/1.1"), (Alpn::Http2, "h2")];

fn chat(stream: bool) -> String {
    json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "x"}]}).to_string()
}

async fn client(gate: &TestGate, alpn: &str) -> Client {
    Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await
}

/// A call; `None` where the connection broke before a head.
async fn call(client: &mut Client, stream: bool, fault: &str) -> Option<Answered> {
    let request =
        client.request(Method::POST, CHAT).header("x-standin-fault", fault).body(Full::from(chat(stream))).unwrap();
    Some(read(client.begin(request).await.ok()?).await)
}

/// The only entry there is once something has come after it: a second one of the same call would be seen.
async fn only_entry(gate: &TestGate) -> Entry {
    let mut second = client(gate, "http/1.1").await;
    second.get("/v1/after").await;
    let entries = gate.wait_for_entries(2).await;
    assert_eq!(entries.len(), 2, "{entries:#?}");
    entries[0].clone()
}

#[tokio::test]
async fn a_reply_cut_short_ends_abnormally_and_is_booked_once_as_cut() {
    for (upstream_alpn, alpn) in VERSIONS {
        for (stream, fault) in [
            (true, "cut-after=3"),
            (true, "reset-stream=3"),
            (true, "cut-after=1, gzip, insist"),
            (false, "short-body"),
            (false, "reset-stream=1, chunked"),
        ] {
            if fault == "short-body" && upstream_alpn == Alpn::Http2 {
                continue;
            }
            let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
            let gate = TestGate::start(&upstream, "");
            let answered = call(&mut client(&gate, alpn).await, stream, fault).await;
            assert!(answered.is_none_or(|answered| !answered.whole), "{upstream_alpn:?} {alpn} {fault}");
            let entry = only_entry(&gate).await;
            assert_eq!(entry.outcome, Outcome::UpstreamCut, "{upstream_alpn:?} {alpn} {fault}: {entry:?}");
            assert_eq!(entry.status, 200);
        }
    }
}

#[tokio::test]
async fn a_connection_that_vanishes_without_a_goodbye_is_no_end_of_a_reply() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    let event = "data: {\"choices\":[{}]}\n\n";
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    let forms = [
        format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}"),
        format!("{head}content-length: 500\r\n\r\n{event}"),
        // Without a length only the goodbye can say that this is all.
        format!("{head}\r\n{event}"),
    ];
    for form in forms {
        for alpn in ["http/1.1", "h2"] {
            let bytes = form.clone().into_bytes();
            let verbatim = Verbatim::start(move |_| Said { bytes: bytes.clone(), then: Then::Vanish });
            let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", "");
            let answered = call(&mut client(&gate, alpn).await, true, "").await;
            assert!(answered.is_none_or(|answered| !answered.whole), "{alpn} {form}");
            let entries = gate.wait_for_entries(1).await;
            assert_eq!(entries[0].outcome, Outcome::UpstreamCut, "{form}");
        }
    }
}

#[tokio::test]
async fn a_reply_that_ends_with_its_connection_is_whole_if_tls_says_so() {
    let event = "data: {\"choices\":[{}]}\n\n";
    let bytes = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{event}").into_bytes();
    let verbatim = Verbatim::start(move |_| Said { bytes: bytes.clone(), then: Then::Close });
    let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", "");
    for alpn in ["http/1.1", "h2"] {
        let answered = call(&mut client(&gate, alpn).await, true, "").await.unwrap();
        assert!(answered.whole);
        assert_eq!(answered.text(), event);
    }
}

#[tokio::test]
async fn a_length_beside_chunks_does_not_shorten_a_reply() {
    let reply = "{\"choices\":[]}";
    let chunk = format!("{:x}\r\n{reply}\r\n0\r\n\r\n", reply.len());
    let framing = "content-length: 5\r\ntransfer-encoding: chunked";
    let bytes = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{framing}\r\n\r\n{chunk}").into_bytes();
    let verbatim = Verbatim::start(move |_| Said { bytes: bytes.clone(), then: Then::Keep });
    let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", "");
    for alpn in ["http/1.1", "h2"] {
        let answered = call(&mut client(&gate, alpn).await, false, "").await.unwrap();
        assert_eq!((answered.whole, answered.text()), (true, reply.into()), "{alpn}");
    }
    let entries = gate.wait_for_entries(2).await;
    assert!(entries.iter().all(|entry| entry.outcome == Outcome::Ok), "{entries:#?}");
}

#[tokio::test]
async fn a_reply_in_a_transfer_coding_that_nobody_undoes_is_refused() {
    for coding in ["gzip", "gzip, chunked", "identity"] {
        let bytes =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: {coding}\r\n\r\n{{}}");
        let verbatim = Verbatim::start(move |_| Said { bytes: bytes.clone().into_bytes(), then: Then::Close });
        let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", "");
        let answered = call(&mut client(&gate, "h2").await, false, "").await.unwrap();
        assert_eq!(answered.status, 502, "{coding}: {}", answered.text());
        let entries = gate.wait_for_entries(1).await;
        assert_eq!(entries[0].outcome, Outcome::UpstreamError, "{coding}");
    }
}

#[tokio::test]
async fn a_reply_that_ends_with_trailers_is_booked_as_whole_and_its_connection_is_kept() {
    for (stream, event) in [(false, "{\"choices\":[]}"), (true, "data: {\"choices\":[{}]}\n\n")] {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let head = if stream { head.replace("application/json", "text/event-stream") } else { head.to_owned() };
        let bytes = format!("{head}{:x}\r\n{event}\r\n0\r\nx-sum: 1\r\n\r\n", event.len()).into_bytes();
        let verbatim = Verbatim::start(move |_| Said { bytes: bytes.clone(), then: Then::Keep });
        let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", "");
        for (calls, alpn) in (1..).zip(["http/1.1", "h2"]) {
            let answered = call(&mut client(&gate, alpn).await, stream, "").await.unwrap();
            assert_eq!((answered.whole, answered.text()), (true, event.into()), "{alpn}");
            let entries = gate.wait_for_entries(calls).await;
            assert!(entries.iter().all(|entry| entry.outcome == Outcome::Ok), "{alpn} {entries:#?}");
        }
        assert_eq!(verbatim.connections(), 1, "{event}");
    }
}

#[tokio::test]
async fn a_few_hints_before_the_answer_are_passed_over_and_hints_without_end_are_no_answer() {
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    for (hints, status) in [(1000, StatusCode::OK), (50_000, StatusCode::BAD_GATEWAY)] {
        let bytes = (hint.repeat(hints) + answer).into_bytes();
        let verbatim = Verbatim::start(move |_| Said { bytes: bytes.clone(), then: Then::Keep });
        let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", "");
        let answered = call(&mut client(&gate, "h2").await, false, "").await.unwrap();
        assert_eq!(answered.status, status, "{hints}");
        let entries = gate.wait_for_entries(1).await;
        assert_eq!(entries[0].outcome == Outcome::Ok, status.is_success(), "{entries:#?}");
    }
}

#[tokio::test]
async fn a_connection_closed_before_the_head_is_a_502_in_openai_s_form() {
    for (upstream_alpn, alpn) in VERSIONS {
        let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, "");
        let answered = call(&mut client(&gate, alpn).await, false, "cut-head").await.unwrap();
        assert_fault(&answered, StatusCode::BAD_GATEWAY, "false");
        assert_eq!(upstream.seen().len(), 1, "what was sent is not sent again");
        let entry = only_entry(&gate).await;
        assert_eq!(entry.outcome, Outcome::UpstreamError, "{entry:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_cannot_be_verified_or_reached_gets_no_byte_of_the_request() {
    let upstream = Upstream::start(Options::default());
    let stranger = Upstream::start(Options::default());
    let gate = TestGate::toward(upstream.address(), stranger.ca_pem(), "", "");
    let answered = call(&mut client(&gate, "h2").await, false, "").await.unwrap();
    // Another try would find the same certificate.
    assert_fault(&answered, StatusCode::BAD_GATEWAY, "false");
    assert!(upstream.seen().is_empty());
    let entry = only_entry(&gate).await;
    assert_eq!((entry.outcome, entry.route.is_some()), (Outcome::UpstreamError, true));

    let mut gone = Upstream::start(Options::default());
    gone.stop();
    let gate = TestGate::start(&gone, "");
    let answered = call(&mut client(&gate, "http/1.1").await, false, "").await.unwrap();
    assert_fault(&answered, StatusCode::BAD_GATEWAY, "true");
    assert_eq!(gate.wait_for_entries(1).await[0].outcome, Outcome::UpstreamError);
}

fn assert_fault(answered: &Answered, status: StatusCode, retry: &str) {
    assert_eq!(answered.status, status, "{}", answered.text());
    assert!(answered.whole);
    let error = &answered.json()["error"];
    for member in ["message", "type", "param", "code"] {
        assert!(error.get(member).is_some(), "{error}");
    }
    assert_eq!(answered.headers["x-should-retry"], retry);
}

#[tokio::test]
async fn an_error_of_the_upstream_is_relayed_untouched_and_booked_with_its_status() {
    for (upstream_alpn, alpn) in VERSIONS {
        let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, "");
        let spoken = if upstream_alpn == Alpn::Http1 { "http/1.1" } else { "h2" };
        let mut direct = Client::direct(upstream.address(), "api.openai.com", upstream.ca_pem(), spoken).await;
        let mut through = client(&gate, alpn).await;
        let faults = ["status=429", "status=500", "status=401", "html-error", "status=503, html-error"];
        for (number, fault) in faults.into_iter().enumerate() {
            for stream in [false, true] {
                let expected = call(&mut direct, stream, fault).await.unwrap();
                let answered = call(&mut through, stream, fault).await.unwrap();
                assert_eq!((answered.status, answered.text()), (expected.status, expected.text()));
                for name in ["content-type", "retry-after", "retry-after-ms", "x-should-retry"] {
                    assert_eq!(answered.headers.get(name), expected.headers.get(name), "{fault} {name}");
                }
                let count = number * 2 + 1 + usize::from(stream);
                let entry = gate.wait_for_entries(count).await.pop().unwrap();
                assert_eq!((entry.outcome, entry.status), (Outcome::UpstreamError, expected.status.as_u16()));
                assert_eq!((entry.usage, entry.cost), (None, None));
            }
        }
        assert_eq!(upstream.seen().len(), faults.len() * 4, "nothing is tried twice");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_a_504_booked_as_a_timeout() {
    for (upstream_alpn, alpn) in VERSIONS {
        let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
        let gate = TestGate::with_upstream(&upstream, r#"firstByteTimeout: "100ms","#, "");
        let answered = call(&mut client(&gate, alpn).await, false, "stall").await.unwrap();
        assert_fault(&answered, StatusCode::GATEWAY_TIMEOUT, "false");
        let entry = only_entry(&gate).await;
        assert_eq!(entry.outcome, Outcome::Timeout);
        // A connection that is silent may be dead, so it takes no further calls.
        assert_eq!(upstream.connections().0, 2, "{upstream_alpn:?}");
        upstream.release_all();
    }
}

#[tokio::test]
async fn an_upstream_that_falls_silent_ends_the_reply_abnormally_and_is_booked_as_a_timeout() {
    for (upstream_alpn, alpn) in VERSIONS {
        let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
        let gate = TestGate::with_upstream(&upstream, r#"idleTimeout: "100ms","#, "");
        upstream.hold();
        upstream.release(3);
        let answered = call(&mut client(&gate, alpn).await, true, "").await;
        assert!(answered.is_none_or(|answered| !answered.whole && !answered.body.is_empty()), "{alpn}");
        upstream.release_all();
        assert_eq!(only_entry(&gate).await.outcome, Outcome::Timeout);
    }
}

#[tokio::test]
async fn a_bomb_passes_untouched_and_unread() {
    let bomb = Coding::Zstd.encode(&vec![b' '; 80 << 20]);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: zstd\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    );
    let bytes = [head.as_bytes(), &bomb].concat();
    let verbatim = Verbatim::start(move |_| Said { bytes: bytes.clone(), then: Then::Keep });
    let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", "");
    for alpn in ["http/1.1", "h2"] {
        let answered = call(&mut client(&gate, alpn).await, false, "").await.unwrap();
        assert!(answered.whole && answered.body == bomb);
    }
    let entries = gate.wait_for_entries(2).await;
    assert_eq!((entries[0].outcome, entries[0].basis), (Outcome::Ok, Basis::Estimated));
    // What it cost to answer is not known; that the prompt was taken in is.
    let usage = entries[0].usage.unwrap();
    assert!(usage.input > Some(0) && usage.output.is_none() && entries[0].error.is_some());
}

#[tokio::test]
async fn a_failure_in_the_middle_of_a_stream_is_named_in_the_books() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let answered = call(&mut client(&gate, "h2").await, true, "error-after=2").await.unwrap();
    let last = answered.text().lines().rfind(|line| line.starts_with("data")).unwrap()[6..].to_owned();
    let error: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(error["error"]["type"], "server_error");
    assert_eq!(only_entry(&gate).await.error.as_deref(), Some("server_error"));
}
