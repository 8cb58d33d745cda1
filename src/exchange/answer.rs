//! The body of what a client receives.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::exchange::custom::chain::Chain;
use crate::exchange::metered::{Metered, Parts};
use crate::exchange::websocket::handover::Handover;
use crate::upstream::reply::{Reply, ReplyError};

/// What a client receives.
#[derive(Debug)]
pub enum Answer {
    /// Several streams as one.
    Chain(Box<Chain>),
    /// What had come of a reply that broke off, then the error, so that the client sees the break too.
    Cut {
        /// What had come.
        bytes: Option<Bytes>,
        /// Why no more came.
        error: Option<ReplyError>,
        /// What came before was given the time to leave.
        flushed: bool,
    },
    /// Bytes at hand.
    Full(Option<Bytes>),
    /// An upstream's reply under the meter.
    Metered(Box<Metered>),
    /// An upstream's reply, as it comes.
    Plain(Box<Reply>),
    /// No body: the connection becomes a WebSocket, and this is its other end.
    Socket(Box<Handover>),
}

impl Answer {
    /// No body.
    pub fn empty() -> Self {
        Self::Full(None)
    }

    /// These bytes, and no proper end.
    pub fn cut(bytes: Bytes, error: ReplyError) -> Self {
        Self::Cut { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()), error: Some(error), flushed: false }
    }

    /// What is left to be read of it for the meter, where its client has gone; the rest is dropped.
    pub fn into_parts(self) -> Option<Box<Parts>> {
        match self {
            Self::Metered(body) => body.into_parts(),
            _ => None,
        }
    }

    /// These bytes.
    pub fn full(bytes: Bytes) -> Self {
        Self::Full(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = ReplyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        let this = self.get_mut();
        let polled = match this {
            Self::Cut { bytes, error, flushed } => {
                if let Some(bytes) = bytes.take() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                if !std::mem::replace(flushed, true) {
                    // The server closes at once when it hears of the error, and would take with it what it still holds.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                return Poll::Ready(error.take().map(Err));
            }
            Self::Full(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Chain(chain) => chain.poll_piece(cx),
            Self::Metered(metered) => Pin::new(&mut **metered).poll_frame(cx),
            Self::Plain(reply) => Pin::new(&mut **reply).poll_frame(cx),
            Self::Socket(_) => return Poll::Ready(None),
        };
        match polled {
            Poll::Ready(Some(Err(error))) => {
                *this = Self::cut(Bytes::new(), error);
                Pin::new(this).poll_frame(cx)
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Chain(chain) => chain.is_over(),
            Self::Cut { bytes, error, .. } => bytes.is_none() && error.is_none(),
            Self::Full(bytes) => bytes.is_none(),
            Self::Metered(metered) => metered.is_end_stream(),
            Self::Plain(reply) => reply.is_end_stream(),
            Self::Socket(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Chain(_) | Self::Cut { .. } => SizeHint::new(),
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Metered(metered) => metered.size_hint(),
            Self::Plain(reply) => reply.size_hint(),
            Self::Socket(_) => SizeHint::with_exact(0),
        }
    }
}
