//! WebSockets: the handshake with an upstream, and what the client is told of it.

pub mod extension;
pub mod handover;
pub mod pass;
pub mod turns;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, ORIGIN, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts as Head;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Version};

use crate::dialect::endpoint::{Endpoint, Socket};
use crate::dialect::query;
use crate::exchange::answer::Answer;
use crate::exchange::caller::bounded;
use crate::exchange::fault::Fault;
use crate::exchange::metered::Metered;
use crate::exchange::pipeline::Exchange;
use crate::exchange::receipt::{Booking, Receipt};
use crate::exchange::websocket::extension::NotOffered;
use crate::exchange::websocket::handover::Handover;
use crate::exchange::websocket::turns::Turns;
use crate::exchange::{cors, headers, scrub};
use crate::ledger::entry::Outcome;
use crate::net::framing::{WEBSOCKET, lists};
use crate::policy::target::{Credential, Target};
use crate::upstream::failure::{Failure, FailureKind};
use crate::upstream::pool::Switched;
use crate::upstream::reply::Reply;
use crate::upstream::request::Outbound;

/// Whether a request asks for a WebSocket in the only way in which it can have one.
pub fn is_asked(head: &Head) -> bool {
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && names(&head.headers, &UPGRADE, WEBSOCKET)
        && names(&head.headers, &CONNECTION, b"upgrade")
        // What came behind the head would be taken for the first frames.
        && !head.headers.contains_key(TRANSFER_ENCODING)
        && head.headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0")
}

/// Whether a request speaks of a WebSocket at all: what follows it on the connection may be no request.
pub fn is_mentioned(headers: &HeaderMap) -> bool {
    names(headers, &UPGRADE, WEBSOCKET)
}

fn names(headers: &HeaderMap, name: &HeaderName, word: &[u8]) -> bool {
    headers.get_all(name).iter().any(|value| lists(value.as_bytes(), word))
}

impl Exchange<'_> {
    /// A WebSocket: tried at one target after the other while nothing was sent.
    ///
    /// # Errors
    /// What the client is told instead; the refusal or the attempt is booked.
    pub async fn socket(
        &self,
        head: Head,
        path: PathAndQuery,
        mut booking: Booking,
    ) -> Result<Response<Answer>, Fault> {
        let socket = Socket::recognise(path.path());
        booking.endpoint = socket.map_or(Endpoint::Other, Endpoint::Socket);
        booking.stream = true;
        // Where the events alone name a model, it comes too late to be routed by.
        let model = path.query().and_then(|query| query::value(query, "model")).filter(|_| socket.is_some());
        booking.model = model.as_deref().map(bounded);
        let targets = self.plan(&booking, model.as_deref(), &path)?;
        let has_credential = headers::has_credential(&head.headers);
        let last = targets.len();
        let mut tried = Fault::internal();
        for (number, target) in (1..).zip(targets) {
            if number == 1 {
                self.spend(&booking, &target, &head.headers)?;
                // Where only the events name a model, nothing can be said before they come.
                if booking.model.is_some() {
                    booking.priced_at(&target)?;
                }
                booking.afford(&target, &head.method, path.path(), None).await?;
            } else if target.credential.secret().is_some() && !has_credential {
                break;
            }
            let is_last = number as usize == last;
            let receipt = booking.attempt(number, &target);
            let attempt = Handshake { number, target, receipt, from_page: head.headers.contains_key(ORIGIN) };
            match attempt.run(self, &head, (&booking, socket)).await {
                Ok(response) => return Ok(response),
                Err(failure) if failure.unsent && !is_last => tried = Fault::upstream(&failure),
                Err(failure) => return Err(Fault::upstream(&failure)),
            }
        }
        Err(tried)
    }
}

/// One attempt at one target.
struct Handshake {
    number: u32,
    target: Target,
    receipt: Receipt,
    from_page: bool,
}

impl Handshake {
    async fn run(
        mut self,
        exchange: &Exchange<'_>,
        head: &Head,
        (booking, socket): (&Booking, Option<Socket>),
    ) -> Result<Response<Answer>, Failure> {
        let mut request = Request::new(Outbound::empty());
        *request.uri_mut() = self.target.path.clone().into();
        *request.headers_mut() = head.headers.clone();
        headers::toward_socket(request.headers_mut(), &self.target.credential);
        if socket.is_some() {
            extension::offer_readable(request.headers_mut());
        }
        let offered = request.headers().clone();
        if self.target.credential.secret().is_some() {
            // An error reply is looked through for the key.
            headers::narrow_codings(request.headers_mut(), false);
        }
        let mut compression = None;
        let switched = match exchange.relay.pool.switch(&self.target.destination, request).await {
            // Nobody reads what nobody meters: there the two ends agree on what they like.
            Ok(Switched::Yes { head, wire }) if socket.is_some() => match extension::chosen(&offered, head.headers()) {
                Ok(chosen) => {
                    compression = chosen;
                    Ok(Switched::Yes { head, wire })
                }
                Err(NotOffered) => {
                    let host = self.target.destination.at.to_string();
                    let cause = "it chose an extension that was not offered".to_owned();
                    Err(Failure::sent(FailureKind::Unreadable { host, cause }))
                }
            },
            other => other,
        };
        match switched {
            Err(failure) => {
                let outcome = if failure.is_timeout() { Outcome::Timeout } else { Outcome::UpstreamError };
                self.receipt.unanswered(Fault::upstream(&failure).status.as_u16());
                self.receipt.close(outcome, None, Some(&failure.to_string()));
                Err(failure)
            }
            Ok(Switched::No(response)) => Ok(self.answered(response).await),
            Ok(Switched::Yes { head: response, wire }) => {
                let mut response = response;
                self.receipt.answered(response.status().as_u16());
                headers::toward_client(response.headers_mut(), self.is_swapped());
                headers::switching(response.headers_mut());
                let sent = Arc::<AtomicU64>::default();
                self.receipt.uploading(Arc::clone(&sent));
                let turns = Turns::new(booking.clone(), self.number, self.target, (socket, compression));
                let handover = Handover::new(wire, turns, self.receipt, booking.ledger.clone(), sent);
                Ok(response.map(|()| Answer::Socket(Box::new(handover))))
            }
        }
    }

    /// The upstream did not switch: what it says goes to the client as any answer does.
    async fn answered(mut self, response: Response<Reply>) -> Response<Answer> {
        let swapped = self.is_swapped();
        let (mut head, reply) = response.into_parts();
        self.receipt.answered(head.status.as_u16());
        headers::toward_client(&mut head.headers, swapped);
        if swapped && self.from_page {
            cors::open(&mut head.headers);
        }
        let body = Metered::new(reply, None, self.receipt, None);
        let secrets: Vec<_> = self.target.credential.secret().cloned().into_iter().collect();
        if !secrets.is_empty() && scrub::applies(head.status) {
            return scrub::reply(head, body, &secrets).await;
        }
        Response::from_parts(head, Answer::Metered(Box::new(body)))
    }

    fn is_swapped(&self) -> bool {
        self.target.credential != Credential::Clients
    }
}
