//! A client that does not take the gate's certificate is passed on unopened for a while, as the books show, or not at all.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::bench::admin::ask;
use crate::bench::client::{connect, connect_with};
use crate::bench::gate::TestGate;
use crate::bench::raw::guard;
use crate::bench::upstream::{Options, Upstream};

use tollgate::ledger::stats::StatsQuery;
use tollgate::ledger::tunnels::Tunnelled;

#[tokio::test]
async fn who_refuses_again_and_again_is_passed_on_unopened_and_shown_as_unmetered() {
    for version in [&TLS12, &TLS13] {
        let (upstream, gate) = started("");
        for number in 1..=2 {
            refuse(&gate, &upstream, version, "", number).await;
        }
        assert_eq!(tunnelled(&gate).bypassed, 0);
        // The host's own certificate comes through, and nobody reads what is said.
        let mut stream = until_bypassed(&gate, &upstream, version, "").await;
        let answer = models(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("x-tollgate-id"), "{answer}");
        drop(stream);
        assert!(gate.entries().is_empty());
        let tunnels = tunnelled(&gate);
        assert!(tunnels.pinned >= 3, "{tunnels:?}");
        assert_eq!((tunnels.bypassed, tunnels.unmetered_ai, tunnels.connections), (1, 1, 1));
        let stats = ask(gate.admin(), "/stats").await.json();
        let bypass = &stats["bypasses"][0];
        assert_eq!((&bypass["host"], &bypass["label"]), (&Value::from("api.openai.com"), &Value::Null));
        let own = std::env::current_exe().unwrap();
        assert!([own.to_str().unwrap(), "127.0.0.1"].contains(&bypass["client"].as_str().unwrap()), "{bypass}");
        let metrics = ask(gate.admin(), "/metrics").await.text();
        assert!(metrics.contains("tollgate_gaps_total{tollgate_gap=\"bypassed\"} 1"), "{metrics}");
        // Somebody else is not passed on.
        assert!(tls(&gate, trusting(&gate.root_pem(), version), OTHER).await.is_ok());
    }
}

