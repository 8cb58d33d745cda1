//! What is not intercepted passes unseen: the gate dials first, then copies bytes until both ends have had their say.

use std::net::{SocketAddr, TcpListener as StdListener};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bench::client::{Client, connect};
use crate::bench::gate::TestGate;
use crate::bench::raw::{Raw, guard};
use crate::bench::upstream::{Options, Upstream};

use tollgate::ledger::stats::StatsQuery;
use tollgate::ledger::tunnels::Tunnelled;

#[tokio::test]
async fn a_client_that_has_said_everything_still_hears_the_answer() {
    let (_upstream, gate) = started();
    let (listener, at) = server().await;
    let mut client = connect(gate.proxy(), &at.to_string()).await.unwrap();
    let (mut served, _) = guard(listener.accept()).await.unwrap();
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(all(&mut served).await, b"question");
    served.write_all(b"answer").await.unwrap();
    drop(served);
    assert_eq!(all(&mut client).await, b"answer");
}

#[tokio::test]
async fn a_server_that_has_said_everything_still_hears_the_client() {
    let (_upstream, gate) = started();
    let (listener, at) = server().await;
    let mut client = connect(gate.proxy(), &at.to_string()).await.unwrap();
    let (mut served, _) = guard(listener.accept()).await.unwrap();
    served.write_all(b"all there is").await.unwrap();
    served.shutdown().await.unwrap();
    assert_eq!(all(&mut client).await, b"all there is");
    client.write_all(b"one thing more").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(all(&mut served).await, b"one thing more");
}

#[tokio::test]
async fn a_server_may_speak_first() {
    let (_upstream, gate) = started();
    let (listener, at) = server().await;
    let mut client = connect(gate.proxy(), &at.to_string()).await.unwrap();
    let (mut served, _) = guard(listener.accept()).await.unwrap();
    served.write_all(b"220 ready\r\n").await.unwrap();
    let mut banner = [0; 11];
    guard(client.read_exact(&mut banner)).await.unwrap();
    assert_eq!(&banner, b"220 ready\r\n");
}

#[tokio::test]
async fn bytes_that_came_with_the_connect_arrive_once_and_unchanged() {
    let (_upstream, gate) = started();
    let (listener, at) = server().await;
    // Neither looks like HTTP that the gate would accept: nobody may parse it.
    let early: &[u8] = b"\x16\x03\x01 early\nbytes\0\r\n\r\n";
    let mut client = Raw::open(gate.proxy()).await;
    client.send([format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes(), early].concat()).await;
    let (mut served, _) = guard(listener.accept()).await.unwrap();
    assert_eq!(client.answer_to("HEAD").await.unwrap().status, 200);
    client.send(b"late").await;
    client.finish().await;
    assert_eq!(all(&mut served).await, [early, b"late"].concat());
}

#[tokio::test]
async fn a_connect_that_arrives_in_pieces_loses_nothing_of_what_follows() {
    let (_upstream, gate) = started();
    let (listener, at) = server().await;
    let head = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\nX-Fill: {}\r\n\r\n", "x".repeat(20_000));
    let early: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0] ^ 0x5a).collect();
    let mut client = Raw::open(gate.proxy()).await;
    for piece in head.as_bytes()[..head.len() - 2].chunks(3001) {
        client.send(piece).await;
        tokio::task::yield_now().await;
    }
    let server = async {
        let (mut served, _) = guard(listener.accept()).await.unwrap();
        all(&mut served).await
    };
    let client = async {
        client.send([&head.as_bytes()[head.len() - 2..], &early].concat()).await;
        assert_eq!(client.answer_to("HEAD").await.unwrap().status, 200);
        client.finish().await;
    };
    let (received, ()) = tokio::join!(server, client);
    assert!(received == early, "{} bytes of {}", received.len(), early.len());
}

