//! What the system leads to the gate goes where it was going: opened where its greeting names an intercepted host, else unseen.
//!
//! No rules of the machine are changed here: the gate is told where each connection was going.

use std::net::SocketAddr;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate::gate::{Gate, Surroundings};
use tollgate::ledger::entry::Ingress;
use tollgate::ledger::stats::StatsQuery;
use tollgate::ledger::tunnels::Tunnelled;
use tollgate::system::original::Originals;

use crate::bench::client::{Client, handshake};
use crate::bench::gate::{TestGate, loaded};
use crate::bench::raw::{Raw, guard};
use crate::bench::upstream::{Options, Upstream};

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"say something nice"}]}"#;
/// Where connections were going; in a network that is nobody's.
const ORIGINAL: &str = "192.0.2.7:443";

#[tokio::test]
async fn a_redirected_call_is_served_from_the_address_that_its_client_had() {
    let (named, addressed) = (Upstream::start(Options::default()), Upstream::start(Options::default()));
    let more = format!(r#""api.openai.com:443": "{}", "{ORIGINAL}": "{}""#, named.address(), addressed.address());
    let gate = redirecting(&[&named, &addressed], &more, "", Some(ORIGINAL));
    for (made, alpn) in (1..).zip(["http/1.1", "h2"]) {
        let mut client = Client::direct(at(&gate), "api.openai.com", &gate.root_pem(), alpn).await;
        let answered = client.post(CHAT, BODY).await;
        assert_eq!(answered.status, 200, "{}", answered.text());
        let entry = gate.wait_for_entries(made).await.pop().unwrap();
        let bill = addressed.bill().pop().unwrap();
        assert_eq!((entry.ingress, &*entry.host), (Ingress::Transparent, "api.openai.com"));
        assert_eq!(entry.usage.map(|usage| (usage.input, usage.output)), Some((Some(bill.input), Some(bill.output))));
        assert!(entry.cost.is_some());
    }
    let seen = addressed.seen();
    assert!(seen.iter().all(|seen| seen.tls_name.as_deref() == Some("api.openai.com")), "the name is verified there");
    assert_eq!((seen.len(), named.connections().0), (2, 0));
    // A name inside says nothing about where it goes.
    let mut client = Client::direct(at(&gate), "api.openai.com", &gate.root_pem(), "http/1.1").await;
    let elsewhere = http::Request::get("/v1/models").header("host", "eu.api.openai.com").header("authorization", "x");
    assert_eq!(client.send(elsewhere.body(http_body_util::Full::default()).unwrap()).await.status, 421);
    assert_eq!((addressed.seen().len(), named.connections().0), (2, 0));
}

#[tokio::test]
async fn an_address_that_is_not_the_hosts_is_not_believed() {
    // It has a certificate of another authority.
    let (named, stranger) = (Upstream::start(Options::default()), Upstream::start(Options::default()));
    let more = format!(r#""api.openai.com:443": "{}", "{ORIGINAL}": "{}""#, named.address(), stranger.address());
    let gate = redirecting(&[&named], &more, "", Some(ORIGINAL));
    let mut client = Client::direct(at(&gate), "api.openai.com", &gate.root_pem(), "h2").await;
    let answered = client.post(CHAT, BODY).await;
    assert_eq!(answered.status, 502);
    assert_eq!(answered.json()["error"]["code"], "upstream_certificate");
    assert!(stranger.seen().is_empty() && named.seen().is_empty());
}

#[tokio::test]
async fn a_duplicate_is_dialled_where_it_is_and_not_where_the_client_was_going() {
    let (mirror, original) = (Upstream::start(Options::default()), Upstream::start(Options::default()));
    let more = format!(r#""mirror.example.com:443": "{}", "{ORIGINAL}": "{}""#, mirror.address(), original.address());
    let duplicate = r#"duplicates: [{ name: "mirror", url: "https://mirror.example.com", apiKey: "sk-mirror" }],"#;
    let gate = redirecting(&[&mirror, &original], &more, duplicate, Some(ORIGINAL));
    let mut client = Client::direct(at(&gate), "api.openai.com", &gate.root_pem(), "h2").await;
    assert_eq!(client.post(CHAT, BODY).await.status, 200);
    assert_eq!((mirror.seen().len(), original.connections().0), (1, 0));
}

#[tokio::test]
async fn everything_else_is_tunnelled_to_where_it_was_going() {
    let upstream = Upstream::start(Options::default());
    let (listener, server) = server().await;
    let gate = redirecting(&[&upstream], &format!(r#""{ORIGINAL}": "{server}""#), "", Some(ORIGINAL));
    // No TLS, whatever a `Host` says; and TLS whose greeting names nobody or somebody else.
    let plain = b"GET / HTTP/1.1\r\nHost: api.openai.com\r\n\r\n".to_vec();
    for sent in [plain, greeting("127.0.0.1"), greeting("bank.example"), greeting("evilapi.openai.com")] {
        for alone in [false, true] {
            let mut client = TcpStream::connect(at(&gate)).await.unwrap();
            client.set_nodelay(true).unwrap();
            for piece in sent.chunks(if alone { 1 } else { sent.len() }) {
                client.write_all(piece).await.unwrap();
            }
            client.shutdown().await.unwrap();
            let (mut served, _) = guard(listener.accept()).await.unwrap();
            let mut seen = Vec::new();
            guard(served.read_to_end(&mut seen)).await.unwrap();
            assert_eq!(seen, sent);
            served.write_all(b"answer").await.unwrap();
            drop(served);
            let mut answer = Vec::new();
            guard(client.read_to_end(&mut answer)).await.unwrap();
            assert_eq!(answer, b"answer");
        }
    }
    // A server that speaks first is heard.
    let mut client = TcpStream::connect(at(&gate)).await.unwrap();
    let (mut served, _) = guard(listener.accept()).await.unwrap();
    served.write_all(b"220 welcome").await.unwrap();
    let mut welcome = [0; 11];
    guard(client.read_exact(&mut welcome)).await.unwrap();
    assert_eq!(&welcome, b"220 welcome");
    assert_eq!(tunnelled(&gate).connections, 9);
    assert_eq!((upstream.connections().0, gate.entries().len()), (0, 0));
}

#[tokio::test]
async fn a_client_that_takes_its_time_is_opened_all_the_same() {
    let upstream = Upstream::start(Options::default());
    let gate = redirecting(&[&upstream], &format!(r#""{ORIGINAL}": "{}""#, upstream.address()), "", Some(ORIGINAL));
    let stream = TcpStream::connect(at(&gate)).await.unwrap();
    // The gate has asked the server too by now, and nobody has spoken.
    let asked = guard(async {
        while upstream.connections().0 == 0 {
            tokio::task::yield_now().await;
        }
    });
    asked.await;
    let stream = handshake(stream, "api.openai.com", &gate.root_pem(), "h2").await.unwrap();
    assert_eq!(Client::over_tls(stream, "h2").await.post(CHAT, BODY).await.status, 200);
    assert_eq!(gate.wait_for_entries(1).await[0].ingress, Ingress::Transparent);
    assert_eq!(tunnelled(&gate).connections, 0);
}

#[tokio::test]
async fn a_destination_that_nobody_serves_ends_the_connection_as_it_would_have_ended() {
    let upstream = Upstream::start(Options::default());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gate = redirecting(&[&upstream], &format!(r#""{ORIGINAL}": "{closed}""#), "", Some(ORIGINAL));
    let mut client = TcpStream::connect(at(&gate)).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let error = guard(client.read(&mut [0])).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_connection_to_the_gate_itself_is_served_by_name_or_ended_and_never_led_on() {
    let upstream = Upstream::start(Options::default());
    let more = format!(r#""api.openai.com:443": "{}""#, upstream.address());
    // As the system tells it, which knows of no redirection here; and as a rule for a hosts file would have it.
    for original in [None, Some("127.0.0.1:443"), Some("[::ffff:127.0.0.1]:443")] {
        upstream.clear();
        let gate = redirecting(&[&upstream], &more, "", original);
        let mut client = Client::direct(at(&gate), "api.openai.com", &gate.root_pem(), "h2").await;
        assert_eq!(client.post(CHAT, BODY).await.status, 200);
        assert_eq!(gate.wait_for_entries(1).await[0].ingress, Ingress::Transparent);
        let opened = upstream.connections().0;
        let stream = TcpStream::connect(at(&gate)).await.unwrap();
        let error = handshake(stream, "bank.example", &gate.root_pem(), "h2").await.unwrap_err();
        assert!(error.to_string().contains("UnrecognisedName"), "{error}");
        let mut client = Raw::open(at(&gate)).await;
        client.send("GET / HTTP/1.1\r\nHost: api.openai.com\r\n\r\n").await;
        assert!(client.rest().await.is_empty());
        assert_eq!((upstream.connections().0, tunnelled(&gate).connections), (opened, 0));
        assert_eq!(gate.entries().len(), 1);
    }
}

#[tokio::test]
async fn no_way_in_leads_to_the_transparent_listener() {
    let upstream = Upstream::start(Options::default());
    let gate = redirecting(&[&upstream], "", "", None);
    let refusal = crate::bench::client::connect(gate.proxy(), &at(&gate).to_string()).await.unwrap_err();
    assert!(refusal.starts_with("HTTP/1.1 403"), "{refusal}");
    assert_eq!(crate::bench::socks::connect(gate.proxy(), &at(&gate).to_string()).await.err(), Some(2));
    // Nor does a redirection that was made for the gate's own connections too.
    let (proxy, admin) = (gate.proxy(), gate.admin());
    for own in [proxy, admin] {
        let gate = redirecting(&[&upstream], &format!(r#""{ORIGINAL}": "{own}""#), "", Some(ORIGINAL));
        let mut client = Raw::open(at(&gate)).await;
        client.send("GET / HTTP/1.1\r\nHost: api.openai.com\r\n\r\n").await;
        // Another gate's listener is just another server.
        assert!(client.answer().await.is_some());
    }
}

#[tokio::test]
async fn both_loopback_addresses_are_listened_on() {
    let upstream = Upstream::start(Options::default());
    let more = format!(r#""api.openai.com:443": "{}""#, upstream.address());
    let gate = redirecting(&[&upstream], &more, "", None);
    let other = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, at(&gate).port()));
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let mut client = Client::direct(other, "api.openai.com", &gate.root_pem(), "h2").await;
    assert_eq!(client.post(CHAT, BODY).await.status, 200);
}

#[test]
fn a_port_that_somebody_else_has_is_named_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let folder = TempDir::new().unwrap();
    let text = format!(r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0", transparent: "{at}" }} }}"#);
    let error = Gate::start(loaded(&folder, &text), Surroundings::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {at} (`listen.transparent`)"));
    assert!(error.hint().unwrap().contains("listen.transparent"));
}

/// A gate whose redirected connections were going to `original`; `None` asks the system.
fn redirecting(trusted: &[&Upstream], resolve: &str, more: &str, original: Option<&str>) -> TestGate {
    let folder = TempDir::new().unwrap();
    let roots: String = trusted.iter().map(|upstream| upstream.ca_pem()).collect();
    std::fs::write(folder.path().join("roots.pem"), roots).unwrap();
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0", transparent: "127.0.0.1:0" }}, workers: 1,
             {more} upstream: {{ ca: "roots.pem", resolve: {{ {resolve} }} }} }}"#
    );
    let original: Option<SocketAddr> = original.map(|address| address.parse().unwrap());
    let originals = match original {
        None => Originals::default(),
        original => Originals::new(move |_| original),
    };
    TestGate::amid(folder, &text, Surroundings { originals, ..Surroundings::default() })
}

fn at(gate: &TestGate) -> SocketAddr {
    gate.gate.transparent_address().unwrap()
}

fn tunnelled(gate: &TestGate) -> Tunnelled {
    gate.gate.ledger().stats(&StatsQuery::default()).tunnels
}

async fn server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

/// The first bytes of a TLS client that asks for `name`.
fn greeting(name: &str) -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}
