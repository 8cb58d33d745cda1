//! The steps that every intercepted request runs through, on one screen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};
use http::request::Parts as Head;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::dialect::call::{Call, CallError, Edits};
use crate::dialect::endpoint::{Dialect, Endpoint};
use crate::dialect::facts::Facts;
use crate::dialect::paths;
use crate::exchange::answer::Answer;
use crate::exchange::attempt::{Attempt, Passed};
use crate::exchange::caller::{bounded, caller};
use crate::exchange::counting::counts_tokens;
use crate::exchange::counting::input::Input;
use crate::exchange::counting::reckoning::Reckoning;
use crate::exchange::counting::yardstick::Yardstick;
use crate::exchange::fault::Fault;
use crate::exchange::inbound::{self, InboundError};
use crate::exchange::origin::Origin;
use crate::exchange::parts::RelayParts;
use crate::exchange::receipt::Booking;
use crate::exchange::{cors, headers, models, self_test, websocket};
use crate::ledger::entry::Ingress;
use crate::ledger::tunnels::Gap;
use crate::meter::sight::Sight;
use crate::net::host::HostPort;
use crate::policy::routing::Ask;
use crate::policy::self_test::is_self_test;
use crate::policy::target::Target;
use crate::policy::{OnDisconnect, Policy};
use crate::upstream::failure::Failure;
use crate::upstream::request::Outbound;

/// One request on its way through.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// What the worker's exchanges share.
    pub relay: &'a RelayParts,
    /// Where the request meant to go.
    pub origin: &'a Origin,
    /// Its id.
    pub id: &'a Arc<str>,
    /// When it began.
    pub time: Timestamp,
    /// The same moment on the clock that never jumps.
    pub begun: Instant,
}