#[tokio::test]
async fn a_bypass_ends_by_itself() {
    let (upstream, gate) = started(r#"pinned: { bypass: "2s" },"#);
    until_bypassed(&gate, &upstream, &TLS13, "").await;
    // The time runs outside of this test, so the connection is tried until it is opened again.
    guard(async { while tls(&gate, trusting(&gate.root_pem(), &TLS13), "").await.is_err() {} }).await;
    let stats = ask(gate.admin(), "/stats").await.json();
    assert_eq!(stats["bypasses"], Value::Null, "{stats}");
}

#[tokio::test]
async fn there_is_no_bypass_where_auditing_is_mandatory_where_it_is_off_and_where_a_budget_refuses() {
    for more in [
        r#"auditing: "mandatory","#,
        "pinned: { bypass: null },",
        r#"budgets: [{ name: "all", limit: 1, per: "day" }],"#,
        r#"budgets: [{ name: "some", match: { label: "team-*" }, limit: 1, per: "day" }],"#,
    ] {
        let (upstream, gate) = started(more);
        for number in 1..=8 {
            refuse(&gate, &upstream, &TLS13, "", number).await;
        }
        assert_eq!(tunnelled(&gate).bypassed, 0, "{more}");
    }
    // A budget for somebody else, or one that only warns, hinders nobody.
    for more in [
        r#"budgets: [{ name: "all", limit: 1, per: "day", then: "warn" }],"#,
        r#"budgets: [{ name: "others", match: { label: "team-*" }, limit: 1, per: "day" }],"#,
    ] {
        let (upstream, gate) = started(more);
        until_bypassed(&gate, &upstream, &TLS13, OTHER).await;
    }
}

#[tokio::test]
async fn a_success_between_makes_refusals_chance() {
    let (upstream, gate) = started("");
    for round in 1..=4 {
        for refusal in 1..=2 {
            refuse(&gate, &upstream, &TLS13, "", (round - 1) * 2 + refusal).await;
        }
        let mut stream = tls(&gate, trusting(&gate.root_pem(), &TLS13), "").await.unwrap();
        assert!(models(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(tunnelled(&gate).connections, 0);
}

#[tokio::test]
async fn who_looks_at_the_certificate_after_the_handshake_and_goes_has_refused_it() {
    for version in [&TLS12, &TLS13] {
        let (upstream, gate) = started("");
        for number in 1..=3 {
            let stream = tls(&gate, taking_anything(version), "").await.unwrap();
            // Without a word, as Node does it.
            drop(stream);
            until_refused(&gate, number).await;
        }
        until_bypassed(&gate, &upstream, version, "").await;
    }
}

#[tokio::test]
async fn who_breaks_off_for_another_reason_opens_no_hole() {
    let (_upstream, gate) = started("limits: { handshakeTimeout: \"100ms\" },");
    for _ in 0..4 {
        // Before it was shown anything; with what is no TLS; in the middle of its greeting; and never at all.
        drop(connect(gate.proxy(), "api.openai.com:443").await.unwrap());
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00", b""] {
            let mut stream = connect(gate.proxy(), "api.openai.com:443").await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let _ = guard(stream.read_to_end(&mut Vec::new())).await;
        }
        // With a goodbye, after it has taken the certificate.
        let mut stream = tls(&gate, trusting(&gate.root_pem(), &TLS13), "").await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = guard(stream.read_to_end(&mut Vec::new())).await;
        // For want of a common protocol.
        let mut config = Arc::unwrap_or_clone(trusting(&gate.root_pem(), &TLS13));
        config.alpn_protocols = vec![b"spdy/1".to_vec()];
        let _ = tls(&gate, Arc::new(config), "").await;
    }
    assert_eq!(tunnelled(&gate), Tunnelled::default());
    assert!(tls(&gate, trusting(&gate.root_pem(), &TLS13), "").await.is_ok());
}

/// A client that says that it is `other`.
const OTHER: &str = "Proxy-Authorization: Basic b3RoZXI6eA==\r\n";

fn started(more: &str) -> (Upstream, TestGate) {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, more);
    (upstream, gate)
}

/// As a client does that knows its host's certificate, takes no other, and tries again.
///
/// A program that is gone too soon to be found is counted by its address, so that more refusals may be needed than three.
async fn until_bypassed(
    gate: &TestGate,
    upstream: &Upstream,
    version: &'static SupportedProtocolVersion,
    fields: &str,
) -> TlsStream<TcpStream> {
    for number in tunnelled(gate).pinned + 1.. {
        if let Ok(stream) = tls(gate, trusting(upstream.ca_pem(), version), fields).await {
            return stream;
        }
        until_refused(gate, number).await;
        assert!(number < 12, "it is never passed on");
    }
    unreachable!()
}

async fn refuse(
    gate: &TestGate,
    upstream: &Upstream,
    version: &'static SupportedProtocolVersion,
    fields: &str,
    number: u64,
) {
    assert!(tls(gate, trusting(upstream.ca_pem(), version), fields).await.is_err(), "{number}");
    until_refused(gate, number).await;
}

/// Waits until the gate has seen so many refusals, which it does after the client has.
async fn until_refused(gate: &TestGate, number: u64) {
    guard(async {
        while tunnelled(gate).pinned < number {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A handshake through a CONNECT with these further fields.
async fn tls(gate: &TestGate, config: Arc<ClientConfig>, fields: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let stream =
        connect_with(gate.proxy(), "api.openai.com:443", fields).await.expect("the CONNECT is answered with 200");
    let name = ServerName::try_from("api.openai.com").unwrap();
    guard(TlsConnector::from(config).connect(name, stream)).await
}

async fn models(stream: &mut TlsStream<TcpStream>) -> String {
    let request =
        "GET /v1/models HTTP/1.1\r\nHost: api.openai.com\r\nAuthorization: Bearer sk\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = guard(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn trusting(root_pem: &str, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

fn taking_anything(version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
    Arc::new(config.dangerous().with_custom_certificate_verifier(Arc::new(Anything)).with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Leaves the certificate to whoever looks at it later.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

fn tunnelled(gate: &TestGate) -> Tunnelled {
    gate.gate.ledger().stats(&StatsQuery::default()).tunnels
}
