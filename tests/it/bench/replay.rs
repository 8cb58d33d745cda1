//! A server in the clear that answers with bytes as they were written down, framed whole or byte by byte.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A running server; it ends with the test's runtime.
pub struct Replay {
    /// Where it listens.
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its target.
    pub path: String,
    /// The host that it names.
    pub host: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// What a request is answered with; the connection is closed after it.
#[derive(Clone, Debug)]
pub enum Say {
    /// Nothing at all.
    Nothing,
    /// These bytes, head and all.
    Raw(Vec<u8>),
}

/// How the body of a recorded reply is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flow {
    /// Each byte in a chunk of its own.
    Bytes,
    /// With its length, in one piece.
    One,
}

impl Replay {
    /// Answers a request with what `script` says to its target.
    pub fn start(script: impl Fn(&str) -> Say + Send + Sync + 'static) -> Self {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let (script, heard) = (Arc::new(script), Arc::new(Mutex::new(Vec::new())));
        let ear = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, ear) = (Arc::clone(&script), Arc::clone(&ear));
                tokio::spawn(async move { converse(stream, &*script, &ear).await });
            }
        });
        Self { address, heard }
    }

    /// All requests so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Say {
    /// A reply as it was recorded: status line, fields, blank line, body. Fields about framing are set anew.
    pub fn recorded(http: &[u8], flow: Flow) -> Self {
        let (head, body) = split(http);
        let framing = ["content-length:", "transfer-encoding:", "connection:", "keep-alive:"];
        let kept = head.lines().filter(|line| !framing.iter().any(|name| line.to_lowercase().starts_with(name)));
        let mut bytes = kept.flat_map(|line| [line, "\r\n"]).collect::<String>().into_bytes();
        match flow {
            Flow::One => {
                bytes.extend(format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()).bytes());
                bytes.extend(body);
            }
            Flow::Bytes => {
                bytes.extend(b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n");
                bytes.extend(body.iter().flat_map(|byte| [b'1', b'\r', b'\n', *byte, b'\r', b'\n']));
                bytes.extend(b"0\r\n\r\n");
            }
        }
        Self::Raw(bytes)
    }
}

/// Head and body of a recorded reply.
pub fn split(http: &[u8]) -> (&str, &[u8]) {
    let crlf = http.windows(4).position(|window| window == b"\r\n\r\n").map(|at| (at, at + 4));
    let (end, body) = crlf.expect("a head ends with a blank line");
    (std::str::from_utf8(&http[..end]).unwrap(), &http[body..])
}

async fn converse(mut stream: TcpStream, script: &(impl Fn(&str) -> Say + ?Sized), ear: &Mutex<Vec<Heard>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).to_string();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let host = head.lines().find_map(|line| line.to_lowercase().strip_prefix("host: ").map(str::to_owned));
    let host = host.unwrap_or_default();
    let said = script(&path);
    ear.lock().unwrap_or_else(PoisonError::into_inner).push(Heard { path, host, body });
    if let Say::Raw(bytes) = said {
        let _ = stream.write_all(&bytes).await;
    }
    let _ = stream.shutdown().await;
}
