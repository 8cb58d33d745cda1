//! HTTP/1 and HTTP/2 on one client connection, with the bounds of the setup.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::exchange::answer::Answer;
use crate::exchange::fault::Fault;
use crate::exchange::origin::Origin;
use crate::exchange::websocket::handover::Handover;
use crate::exchange::websocket::is_mentioned;
use crate::net::limits::Limits;
use crate::net::parting::part;
use crate::net::prefixed::Prefixed;
use crate::net::shutdown::{Phase, Stopping};
use crate::net::strict::Strict;
use crate::session::house::House;
use crate::upstream::pool::LocalExecutor;

/// Serves HTTP/1 whose every request goes through the pipeline.
pub async fn serve_h1(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    origin: Rc<Origin>,
    house: &Rc<House>,
) -> hyper::Result<()> {
    let io = TokioIo::new(Strict::new(stream, house.limits.header_bytes, house.limits.header_timeout));
    let switch = Rc::new(Switch::default());
    let service = service_fn(|request: Request<Incoming>| {
        let (origin, house, switch) = (Rc::clone(&origin), Rc::clone(house), Rc::clone(&switch));
        async move {
            let mentioned = is_mentioned(request.headers());
            let response = relayed(request, origin, Rc::clone(&house)).await?;
            Ok::<_, Infallible>(if mentioned { switch.take_from(response) } else { last(response, &house.stopping) })
        }
    });
    let mut connection = h1(&house.limits).serve_connection(io, service);
    until_drained(Pin::new(&mut connection), http1::Connection::graceful_shutdown, &house.stopping).await?;
    if let Some(outcome) = switch.outcome.take() {
        let parts = connection.into_parts();
        Box::pin(outcome.follow(reclaimed(parts.io, parts.read_buf), &house.stopping)).await;
    }
    Ok(())
}

/// Serves HTTP/2 whose every request goes through the pipeline.
pub async fn serve_h2(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    origin: Rc<Origin>,
    house: &Rc<House>,
) -> hyper::Result<()> {
    let service = service_fn(|request| relayed(request, Rc::clone(&origin), Rc::clone(house)));
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(house.limits.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    let connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // HTTP/2 has a goodbye that loses no request.
    until(Phase::Yielding, connection, http2::Connection::graceful_shutdown, &house.stopping).await
}

/// Serves a connection to its end; once the gate drains, `finish` lets it complete only what has begun.
pub async fn until_drained<C: Future>(
    connection: Pin<&mut C>,
    finish: impl FnOnce(Pin<&mut C>),
    stopping: &Stopping,
) -> C::Output {
    until(Phase::Draining, connection, finish, stopping).await
}

async fn until<C: Future>(
    phase: Phase,
    mut connection: Pin<&mut C>,
    finish: impl FnOnce(Pin<&mut C>),
    stopping: &Stopping,
) -> C::Output {
    tokio::select! {
        biased;
        outcome = connection.as_mut() => outcome,
        () = stopping.reached(phase) => {
            finish(connection.as_mut());
            connection.await
        }
    }
}

/// An HTTP/1 server with the bounds of the setup.
pub fn h1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // hyper counts the rest between two requests too; a head that has begun is timed by `Strict`.
        .header_read_timeout(REST)
        .max_buf_size(limits.header_bytes.max(MIN_BUFFER))
        .max_headers(limits.headers)
        // What the upstream sent is what the client gets.
        .auto_date_header(false);
    builder
}

/// What became of a request for a WebSocket, once its answer has gone.
#[derive(Debug, Default)]
pub struct Switch {
    outcome: RefCell<Option<Switched>>,
}

/// What a connection is after a request for a WebSocket.
#[derive(Debug)]
pub enum Switched {
    /// Over.
    No,
    /// A WebSocket, whose other end this is.
    Yes(Box<Handover>),
}

impl Switch {
    /// Takes the WebSocket out of an answer; any other answer ends the connection, since [`Strict`] takes what follows
    /// the request for no request.
    pub fn take_from(&self, response: Response<Answer>) -> Response<Answer> {
        let (head, body) = response.into_parts();
        let (outcome, body) = match body {
            Answer::Socket(handover) => (Switched::Yes(handover), Answer::empty()),
            body => (Switched::No, body),
        };
        let mut response = Response::from_parts(head, body);
        if matches!(outcome, Switched::No) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.outcome.replace(Some(outcome));
        response
    }

    /// What was taken last.
    pub fn outcome(&self) -> Option<Switched> {
        self.outcome.take()
    }
}

impl Switched {
    /// Carries the WebSocket to its end, or ends the connection so that its last answer is read.
    pub async fn follow(self, client: Prefixed<impl AsyncRead + AsyncWrite + Unpin>, stopping: &Stopping) {
        match self {
            Self::Yes(handover) => handover.carry(client, stopping.clone()).await,
            Self::No => part(client).await,
        }
    }
}

/// The bare stream behind HTTP/1, with what was read beyond the last head.
pub fn reclaimed<S>(io: TokioIo<Strict<S>>, read: Bytes) -> Prefixed<S> {
    let (stream, undelivered) = io.into_inner().into_parts();
    if undelivered.is_empty() {
        return Prefixed::new(read, stream);
    }
    Prefixed::new([read, undelivered.freeze()].concat().into(), stream)
}

async fn relayed(
    request: Request<Incoming>,
    origin: Rc<Origin>,
    house: Rc<House>,
) -> Result<Response<Answer>, Infallible> {
    if let Some(fault) = Fault::malformed(&request) {
        return Ok(fault.answer());
    }
    if request.method() == Method::CONNECT {
        return Ok(closing(house.relay.handle(request, &origin).await));
    }
    Ok(house.relay.handle(request, &origin).await)
}

/// The answer to a CONNECT; where it refuses, the connection ends, because [`Strict`] takes what follows for a tunnel.
pub fn closing(mut response: Response<Answer>) -> Response<Answer> {
    if !response.status().is_success() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The last answer of an HTTP/1 connection once another gate takes what is new; closing it unasked would cost the request
/// that is perhaps on its way.
pub fn last(mut response: Response<Answer>, stopping: &Stopping) -> Response<Answer> {
    if stopping.is_in(Phase::Yielding) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// hyper refuses to work with less.
const MIN_BUFFER: usize = 8192;
/// What a client that does not read makes the gate hold for one stream.
const SEND_BUFFER: usize = 64 << 10;
/// How long a kept connection may rest; longer than clients keep theirs, so that they close first.
pub const REST: Duration = Duration::from_secs(600);
const STREAMS: u32 = 100;
const WINDOW: u32 = 1 << 20;
