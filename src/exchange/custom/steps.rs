//! The steps of a call for a custom model.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN};
use http::request::Parts as Head;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;

use crate::dialect::bridge::Bridge;
use crate::dialect::call::{Call, Edits};
use crate::dialect::endpoint::Dialect;
use crate::dialect::reply::join::join;
use crate::dialect::reply::plan::ReplyPlan;
use crate::exchange::answer::Answer;
use crate::exchange::attempt::{Attempt, Passed};
use crate::exchange::counting::reckoning::Reckoning;
use crate::exchange::counting::yardstick::Yardstick;
use crate::exchange::custom::chain::{Chain, Link};
use crate::exchange::custom::order::{Draft, Order, Ordered};
use crate::exchange::custom::reply::CustomReply;
use crate::exchange::fault::Fault;
use crate::exchange::headers;
use crate::exchange::pipeline::Exchange;
use crate::exchange::receipt::Booking;
use crate::meter::sight::Sight;
use crate::policy::OnDisconnect;
use crate::policy::custom::CustomModel;
use crate::policy::target::Target;
use crate::tokens::kit::Kit;
use crate::upstream::failure::Failure;
use crate::upstream::request::Outbound;

/// A call for a custom model, on its way.
pub(super) struct Errand<'a> {
    exchange: &'a Exchange<'a>,
    booking: &'a Booking,
    call: &'a Call,
    target: &'a Target,
    custom: &'a Arc<CustomModel>,
    kit: Kit,
    head: Head,
}

impl Exchange<'_> {
    /// Takes a call for a custom model to its server, translated where the server speaks the other dialect.
    ///
    /// # Errors
    /// What the client is told instead; the refusal or the attempt is booked.
    pub async fn custom(
        &self,
        head: Head,
        booking: &Booking,
        (call, target, custom): (&Call, &Target, &Arc<CustomModel>),
    ) -> Result<Response<Answer>, Fault> {
        let kit = self.relay.library.kit(custom);
        let errand = Errand { exchange: self, booking, call, target, custom, kit, head };
        let order = errand.order().await.inspect_err(|fault| {
            booking.refuse(fault.status.as_u16(), fault.code.unwrap_or("refused"));
        })?;
        errand.run(order).await
    }
}

