//! Requests to a collector over the gate's own connections, verified as any other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use crate::net::secret::Secret;
use crate::policy::target::Destination;
use crate::upstream::connect::Connector;

/// A collector, and the connection that is kept to it.
#[derive(Debug)]
pub(crate) struct Collector {
    connector: Arc<Connector>,
    destination: Destination,
    base_path: Box<str>,
    headers: Vec<(HeaderName, Secret)>,
    kept: Option<Sender>,
}

/// Why a collector did not take what was sent.
#[derive(Debug)]
pub(crate) struct Refused {
    /// In words, without any header's value.
    pub(crate) cause: String,
    /// The same may be sent again, not before so long.
    pub(crate) again: Option<Duration>,
}

impl Refused {
    fn unreachable(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), again: Some(Duration::ZERO) }
    }
}

#[derive(Debug)]
enum Sender {
    H1(http1::SendRequest<Full<Bytes>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

impl Collector {
    pub(crate) fn new(
        connector: Arc<Connector>,
        destination: Destination,
        base_path: Box<str>,
        headers: Vec<(HeaderName, Secret)>,
    ) -> Self {
        Self { connector, destination, base_path, headers, kept: None }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        self.destination.url(&self.base_path)
    }

    /// Posts a message and gives the answer's body; waits at most ten seconds.
    ///
    /// # Errors
    /// Any answer that is no success, and none.
    pub(crate) async fn post(&mut self, path: &str, message: &Bytes) -> Result<Bytes, Refused> {
        let posted = timeout(PATIENCE, self.deliver(path, message)).await;
        let outcome = posted.unwrap_or_else(|_| Err(Refused::unreachable("it did not answer within 10 seconds")));
        if outcome.is_err() {
            self.kept = None;
        }
        outcome
    }

    async fn deliver(&mut self, path: &str, message: &Bytes) -> Result<Bytes, Refused> {
        if let Some(kept) = self.kept.take() {
            // A kept connection may have gone meanwhile; what that loses is sent over a new one.
            if let Ok(response) = self.send(kept, path, message).await {
                return taken(response).await;
            }
        }
        let sender = self.connect().await?;
        let response = self.send(sender, path, message).await;
        taken(response.map_err(|error| Refused::unreachable(error.to_string()))?).await
    }

    async fn connect(&self) -> Result<Sender, Refused> {
        let wire = self.connector.connect(&self.destination).await;
        let wire = wire.map_err(|failure| Refused::unreachable(failure.to_string()))?;
        let broken = |error: hyper::Error| Refused::unreachable(error.to_string());
        if wire.speaks_h2() {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(wire)).await.map_err(broken)?;
            tokio::spawn(connection);
            return Ok(Sender::H2(sender));
        }
        let (sender, connection) = http1::handshake(TokioIo::new(wire)).await.map_err(broken)?;
        tokio::spawn(connection);
        Ok(Sender::H1(sender))
    }

    async fn send(&mut self, sender: Sender, path: &str, message: &Bytes) -> hyper::Result<Response<Incoming>> {
        let path = format!("{}{path}", self.base_path);
        let mut request = Request::new(Full::new(message.clone()));
        *request.method_mut() = http::Method::POST;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))));
        for (name, secret) in &self.headers {
            if let Ok(mut value) = HeaderValue::from_str(secret.reveal()) {
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
        match sender {
            Sender::H1(mut sender) => {
                if let Ok(host) = HeaderValue::from_str(&self.authority()) {
                    headers.insert(HOST, host);
                }
                *request.uri_mut() = path.parse().unwrap_or_default();
                sender.ready().await?;
                let response = sender.send_request(request).await?;
                self.kept = Some(Sender::H1(sender));
                Ok(response)
            }
            Sender::H2(mut sender) => {
                *request.uri_mut() = self.destination.url(&path).parse().unwrap_or_default();
                sender.ready().await?;
                let response = sender.send_request(request).await?;
                self.kept = Some(Sender::H2(sender));
                Ok(response)
            }
        }
    }

    fn authority(&self) -> String {
        let Destination { scheme, at, .. } = &self.destination;
        if at.port == scheme.default_port() { at.host.to_string() } else { at.to_string() }
    }
}

/// The body of a success; the protocol says which failures may pass.
async fn taken(response: Response<Incoming>) -> Result<Bytes, Refused> {
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let wait = Duration::from_secs(wait.unwrap_or(0)).min(LONGEST_WAIT);
    let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
    if !status.is_success() {
        let passing = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        return Err(Refused { cause: format!("it answered {status}"), again: passing.then_some(wait) });
    }
    // It has taken the message, so that an answer that cannot be read is none to send again for.
    Ok(body.map(http_body_util::Collected::to_bytes).unwrap_or_default())
}

const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const LARGEST_ANSWER: usize = 64 << 10;