#[tokio::test]
async fn a_tunnel_to_a_host_that_is_not_intercepted_is_not_opened() {
    let (upstream, gate) = started();
    // Only the host's own certificate is trusted: the gate's would be refused.
    let mut client = Client::intercepted(gate.proxy(), "mirror.example.com", upstream.ca_pem(), "http/1.1").await;
    let answered = client.post("/v1/chat/completions", r#"{"model":"gpt-4o","messages":[]}"#).await;
    assert_eq!(answered.status, 200);
    assert!(!answered.headers.contains_key("x-tollgate-id"));
    assert!(gate.entries().is_empty());
}

#[tokio::test]
async fn the_200_is_only_for_a_host_that_has_been_reached() {
    let (_upstream, gate) = started();
    let (listener, dead) = server().await;
    drop(listener);
    for authority in [dead.to_string(), "no-such-host.invalid:443".to_owned()] {
        let refusal = guard(connect(gate.proxy(), &authority)).await.unwrap_err();
        assert!(refusal.starts_with("HTTP/1.1 502 "), "{refusal}");
        let error = error_of(&refusal);
        assert_eq!(error["code"], "upstream_unreachable");
        assert_eq!(error["type"], "server_error");
        assert!(error["message"].as_str().unwrap().contains(&authority), "{error}");
    }
    assert_eq!(tunnelled(&gate), Tunnelled::default());
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_given_up_after_the_limit() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::with_upstream(&upstream, r#"connectTimeout: "50ms""#, "");
    let silent = Silent::new();
    let refusal = guard(connect(gate.proxy(), &silent.at.to_string())).await.unwrap_err();
    assert!(refusal.starts_with("HTTP/1.1 504 "), "{refusal}");
    let error = error_of(&refusal);
    assert_eq!(error["code"], "upstream_timeout");
    assert!(error["message"].as_str().unwrap().contains("did not connect within 50ms"), "{error}");
}

#[tokio::test]
async fn a_tunnel_to_a_host_that_serves_models_is_shown_as_a_gap_in_the_books() {
    let upstream = Upstream::start(Options::default());
    let at = upstream.address();
    let folder = tempfile::TempDir::new().unwrap();
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1,
             upstream: {{ resolve: {{ "api.anthropic.com:443": "{at}", "example.com:443": "{at}" }} }} }}"#
    );
    let gate = TestGate::from_text(folder, &text);
    for (host, gaps) in [("example.com", 0), ("api.anthropic.com", 1), ("example.com", 1)] {
        let tunnel = connect(gate.proxy(), &format!("{host}:443")).await;
        assert!(tunnel.is_ok(), "{tunnel:?}");
        assert_eq!(tunnelled(&gate).unmetered_ai, gaps, "{host}");
    }
}

#[tokio::test]
async fn connections_and_bytes_of_tunnels_are_counted_both_ways() {
    let (_upstream, gate) = started();
    let (listener, at) = server().await;
    for _ in 0..2 {
        let mut client = Raw::open(gate.proxy()).await;
        client.send(format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\nfive5")).await;
        let (mut served, _) = guard(listener.accept()).await.unwrap();
        assert_eq!(client.answer_to("HEAD").await.unwrap().status, 200);
        served.write_all(b"three").await.unwrap();
        assert_eq!(client.exactly(5).await, b"three");
        client.send(b"more").await;
        client.finish().await;
        assert_eq!(all(&mut served).await, b"five5more");
        drop(served);
        assert_eq!(client.rest().await, b"");
    }
    let expected = Tunnelled { connections: 2, bytes_up: 18, bytes_down: 10, ..Tunnelled::default() };
    guard(async {
        // The bytes are added when a tunnel's task has ended, which nobody is told.
        while tunnelled(&gate).bytes_up < expected.bytes_up {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(tunnelled(&gate), expected);
    assert!(gate.entries().is_empty());
}

fn started() -> (Upstream, TestGate) {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    (upstream, gate)
}

async fn server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

async fn all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    guard(stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

fn error_of(refusal: &str) -> serde_json::Value {
    let (_, body) = refusal.split_once("\r\n\r\n").unwrap();
    let document: serde_json::Value = serde_json::from_str(body).unwrap();
    document["error"].clone()
}

fn tunnelled(gate: &TestGate) -> Tunnelled {
    gate.gate.ledger().stats(&StatsQuery::default()).tunnels
}

/// A port whose queue is full and that nobody accepts from: a further handshake gets no answer at all.
struct Silent {
    at: SocketAddr,
    _listener: StdListener,
    _waiting: Vec<Socket>,
}

impl Silent {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(1).unwrap();
        let listener = StdListener::from(listener);
        let at = listener.local_addr().unwrap();
        let knock = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            // Under way at once; what becomes of it is the kernel's affair.
            let _ = socket.connect(&at.into());
            socket
        };
        Self { at, _listener: listener, _waiting: (0..8).map(|_| knock()).collect() }
    }
}
