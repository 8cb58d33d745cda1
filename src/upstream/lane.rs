//! One kept HTTP/1 connection, driven by whoever is using it.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::upstream::bounded::{Allowance, Bounded};
use crate::upstream::request::Outbound;
use crate::upstream::wire::Wire;

/// A connection and its sending half.
///
/// The connection is polled inside the exchange's own task and not in one of its own: every event of a stream would
/// otherwise cross tasks and be flushed alone, which costs about a third more per event.
#[derive(Debug)]
pub struct Lane {
    sender: http1::SendRequest<Outbound>,
    connection: Pin<Box<http1::Connection<TokioIo<Bounded<Wire>>, Outbound>>>,
    allowance: Allowance,
    /// It speaks HTTP no more: polled again, it would close what may by now be another protocol's.
    over: bool,
    /// When it was last put away.
    pub idle_since: Instant,
}

impl Lane {
    /// Begins to speak HTTP/1 on a fresh connection.
    ///
    /// # Errors
    /// As hyper's handshake; nothing is sent by it.
    pub async fn open(wire: Wire) -> hyper::Result<Self> {
        let allowance = Rc::new(Cell::new(usize::MAX));
        let wire = Bounded::new(wire, Rc::clone(&allowance));
        let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(wire)).await?;
        Ok(Self { sender, connection: Box::pin(connection), allowance, over: false, idle_since: Instant::now() })
    }

    /// Lets the connection notice what happened to it; whether it can take a request now.
    pub fn poll_usable(&mut self, cx: &mut Context<'_>) -> bool {
        self.connection.as_mut().poll(cx).is_pending() && self.sender.is_ready()
    }

    /// Drives the connection; `true` when it has ended.
    pub fn poll_drive(&mut self, cx: &mut Context<'_>) -> bool {
        self.connection.as_mut().poll(cx).is_ready()
    }

    /// Sends a request and waits for the head of the reply.
    ///
    /// # Errors
    /// With the request given back exactly where nothing of it was sent.
    pub async fn send(
        &mut self,
        request: Request<Outbound>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Outbound>>> {
        // hyper passes over interim answers for as long as they come, and does nothing else meanwhile.
        self.allowance.set(MOST_BEFORE_BODY);
        let mut answer = pin!(self.sender.try_send_request(request));
        let answer = poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            if !self.over {
                self.over = self.connection.as_mut().poll(cx).is_ready();
            }
            answer.as_mut().poll(cx)
        })
        .await;
        self.allowance.set(usize::MAX);
        answer
    }
}

impl Lane {
    /// The connection itself once it has ceased to speak HTTP, and what was read beyond the head; `None` if it ended.
    pub async fn into_wire(mut self) -> Option<(Wire, Bytes)> {
        if !self.over {
            poll_fn(|cx| self.connection.as_mut().poll(cx)).await.ok()?;
        }
        let parts = Pin::into_inner(self.connection).into_parts();
        Some((parts.io.into_inner().into_inner(), parts.read_buf))
    }
}

/// More than hyper takes for one head, with what it reads ahead of the body.
const MOST_BEFORE_BODY: usize = 1 << 20;
