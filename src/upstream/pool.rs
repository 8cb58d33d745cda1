//! The kept connections of one worker, and sending over them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use http::header::{HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, timeout};

use crate::net::host::HostPort;
use crate::net::prefixed::Prefixed;
use crate::net::reach::Asker;
use crate::policy::target::{Destination, Scheme};
use crate::upstream::connect::Connector;
use crate::upstream::failure::{Failure, FailureKind};
use crate::upstream::lane::Lane;
use crate::upstream::reply::Reply;
use crate::upstream::request::Outbound;
use crate::upstream::wire::Wire;

/// The kept connections of one worker; stays on its thread.
#[derive(Clone, Debug)]
pub struct Pool(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    connector: Arc<Connector>,
    limits: PoolLimits,
    shelves: RefCell<HashMap<Key, Shelf>>,
}

/// Time limits of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// From the request to the head of the reply.
    pub first_byte: Duration,
    /// Between two pieces of a reply.
    pub idle: Duration,
}

/// What a kept connection may be reused for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Key {
    scheme: Scheme,
    at: HostPort,
    /// A connection to another address may lead to another server of that name.
    dialled: Option<SocketAddr>,
    /// Identity of the further roots: a connection verified by other roots is another connection.
    roots: usize,
    /// A place that is open to some is not open to others because somebody has been there.
    asker: Asker,
}

impl Key {
    fn of(to: &Destination, asker: Asker) -> Self {
        let roots = to.roots.as_ref().map_or(0, |roots| Arc::as_ptr(roots) as usize);
        Self { scheme: to.scheme, at: to.at.clone(), dialled: to.dialled, roots, asker }
    }
}

#[derive(Debug, Default)]
struct Shelf {
    idle: Vec<Lane>,
    shared: Option<http2::SendRequest<Outbound>>,
}

enum Way {
    Kept(Lane),
    Fresh(Lane),
    Shared { sender: http2::SendRequest<Outbound>, kept: bool },
}

impl Pool {
    /// An empty pool.
    pub fn new(connector: Arc<Connector>, limits: PoolLimits) -> Self {
        Self(Rc::new(Shared { connector, limits, shelves: RefCell::default() }))
    }

    /// Sends a request whose URI is a path alone, and waits for the head of the reply.
    ///
    /// `first_byte` is a limit for this request in the place of the common one. A kept connection that turns out to be dead before anything was sent is replaced without a word; nothing else
    /// is ever sent twice.
    ///
    /// # Errors
    /// Says whether anything was sent.
    pub async fn send(
        &self,
        to: &Destination,
        request: Request<Outbound>,
        first_byte: Option<Duration>,
    ) -> Result<Response<Reply>, Failure> {
        self.send_for(Key::of(to, Asker::Here), to, request, first_byte).await
    }

    /// As [`Pool::send`], to where a client asked to be led itself.
    ///
    /// # Errors
    /// As [`Pool::send`].
    pub async fn pass(
        &self,
        to: &Destination,
        request: Request<Outbound>,
        asker: Asker,
    ) -> Result<Response<Reply>, Failure> {
        self.send_for(Key::of(to, asker), to, request, None).await
    }

    async fn send_for(
        &self,
        key: Key,
        to: &Destination,
        mut request: Request<Outbound>,
        first_byte: Option<Duration>,
    ) -> Result<Response<Reply>, Failure> {
        loop {
            let way = match self.kept(&key).await {
                Some(way) => way,
                // Rare and large: not a part of every exchange that is kept in memory.
                None => Box::pin(self.fresh(&key, to)).await?,
            };
            let kept = matches!(way, Way::Kept(_) | Way::Shared { kept: true, .. });
            let shared = matches!(way, Way::Shared { .. });
            let limit = first_byte.unwrap_or(self.0.limits.first_byte);
            // HTTP/2 does not tell a body that broke off from other ends of a stream.
            let breakage = request.body().breakage();
            let broken = || breakage.as_ref().is_some_and(|broken| broken.load(Ordering::Relaxed));
            let sent = timeout(limit, self.send_over(way, &key, to, request)).await;
            match sent {
                Ok(Ok(response)) => {
                    let Some(cause) = unasked(&response) else { return Ok(response) };
                    let (host, cause) = (to.at.to_string(), cause.into());
                    return Err(Failure::sent(FailureKind::Closed { host, cause }));
                }
                Ok(Err(Unanswered { request: Some(again), .. })) if kept => {
                    if shared {
                        self.forget_shared(&key);
                    }
                    request = again;
                }
                Ok(Err(_)) if broken() => return Err(Failure::sent(FailureKind::ClientBody)),
                Ok(Err(unanswered)) => return Err(unanswered.into_failure(&to.at)),
                Err(_) => {
                    if shared {
                        // It may be dead, as after a change of networks, and would keep every further call waiting.
                        self.forget_shared(&key);
                    }
                    let host = to.at.to_string();
                    return Err(Failure::sent(FailureKind::Timeout { host, what: "answer", limit }));
                }
            }
        }
    }

