//! A client connection whose HTTP/1 framing is checked before anyone parses it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::net::framing::{Framing, HEAD_TOO_LARGE};

/// Wraps a stream; bytes after a violation are never delivered.
///
/// A head is delivered when it is complete, so what is behind never holds half of one that turns out to be malformed.
/// In place of a malformed head comes a request of the method [`MALFORMED`], which says `connection: close`: so the
/// refusal is answered in its turn, after the requests before it. The connection then lingers until the client has
/// had time to read the answer.
#[derive(Debug)]
pub struct Strict<S> {
    inner: S,
    framing: Framing,
    state: State,
    /// What was read, checked and not yet delivered.
    checked: BytesMut,
    /// The beginning of a head.
    begun: BytesMut,
    /// For a head that has begun to be complete.
    patience: Duration,
    /// Runs while a head has begun and is not complete.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Strict<S> {
    /// Checks everything read from `inner`; heads are at most `limit` bytes, and complete within `patience` of their
    /// first byte. How long a connection may rest between requests is not decided here.
    pub fn new(inner: S, limit: usize, patience: Duration) -> Self {
        let (checked, begun) = (BytesMut::new(), BytesMut::new());
        let framing = Framing::new(limit);
        Self { inner, framing, state: State::Sound, checked, begun, patience, deadline: None }
    }

    /// The stream itself, for when HTTP is over, and what was read from it and not delivered.
    pub fn into_parts(self) -> (S, BytesMut) {
        (self.inner, self.checked)
    }

    /// Checks what was read into `buffer` after `before`; leaves there what can be delivered at once.
    fn check(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let piece = &buffer.filled()[before..];
        let (sound, violation) = match self.framing.feed(piece) {
            Ok(()) => (piece.len(), None),
            Err(violation) => (violation.sound, Some(violation)),
        };
        // A head that turned out to be malformed is not delivered, nor is one that is still to come.
        let withheld = if violation.is_some() { 0 } else { self.framing.pending() };
        if self.begun.is_empty() && withheld <= sound {
            self.begun.extend_from_slice(&piece[sound - withheld..sound]);
            buffer.set_filled(before + sound - withheld);
        } else {
            self.begun.extend_from_slice(&piece[..sound]);
            let complete = self.begun.len() - withheld.min(self.begun.len());
            self.checked.unsplit(self.begun.split_to(complete));
            buffer.set_filled(before);
        }
        let Some(violation) = violation else { return };
        if violation.in_head {
            if violation.sound == 0 {
                // What was held is the beginning of the malformed head itself.
                self.checked.clear();
            }
            self.checked.extend_from_slice(substitute(violation.reason).as_bytes());
            self.state = State::Refused { budget: LINGER_BYTES, until: None };
        } else {
            self.state = State::Broken(violation.reason);
        }
    }
}

impl<S> Strict<S> {
    /// Ready when a head that has begun took too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.begun.is_empty() {
            self.deadline = None;
            return Poll::Pending;
        }
        let patience = self.patience;
        self.deadline.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        loop {
            if !this.checked.is_empty() {
                let count = this.checked.len().min(buffer.remaining());
                buffer.put_slice(&this.checked.split_to(count));
            }
            // With nothing to deliver an empty read would look like the end.
            if buffer.filled().len() > before || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            match &mut this.state {
                State::Sound => {}
                State::Broken(reason) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, *reason))),
                State::Refused { budget, .. } => return poll_waste(&mut this.inner, cx, budget),
            }
            if Pin::new(&mut this.inner).poll_read(cx, buffer)?.is_pending() {
                ready!(this.poll_late(cx));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            this.check(buffer, before);
        }
    }
}

/// Reads and forgets until the peer has closed or has sent too much.
fn poll_waste(inner: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>, budget: &mut usize) -> Poll<io::Result<()>> {
    let mut waste = [0; 4096];
    while *budget > 0 {
        let mut buffer = ReadBuf::new(&mut waste);
        ready!(Pin::new(&mut *inner).poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            break;
        }
        *budget = budget.saturating_sub(buffer.filled().len());
    }
    Poll::Ready(Ok(()))
}

/// What is delivered in place of a malformed head.
fn substitute(reason: &str) -> String {
    let path = if reason == HEAD_TOO_LARGE { TOO_LARGE } else { "/" };
    format!("{MALFORMED} {path} HTTP/1.1\r\nhost: tollgate.internal\r\nconnection: close\r\n\r\n")
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let State::Refused { budget, until } = &mut this.state else {
            return Pin::new(&mut this.inner).poll_shutdown(cx);
        };
        if until.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
        }
        // Closing at once, with bytes unread, would reset the connection and take the answer with it.
        let until = until.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let _ = ready!(poll_waste(&mut this.inner, cx, budget));
        Poll::Ready(Ok(()))
    }
}

#[derive(Debug)]
enum State {
    /// A violation inside a body: reading fails, the exchange answers.
    Broken(&'static str),
    /// A violation in a head: the substitute is on its way or delivered, the rest is not looked at.
    Refused {
        budget: usize,
        until: Option<Pin<Box<Sleep>>>,
    },
    Sound,
}

/// The method of the request that stands for a malformed one; a client that sends it itself is refused alike.
pub const MALFORMED: &str = "TOLLGATE-MALFORMED";
/// Its path where the head was too large.
pub const TOO_LARGE: &str = "/too-large";

/// How long, and for how many bytes, a refused client may go on sending.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const GOOD: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// What is behind reads, when the text arrives in pieces of `size` bytes.
    async fn delivered(text: &str, size: usize) -> String {
        let (mut client, server) = duplex(size);
        let text = text.to_owned();
        let write = async move { client.write_all(text.as_bytes()).await };
        let mut strict = Strict::new(server, 1024, Duration::from_secs(15));
        let mut read = String::new();
        let (_, _) = tokio::join!(write, strict.read_to_string(&mut read));
        read
    }

    #[tokio::test]
    async fn a_malformed_head_is_never_delivered_however_it_arrives() {
        let substitute = substitute("bare line feed");
        for size in 1..90 {
            let bad = "GET /x HTTP/1.1\nHost: a\r\n\r\n";
            assert_eq!(delivered(bad, size).await, substitute, "{size}");
            let after_good = format!("{GOOD}{GOOD}GET /x HTTP/1.1\r\nX: \r\nHost: a\nb\r\n\r\n{GOOD}");
            assert_eq!(delivered(&after_good, size).await, format!("{GOOD}{GOOD}{substitute}"), "{size}");
        }
    }

    #[tokio::test]
    async fn what_is_sound_is_delivered_unchanged_however_it_arrives() {
        let text = format!("{GOOD}POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello{GOOD}");
        for size in 1..90 {
            assert_eq!(delivered(&text, size).await, text, "{size}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_has_begun_must_end_in_time_and_a_rest_between_requests_need_not() {
        let (mut client, server) = duplex(1024);
        let mut strict = Strict::new(server, 1024, Duration::from_secs(15));
        client.write_all(GOOD.as_bytes()).await.unwrap();
        let mut read = vec![0; GOOD.len()];
        strict.read_exact(&mut read).await.unwrap();
        // Nothing has begun: an hour may pass.
        let hour = tokio::time::timeout(Duration::from_secs(3600), strict.read_u8()).await;
        assert!(hour.is_err());
        client.write_all(b"GET /").await.unwrap();
        let error = strict.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn half_a_head_is_not_delivered() {
        assert_eq!(delivered(&format!("{GOOD}GET / HTTP"), 7).await, GOOD);
    }
}
