//! A stream whose first bytes were read already, and that counts what it reads.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Gives the prefix first, then the stream; counts every byte that is read.
#[derive(Debug)]
pub struct Prefixed<S> {
    prefix: Bytes,
    inner: S,
    read: Rc<Cell<u64>>,
}

impl<S> Prefixed<S> {
    /// Puts `prefix` before what `inner` still has.
    pub fn new(prefix: Bytes, inner: S) -> Self {
        Self { prefix, inner, read: Rc::default() }
    }

    /// Gives back bytes that were read, in front of everything that is still to be read.
    pub fn put_back(&mut self, bytes: Vec<u8>) {
        self.read.set(self.read.get().saturating_sub(bytes.len() as u64));
        let left = std::mem::take(&mut self.prefix);
        self.prefix = if left.is_empty() { bytes.into() } else { [&bytes[..], &left].concat().into() };
    }

    /// The stream itself, for what has nothing to do with its bytes.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The count of bytes read so far; outlives the stream.
    pub fn count(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.read)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = if self.prefix.is_empty() {
            Pin::new(&mut self.inner).poll_read(cx, buffer)
        } else {
            let count = self.prefix.len().min(buffer.remaining());
            buffer.put_slice(&self.prefix[..count]);
            self.prefix.advance(count);
            if self.prefix.is_empty() {
                // What is read to its end still holds its memory.
                self.prefix = Bytes::new();
            }
            Poll::Ready(Ok(()))
        };
        self.read.set(self.read.get() + (buffer.filled().len() - before) as u64);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
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