impl Errand<'_> {
    async fn order(&self) -> Result<Order, Fault> {
        let bridge = self.target.bridge;
        let draft = Draft {
            custom: Arc::clone(self.custom),
            kit: self.kit.clone(),
            dialect: self.call.dialect,
            body: self.call.text().clone(),
            include_usage: self.asks_for_usage(),
        };
        if draft.is_quick(bridge) {
            return draft.order(bridge);
        }
        let Some(order) = self.exchange.relay.clerks.ask(move || draft.order(bridge)) else {
            return Err(Fault::busy());
        };
        order.await.unwrap_or_else(|_| Err(Fault::internal()))
    }

    /// Whether the server is asked for the usage of a stream.
    fn asks_for_usage(&self) -> bool {
        let wanted = self.booking.policy.metering.inject_usage || self.call.asks_usage;
        wanted && self.target.takes_include_usage
    }

    async fn run(self, order: Order) -> Result<Response<Answer>, Fault> {
        let links = self.links(order);
        let several = links.len() > 1;
        let mut links = links.into_iter();
        let Some(first) = links.next() else { return Err(Fault::internal()) };
        if !several {
            return self.sent(first).await.map_err(|failure| Fault::upstream(&failure));
        }
        if self.call.stream {
            return self.chained(first, links.collect()).await;
        }
        self.joined(first, links).await
    }

    /// Several whole replies as one. One after the other: some servers end a running call when the next one comes.
    async fn joined(&self, first: Link, rest: impl Iterator<Item = Link>) -> Result<Response<Answer>, Fault> {
        let mut parts: Vec<Bytes> = Vec::new();
        let mut head = None;
        for link in std::iter::once(first).chain(rest) {
            let response = self.sent(link).await.map_err(|failure| Fault::upstream(&failure))?;
            if !response.status().is_success() {
                return Ok(response);
            }
            let (mut of_one, body) = response.into_parts();
            let body = body.collect().await.map_err(|_| Fault::internal())?;
            parts.push(body.to_bytes());
            headers::body_changes(&mut of_one.headers);
            head.get_or_insert(of_one);
        }
        let (Some(mut head), Some(body)) = (head, join(&parts)) else { return Err(Fault::internal()) };
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Response::from_parts(head, Answer::full(body)))
    }

    /// Several streams as one.
    async fn chained(&self, first: Link, rest: Vec<Link>) -> Result<Response<Answer>, Fault> {
        let plan = first.attempt.plan().cloned();
        let response = self.sent(first).await.map_err(|failure| Fault::upstream(&failure))?;
        let (head, body) = response.into_parts();
        match (body, plan) {
            (Answer::Metered(body), Some(plan)) if head.status == StatusCode::OK => {
                let chain = Chain::new(body, rest, self.exchange.relay.pool.clone(), plan);
                Ok(Response::from_parts(head, Answer::Chain(Box::new(chain))))
            }
            (body, _) => Ok(Response::from_parts(head, body)),
        }
    }

    async fn sent(&self, link: Link) -> Result<Response<Answer>, Failure> {
        link.attempt.run(&self.exchange.relay.pool, link.request).await
    }

    fn links(&self, order: Order) -> Vec<Link> {
        let Order { calls, stops, choices, alternatives, trims_start } = order;
        let count = calls.len();
        let numbered = (1_u32..).zip(calls);
        let several = count > 1;
        numbered
            .map(|(number, call)| {
                let plan = self.plan().map(|plan| ReplyPlan {
                    stops: stops.clone(),
                    echo: call.echo.clone(),
                    trims_start,
                    first_index: (number - 1).saturating_mul(choices),
                    choices,
                    alternatives,
                    last: !several,
                    ..plan
                });
                self.link(number, call, plan, several)
            })
            .collect()
    }

    /// How the reply is read; `None` where it passes as it comes.
    fn plan(&self) -> Option<ReplyPlan> {
        let (asked, served) = match (self.call.dialect, self.target.bridge) {
            (asked, None) => (asked, asked),
            (asked, Some(Bridge::ChatOverCompletion)) => (asked, Dialect::Completion),
            (asked, Some(Bridge::CompletionOverChat)) => (asked, Dialect::Chat),
        };
        let read = self.custom.normalize || asked != served;
        let known = matches!(asked, Dialect::Chat | Dialect::Completion);
        (read && known).then(|| ReplyPlan {
            served,
            asked,
            model: Arc::clone(&self.custom.name),
            id: Arc::clone(self.exchange.id),
            created: self.exchange.time.as_second(),
            stops: Vec::new(),
            asks_usage: self.call.asks_usage,
            echo: None,
            trims_start: false,
            first_index: 0,
            choices: 1,
            alternatives: 0,
            last: true,
        })
    }

    fn link(&self, number: u32, ordered: Ordered, plan: Option<ReplyPlan>, several: bool) -> Link {
        let Ordered { body, input, .. } = ordered;
        let mut sent = self.head.headers.clone();
        headers::toward_upstream(&mut sent, &self.target.credential);
        self.add_own_headers(&mut sent);
        let from_page = self.head.headers.contains_key(ORIGIN);
        let mut passed = Passed {
            stream: self.call.stream,
            metered: Some(Sight::Plain),
            taken_down: Some(self.call.dialect),
            drops_empty_chunks: self.target.drops_empty_chunks,
            ..Passed::from(self.target, from_page)
        };
        let outbound = match body {
            Some(body) => {
                sent.remove(CONTENT_ENCODING);
                sent.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Outbound::pieces([body])
            }
            None => {
                let edits = Edits { model: None, include_usage: self.asks_for_usage() };
                let outgoing = self.call.body(&edits);
                if outgoing.decoded {
                    sent.remove(CONTENT_ENCODING);
                }
                passed.injected = outgoing.adds_usage;
                Outbound::pieces(outgoing.pieces)
            }
        };
        let edited = plan.is_some() || passed.injected || passed.drops_empty_chunks && self.call.stream;
        headers::narrow_codings(&mut sent, edited);
        let sent_out = Arc::<AtomicBool>::default();
        let mut request = Request::new(outbound.telling(Arc::clone(&sent_out)));
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.target.path.clone().into();
        *request.headers_mut() = sent;

        let relay = self.exchange.relay;
        let yardstick = Yardstick::Kit(self.kit.clone());
        let reckoning = Reckoning { clerks: relay.clerks.clone(), yardstick, input };
        let receipt = self.booking.attempt(number, self.target).counted_by(reckoning.clone(), sent_out);
        let mut attempt = Attempt::new(self.target, receipt, passed);
        let drain = self.booking.policy.metering.on_disconnect == OnDisconnect::Drain;
        attempt.drains = drain.then(|| relay.drains.clone());
        attempt.first_byte = self.custom.timeout;
        attempt.secrets.extend(self.custom.headers.iter().map(|(_, secret)| secret.clone()));
        // With `normalize: false` a stream of the same dialect passes as any other upstream's does.
        let watched = plan.is_some() || self.custom.normalize;
        attempt.custom = watched.then(|| {
            let tells_usage = several && self.call.asks_usage;
            let host = self.target.destination.at.to_string();
            Box::new(CustomReply { plan, stream: self.call.stream, reckoning, tells_usage, host })
        });
        Link { attempt, request }
    }

    fn add_own_headers(&self, sent: &mut HeaderMap) {
        for (name, secret) in &self.custom.headers {
            if let Ok(mut value) = HeaderValue::from_str(secret.reveal()) {
                value.set_sensitive(true);
                sent.insert(name.clone(), value);
            }
        }
    }
}
