//! A client that sends bytes as they are, for what no HTTP library would send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection of bytes, with what was read beyond the last answer.
pub struct Raw<S> {
    stream: S,
    held: Vec<u8>,
}

/// One answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The head as it came, without the blank line.
    pub head: String,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

impl RawAnswer {
    /// The value of a field.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Raw<TcpStream> {
    /// A connection in the clear.
    pub async fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    /// Bytes over `stream`.
    pub fn over(stream: S) -> Self {
        Self { stream, held: Vec::new() }
    }

    /// Sends everything at once; a peer that has closed already is no matter here.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
        let _ = self.stream.flush().await;
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Reads one whole answer; `None` if the connection ended before one.
    pub async fn answer(&mut self) -> Option<RawAnswer> {
        self.answer_to("GET").await
    }

    /// As [`Raw::answer`], to a request of this method: an answer to HEAD has no body.
    pub async fn answer_to(&mut self, method: &str) -> Option<RawAnswer> {
        guard(self.whole_answer(method)).await
    }

    /// Reads until the peer has closed, and returns what came.
    pub async fn rest(&mut self) -> Vec<u8> {
        guard(async { while self.more().await {} }).await;
        std::mem::take(&mut self.held)
    }

    /// Reads exactly so many bytes.
    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        guard(async { while self.held.len() < count && self.more().await {} }).await;
        let count = count.min(self.held.len());
        self.held.drain(..count).collect()
    }

    async fn whole_answer(&mut self, method: &str) -> Option<RawAnswer> {
        let head = self.until(b"\r\n\r\n").await?;
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok())?;
        let mut answer = RawAnswer { status, head: head.trim_end().to_owned(), body: Vec::new() };
        if method == "HEAD" || [204, 304].contains(&status) {
            return Some(answer);
        }
        if answer.header("transfer-encoding").is_some() {
            loop {
                let line = String::from_utf8(self.until(b"\r\n").await?).unwrap();
                let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
                let chunk = self.exactly(size + 2).await;
                if size == 0 {
                    return Some(answer);
                }
                answer.body.extend_from_slice(chunk.get(..size)?);
            }
        }
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body = self.exactly(length).await;
        (answer.body.len() == length).then_some(answer)
    }

    /// Reads up to and with `end`.
    pub async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.held.windows(end.len()).position(|window| window == end) {
                return Some(self.held.drain(..at + end.len()).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn more(&mut self) -> bool {
        let mut piece = vec![0; 4096];
        let count = self.stream.read(&mut piece).await.unwrap_or(0);
        self.held.extend_from_slice(&piece[..count]);
        count > 0
    }
}

/// Fails a test that would otherwise hang.
pub async fn guard<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), Box::pin(work)).await.expect("it hangs")
}
