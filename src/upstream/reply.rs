//! The body of a reply as it comes from an upstream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::upstream::lane::Lane;
use crate::upstream::pool::{Key, Pool};

/// A reply body; drives its own HTTP/1 connection and returns it to the pool when the reply is whole.
#[derive(Debug)]
pub struct Reply {
    body: Incoming,
    /// The connection, and where it goes when the reply is whole.
    lane: Option<(Lane, Option<(Pool, Key)>)>,
    patience: Patience,
}

impl Reply {
    /// A reply on a connection of its own.
    pub fn over_lane(body: Incoming, lane: Lane, pool: Pool, key: Key, idle: Duration) -> Self {
        let mut reply = Self { body, lane: Some((lane, Some((pool, key)))), patience: Patience::new(idle) };
        if reply.is_end_stream() {
            // An empty reply is never polled, so its connection goes home now.
            let mut cx = Context::from_waker(std::task::Waker::noop());
            reply.settle(&mut cx);
        }
        reply
    }

    /// A reply on a connection that is closed after it.
    pub fn over_own_lane(body: Incoming, lane: Lane, idle: Duration) -> Self {
        Self { body, lane: Some((lane, None)), patience: Patience::new(idle) }
    }

    /// A reply on a shared HTTP/2 connection.
    pub fn shared(body: Incoming, idle: Duration) -> Self {
        Self { body, lane: None, patience: Patience::new(idle) }
    }

    /// Gives the connection back, if it can take another request.
    fn settle(&mut self, cx: &mut Context<'_>) {
        if let Some((mut lane, Some((pool, key)))) = self.lane.take()
            && lane.poll_usable(cx)
        {
            pool.put_away(&key, lane);
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            return polled;
        }
        let Some((lane, ..)) = &mut self.lane else { return Poll::Pending };
        if lane.poll_drive(cx) {
            self.lane = None;
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = ReplyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        let this = &mut *self;
        let Poll::Ready(polled) = this.poll_body(cx) else {
            ready!(this.patience.poll_lost(cx));
            return Poll::Ready(Some(Err(ReplyError::Idle(this.patience.limit))));
        };
        this.patience.renew();
        match polled {
            Some(Ok(frame)) => {
                if frame.is_trailers() || this.is_end_stream() {
                    this.settle(cx);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(ReplyError::Cut(error)))),
            None => {
                this.settle(cx);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // Over HTTP/2 the end may follow in a frame of its own, which nobody asks for any more once all the bytes
        // that were announced have gone to the client.
        self.body.is_end_stream() || self.body.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A time limit between two pieces, whose timer exists only while somebody waits.
#[derive(Debug)]
struct Patience {
    limit: Duration,
    last: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        Self { limit, last: None, timer: None }
    }

    /// Something came: the next wait starts anew.
    fn renew(&mut self) {
        self.last = None;
    }

    /// Ready when nothing came for the whole limit.
    fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.last.get_or_insert_with(Instant::now) + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(timer.as_mut().poll(cx));
            // The timer was set for an earlier wait; only now is it worth moving.
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

/// Why a reply did not come to its end.
#[derive(Debug)]
pub enum ReplyError {
    /// The upstream broke off.
    Cut(hyper::Error),
    /// The upstream was silent for longer than allowed.
    Idle(Duration),
    /// Its content coding broke off, so that nothing more can be made of it.
    Unreadable,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(_) => f.write_str("the upstream broke off its reply"),
            Self::Idle(limit) => write!(f, "the upstream was silent for {limit:?}"),
            Self::Unreadable => f.write_str("the upstream's reply could not be decoded"),
        }
    }
}

impl std::error::Error for ReplyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cut(error) => Some(error),
            Self::Idle(_) | Self::Unreadable => None,
        }
    }
}
