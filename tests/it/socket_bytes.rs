//! What goes over a WebSocket goes as it is, and what is no WebSocket is answered and ended.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tollgate::ledger::entry::Outcome;
use tollgate::net::shutdown::Phase;

use crate::bench::admin::ask;
use crate::bench::client::{Client, connect, handshake};
use crate::bench::gate::TestGate;
use crate::bench::raw::{Raw, guard};
use crate::bench::socket::{KEY, Talk, Way};
use crate::bench::upstream::tls::{Alpn, Authority};
use crate::bench::upstream::{Options, Upstream};

const ASKED: &str = "GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: api.openai.com\r\nAuthorization: Bearer sk-client\r\n\
    Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Own: kept\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Frames of every kind, whole and in fragments, and lengths in forms that are longer than they need be.
fn frames(mask: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut frame = |first: u8, payload: &[u8]| {
        bytes.push(first);
        let flag = if mask { 0x80 } else { 0 };
        // The longest form, which nobody uses for so little.
        bytes.push(flag | 127);
        bytes.extend((payload.len() as u64).to_be_bytes());
        if mask {
            bytes.extend([9, 8, 7, 6]);
        }
        bytes.extend(payload);
    };
    frame(0x81, b"{\"type\":\"session.created\"}");
    frame(0x01, b"frag");
    frame(0x89, b"ping");
    frame(0x00, &[b'x'; 70_000]);
    frame(0x8A, b"");
    frame(0x80, b"ment");
    frame(0x82, &(0..=255).collect::<Vec<u8>>());
    frame(0xF3, b"reserved");
    bytes
}

/// An upstream that switches, or answers with `answer`; then sends its script in pieces, and gives the head and the
/// bytes that it got.
async fn upstream(
    answer: &'static str,
    script: Vec<u8>,
    size: usize,
) -> (SocketAddr, String, JoinHandle<(String, Vec<u8>)>) {
    let authority = Authority::make();
    let acceptor = authority.acceptor(Alpn::Both);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let work = tokio::spawn(async move {
        let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "HTTP/2 cannot switch");
        let head = head(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut from, mut into) = tokio::io::split(stream);
        let (first, last) = script.split_at(script.len() / 2);
        let read = async {
            let mut read = Vec::new();
            let _ = from.read_to_end(&mut read).await;
            read
        };
        let write = async {
            for piece in first.chunks(size) {
                into.write_all(piece).await.unwrap();
                into.flush().await.unwrap();
            }
        };
        let (read, ()) = tokio::join!(read, write);
        // The client has ended, and still gets the rest.
        let _ = into.write_all(last).await;
        let _ = into.shutdown().await;
        (head, read)
    });
    (at, authority.pem(), work)
}

/// Up to and with the blank line.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], size: usize) {
    for piece in bytes.chunks(size) {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
    }
}

#[tokio::test]
async fn every_byte_arrives_as_it_was_sent_and_each_side_ends_by_itself() {
    for (way, size) in [(Way::Connect, 1 << 20), (Way::Connect, 997), (Way::BaseUrl, 3001), (Way::Forward, 50_000)] {
        let (down, up) = (frames(false), frames(true));
        let (at, pem, work) = upstream(SWITCHED, down.clone(), size).await;
        let gate = TestGate::toward(at, &pem, "", "");
        let mut stream = way.stream(&gate).await;
        let asked = match way {
            Way::Forward => ASKED.replace("GET /", "GET ws://api.openai.com:443/").replace("ws:", "https:"),
            Way::BaseUrl => ASKED.replace("Host: api.openai.com", &format!("Host: {}", gate.proxy())),
            Way::Connect => ASKED.to_owned(),
        };
        // The client does not wait for the answer.
        send(&mut stream, &[asked.as_bytes(), &up].concat(), size).await;
        stream.shutdown().await.unwrap();
        let answer = guard(head(&mut stream)).await.to_ascii_lowercase();
        for field in [
            "x-own: kept",
            "connection: upgrade",
            "upgrade: websocket",
            "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
        ] {
            assert!(answer.contains(field), "{answer}");
        }
        assert!(answer.starts_with("http/1.1 101") && !answer.contains("content-length"), "{answer}");
        let mut read = Vec::new();
        guard(stream.read_to_end(&mut read)).await.unwrap();
        let (head, got) = guard(work).await.unwrap();
        assert!(read == down, "{way:?} {size}: the client read {} bytes of {}", read.len(), down.len());
        assert!(got == up, "{way:?} {size}: the upstream read {} bytes of {}", got.len(), up.len());
        let head = head.to_ascii_lowercase();
        for field in ["sec-websocket-key: dghlihnhbxbszsbub25jzq==", "sec-websocket-extensions: permessage-deflate\r\n"]
        {
            assert!(head.contains(field), "{head}");
        }
        let entry = gate.wait_for_entries(1).await.remove(0);
        assert_eq!((entry.bytes_up, entry.bytes_down), (up.len() as u64, down.len() as u64));
    }
}

