//! A collector that takes OTLP over HTTP, decodes what comes, and does as it is told: takes, refuses, or never answers.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::upstream::tls::{Alpn, Authority};

/// A running collector; its thread ends with the process.
pub struct Collector {
    address: SocketAddr,
    ca_pem: String,
    inside: Arc<Inside>,
}

/// What it does with what comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// Takes it.
    Takes,
    /// Takes all spans of a message but so many.
    TakesAllBut(i64),
    /// Answers with this status.
    Refuses(u16),
    /// Reads it and never answers.
    Hangs,
}

/// One message as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// `/v1/traces` or `/v1/metrics`, with what the owner put before it.
    pub path: String,
    /// All fields.
    pub headers: HeaderMap,
    /// As it came over the wire.
    pub body: Bytes,
    /// Whether it was answered with a success.
    pub taken: bool,
}

struct Inside {
    received: Mutex<Vec<Received>>,
    manner: Mutex<Manner>,
    changed: Condvar,
}

impl Collector {
    /// In the clear.
    pub fn start() -> Self {
        Self::serve(None)
    }

    /// Over TLS, with a certificate that only its own PEM vouches for.
    pub fn over_tls(alpn: Alpn) -> Self {
        Self::serve(Some(alpn))
    }

    fn serve(alpn: Option<Alpn>) -> Self {
        let authority = Authority::make();
        let acceptor = alpn.map(|alpn| authority.acceptor(alpn));
        let inside =
            Arc::new(Inside { received: Mutex::default(), manner: Mutex::new(Manner::Takes), changed: Condvar::new() });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&inside);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let (inside, acceptor) = (Arc::clone(&shared), acceptor.clone());
                    tokio::spawn(async move {
                        match acceptor {
                            None => speak(stream, inside, false).await,
                            Some(acceptor) => {
                                let Ok(stream) = acceptor.accept(stream).await else { return };
                                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                                speak(stream, inside, h2).await;
                            }
                        }
                    });
                }
            });
        });
        Self { address, ca_pem: authority.pem(), inside }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root of its certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Changes what it does from now on.
    pub fn be(&self, manner: Manner) {
        *self.inside.manner.lock().unwrap() = manner;
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.inside.received.lock().unwrap().clone()
    }

    /// The spans that it took.
    pub fn spans(&self) -> Vec<Span> {
        spans(&self.received())
    }

    /// The metrics of the last message that it took.
    pub fn metrics(&self) -> Vec<Metric> {
        let received = self.received();
        let last = received.iter().rfind(|received| received.taken && received.path.ends_with("/v1/metrics"));
        let message = ExportMetricsServiceRequest::decode(last.expect("metrics").body.clone()).unwrap();
        let scopes = message.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        scopes.flat_map(|scope| scope.metrics).collect()
    }

    /// Waits until what came looks as wanted, and fails after twenty seconds.
    pub fn wait(&self, wanted: impl Fn(&[Received]) -> bool) {
        let received = self.inside.received.lock().unwrap();
        let limit = Duration::from_secs(20);
        let (received, timeout) =
            self.inside.changed.wait_timeout_while(received, limit, |received| !wanted(received)).unwrap();
        let paths: Vec<(String, bool)> = received.iter().map(|one| (one.path.clone(), one.taken)).collect();
        drop(received);
        assert!(!timeout.timed_out(), "waited in vain: {paths:?}");
    }
}

/// The spans of all messages that were taken.
pub fn spans(received: &[Received]) -> Vec<Span> {
    let taken = received.iter().filter(|received| received.taken && received.path.ends_with("/v1/traces"));
    let messages = taken.map(|received| ExportTraceServiceRequest::decode(received.body.clone()).unwrap());
    let resources = messages.flat_map(|message| message.resource_spans);
    resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, inside: Arc<Inside>, h2: bool) {
    let service = service_fn(move |request| answer(Arc::clone(&inside), request));
    let io = TokioIo::new(stream);
    if h2 {
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
    } else {
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
    }
}

async fn answer(inside: Arc<Inside>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(Response::default()) };
    let manner = *inside.manner.lock().unwrap();
    let taken = matches!(manner, Manner::Takes | Manner::TakesAllBut(_));
    inside.received.lock().unwrap().push(Received {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: body.to_bytes(),
        taken,
    });
    inside.changed.notify_all();
    let mut response = Response::new(Full::default());
    match manner {
        Manner::Takes => {}
        Manner::TakesAllBut(count) if head.uri.path().ends_with("/v1/traces") => {
            let partial = ExportTracePartialSuccess { rejected_spans: count, error_message: "too many".into() };
            let said = ExportTraceServiceResponse { partial_success: Some(partial) };
            *response.body_mut() = Full::from(said.encode_to_vec());
        }
        Manner::TakesAllBut(_) => {}
        Manner::Refuses(status) => *response.status_mut() = status.try_into().unwrap(),
        Manner::Hangs => pending().await,
    }
    Ok(response)
}