    /// Sends a request that asks for another protocol, over a connection of its own that is never used again.
    ///
    /// # Errors
    /// As [`Pool::send`].
    pub async fn switch(&self, to: &Destination, request: Request<Outbound>) -> Result<Switched, Failure> {
        let wire = self.0.connector.connect_http1(to).await?;
        let PoolLimits { first_byte: limit, idle } = self.0.limits;
        let host = || to.at.to_string();
        let unsent =
            |error: hyper::Error| Failure::unsent(FailureKind::Connect { host: host(), cause: error.to_string() });
        let mut lane = Lane::open(wire).await.map_err(unsent)?;
        let late = || Failure::sent(FailureKind::Timeout { host: host(), what: "answer", limit });
        let sent = timeout(limit, lane.send(shaped_h1(request, to))).await.map_err(|_| late())?;
        let response = sent.map_err(|error| Unanswered::from_hyper(error).into_failure(&to.at))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let response = response.map(|body| Reply::over_own_lane(body, lane, idle));
            return match unasked(&response) {
                None => Ok(Switched::No(response)),
                Some(cause) => Err(Failure::sent(FailureKind::Closed { host: host(), cause: cause.into() })),
            };
        }
        let cause = "it switched protocols and closed".to_owned();
        let (wire, early) =
            lane.into_wire().await.ok_or_else(|| Failure::sent(FailureKind::Closed { host: host(), cause }))?;
        Ok(Switched::Yes { head: response.map(drop), wire: Prefixed::new(early, wire) })
    }

    /// Takes back a connection whose exchange is over.
    pub fn put_away(&self, key: &Key, mut lane: Lane) {
        lane.idle_since = Instant::now();
        let mut shelves = self.0.shelves.borrow_mut();
        let shelf = shelves.entry(key.clone()).or_default();
        if shelf.idle.len() < MAX_IDLE {
            shelf.idle.push(lane);
        }
    }

    /// Closes what was not used for a while; to be called now and then.
    pub fn sweep(&self) {
        let mut shelves = self.0.shelves.borrow_mut();
        for shelf in shelves.values_mut() {
            shelf.idle.retain(|lane| lane.idle_since.elapsed() < IDLE);
            if shelf.shared.as_ref().is_some_and(http2::SendRequest::is_closed) {
                shelf.shared = None;
            }
        }
        shelves.retain(|_, shelf| !shelf.idle.is_empty() || shelf.shared.is_some());
    }

    /// A connection that the upstream is leaving still lives for its open streams, but takes no new ones.
    fn forget_shared(&self, key: &Key) {
        if let Some(shelf) = self.0.shelves.borrow_mut().get_mut(key) {
            shelf.shared = None;
        }
    }

    async fn kept(&self, key: &Key) -> Option<Way> {
        loop {
            let mut lane = {
                let mut shelves = self.0.shelves.borrow_mut();
                let shelf = shelves.get_mut(key)?;
                if let Some(sender) = &shelf.shared {
                    if !sender.is_closed() {
                        return Some(Way::Shared { sender: sender.clone(), kept: true });
                    }
                    shelf.shared = None;
                }
                // The most recently used one is the least likely to have been closed meanwhile.
                shelf.idle.pop()?
            };
            let usable = poll_fn(|cx| Poll::Ready(lane.poll_usable(cx))).await;
            if usable && lane.idle_since.elapsed() < IDLE {
                return Some(Way::Kept(lane));
            }
        }
    }

    async fn fresh(&self, key: &Key, to: &Destination) -> Result<Way, Failure> {
        let wire = self.0.connector.connect_for(to, key.asker).await?;
        let failed = |error: hyper::Error| {
            Failure::unsent(FailureKind::Connect { host: to.at.to_string(), cause: error.to_string() })
        };
        if !wire.speaks_h2() {
            return Ok(Way::Fresh(Lane::open(wire).await.map_err(failed)?));
        }
        let (sender, connection) = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            // A connection that died without a word would cost every call on it the whole first-byte limit.
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .initial_stream_window_size(H2_WINDOW)
            .initial_connection_window_size(H2_CONNECTION_WINDOW)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(failed)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an upstream connection ended");
            }
        });
        self.0.shelves.borrow_mut().entry(key.clone()).or_default().shared = Some(sender.clone());
        Ok(Way::Shared { sender, kept: false })
    }

    async fn send_over(
        &self,
        way: Way,
        key: &Key,
        to: &Destination,
        request: Request<Outbound>,
    ) -> Result<Response<Reply>, Unanswered> {
        let idle = self.0.limits.idle;
        match way {
            Way::Kept(mut lane) | Way::Fresh(mut lane) => {
                let response = lane.send(shaped_h1(request, to)).await.map_err(Unanswered::from_hyper)?;
                Ok(response.map(|body| Reply::over_lane(body, lane, self.clone(), key.clone(), idle)))
            }
            Way::Shared { mut sender, .. } => {
                if let Err(cause) = sender.ready().await {
                    return Err(Unanswered { cause, request: Some(request) });
                }
                let response = sender.try_send_request(shaped_h2(request, to)).await.map_err(Unanswered::from_hyper)?;
                Ok(response.map(|body| Reply::shared(body, idle)))
            }
        }
    }
}

