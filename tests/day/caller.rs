//! A program that calls through the gate, may leave early, and tries again where its library would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::plan::{Manner, Plan};

/// What a client saw of one attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Saw {
    /// A whole answer.
    Whole {
        /// Its status.
        status: u16,
        /// Its body.
        body: Bytes,
    },
    /// An answer that broke off, or none.
    Broken,
    /// It left first.
    Left,
    /// It did not even reach the gate.
    Nothing,
}

impl Saw {
    /// The id of the object that came whole.
    pub fn id(&self) -> Option<String> {
        let Self::Whole { status: 200, body } = self else { return None };
        let document: serde_json::Value = serde_json::from_slice(body).ok()?;
        document["id"].as_str().map(str::to_owned)
    }
}

/// How to reach the gate that runs now.
#[derive(Clone)]
pub struct Way {
    /// Its proxy address; `None` while none runs.
    pub proxy: watch::Receiver<Option<SocketAddr>>,
    /// Trusts its authority.
    pub trust: Arc<ClientConfig>,
}

enum Sender {
    H1(http1::SendRequest<Full<Bytes>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

impl Way {
    /// Trusts this root alone.
    pub fn new(proxy: watch::Receiver<Option<SocketAddr>>, root_pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Self { proxy, trust: Arc::new(config.with_root_certificates(roots).with_no_client_auth()) }
    }

    /// One attempt at one call, under a label of its own.
    pub async fn attempt(&self, plan: &Plan, label: &str) -> Saw {
        let mut proxy = self.proxy.clone();
        let Ok(at) = proxy.wait_for(Option::is_some).await.map(|at| *at) else { return Saw::Nothing };
        let Some(sender) = self.connect(at.unwrap(), plan.alpn).await else { return Saw::Nothing };
        match timeout(PATIENCE, converse(sender, plan, label)).await {
            Ok(saw) => saw,
            Err(_) => panic!("{label} got no end of its reply in {PATIENCE:?}: {plan:?}"),
        }
    }

    async fn connect(&self, at: SocketAddr, alpn: &str) -> Option<Sender> {
        let mut stream = TcpStream::connect(at).await.ok()?;
        stream.write_all(b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n").await.ok()?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.ok()?);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        let mut config = (*self.trust).clone();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let name = ServerName::try_from("api.openai.com").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
        let io = TokioIo::new(stream);
        if alpn == "h2" {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.ok()?;
            tokio::spawn(connection);
            return Some(Sender::H2(sender));
        }
        let (sender, connection) = http1::handshake(io).await.ok()?;
        tokio::spawn(connection);
        Some(Sender::H1(sender))
    }
}

async fn converse(sender: Sender, plan: &Plan, label: &str) -> Saw {
    let builder = match sender {
        Sender::H1(_) => Request::builder().uri(&plan.path).header("host", "api.openai.com"),
        Sender::H2(_) => Request::builder().uri(format!("https://api.openai.com{}", plan.path)),
    };
    let request = builder
        .method(plan.method)
        .header("authorization", "Bearer sk-client")
        .header("content-type", plan.content_type)
        .header("accept-encoding", "gzip, br, zstd")
        .header("x-standin-fault", &plan.fault)
        .header("x-standin-call", label)
        .header("x-tollgate-label", label)
        .body(Full::from(plan.body.clone()))
        .unwrap();
    let mut sender = sender;
    let answer = async {
        match &mut sender {
            Sender::H1(sender) => sender.send_request(request).await,
            Sender::H2(sender) => sender.send_request(request).await,
        }
    };
    if plan.manner == Manner::LeavesAtOnce {
        // Long enough for the request to have left, most of the time.
        return match timeout(Duration::from_millis(3), answer).await {
            Ok(Err(_)) => Saw::Broken,
            _ => Saw::Left,
        };
    }
    match answer.await {
        Ok(response) => read(response, plan.manner).await,
        Err(_) => Saw::Broken,
    }
}

async fn read(response: Response<Incoming>, manner: Manner) -> Saw {
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut pieces) = (Vec::new(), 0);
    loop {
        if manner == Manner::LeavesAfter(pieces) {
            return Saw::Left;
        }
        pieces += 1;
        match body.frame().await {
            None => return Saw::Whole { status: head.status.as_u16(), body: bytes.into() },
            Some(Err(_)) => return Saw::Broken,
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
        }
    }
}

/// Nothing takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