#[tokio::test]
async fn what_a_client_sends_after_a_refused_websocket_is_no_request() {
    let smuggled = "GET /v1/models HTTP/1.1\r\nHost: api.openai.com\r\nAuthorization: Bearer sk-client\r\n\r\n";
    for way in Way::ALL {
        for fault in ["no-switch", "status=403", "chunked, no-switch"] {
            let upstream = Upstream::start(Options::default());
            let gate = TestGate::start(&upstream, "");
            upstream.fault_next(fault);
            let mut raw = Raw::over(way.stream(&gate).await);
            let asked = match way {
                Way::BaseUrl => ASKED.replace("Host: api.openai.com", &format!("Host: {}", gate.proxy())),
                Way::Forward => ASKED.replace("GET /", "GET http://api.openai.com:443/").replace("http:", "https:"),
                Way::Connect => ASKED.to_owned(),
            };
            raw.send(format!("{asked}\u{1}\u{5}Hello{smuggled}")).await;
            let answer = raw.answer().await.unwrap();
            assert_eq!(answer.status, if fault == "status=403" { 403 } else { 200 }, "{way:?} {fault}");
            assert_eq!(answer.header("connection"), Some("close"));
            if fault != "status=403" {
                assert_eq!(answer.text(), r#"{"no":"socket"}"#);
            }
            assert!(raw.rest().await.is_empty(), "nothing more is answered");
            assert_eq!(upstream.seen().len(), 1, "{way:?} {fault}: nothing was taken for a request");
            assert!(upstream.seen()[0].body.is_empty());
            let entry = gate.wait_for_entries(1).await.remove(0);
            assert_eq!(entry.status, answer.status);
        }
    }
}

#[tokio::test]
async fn an_answer_that_shows_the_configured_key_does_not() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(
        &upstream,
        r#"duplicates: [{ name: "mirror", url: "https://mirror.example.com", apiKey: "sk-mirror-secret" }]"#,
    );
    upstream.fault_next("echo-key");
    let refused = Way::Connect.try_open(&gate, "/v1/realtime?model=m", &[KEY]).await.err().unwrap();
    let shown = format!("{:?} {}", refused.headers, String::from_utf8_lossy(&refused.body));
    assert!(refused.status == 401 && !shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn a_duplicate_that_cannot_be_reached_is_passed_over() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(
        &upstream,
        r#"duplicates: [{ name: "dead", url: "https://127.0.0.1:1", apiKey: "sk-dead", priority: 1 },
            { name: "mirror", url: "https://mirror.example.com", apiKey: "sk-mirror", priority: 2 }]"#,
    );
    Way::Connect.open(&gate, "/v1/realtime?model=m").await.close().await;
    let entries = gate.wait_for_entries(2).await;
    let told: Vec<_> = entries.iter().map(|entry| (entry.status, entry.attempt, entry.outcome)).collect();
    assert_eq!(told, [(502, 1, Outcome::UpstreamError), (101, 2, Outcome::Ok)]);
}

#[tokio::test]
async fn an_upstream_that_chooses_an_extension_unasked_is_refused() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Extensions: permessage-bzip2\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let (at, pem, _work) = upstream(answer, Vec::new(), 1).await;
    let gate = TestGate::toward(at, &pem, "", "");
    let mut raw = Raw::over(Way::Connect.stream(&gate).await);
    raw.send(ASKED).await;
    let answer = raw.answer().await.unwrap();
    assert!(answer.status == 502 && answer.text().contains("extension"), "{answer:?}");
}

