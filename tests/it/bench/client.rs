//! A client that speaks HTTP by hyper: direct, through CONNECT, or to the base URL.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// One connection that requests can be sent over.
pub enum Client {
    /// HTTP/1.1.
    H1(http1::SendRequest<Full<Bytes>>),
    /// HTTP/2.
    H2(http2::SendRequest<Full<Bytes>>),
}

/// A whole answer.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// All fields.
    pub headers: HeaderMap,
    /// The body, or what had come of it when it broke off.
    pub body: Bytes,
    /// The body came to its end.
    pub whole: bool,
}

impl Answered {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// To `host` through a CONNECT and TLS, trusting `root_pem` alone.
    pub async fn intercepted(proxy: SocketAddr, host: &str, root_pem: &str, alpn: &str) -> Self {
        let stream = connect(proxy, &format!("{host}:443")).await.expect("the CONNECT is answered with 200");
        Self::over_tls(handshake(stream, host, root_pem, alpn).await.expect("the leaf is trusted"), alpn).await
    }

    /// As [`Client::intercepted`], with more fields in the CONNECT, each with its line break.
    pub async fn intercepted_with(proxy: SocketAddr, host: &str, root_pem: &str, alpn: &str, fields: &str) -> Self {
        let stream =
            connect_with(proxy, &format!("{host}:443"), fields).await.expect("the CONNECT is answered with 200");
        Self::over_tls(handshake(stream, host, root_pem, alpn).await.expect("the leaf is trusted"), alpn).await
    }

    /// To `host` at `address` directly, over TLS.
    pub async fn direct(address: SocketAddr, host: &str, root_pem: &str, alpn: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::over_tls(handshake(stream, host, root_pem, alpn).await.unwrap(), alpn).await
    }

    /// In the clear: to the base URL, or with absolute URLs to the proxy.
    pub async fn plain(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self::H1(sender)
    }

    /// HTTP over TLS that is there already.
    pub async fn over_tls(stream: TlsStream<TcpStream>, alpn: &str) -> Self {
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn.as_bytes()));
        let io = TokioIo::new(stream);
        if alpn == "h2" {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            return Self::H2(sender);
        }
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Self::H1(sender)
    }

    /// Sends and gives the answer with its body still to come.
    pub async fn begin(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::H1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::H2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Sends and reads the whole answer.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Answered {
        read(self.begin(request).await.expect("an answer")).await
    }

    /// Posts JSON with a key, as OpenAI's clients do.
    pub async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Answered {
        let request = self.request(Method::POST, path).body(Full::new(body.into())).unwrap();
        self.send(request).await
    }

    /// Gets with a key.
    pub async fn get(&mut self, path: &str) -> Answered {
        let request = self.request(Method::GET, path).body(Full::default()).unwrap();
        self.send(request).await
    }

    /// A request with a key, addressed to api.openai.com in the form of the protocol.
    pub fn request(&self, method: Method, path: &str) -> http::request::Builder {
        self.bare(method, path).header("authorization", "Bearer sk-client")
    }

    /// The same without a key.
    pub fn bare(&self, method: Method, path: &str) -> http::request::Builder {
        let builder = Request::builder().method(method).header("content-type", "application/json");
        match self {
            Self::H1(_) => builder.uri(path).header("host", "api.openai.com"),
            Self::H2(_) => builder.uri(format!("https://api.openai.com{path}")),
        }
    }
}

/// Reads an answer to its end, or to where it breaks off.
pub async fn read(response: Response<Incoming>) -> Answered {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    let whole = loop {
        match body.frame().await {
            None => break true,
            Some(Err(_)) => break false,
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
        }
    };
    Answered { status: head.status, headers: head.headers, body: bytes.into(), whole }
}

/// A CONNECT; the stream behind its 200, or the status and body of a refusal.
pub async fn connect(proxy: SocketAddr, authority: &str) -> Result<TcpStream, String> {
    connect_with(proxy, authority, "").await
}

/// As [`connect`], with more fields, each with its line break.
pub async fn connect_with(proxy: SocketAddr, authority: &str, fields: &str) -> Result<TcpStream, String> {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // One byte at a time: what follows the head belongs to the tunnel.
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap() == 0 {
            break;
        }
        answer.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    if text.starts_with("HTTP/1.1 200") {
        return Ok(stream);
    }
    let mut rest = String::new();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|n| n.parse().ok());
    let _ = stream.take(length.unwrap_or(0)).read_to_string(&mut rest).await;
    Err(text + &rest)
}

/// TLS with SNI `host`, trusting `root_pem` alone.
pub async fn handshake(
    stream: TcpStream,
    host: &str,
    root_pem: &str,
    alpn: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let name = ServerName::try_from(host.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