impl Exchange<'_> {
    /// Takes the request through every step.
    ///
    /// # Errors
    /// What the client is told instead; the refusal or the attempt is booked.
    pub async fn run(&self, request: Request<Incoming>) -> Result<Response<Answer>, Fault> {
        let policy = self.relay.live.now();
        let (head, body) = request.into_parts();
        if is_self_test(&policy.interception, &self.origin.at.host) {
            self.admit(&head)?;
            return Ok(self_test::answer(&head, self.origin.ingress));
        }
        let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let endpoint = Endpoint::recognise(&head.method, path.path());
        let mut booking = self.booking(policy, endpoint, &head);
        booking.stream = matches!(booking.endpoint, Endpoint::Job(_)) && asks_for_events(&path);
        if let Err(fault) = self.admit(&head) {
            booking.refuse(fault.status.as_u16(), fault.code.unwrap_or("refused"));
            return Err(fault);
        }
        if cors::is_preflight(&head) {
            return Ok(cors::preflight(&head));
        }
        if websocket::is_asked(&head) {
            // Boxed because it is rare, and would make every exchange larger.
            return Box::pin(self.socket(head, path, booking)).await;
        }
        match booking.endpoint.clone() {
            Endpoint::Call(dialect) => {
                let call = self.read(dialect, &head, body, &mut booking).await;
                let call = call.inspect_err(|fault| {
                    booking.refuse(fault.status.as_u16(), fault.code.unwrap_or("refused"));
                })?;
                self.call(head, path, &mut booking, &call).await
            }
            Endpoint::Models | Endpoint::Model(_) => self.models(&head, path, &booking).await,
            Endpoint::Job(_) | Endpoint::Opening(_) | Endpoint::Other | Endpoint::Socket(_) => {
                self.other(&head, path, body, &mut booking).await
            }
        }
    }

    fn booking(&self, policy: Arc<Policy>, endpoint: Endpoint, head: &Head) -> Booking {
        let begins = matches!(endpoint, Endpoint::Job(_)) && paths::begins(&head.method, head.uri.path());
        Booking {
            ledger: self.relay.ledger.clone(),
            policy,
            id: Arc::clone(self.id),
            time: self.time,
            begun: self.begun,
            client: caller(self.origin, &head.headers),
            program: self.origin.peer.program.clone(),
            ingress: self.origin.ingress,
            host: self.origin.at.host.to_string().into(),
            endpoint,
            stream: false,
            model: None,
            tier: None,
            bytes_up: 0,
            hold: None,
            facts: Facts { begins, ..Facts::default() },
        }
    }

    /// Whether the request can be meant for an API, and names the host that its connection was made to.
    fn admit(&self, head: &Head) -> Result<(), Fault> {
        // A tunnel within would not be HTTP any more, and a trace shows the key that was added.
        if [Method::CONNECT, Method::TRACE].contains(&head.method) {
            let message = format!("the method `{}` cannot be relayed", head.method);
            return Err(Fault::client(StatusCode::METHOD_NOT_ALLOWED, Some("method_not_allowed"), message));
        }
        if self.origin.ingress == Ingress::BaseUrl {
            if cors::is_foreign_page(&head.headers) {
                return Err(Fault::client(
                    StatusCode::FORBIDDEN,
                    Some("foreign_page"),
                    "pages of other sites may not use the gate's own address; use the gate as the browser's proxy",
                ));
            }
            return Ok(());
        }
        let named = |text: &str| {
            HostPort::parse(text, self.origin.scheme.default_port()).is_ok_and(|named| named == self.origin.at)
        };
        let in_uri = head.uri.authority().is_none_or(|authority| named(authority.as_str()));
        // In an absolute URL sent to the proxy the target wins over the Host header.
        let in_header = self.origin.ingress == Ingress::Forward
            || head.headers.get_all(HOST).iter().all(|host| host.to_str().is_ok_and(named));
        if in_uri && in_header && !self.origin.misdirected {
            return Ok(());
        }
        Err(Fault::misdirected(&self.origin.at.to_string()))
    }

    async fn read(&self, dialect: Dialect, head: &Head, body: Incoming, booking: &mut Booking) -> Result<Call, Fault> {
        let limit = self.relay.body_bytes;
        let bytes = inbound::collect(body, &head.headers, limit).await.map_err(InboundError::into_fault)?;
        booking.bytes_up = bytes.len() as u64;
        let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let call = Call::read(dialect, bytes, text(CONTENT_TYPE), text(CONTENT_ENCODING), limit)
            .map_err(|error: CallError| inbound::call_fault(&error))?;
        booking.model = call.model.as_deref().map(bounded);
        booking.stream = call.stream;
        booking.tier.clone_from(&call.tier);
        booking.facts.clone_from(&call.facts);
        Ok(call)
    }

    /// A call with a model: tried at one target after the other while nothing was sent.
    async fn call(
        &self,
        mut head: Head,
        path: PathAndQuery,
        booking: &mut Booking,
        call: &Call,
    ) -> Result<Response<Answer>, Fault> {
        let targets = self.plan(booking, call.model.as_deref(), &path)?;
        let Some(first) = targets.first() else { return Err(Fault::internal()) };
        self.spend(booking, first, &head.headers)?;
        booking.priced_at(first)?;
        booking.afford(first, &head.method, path.path(), Some(call)).await?;
        if let [target] = &*targets
            && let Some(custom) = &target.custom
        {
            // Boxed, so that other calls do not keep room for what only these do.
            return Box::pin(self.custom(head, booking, (call, target, custom))).await;
        }
        let last = targets.len();
        let from_page = head.headers.contains_key(ORIGIN);
        let has_credential = headers::has_credential(&head.headers);
        let mut tried = Fault::internal();
        for (number, target) in (1..).zip(&targets) {
            let lacks_credential = target.credential.secret().is_some() && !has_credential;
            if number > 1 && (lacks_credential || !booking.may_go_to(target)) {
                break;
            }
            let metering = booking.policy.metering;
            let outgoing = call.body(&Edits {
                model: target.model.as_deref(),
                include_usage: metering.inject_usage && target.takes_include_usage,
            });
            let injected = outgoing.adds_usage;
            // Nobody needs them after the last attempt.
            let is_last = number as usize == last;
            let mut sent = if is_last { std::mem::take(&mut head.headers) } else { head.headers.clone() };
            headers::toward_upstream(&mut sent, &target.credential);
            if outgoing.decoded {
                sent.remove(CONTENT_ENCODING);
            }
            headers::narrow_codings(&mut sent, injected || (target.drops_empty_chunks && call.stream));
            let sent_out = Arc::<AtomicBool>::default();
            let outbound = Outbound::pieces(outgoing.pieces).telling(Arc::clone(&sent_out));
            let mut request = Request::new(outbound);
            *request.method_mut() = head.method.clone();
            *request.uri_mut() = target.path.clone().into();
            *request.headers_mut() = sent;
            let passed = Passed {
                stream: call.stream,
                metered: Some(Sight::of(&booking.endpoint)),
                injected,
                drops_empty_chunks: target.drops_empty_chunks,
                taken_down: counts_tokens(call.dialect).then_some(call.dialect),
                ..Passed::from(target, from_page)
            };
            let mut receipt = booking.attempt(number, target);
            if passed.taken_down.is_some() {
                receipt = receipt.counted_by(self.reckoning(call), sent_out);
            }
            let mut attempt = Attempt::new(target, receipt, passed);
            attempt.drains = (metering.on_disconnect == OnDisconnect::Drain).then(|| self.relay.drains.clone());
            match attempt.run(&self.relay.pool, request).await {
                Ok(response) => return Ok(response),
                Err(failure) if failure.unsent && !is_last => tried = Fault::upstream(&failure),
                Err(failure) => return Err(Fault::upstream(&failure)),
            }
        }
        Err(tried)
    }

    /// What counts a call for one of OpenAI's models, should nobody report what it used.
    fn reckoning(&self, call: &Call) -> Reckoning {
        let input = Input::of(call.dialect, call.text());
        Reckoning { clerks: self.relay.clerks.clone(), yardstick: Yardstick::Model, input }
    }

    /// What names no model: passed on as it comes, and read where it shows what an earlier call has used.
    async fn other(
        &self,
        head: &Head,
        path: PathAndQuery,
        body: Incoming,
        booking: &mut Booking,
    ) -> Result<Response<Answer>, Fault> {
        let targets = self.plan(booking, None, &path)?;
        let Some(target) = targets.first() else { return Err(Fault::internal()) };
        let mut fit = self.spend(booking, target, &head.headers);
        if fit.is_ok() {
            fit = booking.afford(target, &head.method, path.path(), None).await;
        }
        if let Err(fault) = fit {
            Box::pin(inbound::discard(body, &head.headers)).await;
            return Err(fault);
        }
        let count = Arc::new(AtomicU64::new(0));
        let body = Outbound::stream(body, Arc::clone(&count));
        let mut request = outbound(head, target.path.clone(), body);
        headers::toward_upstream(request.headers_mut(), &target.credential);
        let metered = matches!(booking.endpoint, Endpoint::Job(_)).then(|| Sight::of(&booking.endpoint));
        if metered.is_some() || target.credential.secret().is_some() {
            // An error reply is looked through for the key.
            headers::narrow_codings(request.headers_mut(), false);
        }
        let mut receipt = booking.attempt(1, target);
        receipt.uploading(count);
        let from_page = head.headers.contains_key(ORIGIN);
        let passed = Passed { metered, stream: booking.stream, ..Passed::from(target, from_page) };
        let mut attempt = Attempt::new(target, receipt, passed);
        let drains = booking.facts.begins && booking.policy.metering.on_disconnect == OnDisconnect::Drain;
        attempt.drains = drains.then(|| self.relay.drains.clone());
        let answered = attempt.run(&self.relay.pool, request).await;
        let response = answered.map_err(|failure: Failure| Fault::upstream(&failure))?;
        if head.method == Method::POST && WEBRTC.contains(&head.uri.path()) && response.status().is_success() {
            self.relay.ledger.gap(Gap::WebRtc);
        }
        Ok(response)
    }

    /// Model lists: the upstream's own with the custom models added.
    async fn models(&self, head: &Head, path: PathAndQuery, booking: &Booking) -> Result<Response<Answer>, Fault> {
        let cards = models::cards(&booking.policy.routing, |model| {
            model.max_sequence_length.or_else(|| self.relay.library.kit(model).length)
        });
        if let Endpoint::Model(id) = &booking.endpoint
            && let Some(card) = cards.iter().find(|card| *card.id == **id)
        {
            return Ok(models::one(card));
        }
        let targets = self.plan(booking, None, &path)?;
        let Some(target) = targets.first() else { return Err(Fault::internal()) };
        let merged = booking.endpoint == Endpoint::Models && !cards.is_empty();
        if let Err(fault) = self.spend(booking, target, &head.headers) {
            return if merged { Ok(models::list(&cards)) } else { Err(fault) };
        }
        let mut request = outbound(head, target.path.clone(), Outbound::empty());
        headers::toward_upstream(request.headers_mut(), &target.credential);
        headers::narrow_codings(request.headers_mut(), merged);
        let attempt =
            Attempt::new(target, booking.attempt(1, target), Passed::from(target, head.headers.contains_key(ORIGIN)));
        match attempt.run(&self.relay.pool, request).await {
            Ok(response) if merged => Ok(models::merged(response, &cards).await),
            Err(_) if merged => Ok(models::list(&cards)),
            Ok(response) => Ok(response),
            Err(failure) => Err(Fault::upstream(&failure)),
        }
    }

    /// The targets of a call, in the order in which they are tried.
    pub fn plan(&self, booking: &Booking, model: Option<&str>, path: &PathAndQuery) -> Result<Vec<Target>, Fault> {
        // Where none of the owner's rules applies: the host that the client asked for, with its own headers.
        let mut origin = Target::origin(self.origin.scheme, self.origin.at.clone(), path.clone());
        origin.destination.dialled = self.origin.dialled;
        let ask = Ask { endpoint: &booking.endpoint, model, path, origin: &origin, draw: self.relay.draw() };
        booking.policy.routing.plan(&ask).map_err(|refusal| {
            booking.refuse(400, "refused by routing");
            Fault::client(StatusCode::BAD_REQUEST, Some("unsupported_endpoint"), refusal.to_string())
        })
    }

    /// A configured key is spent only for a client that sent some credential of its own.
    pub fn spend(&self, booking: &Booking, target: &Target, sent: &HeaderMap) -> Result<(), Fault> {
        if target.credential.secret().is_none() || headers::has_credential(sent) {
            return Ok(());
        }
        booking.refuse(401, "no credential of the client's own");
        Err(Fault::no_credential(&target.route.name))
    }
}

/// Whether the query of what is told once more asks for it as events.
fn asks_for_events(path: &PathAndQuery) -> bool {
    path.query().is_some_and(|query| query.split('&').any(|parameter| parameter == "stream=true"))
}
/// What sets up a call whose sound goes by WebRTC.
const WEBRTC: [&str; 2] = ["/v1/realtime/calls", "/v1/live/sessions"];

/// The client's request with another path and body.
pub fn outbound(head: &Head, path: PathAndQuery, body: Outbound) -> Request<Outbound> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = path.into();
    *request.headers_mut() = head.headers.clone();
    request
}