#[tokio::test]
async fn the_end_of_the_gate_closes_a_websocket_with_a_goodbye_and_books_it() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut talk = Way::Connect.open(&gate, "/v1/realtime?model=m").await;
    talk.send(&json!({"type": "response.create", "standin": {"silent": true}})).await;
    talk.until("response.created").await;
    gate.gate.stopper().advance(Phase::Draining);
    // What is open goes on.
    talk.send(&json!({"type": "response.create"})).await;
    talk.until("response.done").await;
    gate.gate.stopper().advance(Phase::Halting);
    assert_eq!(talk.ended().await.map(|frame| u16::from(frame.code)), Some(1001));
    let told: Vec<_> = gate
        .wait_for_entries(3)
        .await
        .iter()
        .map(|entry| (entry.session.is_some(), entry.outcome, entry.usage.is_some()))
        .collect();
    assert_eq!(told, [(false, Outcome::Unknown, false), (true, Outcome::Unknown, false), (true, Outcome::Ok, true)]);
}

#[tokio::test]
async fn a_response_that_two_connections_tell_of_is_booked_once() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let (first, second) =
        (Way::Connect.open(&gate, "/v1/realtime?model=m"), Way::Connect.open(&gate, "/v1/realtime?model=m"));
    let talks: [Talk; 2] = tokio::join!(first, second).into();
    for mut talk in talks {
        // The stand-in numbers its replies anew, so that both get the same id.
        upstream.clear();
        talk.send(&json!({"type": "response.create"})).await;
        talk.until("response.done").await;
        talk.close().await;
    }
    let entries = gate.wait_for_entries(4).await;
    let turns: Vec<_> = entries.iter().filter(|entry| entry.session.is_some()).collect();
    assert_eq!(turns[0].upstream_id, turns[1].upstream_id);
    assert!(turns[0].usage.is_some() && !turns[0].deferred);
    assert!(turns[1].usage.is_none() && turns[1].deferred);
    let stats = ask(gate.admin(), "/stats").await.json();
    assert_eq!(stats["totals"]["byBasis"]["reported"], 1);
}

#[tokio::test]
async fn what_the_books_cannot_see_into_is_counted() {
    let upstream = Upstream::start(Options::default());
    let at = upstream.address();
    let more = format!(r#"resolve: {{ "api.openai.com:443": "{at}", "mtls.api.openai.com:443": "{at}" }},"#);
    let gate = TestGate::from_text(
        tempfile::TempDir::new().unwrap(),
        &format!(
            r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, upstream: {{ {more} }}, workers: 1 }}"#
        ),
    );
    // A host that wants the client's own certificate is not opened.
    let stream = connect(gate.proxy(), "mtls.api.openai.com:443").await.unwrap();
    let trusted = handshake(stream, "localhost", upstream.ca_pem(), "http/1.1").await;
    assert!(trusted.is_ok(), "the certificate is the upstream's own");
    drop(trusted);
    // A client that trusts another authority does not take the gate's certificate.
    let stream = connect(gate.proxy(), "api.openai.com:443").await.unwrap();
    assert!(handshake(stream, "api.openai.com", upstream.ca_pem(), "http/1.1").await.is_err());
    // One that goes without a word.
    let stream = connect(gate.proxy(), "api.openai.com:443").await.unwrap();
    drop(stream);
    let tunnels = guard(async {
        loop {
            let tunnels = ask(gate.admin(), "/stats").await.json()["tunnels"].take();
            if tunnels["pinned"] != 0 {
                return tunnels;
            }
        }
    });
    let tunnels = tunnels.await;
    let counts = ["connections", "unmeteredAi", "mtls", "pinned", "webrtcCalls", "upgrades"].map(|name| &tunnels[name]);
    assert_eq!(counts, [1, 1, 1, 1, 0, 0].map(|count| json!(count)).each_ref());
}

#[tokio::test]
async fn a_call_by_webrtc_is_counted_where_it_was_set_up() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "http/1.1").await;
    for (path, count) in [("/v1/realtime/calls", 1), ("/v1/realtime/calls?model=m", 2), ("/v1/realtime/nothing", 2)] {
        client.post(path, "{}").await;
        let tunnels = ask(gate.admin(), "/stats").await.json()["tunnels"].take();
        assert_eq!(tunnels["webrtcCalls"], count, "{path}");
    }
    upstream.fault_next("status=429");
    client.post("/v1/realtime/calls", "{}").await;
    assert_eq!(ask(gate.admin(), "/stats").await.json()["tunnels"]["webrtcCalls"], 2);
}
