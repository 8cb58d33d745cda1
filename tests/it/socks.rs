//! SOCKS5 on the proxy's own port: every call by it is on the books, everything else is a tunnel, and the refusals are the RFC's.

use std::net::SocketAddr;

use http::{Method, Request};
use http_body_util::Full;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bench::client::{Client, handshake};
use crate::bench::gate::TestGate;
use crate::bench::raw::{Raw, guard};
use crate::bench::socks::{connect, connect_as, request};
use crate::bench::upstream::{Options, Upstream};

use tollgate::ledger::entry::Ingress;
use tollgate::ledger::stats::StatsQuery;

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"say something nice"}]}"#;

#[tokio::test]
async fn a_call_is_booked_as_billed_by_whatever_the_client_asked_for() {
    let upstream = Upstream::start(Options::default());
    let at = upstream.address();
    let resolve =
        format!(r#"resolve: {{ "api.openai.com:443": "{at}", "192.0.2.7:443": "{at}", "[2001:db8::7]:443": "{at}" }}"#);
    let gate = resolving(&upstream, &resolve);
    let mut made = 0;
    for target in ["api.openai.com:443", "API.OpenAI.com.:443", "192.0.2.7:443", "[2001:db8::7]:443"] {
        for alpn in ["http/1.1", "h2"] {
            upstream.clear();
            let stream = connect(gate.proxy(), target).await.expect(target);
            let stream = handshake(stream, "api.openai.com", &gate.root_pem(), alpn).await.expect(target);
            let answered = Client::over_tls(stream, alpn).await.post(CHAT, BODY).await;
            assert_eq!(answered.status, 200, "{target}: {}", answered.text());
            made += 1;
            let entry = gate.wait_for_entries(made).await.pop().unwrap();
            let bill = upstream.bill().pop().unwrap();
            let usage = entry.usage.expect("usage was reported");
            assert_eq!((usage.input, usage.output), (Some(bill.input), Some(bill.output)), "{target}");
            assert_eq!((entry.ingress, &*entry.host), (Ingress::Socks5, "api.openai.com"), "{target}");
            assert!(entry.cost.is_some());
        }
    }
    assert_eq!(gate.gate.ledger().stats(&StatsQuery::default()).tunnels.connections, 0);
}

#[tokio::test]
async fn a_client_that_asked_for_an_address_is_served_from_that_address() {
    let (named, addressed) = (Upstream::start(Options::default()), Upstream::start(Options::default()));
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("both.pem"), [named.ca_pem(), addressed.ca_pem()].concat()).unwrap();
    let (by_name, by_address) = (named.address(), addressed.address());
    let gate = TestGate::from_text(
        folder,
        &format!(
            r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1, upstream: {{ ca: "both.pem",
                 resolve: {{ "api.openai.com:443": "{by_name}", "192.0.2.7:443": "{by_address}" }} }} }}"#
        ),
    );
    // In turns, so that a connection kept for the one would be seen to serve the other.
    for (target, expected) in
        [("api.openai.com:443", &named), ("192.0.2.7:443", &addressed), ("api.openai.com:443", &named)]
    {
        named.clear();
        addressed.clear();
        let stream = connect(gate.proxy(), target).await.unwrap();
        let stream = handshake(stream, "api.openai.com", &gate.root_pem(), "http/1.1").await.unwrap();
        assert_eq!(Client::over_tls(stream, "http/1.1").await.post(CHAT, BODY).await.status, 200);
        assert_eq!(expected.seen().len(), 1, "{target}");
        assert_eq!(named.seen().len() + addressed.seen().len(), 1, "{target}");
    }
}

