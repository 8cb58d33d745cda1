//! The CONNECT, the TLS greeting and the request must name one host; otherwise 421, and nothing goes upstream.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::bench::client::{Answered, connect, read};
use crate::bench::gate::TestGate;
use crate::bench::raw::{Raw, guard};
use crate::bench::upstream::{Options, Upstream};

/// What a client says in the three places; `Names::agreeing()` is what honest ones say.
#[derive(Clone, Copy, Debug)]
struct Names {
    connect: &'static str,
    sni: Option<&'static str>,
    /// `Host`, or `:authority`.
    host: &'static str,
    /// A `Host` field beside `:authority`; HTTP/2 only.
    beside: Option<&'static str>,
}

impl Names {
    fn agreeing() -> Self {
        Self { connect: "api.openai.com:443", sni: Some("api.openai.com"), host: "api.openai.com", beside: None }
    }
}

#[tokio::test]
async fn names_that_disagree_are_misdirected_and_nothing_goes_upstream() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, KEYED);
    let agreeing = Names::agreeing();
    let matrix = [
        Names { sni: Some("eu.api.openai.com"), ..agreeing },
        Names { sni: Some("bank.example"), ..agreeing },
        Names { sni: Some("api.openai.com.evil.example"), ..agreeing },
        Names { sni: Some("evilapi.openai.com"), ..agreeing },
        Names { sni: None, ..agreeing },
        Names { sni: Some("eu.api.openai.com"), host: "eu.api.openai.com", ..agreeing },
        Names { connect: "eu.api.openai.com:443", ..agreeing },
        Names { connect: "eu.api.openai.com:443", sni: Some("eu.api.openai.com"), ..agreeing },
        Names { connect: "api.openai.com:8443", ..agreeing },
        Names { host: "eu.api.openai.com", ..agreeing },
        Names { host: "bank.example", ..agreeing },
        Names { host: "openai.com", ..agreeing },
        Names { host: "api.openai.com:8443", ..agreeing },
        Names { host: "api.openai.com:80", ..agreeing },
        Names { host: "127.0.0.1", ..agreeing },
        Names { host: "tollgate.internal", ..agreeing },
    ];
    for alpn in ["http/1.1", "h2"] {
        for names in matrix {
            let answered = say(&gate, names, alpn).await;
            assert_eq!(answered.status, 421, "{alpn} {names:?}: {}", answered.text());
            assert_eq!(answered.json()["error"]["code"], "misdirected_request", "{alpn} {names:?}");
            assert!(!answered.text().contains("sk-mirror"), "{}", answered.text());
        }
    }
    let beside = Names { beside: Some("bank.example"), ..agreeing };
    assert_eq!(say(&gate, beside, "h2").await.status, 421);
    assert!(upstream.seen().is_empty());
    assert_eq!(upstream.connections().0, 0);
    let entries = gate.wait_for_entries(2 * matrix.len() + 1).await;
    assert!(entries.iter().all(|entry| entry.status == 421 && entry.error.as_deref() == Some("misdirected_request")));
}

#[tokio::test]
async fn one_name_in_several_spellings_is_one_name() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, KEYED);
    let agreeing = Names::agreeing();
    let spellings = [
        agreeing,
        Names { connect: "API.OpenAI.COM:443", ..agreeing },
        Names { connect: "api.openai.com.:443", ..agreeing },
        Names { sni: Some("API.OPENAI.COM"), ..agreeing },
        Names { host: "Api.OpenAI.com", ..agreeing },
        Names { host: "api.openai.com.", ..agreeing },
        Names { host: "api.openai.com:443", ..agreeing },
        Names { host: "API.openai.com.:443", ..agreeing },
        Names { beside: Some("api.openai.com"), ..agreeing },
        Names {
            connect: "eu.api.openai.com:443",
            sni: Some("eu.api.openai.com"),
            host: "eu.api.openai.com",
            beside: None,
        },
    ];
    for alpn in ["http/1.1", "h2"] {
        for names in spellings {
            let answered = say(&gate, names, alpn).await;
            assert_eq!(answered.status, 200, "{alpn} {names:?}: {}", answered.text());
        }
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2 * spellings.len());
    assert!(seen.iter().all(|seen| seen.host == "mirror.example.com"));
}

#[tokio::test]
async fn an_absolute_target_inside_tls_must_name_the_same_host() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for (target, status) in [("https://bank.example/v1/models", 421), ("https://api.openai.com/v1/models", 200)] {
        let mut client = Raw::over(opened(gate.proxy(), Names::agreeing(), "http/1.1").await);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: api.openai.com\r\nAuthorization: Bearer sk\r\n\r\n")).await;
        assert_eq!(client.answer().await.unwrap().status, status, "{target}");
    }
    assert_eq!(upstream.seen().len(), 1);
}

async fn say(gate: &TestGate, names: Names, alpn: &str) -> Answered {
    guard(async {
        let stream = opened(gate.proxy(), names, alpn).await;
        if alpn == "h2" { over_h2(stream, names).await } else { over_h1(stream, names).await }
    })
    .await
}

async fn over_h1(stream: TlsStream<TcpStream>, names: Names) -> Answered {
    let mut client = Raw::over(stream);
    let (host, length) = (names.host, BODY.len());
    client
        .send(format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer sk-client\r\n\
             Content-Length: {length}\r\n\r\n{BODY}"
        ))
        .await;
    let answer = client.answer().await.unwrap();
    let status = http::StatusCode::from_u16(answer.status).unwrap();
    Answered { status, headers: http::HeaderMap::new(), body: answer.body.into(), whole: true }
}

async fn over_h2(stream: TlsStream<TcpStream>, names: Names) -> Answered {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut request = Request::post(format!("https://{}/v1/chat/completions", names.host))
        .header("authorization", "Bearer sk-client")
        .body(Full::<Bytes>::from(BODY))
        .unwrap();
    if let Some(beside) = names.beside {
        request.headers_mut().insert("host", beside.parse().unwrap());
    }
    let answered = read(sender.send_request(request).await.unwrap()).await;
    driver.abort();
    answered
}

/// TLS behind a CONNECT, whatever certificate comes: here the client is the one that lies.
async fn opened(proxy: SocketAddr, names: Names, alpn: &str) -> TlsStream<TcpStream> {
    let stream = connect(proxy, names.connect).await.unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    config.enable_sni = names.sni.is_some();
    let name = ServerName::try_from(names.sni.unwrap_or("api.openai.com")).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// Believes every certificate.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A key that is the gate's to give, so that a leak would show.
const KEYED: &str = r#"duplicates: [{ name: "mirror", url: "https://mirror.example.com", apiKey: "sk-mirror" }]"#;

const BODY: &str = r#"{"messages":[{"role":"user","content":"say something nice"}],"model":"gpt-4o"}"#;
