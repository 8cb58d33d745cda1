//! The body of what a client receives.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::exchange::metered::Metered;
use crate::upstream::reply::{Reply, ReplyError};

/// What a client receives.
#[derive(Debug)]
pub enum Answer {
    /// Bytes at hand.
    Full(Option<Bytes>),
    /// An upstream's reply under the meter.
    Metered(Box<Metered>),
    /// An upstream's reply, as it comes.
    Plain(Box<Reply>),
}

impl Answer {
    /// No body.
    pub fn empty() -> Self {
        Self::Full(None)
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
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Metered(metered) => Pin::new(&mut **metered).poll_frame(cx),
            Self::Plain(reply) => Pin::new(&mut **reply).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Metered(metered) => metered.is_end_stream(),
            Self::Plain(reply) => reply.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Metered(metered) => metered.size_hint(),
            Self::Plain(reply) => reply.size_hint(),
        }
    }
}
