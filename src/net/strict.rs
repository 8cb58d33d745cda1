//! A client connection whose HTTP/1 framing is checked before anyone parses it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::framing::Framing;

/// Wraps a stream; bytes after a violation are never delivered.
///
/// A violation in a head is answered with 400 here, since no parser behind may see it; then the stream lingers until
/// the client has read the answer, and reading fails.
#[derive(Debug)]
pub struct Strict<S> {
    inner: S,
    framing: Framing,
    state: State,
}

impl<S> Strict<S> {
    /// Checks everything read from `inner`; heads are at most `limit` bytes.
    pub fn new(inner: S, limit: usize) -> Self {
        Self { inner, framing: Framing::new(limit), state: State::Sound }
    }

    /// The stream itself, for when HTTP is over.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Strict<S> {
    fn poll_refuse(&mut self, cx: &mut Context<'_>, answer: &[u8]) -> Poll<io::Result<()>> {
        while let State::Refusing { reason, written } = &mut self.state {
            if *written < answer.len() {
                let count = ready!(Pin::new(&mut self.inner).poll_write(cx, &answer[*written..]))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                *written += count;
                continue;
            }
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            self.state = State::Lingering { reason, budget: LINGER_BYTES };
        }
        let State::Lingering { reason, budget } = &mut self.state else { return Poll::Ready(Ok(())) };
        let mut waste = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut waste);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer))?;
            let count = buffer.filled().len();
            if count == 0 || count >= *budget {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, *reason)));
            }
            *budget -= count;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Strict<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.state {
            State::Sound => {}
            State::Broken(reason) => {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, reason)));
            }
            State::Refusing { .. } | State::Lingering { .. } => return this.poll_refuse(cx, ANSWER),
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
        let Err(violation) = this.framing.feed(&buffer.filled()[before..]) else { return Poll::Ready(Ok(())) };
        buffer.set_filled(before + violation.sound);
        this.state = if violation.in_head {
            State::Refusing { reason: violation.reason, written: 0 }
        } else {
            State::Broken(violation.reason)
        };
        // What was sound goes up first; with nothing to deliver an empty read would look like the end.
        if violation.sound > 0 {
            return Poll::Ready(Ok(()));
        }
        match this.state {
            State::Broken(reason) => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, reason))),
            _ => this.poll_refuse(cx, ANSWER),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
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
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[derive(Debug)]
enum State {
    /// A violation inside a body: reading fails, the exchange answers.
    Broken(&'static str),
    Lingering {
        reason: &'static str,
        budget: usize,
    },
    Refusing {
        reason: &'static str,
        written: usize,
    },
    Sound,
}

const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 147\r\n\
connection: close\r\nx-should-retry: false\r\n\r\n\
{\"error\":{\"message\":\"the gate could not read this request: its HTTP framing is malformed\",\
\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}";

/// How much a client may still send before the connection is dropped regardless.
const LINGER_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_states_its_own_length() {
        let text = String::from_utf8(ANSWER.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