/// What came of asking for another protocol.
#[derive(Debug)]
pub enum Switched {
    /// The upstream answers in HTTP.
    No(Response<Reply>),
    /// The connection is the other protocol's from now on.
    Yes {
        /// The answer that said so.
        head: Response<()>,
        /// What follows.
        wire: Prefixed<Wire>,
    },
}

/// An attempt over one connection that brought no answer.
struct Unanswered {
    cause: hyper::Error,
    /// The request, where nothing of it was sent.
    request: Option<Request<Outbound>>,
}

impl Unanswered {
    fn from_hyper(mut error: hyper::client::conn::TrySendError<Request<Outbound>>) -> Self {
        let request = error.take_message();
        Self { cause: error.into_error(), request }
    }

    fn into_failure(self, at: &HostPort) -> Failure {
        let unsent = self.request.is_some();
        let kind = if self.cause.is_user() {
            FailureKind::ClientBody
        } else {
            FailureKind::Closed { host: at.to_string(), cause: chain(&self.cause) }
        };
        Failure { kind, unsent, system: None }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// What a reply does that nobody asked for, so that its bytes cannot be passed on as what they are.
fn unasked(response: &Response<Reply>) -> Option<&'static str> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Some("it switched protocols without being asked");
    }
    let is_odd = |coding: &HeaderValue| !coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    let codings = response.headers().get_all(TRANSFER_ENCODING);
    codings.iter().any(is_odd).then_some("its reply has a transfer coding that nobody asked for")
}

/// HTTP/1 wants the path in the request line and the host in a header.
fn shaped_h1(mut request: Request<Outbound>, to: &Destination) -> Request<Outbound> {
    if request.uri().scheme().is_some()
        && let Some(path) = request.uri().path_and_query().cloned()
    {
        *request.uri_mut() = Uri::from(path);
    }
    *request.version_mut() = Version::HTTP_11;
    if let Ok(host) = HeaderValue::from_str(&authority(to)) {
        request.headers_mut().insert(HOST, host);
    }
    request
}

/// HTTP/2 wants everything in the URI and no `Host`.
fn shaped_h2(mut request: Request<Outbound>, to: &Destination) -> Request<Outbound> {
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let whole = Uri::builder().scheme(to.scheme.name()).authority(authority(to)).path_and_query(path).build();
    if let Ok(uri) = whole {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(HOST);
    request
}

fn authority(to: &Destination) -> String {
    if to.at.port == to.scheme.default_port() { to.at.host.to_string() } else { to.at.to_string() }
}

/// Runs futures on the worker's own thread.
#[derive(Clone, Copy, Debug)]
pub struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output: 'static> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// How often a connection with open streams is asked whether it still lives, and how long it may take to say so.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);
/// Shorter than the idle limit of known upstreams, so that we close first.
const IDLE: Duration = Duration::from_secs(30);
/// Idle connections kept for one destination and worker.
const MAX_IDLE: usize = 512;
/// What a reply may send ahead of a client that does not read.
const H2_WINDOW: u32 = 256 << 10;
/// As good as none: replies share the connection, and one that nobody reads must not hold up the others.
const H2_CONNECTION_WINDOW: u32 = 1 << 30;
