//! A name that the machine's own resolver leads to the gate: where it is intercepted, name servers say where it really is.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, QTYPE, ResourceRecord, TYPE};
use tempfile::TempDir;
use tokio::net::UdpSocket;

use crate::bench::client::{Answered, Client, connect_with, handshake};
use crate::bench::gate::TestGate;
use crate::bench::raw::{Raw, guard};

/// A name server that says `address` to every question for IPv4, and keeps the names that it was asked for.
async fn name_server(address: Ipv4Addr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let names = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut bytes = [0; 512];
        while let Ok((count, from)) = socket.recv_from(&mut bytes).await {
            let mut packet = Packet::parse(&bytes[..count]).unwrap().into_reply();
            let name = packet.questions[0].qname.clone();
            names.lock().unwrap().push(name.to_string());
            if packet.questions[0].qtype == QTYPE::TYPE(TYPE::A) {
                let rdata = RData::A(A { address: address.to_bits() });
                packet.answers.push(ResourceRecord::new(name, CLASS::IN, 60, rdata));
            }
            socket.send_to(&packet.build_bytes_vec().unwrap(), from).await.unwrap();
        }
    });
    (at, asked)
}

fn gate(intercept: &str, server: SocketAddr, more: &str) -> TestGate {
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1, intercept: ["{intercept}"],
             upstream: {{ nameServers: ["{server}"], connectTimeout: "300ms", {more} }} }}"#
    );
    TestGate::from_text(TempDir::new().unwrap(), &text)
}

/// A call to `localhost` at the gate's own port, which is where this machine's resolver leads the name.
async fn call(gate: &TestGate) -> crate::bench::raw::RawAnswer {
    let at = format!("localhost:{}", gate.proxy().port());
    let stream = connect_with(gate.proxy(), &at, "").await.unwrap();
    let stream = handshake(stream, "localhost", &gate.root_pem(), "http/1.1").await.unwrap();
    let mut raw = Raw::over(stream);
    raw.send(format!("GET /v1/models HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer sk-x\r\n\r\n")).await;
    raw.answer().await.unwrap()
}

#[tokio::test]
async fn an_intercepted_name_that_leads_to_the_gate_is_asked_of_name_servers() {
    // An address that nobody has: what matters is that it is the one that is dialled.
    let (server, asked) = name_server(Ipv4Addr::new(192, 0, 2, 1)).await;
    let gate = gate("localhost", server, "");
    let answer = guard(call(&gate)).await;
    assert!([502, 504].contains(&answer.status), "{answer:?}");
    assert!(!answer.text().contains("is the gate itself"), "{answer:?}");
    assert_eq!(*asked.lock().unwrap(), ["localhost", "localhost"]);
}

#[tokio::test]
async fn name_servers_that_lead_to_the_gate_too_are_not_followed() {
    let (server, asked) = name_server(Ipv4Addr::LOCALHOST).await;
    let gate = gate("localhost", server, "");
    let answer = guard(call(&gate)).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.text().contains("own_address"), "{answer:?}");
    assert!(!asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_that_is_not_intercepted_is_refused_and_nobody_is_asked() {
    let (server, asked) = name_server(Ipv4Addr::new(192, 0, 2, 1)).await;
    let gate = gate("api.openai.com", server, "");
    for port in [gate.proxy().port(), gate.admin().port()] {
        let refusal = guard(connect_with(gate.proxy(), &format!("localhost:{port}"), "")).await.unwrap_err();
        assert!(refusal.starts_with("HTTP/1.1 403 ") && refusal.contains("own_address"), "{refusal}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_owners_own_address_for_a_name_wins_and_nobody_is_asked() {
    let upstream = crate::bench::upstream::Upstream::start(crate::bench::upstream::Options::default());
    let (server, asked) = name_server(Ipv4Addr::new(192, 0, 2, 1)).await;
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("standin.pem"), upstream.ca_pem()).unwrap();
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1,
             upstream: {{ ca: "standin.pem", nameServers: ["{server}"],
                          resolve: {{ "api.openai.com:443": "{}" }} }} }}"#,
        upstream.address()
    );
    let gate = TestGate::from_text(folder, &text);
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let answered: Answered = guard(client.get("/v1/models")).await;
    assert_eq!(answered.status, 200);
    assert!(asked.lock().unwrap().is_empty());
}
