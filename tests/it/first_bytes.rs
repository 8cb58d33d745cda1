//! Where a name is missing, the first bytes decide: TLS to the gate's own port, and a CONNECT to a bare address.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bench::client::{Client, connect, handshake};
use crate::bench::gate::TestGate;
use crate::bench::raw::{Raw, guard};
use crate::bench::upstream::{Options, Upstream};

use tollgate::ledger::entry::Ingress;
use tollgate::ledger::stats::StatsQuery;
use tollgate::ledger::tunnels::Tunnelled;

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"say something nice"}]}"#;

#[tokio::test]
async fn tls_to_the_port_itself_is_a_call_where_it_names_an_intercepted_host() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for (made, alpn) in (1..).zip(["http/1.1", "h2"]) {
        let mut client = Client::direct(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await;
        let answered = client.post(CHAT, BODY).await;
        assert_eq!(answered.status, 200, "{}", answered.text());
        let entry = gate.wait_for_entries(made).await.pop().unwrap();
        let bill = upstream.bill().pop().unwrap();
        assert_eq!((entry.ingress, &*entry.host), (Ingress::Transparent, "api.openai.com"));
        assert_eq!(entry.usage.unwrap().input, Some(bill.input));
        assert!(entry.cost.is_some());
    }
    // Nobody knows where another host should be looked for.
    for name in ["bank.example", "127.0.0.1", "mtls.api.openai.com"] {
        let stream = TcpStream::connect(gate.proxy()).await.unwrap();
        let error = guard(handshake(stream, name, &gate.root_pem(), "h2")).await.unwrap_err();
        assert!(error.to_string().contains("UnrecognisedName"), "{name}: {error}");
    }
    assert_eq!(tunnelled(&gate).connections, 0);
}

#[tokio::test]
async fn a_greeting_that_never_ends_or_is_too_large_is_closed() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, r#"limits: { handshakeTimeout: "300ms" }"#);
    let (listener, at) = server().await;
    for through in [false, true] {
        for sent in [&[22][..], &[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3], &[22, 3, 1, 2, 0, 1, 1, 0, 0]] {
            let stream = if through {
                connect(gate.proxy(), &at.to_string()).await.unwrap()
            } else {
                TcpStream::connect(gate.proxy()).await.unwrap()
            };
            let mut client = Raw::over(stream);
            client.send(sent).await;
            assert!(client.rest().await.is_empty(), "{sent:?} {through}");
            if through {
                let (mut served, _) = guard(listener.accept()).await.unwrap();
                let mut unseen = Vec::new();
                guard(served.read_to_end(&mut unseen)).await.unwrap();
                assert!(unseen.is_empty(), "{sent:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_connect_to_an_address_is_opened_where_the_greeting_names_an_intercepted_host() {
    let upstream = Upstream::start(Options::default());
    let at = upstream.address();
    let gate = TestGate::toward(([127, 0, 0, 1], 9).into(), upstream.ca_pem(), "", "");
    for (made, alpn) in (1..).zip(["http/1.1", "h2"]) {
        let stream = connect(gate.proxy(), &at.to_string()).await.unwrap();
        let stream = handshake(stream, "api.openai.com", &gate.root_pem(), alpn).await.unwrap();
        let mut client = Client::over_tls(stream, alpn).await;
        // The port is not the one that goes without saying, so an honest client names it.
        let host = format!("api.openai.com:{}", at.port());
        let request = http::Request::post(match &client {
            Client::H1(_) => CHAT.to_owned(),
            Client::H2(_) => format!("https://{host}{CHAT}"),
        });
        let request = if alpn == "h2" { request } else { request.header("host", &host) };
        let request = request.header("authorization", "Bearer sk").header("content-type", "application/json");
        let answered = client.send(request.body(http_body_util::Full::from(BODY)).unwrap()).await;
        assert_eq!(answered.status, 200, "{}", answered.text());
        let entry = gate.wait_for_entries(made).await.pop().unwrap();
        assert_eq!((entry.ingress, &*entry.host), (Ingress::Connect, "api.openai.com"));
        assert_eq!(entry.usage.unwrap().output, Some(upstream.bill().pop().unwrap().output));
    }
    assert_eq!(tunnelled(&gate).connections, 0);
}

#[tokio::test]
async fn a_connect_to_an_address_for_any_other_host_is_a_tunnel_from_its_first_byte_on() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let stream = connect(gate.proxy(), &upstream.address().to_string()).await.unwrap();
    // The other end's own certificate: nobody stands between.
    let error = handshake(stream, "bank.example", &gate.root_pem(), "h2").await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");

    let (listener, at) = server().await;
    let mut client = connect(gate.proxy(), &at.to_string()).await.unwrap();
    let (mut served, _) = guard(listener.accept()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: api.openai.com\r\n\r\n").await.unwrap();
    client.shutdown().await.unwrap();
    let mut seen = Vec::new();
    guard(served.read_to_end(&mut seen)).await.unwrap();
    assert_eq!(seen, b"GET / HTTP/1.1\r\nHost: api.openai.com\r\n\r\n");
    assert!(gate.entries().is_empty());
}

#[tokio::test]
async fn a_tunnel_to_an_address_that_serves_models_is_a_gap_in_the_books() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for (count, name) in (1..).zip(["api.anthropic.com", "mtls.api.openai.com"]) {
        let stream = connect(gate.proxy(), &upstream.address().to_string()).await.unwrap();
        handshake(stream, name, &gate.root_pem(), "h2").await.unwrap_err();
        assert_eq!(tunnelled(&gate).unmetered_ai, count, "{name}");
    }
    assert_eq!(tunnelled(&gate).mtls, 1);
}

#[tokio::test]
async fn a_connection_that_says_nothing_does_not_keep_the_gate_from_ending() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut silent = TcpStream::connect(gate.proxy()).await.unwrap();
    // Another connection is served, so the first has come to rest.
    Client::direct(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let stopped = tokio::task::spawn_blocking(move || gate.gate.stop());
    assert_eq!(guard(silent.read(&mut [0])).await.unwrap(), 0);
    guard(stopped).await.unwrap();
}

fn tunnelled(gate: &TestGate) -> Tunnelled {
    gate.gate.ledger().stats(&StatsQuery::default()).tunnels
}

async fn server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}
