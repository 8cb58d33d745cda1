//! The load generator: kept connections, each sending its next call when the last one is answered.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use futures_util::future::try_join_all;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificate::HOST;

/// How a program is reached.
#[derive(Clone)]
pub(crate) enum Way {
    /// In the clear, to the gate's own address.
    Clear(SocketAddr),
    /// CONNECT, then TLS.
    Connect(SocketAddr, TlsConnector),
    /// TLS at once.
    Tls(SocketAddr, TlsConnector),
}

/// What is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// A completion in one piece.
    Small,
    /// A stream; the client asks for usage itself.
    Stream,
    /// A stream; the client does not ask for usage.
    StreamUnasked,
}

/// One kept connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
}

/// What bytes go through.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

impl Connection {
    /// Opens a connection.
    pub(crate) async fn open(way: &Way) -> anyhow::Result<Self> {
        let (Way::Clear(at) | Way::Connect(at, _) | Way::Tls(at, _)) = way;
        let mut tcp = TcpStream::connect(at).await?;
        tcp.set_nodelay(true)?;
        if matches!(way, Way::Connect(..)) {
            tcp.write_all(format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n").as_bytes()).await?;
            let mut answer = Vec::new();
            // One byte at a time: what follows the head belongs to TLS.
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(tcp.read_u8().await?);
            }
            anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
        let stream: Box<dyn Stream> = match way {
            Way::Clear(_) => Box::new(tcp),
            Way::Connect(_, tls) | Way::Tls(_, tls) => Box::new(tls.connect(ServerName::try_from(HOST)?, tcp).await?),
        };
        Ok(Self { stream, read: Vec::new() })
    }

    /// Sends `request` and reads the whole answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.read.clear();
        let mut whole = None;
        loop {
            let count = self.stream.read_buf(&mut self.read).await?;
            anyhow::ensure!(count > 0, "the connection was closed in the middle of an answer");
            if whole.is_none() {
                whole = Whole::find(&self.read)?;
            }
            if whole.as_ref().is_some_and(|whole| whole.is_reached(&self.read)) {
                return Ok(());
            }
        }
    }
}

/// Where an answer ends.
enum Whole {
    /// After so many bytes.
    Bytes(usize),
    /// After the last chunk.
    Chunks,
}

impl Whole {
    /// Reads the head, once it is there.
    fn find(read: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = memchr::memmem::find(read, b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&read[..end])?.to_ascii_lowercase();
        anyhow::ensure!(head.starts_with("http/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        Ok(Some(match length {
            Some(length) => Self::Bytes(end + 4 + length.trim().parse::<usize>()?),
            None => Self::Chunks,
        }))
    }

    fn is_reached(&self, read: &[u8]) -> bool {
        match self {
            Self::Bytes(count) => read.len() >= *count,
            Self::Chunks => read.ends_with(b"\r\n0\r\n\r\n"),
        }
    }
}

/// Opens `count` connections.
pub(crate) async fn open(way: &Way, count: usize) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(Connection::open(way).await?);
    }
    Ok(connections)
}

/// Makes `calls` calls over all connections; how many were made, which is a multiple of their number.
pub(crate) async fn load(connections: &mut [Connection], form: Form, calls: usize) -> anyhow::Result<usize> {
    let request = request(form);
    let each = calls.div_ceil(connections.len());
    let work = connections.iter_mut().map(|connection| async {
        for _ in 0..each {
            connection.call(&request).await?;
        }
        anyhow::Ok(())
    });
    let done = try_join_all(work).await?.len();
    Ok(done * each)
}

/// TLS that trusts the authority in `ca` alone.
pub(crate) fn trusting(ca: &Path) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).context("no certificate to trust")?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A request as OpenAI's own clients send it, with a body of 1 kB.
fn request(form: Form) -> Vec<u8> {
    let more = match form {
        Form::Small => "",
        Form::Stream => ",\"stream\":true,\"stream_options\":{\"include_usage\":true}",
        Form::StreamUnasked => ",\"stream\":true",
    };
    let begin = format!("{{\"model\":\"gpt-4o\"{more},\"messages\":[{{\"role\":\"user\",\"content\":\"");
    let end = "\"}]}";
    let text = "The road is long and the gate is small. ".repeat(BODY / 40 + 1);
    let body = format!("{begin}{}{end}", &text[..BODY - begin.len() - end.len()]);
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {HOST}\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nUser-Agent: OpenAI/Python 2.8.1\r\nX-Stainless-Lang: python\r\n\
         X-Stainless-Package-Version: 2.8.1\r\nAuthorization: Bearer sk-load\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Bytes of a request body.
const BODY: usize = 1024;
