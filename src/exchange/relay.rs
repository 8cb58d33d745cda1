//! Answers requests: each exchange by itself, so that a failure stays in it.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use http::header::{HeaderValue, ORIGIN};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::exchange::answer::Answer;
use crate::exchange::fault::Fault;
use crate::exchange::origin::Origin;
use crate::exchange::parts::RelayParts;
use crate::exchange::pipeline::{Exchange, outbound};
use crate::exchange::{cors, headers};
use crate::ledger::entry::Ingress;
use crate::net::host::HostPort;
use crate::net::reach::Asker;
use crate::policy::Policy;
use crate::policy::target::{Credential, Destination, Scheme};
use crate::upstream::request::Outbound;

/// Handles the exchanges of one worker; cheap to clone, stays on its thread.
#[derive(Clone, Debug)]
pub struct Relay(Rc<RelayParts>);

impl Relay {
    /// A pipeline made of these parts.
    pub fn new(parts: RelayParts) -> Self {
        Self(Rc::new(parts))
    }

    /// The rules in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.0.live.now()
    }

    /// Answers one request; never fails, and a panic inside becomes one 500.
    pub async fn handle(&self, request: Request<Incoming>, origin: &Origin) -> Response<Answer> {
        let time = Timestamp::now();
        let id = self.0.ids.issue(time);
        // A stranger's page at the base URL may not even read why it was refused.
        let from_page = request.headers().contains_key(ORIGIN)
            && (origin.ingress != Ingress::BaseUrl || !cors::is_foreign_page(request.headers()));
        let exchange = Exchange { relay: &self.0, origin, id: &id, time, begun: Instant::now() };
        // Boxed, so that a connection at rest does not keep room for an exchange.
        let outcome = guarded(Box::pin(exchange.run(request))).await;
        let (mut response, own) = match outcome {
            Ok(response) => (response, false),
            Err(fault) => (fault.answer(), true),
        };
        if own {
            let request_id = format!("req_{id}");
            if let Ok(value) = HeaderValue::from_str(&request_id) {
                response.headers_mut().insert("x-request-id", value);
            }
        }
        if from_page && matches!(response.body(), Answer::Full(_)) {
            cors::open(response.headers_mut());
        }
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("x-tollgate-id", value);
        }
        response
    }

    /// Passes a plain-HTTP request to a host that is not intercepted, unseen by the meter.
    pub async fn pass(&self, request: Request<Incoming>, at: HostPort, asker: Asker) -> Response<Answer> {
        let destination = Destination { scheme: Scheme::Http, at, dialled: None, roots: None };
        let (mut head, body) = request.into_parts();
        headers::toward_upstream(&mut head.headers, &Credential::Clients);
        let Some(path) = head.uri.path_and_query().cloned() else {
            return Fault::client(StatusCode::BAD_REQUEST, None, "the request names no path").answer();
        };
        let outbound = outbound(&head, path, Outbound::stream(body, Arc::default()));
        match self.0.pool.pass(&destination, outbound, asker).await {
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                headers::toward_client(&mut head.headers, false);
                Response::from_parts(head, Answer::Plain(Box::new(body)))
            }
            Err(failure) => Fault::upstream(&failure).answer(),
        }
    }
}

/// Turns a panic into the fault that says so.
async fn guarded<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    // Nothing that the work shares with others is left half changed: locks of the books recover by themselves.
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("an exchange panicked; this is a bug in the gate");
        Err(Fault::internal())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_an_exchange_is_one_500() {
        let work = async {
            if !std::hint::black_box(false) {
                panic!("a bug");
            }
            Ok(())
        };
        let outcome = guarded(work).now_or_never().unwrap();
        assert_eq!(outcome.map_err(|fault| fault.status), Err(StatusCode::INTERNAL_SERVER_ERROR));
    }
}