#[tokio::test]
async fn plain_http_to_an_intercepted_host_is_a_call_like_one_by_an_absolute_url() {
    let tls = Upstream::start(Options::default());
    let plain = Upstream::start(Options { tls: false, ..Options::default() });
    let gate = resolving(&tls, &format!(r#"resolve: {{ "api.openai.com:80": "{}" }}"#, plain.address()));
    let length = BODY.len();
    let fields = format!("Authorization: Bearer sk\r\nContent-Length: {length}\r\n\r\n{BODY}");
    let mut client = Raw::over(connect(gate.proxy(), "api.openai.com:80").await.unwrap());
    client.send(format!("POST {CHAT} HTTP/1.1\r\nHost: api.openai.com\r\n{fields}")).await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    client.send(format!("POST {CHAT} HTTP/1.1\r\nHost: bank.example\r\n{fields}")).await;
    assert_eq!(client.answer().await.unwrap().status, 421);
    let entries = gate.wait_for_entries(2).await;
    let bill = plain.bill().pop().unwrap();
    assert_eq!(entries[0].ingress, Ingress::Socks5);
    assert_eq!(entries[0].usage.unwrap().output, Some(bill.output));
    assert!(entries[0].cost.is_some());
    assert_eq!((plain.seen().len(), tls.seen().len()), (1, 0));
}

#[tokio::test]
async fn a_user_is_a_label_and_the_password_goes_nowhere() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut labels = Vec::new();
    for user in [("team-a", "hidden-word"), ("tëam", ""), ("", "hidden-word"), ("", "")] {
        let stream = connect_as(gate.proxy(), "api.openai.com:443", Some(user)).await.unwrap();
        let stream = handshake(stream, "api.openai.com", &gate.root_pem(), "h2").await.unwrap();
        let mut client = Client::over_tls(stream, "h2").await;
        client.post(CHAT, BODY).await;
        let own = client.request(Method::POST, CHAT).header("x-tollgate-label", "mine");
        client.send(own.body(Full::from(BODY)).unwrap()).await;
        labels.extend([user.0, "mine"]);
    }
    let entries = gate.wait_for_entries(labels.len()).await;
    let seen: Vec<&str> = entries.iter().map(|entry| entry.client.label.as_deref().unwrap_or_default()).collect();
    assert_eq!(seen, labels);
    assert!(!format!("{entries:?}").contains("hidden"));
    // Who offers both ways is asked for a name; who offers neither is let in by none.
    for (methods, chosen) in [(&[0, 2][..], 2), (&[2, 0], 2), (&[0], 0), (&[1, 0], 0), (&[1], 0xff), (&[], 0xff)] {
        let mut client = Raw::open(gate.proxy()).await;
        client.send([&[5, u8::try_from(methods.len()).unwrap()][..], methods].concat()).await;
        assert_eq!(client.exactly(2).await, [5, chosen], "{methods:?}");
    }
}

#[tokio::test]
async fn what_is_not_intercepted_is_a_tunnel_whoever_speaks_first() {
    let upstream = Upstream::start(Options::default());
    let (listener, at) = server().await;
    let name = format!("other.example:{}", at.port());
    let gate = resolving(&upstream, &format!(r#"resolve: {{ "{name}": "{at}" }}"#));
    for target in [at.to_string(), name] {
        let mut client = connect(gate.proxy(), &target).await.unwrap();
        let (mut served, _) = guard(listener.accept()).await.unwrap();
        served.write_all(b"220 welcome").await.unwrap();
        assert_eq!(read(&mut client, 11).await, b"220 welcome");
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = Vec::new();
        guard(served.read_to_end(&mut question)).await.unwrap();
        assert_eq!(question, b"question");
        served.write_all(b"answer").await.unwrap();
        drop(served);
        assert_eq!(read(&mut client, 6).await, b"answer");

        // The client says all that it has to say, or half of what might be TLS to others, before the server.
        let mut client = connect(gate.proxy(), &target).await.unwrap();
        let (mut served, _) = guard(listener.accept()).await.unwrap();
        client.write_all(&[22, 3, 1, 0, 0]).await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = Vec::new();
        guard(served.read_to_end(&mut question)).await.unwrap();
        assert_eq!(question, [22, 3, 1, 0, 0]);
    }
    let tunnels = guard(async {
        loop {
            let tunnels = gate.gate.ledger().stats(&StatsQuery::default()).tunnels;
            if tunnels.bytes_up >= 2 * 13 {
                return tunnels;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!((tunnels.connections, tunnels.bytes_up, tunnels.bytes_down), (4, 2 * 13, 2 * 17));
    assert!(gate.entries().is_empty());
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_refused_with_the_rfcs_reason() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (target, code) in [
        (closed.to_string(), 5),
        ("nobody.invalid:443".into(), 4),
        (gate.proxy().to_string(), 2),
        (gate.admin().to_string(), 2),
        (format!("localhost:{}", gate.admin().port()), 2),
        (format!("[::ffff:127.0.0.1]:{}", gate.admin().port()), 2),
    ] {
        assert_eq!(connect(gate.proxy(), &target).await.err(), Some(code), "{target}");
    }
}

#[tokio::test]
async fn bad_requests_are_answered_as_the_rfc_has_it_or_closed() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let refused = |code: u8| [&[5, 0, 5, code, 0, 1][..], &[0; 6]].concat();
    let by_name = |name: &[u8]| [&[5, 1, 0, 3, u8::try_from(name.len()).unwrap()][..], name, &[1, 0xbb]].concat();
    let greeted = |request: Vec<u8>| [&[5, 1, 0][..], &request].concat();
    let over_long = [&[5, 1, 2, 1, 255][..], &[b'u'; 255], &[255], &[b'p'; 255], &[5, 1, 0, 9]].concat();
    for (sent, said) in [
        (vec![5, 0], vec![5, 0xff]),
        ([&[5, 255][..], &[7; 255]].concat(), vec![5, 0xff]),
        ([&[5, 255][..], &[7; 254], &[0, 5, 3, 0, 1, 1, 1, 1, 1, 0, 80]].concat(), refused(7)),
        (vec![5, 1, 2, 2, 1, b'u', 1, b'p'], vec![5, 2, 1, 1]),
        (over_long, [&[5, 2, 1, 0, 5, 8, 0, 1][..], &[0; 6]].concat()),
        (greeted(request(2, "192.0.2.1:80")), refused(7)),
        (greeted(request(3, "api.openai.com:443")), refused(7)),
        (greeted(request(9, "api.openai.com:443")), refused(7)),
        (greeted(vec![5, 1, 0, 9, 1, 2, 3, 4, 0, 80]), refused(8)),
        (greeted(by_name(b"")), refused(1)),
        (greeted(by_name(b"api.openai.com\0")), refused(1)),
        (greeted(by_name(b"\0")), refused(1)),
        (greeted(by_name(b"api openai com")), refused(1)),
        (greeted(by_name(&[b'a'; 255])), refused(1)),
        (greeted(by_name(b"2130706433")), refused(1)),
        (greeted(request(1, "api.openai.com:0")), refused(1)),
        // Another version in the middle.
        (greeted(vec![4, 1, 0, 1, 1, 2, 3, 4, 0, 80]), vec![5, 0]),
        // Half a request, and then the end.
        (vec![5, 2, 0], vec![]),
        (greeted(vec![5, 1, 0, 3, 14, b'a']), refused(5)),
        (greeted(vec![5, 1, 0]), vec![5, 0]),
    ] {
        let mut client = Raw::open(gate.proxy()).await;
        client.send(&sent).await;
        client.finish().await;
        assert_eq!(client.rest().await, said, "{sent:?}");
        let mut client = Raw::open(gate.proxy()).await;
        for byte in &sent {
            client.send([*byte]).await;
        }
        client.finish().await;
        assert_eq!(client.rest().await, said, "{sent:?} byte by byte");
    }
    // What begins like version 6 is no SOCKS at all.
    let mut client = Raw::open(gate.proxy()).await;
    client.send(b"\x06\x01\x00\r\n\r\n").await;
    client.finish().await;
    assert!(client.answer().await.is_none_or(|answer| answer.status == 400));
    assert_eq!(upstream.connections().0, 0);
    assert!(gate.entries().is_empty());
}

#[tokio::test]
async fn socks4_is_refused_in_its_own_words() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let named = [&[4, 1, 1, 0xbb, 0, 0, 0, 1, 0][..], b"api.openai.com\0"].concat();
    for sent in [vec![4], vec![4, 1, 1, 0xbb, 127, 0, 0, 1, 0], named] {
        let mut client = Raw::open(gate.proxy()).await;
        client.send(&sent).await;
        assert_eq!(client.exactly(8).await, [0, 0x5b, 0, 0, 0, 0, 0, 0], "{sent:?}");
        assert!(client.rest().await.is_empty());
    }
}

#[tokio::test]
async fn everything_in_one_packet_is_served_and_so_is_every_byte_alone() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let before = [&[5, 1, 0][..], &request(1, "api.openai.com:443")].concat();
    for alone in [false, true] {
        let stream = TcpStream::connect(gate.proxy()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut tls = client_tls(&gate.root_pem());
        let mut first = before.clone();
        tls.write_tls(&mut first).unwrap();
        let mut raw = Raw::over(stream);
        if alone {
            for byte in &first {
                raw.send([*byte]).await;
            }
        } else {
            raw.send(&first).await;
        }
        let said = raw.exactly(2 + 10).await;
        assert_eq!(said, [&[5, 0, 5, 0, 0, 1][..], &[0; 6]].concat());
        // The rest of the handshake, driven by hand.
        while tls.is_handshaking() {
            let piece = raw.exactly(1).await;
            assert!(!piece.is_empty(), "the handshake broke off");
            tls.read_tls(&mut &piece[..]).unwrap();
            tls.process_new_packets().unwrap();
            let mut out = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut out).unwrap();
            }
            raw.send(&out).await;
        }
    }
    assert_eq!(upstream.connections().0, 0);
}

#[tokio::test]
async fn a_request_that_does_not_end_is_closed_in_time() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, r#"limits: { headerTimeout: "300ms" }"#);
    for sent in [&[5][..], &[5, 1, 0], &[5, 1, 0, 5, 1, 0, 3, 200, b'a']] {
        let begun = std::time::Instant::now();
        let mut client = Raw::open(gate.proxy()).await;
        client.send(sent).await;
        client.rest().await;
        let took = begun.elapsed().as_millis();
        assert!((300..10_000).contains(&took), "{sent:?}: {took} ms");
    }
    // A connection that has not begun may rest.
    let mut client = Client::plain(gate.proxy()).await;
    let asked = Request::get("http://tollgate.internal/ca.pem").header("host", "tollgate.internal");
    assert_eq!(client.send(asked.body(Full::default()).unwrap()).await.status, 200);
}

fn resolving(upstream: &Upstream, resolve: &str) -> TestGate {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("standin.pem"), upstream.ca_pem()).unwrap();
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1,
             upstream: {{ ca: "standin.pem", {resolve} }} }}"#
    );
    TestGate::from_text(folder, &text)
}

async fn server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

async fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    guard(stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

fn client_tls(root_pem: &str) -> rustls::ClientConnection {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root_pem.as_bytes()).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("api.openai.com").unwrap();
    rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap()
}
