//! A server that answers with bytes as they are written down, over TLS and HTTP/1.1, for what no HTTP library would send.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::upstream::tls::{Alpn, Authority};

/// A running server; it ends with the test's runtime.
pub struct Verbatim {
    /// Where it listens.
    pub address: SocketAddr,
    /// The certificate of the authority that signed its certificate.
    pub ca_pem: String,
    connections: Arc<AtomicUsize>,
}

/// What one request is answered with.
pub struct Said {
    /// The whole answer, head and all.
    pub bytes: Vec<u8>,
    /// What becomes of the connection.
    pub then: Then,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// It is closed as TLS wants it.
    Close,
    /// It stays open, and nothing is read from it any more: the answer came before the request's body.
    Deaf,
    /// It takes the next request.
    Keep,
    /// It is closed without TLS's goodbye.
    Vanish,
}

impl Verbatim {
    /// Answers the `n`th request of all, from 0, with `script(n)`.
    pub fn start(script: impl Fn(usize) -> Said + Send + Sync + 'static) -> Self {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let authority = Authority::make();
        let acceptor = authority.acceptor(Alpn::Http1);
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let (script, requests) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
        let listener = TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, script, requests) = (acceptor.clone(), Arc::clone(&script), Arc::clone(&requests));
                tokio::spawn(async move {
                    let next = || script(requests.fetch_add(1, Ordering::SeqCst));
                    converse(acceptor, stream, next).await;
                });
            }
        });
        Self { address, ca_pem: authority.pem(), connections }
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn converse(acceptor: TlsAcceptor, stream: TcpStream, next: impl Fn() -> Said) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    while let Some(length) = hear_head(&mut stream).await {
        let Said { bytes, then } = next();
        if then != Then::Deaf && stream.read_exact(&mut vec![0; length]).await.is_err() {
            return;
        }
        if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        match then {
            Then::Keep => {}
            Then::Deaf => return std::future::pending().await,
            Then::Vanish => return,
            Then::Close => {
                let _ = stream.shutdown().await;
                return;
            }
        }
    }
}

/// Reads the head of one request and gives the length of its body; `None` where the connection ends.
async fn hear_head(stream: &mut TlsStream<TcpStream>) -> Option<usize> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    length.parse().ok()
}
