//! The body of a request on its way to an upstream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// What is sent upstream: pieces that are at hand, or the client's own body as it comes.
#[derive(Debug)]
pub enum Outbound {
    /// Pieces that are sent one after the other.
    Pieces {
        /// The pieces, none empty.
        pieces: VecDeque<Bytes>,
        /// Bytes left.
        left: u64,
        /// Told when the last of them goes out.
        sent: Option<Arc<AtomicBool>>,
    },
    /// The client's body, passed on piece by piece.
    Stream {
        /// The client's body.
        body: Incoming,
        /// Bytes passed on so far.
        count: Arc<AtomicU64>,
        /// The client's body broke off before its end.
        broken: Arc<AtomicBool>,
    },
}

impl Outbound {
    /// No body.
    pub fn empty() -> Self {
        Self::Pieces { pieces: VecDeque::new(), left: 0, sent: None }
    }

    /// The client's body, its bytes counted in `count`.
    pub fn stream(body: Incoming, count: Arc<AtomicU64>) -> Self {
        Self::Stream { body, count, broken: Arc::default() }
    }

    /// What will tell whether the client's body broke off, where it is passed on as it comes.
    pub fn breakage(&self) -> Option<Arc<AtomicBool>> {
        match self {
            Self::Pieces { .. } => None,
            Self::Stream { broken, .. } => Some(Arc::clone(broken)),
        }
    }

    /// A body of these pieces.
    pub fn pieces(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let pieces: VecDeque<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self::Pieces { pieces, left, sent: None }
    }

    /// The same, telling `sent` when the last of its pieces goes out.
    #[must_use]
    pub fn telling(mut self, told: Arc<AtomicBool>) -> Self {
        if let Self::Pieces { sent, .. } = &mut self {
            *sent = Some(told);
        }
        self
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Pieces { pieces, left, sent } => Poll::Ready(pieces.pop_front().map(|piece| {
                *left -= piece.len() as u64;
                if let Some(sent) = sent.take_if(|_| pieces.is_empty()) {
                    sent.store(true, Ordering::Relaxed);
                }
                Ok(Frame::data(piece))
            })),
            Self::Stream { body, count, broken } => {
                let polled = Pin::new(body).poll_frame(cx);
                if let Poll::Ready(Some(Ok(frame))) = &polled
                    && frame.is_trailers()
                {
                    // No API asks for them, and they could hold what the headers of another host must not.
                    return Poll::Ready(None);
                }
                match &polled {
                    Poll::Ready(Some(Ok(frame))) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len);
                        count.fetch_add(bytes as u64, Ordering::Relaxed);
                    }
                    Poll::Ready(Some(Err(_))) => broken.store(true, Ordering::Relaxed),
                    Poll::Ready(None) | Poll::Pending => {}
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Pieces { pieces, .. } => pieces.is_empty(),
            Self::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Pieces { left, .. } => SizeHint::with_exact(*left),
            Self::Stream { body, .. } => body.size_hint(),
        }
    }
}
