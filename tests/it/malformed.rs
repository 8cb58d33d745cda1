//! What two parsers could read in two ways is refused, closes the connection, and reaches nobody upstream.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::bench::client::{connect, handshake};
use crate::bench::gate::TestGate;
use crate::bench::raw::{Raw, RawAnswer, guard};
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_refused_and_closes_the_connection() {
    let (upstream, gate) = started();
    for head in heads() {
        for door in DOORS {
            let answer = refusal(&gate, door, head.as_bytes()).await;
            let answer = answer.unwrap_or_else(|| panic!("{door:?} gave no answer to {head:?}"));
            assert_eq!(answer.status, 400, "{door:?} {head:?}");
            assert_openai_error(&answer, &head);
        }
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(upstream.connections().0, 0);
}

#[tokio::test]
async fn a_head_beyond_the_bounds_is_refused_by_its_size() {
    let (upstream, gate) = started();
    let heads = [
        (format!("{HEAD}x-big: {}\r\n\r\n", "a".repeat(1 << 20)), 431),
        (format!("{HEAD}{}\r\n", format!("x-much: {}\r\n", "a".repeat(1024)).repeat(70)), 431),
        (format!("{HEAD}{}\r\n", "x-many: a\r\n".repeat(100)), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: api.openai.com\r\n\r\n", "a".repeat(70_000)), 431),
    ];
    for (head, status) in heads {
        for door in DOORS {
            let answer = refusal(&gate, door, head.as_bytes()).await;
            let answer = answer.unwrap_or_else(|| panic!("{door:?} gave no answer to {}", &head[..90]));
            assert!([status, 414].contains(&answer.status), "{door:?} {}: {}", &head[..90], answer.head);
        }
    }
    assert_eq!(upstream.connections().0, 0);
}

#[tokio::test]
async fn a_connect_whose_authority_is_no_host_and_port_is_refused() {
    let (_upstream, gate) = started();
    let long = format!("{}:443", "a".repeat(8192));
    for authority in [
        "host",
        "host:",
        "host:0",
        "host:70000",
        "host:+1",
        "u@host:443",
        "[::1%eth0]:443",
        "[::1]",
        "::1:443",
        "host:443/x",
        "http://host:443",
        "/",
        "*",
        ":443",
        "a..b:443",
        "127.1:443",
        "2130706433:443",
        "0x7f000001:443",
        "host\u{e9}:443",
        &long,
    ] {
        let mut client = Raw::open(gate.proxy()).await;
        client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: host:443\r\n\r\n")).await;
        let answer = client.answer().await.unwrap_or_else(|| panic!("no answer to {authority:?}"));
        assert_eq!(answer.status, 400, "{authority}");
        assert_eq!(client.rest().await, b"", "{authority}");
    }
    for body in ["Content-Length: 5", "Content-Length: 0", "Transfer-Encoding: chunked"] {
        let mut client = Raw::open(gate.proxy()).await;
        client.send(format!("CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n{body}\r\n\r\n")).await;
        assert_eq!(client.answer().await.unwrap().status, 400, "{body}");
        assert_eq!(client.rest().await, b"", "{body}");
    }
}

#[tokio::test]
async fn after_a_connect_that_failed_nothing_unchecked_is_served() {
    let (upstream, gate) = started();
    let unchecked = format!("{HEAD}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n");
    // Nobody listens on port 1.
    let mut client = Raw::open(gate.proxy()).await;
    client.send(format!("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n{unchecked}")).await;
    assert_eq!(client.answer().await.unwrap().status, 502);
    assert_eq!(client.rest().await, b"");
    assert_eq!(upstream.connections().0, 0);
}

#[tokio::test]
async fn what_an_api_never_answers_stays_within_the_gate() {
    let (upstream, gate) = started();
    for (method, target) in [("CONNECT", "api.openai.com:443"), ("TRACE", "/v1/models")] {
        let mut client = opened(&gate).await;
        client.send(format!("{method} {target} HTTP/1.1\r\n{FIELDS}\r\n")).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 405, "{method}");
        assert_openai_error(&answer, method);
        // What follows a CONNECT is not looked at as HTTP, so nothing may.
        assert_eq!(answer.header("connection"), (method == "CONNECT").then_some("close"));
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn a_body_whose_chunks_are_malformed_is_refused_and_nothing_of_it_is_completed() {
    let (upstream, gate) = started();
    for path in ["/v1/chat/completions", "/v1/files"] {
        for chunks in CHUNKS {
            for door in DOORS {
                let text = format!("POST {path} HTTP/1.1\r\n{FIELDS}Transfer-Encoding: chunked\r\n\r\n{chunks}");
                let answer = refusal(&gate, door, text.as_bytes()).await;
                let answer = answer.unwrap_or_else(|| panic!("{door:?} {path} gave no answer to {chunks:?}"));
                assert_eq!(answer.status, 400, "{door:?} {path} {chunks:?}: {}", answer.text());
                assert_openai_error(&answer, chunks);
            }
        }
    }
    assert!(upstream.seen().iter().all(|seen| !seen.whole), "{:?}", upstream.seen());
}

#[tokio::test]
async fn a_sound_request_before_a_malformed_one_is_answered() {
    let (upstream, gate) = started();
    let text = format!("{}{HEAD}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", call("one"));
    for door in DOORS {
        upstream.clear();
        guard(async {
            match door {
                Door::Plain => served_then_refused(Raw::open(gate.proxy()).await, &text).await,
                Door::Intercepted => served_then_refused(opened(&gate).await, &text).await,
            }
        })
        .await;
        assert_eq!(upstream.seen().len(), 1);
    }
}

async fn served_then_refused<S: AsyncRead + AsyncWrite + Unpin>(mut client: Raw<S>, text: &str) {
    client.send(text).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(client.answer().await.unwrap().status, 400);
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_body_that_the_client_cuts_short_is_never_completed_upstream() {
    for alpn in [Alpn::Http1, Alpn::Http2] {
        let upstream = Upstream::start(Options { alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, "");
        for framing in
            ["Content-Length: 100\r\n\r\n{\"model\":\"gpt-4o\"}", "Transfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n"]
        {
            let mut client = opened(&gate).await;
            client.send(format!("POST /v1/chat/completions HTTP/1.1\r\n{FIELDS}{framing}")).await;
            client.finish().await;
            client.rest().await;
        }
        // A call is read whole before it is sent anywhere.
        gate.wait_for_entries(2).await;
        assert!(upstream.seen().is_empty());

        let mut client = opened(&gate).await;
        client.send(format!("POST /v1/files HTTP/1.1\r\n{FIELDS}Content-Length: 100\r\n\r\npart")).await;
        client.finish().await;
        client.rest().await;
        gate.wait_for_entries(3).await;
        // What cannot be known beforehand is broken off; the upstream may not even have noticed that it began.
        upstream.wait_for_open_connections(u64::from(alpn == Alpn::Http2));
        assert!(upstream.seen().iter().all(|seen| !seen.whole), "{:?}", upstream.seen());
    }
}

#[tokio::test]
async fn a_hundred_pipelined_requests_are_answered_in_order() {
    let (upstream, gate) = started();
    for door in DOORS {
        upstream.clear();
        let text: String = (0..100).map(|number| call(&format!("{} words", "word ".repeat(number)))).collect();
        guard(async {
            match door {
                Door::Plain => in_order(Raw::open(gate.proxy()).await, &text).await,
                Door::Intercepted => in_order(opened(&gate).await, &text).await,
            }
        })
        .await;
        let seen = upstream.seen();
        let lengths: Vec<usize> = seen.iter().map(|seen| seen.body.len()).collect();
        assert_eq!(lengths.len(), 100);
        assert!(lengths.is_sorted_by(|one, next| one < next), "{lengths:?}");
    }
    assert_eq!(gate.wait_for_entries(200).await.len(), 200);
}

async fn in_order<S: AsyncRead + AsyncWrite + Unpin>(mut client: Raw<S>, text: &str) {
    client.send(text).await;
    let mut last = 0;
    for number in 0..100 {
        let answer = client.answer().await.unwrap_or_else(|| panic!("no answer {number}"));
        assert_eq!(answer.status, 200);
        let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let id = document["id"].as_str().unwrap().trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let id: u32 = id.parse().unwrap();
        assert!(id > last, "{id} after {last}");
        last = id;
    }
}

/// The two places where the gate parses HTTP/1.
#[derive(Clone, Copy, Debug)]
enum Door {
    Plain,
    Intercepted,
}

/// Sends the bytes and reads one answer, after which the connection must end.
async fn refusal(gate: &TestGate, door: Door, bytes: &[u8]) -> Option<RawAnswer> {
    async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut client: Raw<S>, bytes: &[u8]) -> Option<RawAnswer> {
        client.send(bytes).await;
        let answer = client.answer().await;
        let rest = client.rest().await;
        assert_eq!(String::from_utf8_lossy(&rest), "", "more than one answer to {:?}", String::from_utf8_lossy(bytes));
        answer
    }
    guard(async {
        match door {
            Door::Plain => ask(Raw::open(gate.proxy()).await, bytes).await,
            Door::Intercepted => ask(opened(gate).await, bytes).await,
        }
    })
    .await
}

async fn opened(gate: &TestGate) -> Raw<TlsStream<TcpStream>> {
    Raw::over(tls(gate.proxy(), &gate.root_pem()).await)
}

async fn tls(proxy: SocketAddr, root_pem: &str) -> TlsStream<TcpStream> {
    let stream = connect(proxy, "api.openai.com:443").await.unwrap();
    handshake(stream, "api.openai.com", root_pem, "http/1.1").await.unwrap()
}

fn started() -> (Upstream, TestGate) {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    (upstream, gate)
}

fn assert_openai_error(answer: &RawAnswer, about: &str) {
    let document: serde_json::Value =
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{about:?}: {error}: {}", answer.text()));
    assert_eq!(document["error"]["type"], "invalid_request_error", "{about:?}");
    assert!(document["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{about:?}");
}

/// A whole call; plain and intercepted doors take it alike.
fn call(content: &str) -> String {
    let body = format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{content}"}}]}}"#);
    format!("POST /v1/chat/completions HTTP/1.1\r\n{FIELDS}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn heads() -> Vec<String> {
    let with = |fields: &str| format!("{HEAD}{fields}\r\n\r\nhello");
    let mut heads: Vec<String> = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding:",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding : chunked",
        "X-Fold: a\r\n b",
        "X-Fold: a\r\n\tb",
        "X-Space : a",
        ": no name",
        "no colon",
        "X-Nul: a\0b",
        "X-Nul\0: a",
        "X-Cr: a\rb",
        "X-Cr: a\r\r",
        "X-Lf: a\nContent-Length: 5",
        "Host: other.example",
        "Host: api.openai.com",
        "X-Name\u{7f}: a",
    ]
    .iter()
    .map(|fields| with(fields))
    .collect();
    heads.extend(
        [
            "GET / HTTP/1.1\r\n Host: api.openai.com\r\n\r\n",
            "GET / HTTP/1.1\nHost: api.openai.com\n\n",
            "GET / HTTP/1.1\r\nHost: api.openai.com\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: u@api.openai.com\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: api.openai.com/x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: api.openai.com:0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: api.openai.com:99999\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
            "GET /\0 HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
            "GET /\r HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
            "GET / http/1.1\r\nHost: api.openai.com\r\n\r\n",
            "GET / HTTP/1.2\r\nHost: api.openai.com\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: api.openai.com\r\n\r\n",
            "GET /\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
            "POST /v1/chat/completions HTTP/1.0\r\nHost: api.openai.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ]
        .map(String::from),
    );
    heads
}

const DOORS: [Door; 2] = [Door::Plain, Door::Intercepted];

const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nAuthorization: Bearer sk\r\n";

const FIELDS: &str = "Host: api.openai.com\r\nAuthorization: Bearer sk\r\nContent-Type: application/json\r\n";

const CHUNKS: [&str; 12] = [
    "5\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhelloX0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5;a\nb\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-A: b\n\r\n",
    "5\r\nhello\r\n0\r\n folded: b\r\n\r\n",
];
