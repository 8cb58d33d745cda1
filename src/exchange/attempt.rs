//! One attempt at one target: send, and put the reply under the meter.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http::{Request, Response};

use crate::dialect::coding::Coding;
use crate::dialect::endpoint::Dialect;
use crate::dialect::reply::plan::ReplyPlan;
use crate::dialect::rewrite::Rewriter;
use crate::dialect::trim::Trim;
use crate::exchange::answer::Answer;
use crate::exchange::custom::reply::{Arrived, CustomReply};
use crate::exchange::drain::{Drains, Job};
use crate::exchange::fault::Fault;
use crate::exchange::metered::Metered;
use crate::exchange::receipt::Receipt;
use crate::exchange::watch::{Editor, Watch};
use crate::exchange::{cors, headers, scrub};
use crate::ledger::entry::Outcome;
use crate::meter::Meter;
use crate::meter::sight::Sight;
use crate::net::secret::Secret;
use crate::policy::target::{Credential, Destination, Target};
use crate::upstream::failure::Failure;
use crate::upstream::pool::Pool;
use crate::upstream::request::Outbound;

/// One attempt at one target.
#[derive(Debug)]
pub struct Attempt {
    destination: Destination,
    receipt: Receipt,
    passed: Passed,
    /// The configured keys that go there; no error reply may show them.
    pub secrets: Vec<Secret>,
    /// From the request to the head of the reply, where the common limit does not hold.
    pub first_byte: Option<Duration>,
    /// What a custom model's reply is to become.
    pub custom: Option<Box<CustomReply>>,
    /// Where the rest goes if the client leaves; `None` cancels it.
    pub drains: Option<Drains>,
}

/// How a reply is passed on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    /// It comes from another host than the client asked for.
    pub swapped: bool,
    /// The request carried an `Origin`.
    pub from_page: bool,
    /// A stream was asked for.
    pub stream: bool,
    /// Usage is to be read from it, and what else it may hold.
    pub metered: Option<Sight>,
    /// The gate asked for usage and the client did not.
    pub injected: bool,
    /// Chunks with empty `choices` are withheld.
    pub drops_empty_chunks: bool,
    /// What it says is taken down in this dialect, for the case that it reports no usage.
    pub taken_down: Option<Dialect>,
}

impl Attempt {
    /// An attempt at `target`, whose line in the books is `receipt`; nothing is read on for a client that leaves.
    pub fn new(target: &Target, receipt: Receipt, passed: Passed) -> Self {
        let secrets = target.credential.secret().cloned().into_iter().collect();
        let destination = target.destination.clone();
        Self { destination, receipt, passed, secrets, first_byte: None, custom: None, drains: None }
    }

    /// The client's form of the reply, where it must be brought into one.
    pub fn plan(&self) -> Option<&ReplyPlan> {
        self.custom.as_ref().and_then(|custom| custom.plan.as_ref())
    }

    /// Sends the request and returns the reply as the client shall see it.
    ///
    /// # Errors
    /// No answer came; the attempt is booked.
    pub async fn run(mut self, pool: &Pool, request: Request<Outbound>) -> Result<Response<Answer>, Failure> {
        let drains = self.drains.clone();
        let deserted = drains.as_ref().map(|_| Arc::<AtomicBool>::default());
        if let Some(deserted) = &deserted {
            self.receipt.may_be_deserted(Arc::clone(deserted));
        }
        let work = Box::pin(self.settled(pool.clone(), request));
        let (Some(drains), Some(deserted)) = (drains, deserted) else { return work.await };
        Detachable { work: Some(work), drains, deserted }.await
    }

    async fn settled(self, pool: Pool, request: Request<Outbound>) -> Result<Response<Answer>, Failure> {
        let Self { destination, mut receipt, passed, secrets, first_byte, custom, drains } = self;
        match pool.send(&destination, request, first_byte).await {
            Err(failure) => {
                let outcome = if failure.is_timeout() { Outcome::Timeout } else { Outcome::UpstreamError };
                receipt.unanswered(Fault::upstream(&failure).status.as_u16());
                receipt.close(outcome, None, Some(&failure.to_string()));
                Err(failure)
            }
            Ok(response) => {
                let (mut head, reply) = response.into_parts();
                receipt.answered(head.status.as_u16());
                receipt.placed(&head.headers);
                let watch = passed.watch(&head.headers);
                headers::toward_client(&mut head.headers, passed.swapped);
                if passed.swapped && passed.from_page {
                    cors::open(&mut head.headers);
                }
                if let Some(custom) = custom {
                    let arrived = Arrived { head, reply, receipt, secrets, drains };
                    return Box::pin(custom.settle(arrived)).await;
                }
                if watch.as_ref().is_some_and(Watch::edits) {
                    headers::body_changes(&mut head.headers);
                }
                let drains = drains.filter(|_| head.status.is_success());
                let body = Metered::new(reply, watch, receipt, drains);
                if !secrets.is_empty() && scrub::applies(head.status) {
                    // Boxed because it is rare, and would make every exchange larger.
                    return Ok(Box::pin(scrub::reply(head, body, &secrets)).await);
                }
                Ok(Response::from_parts(head, Answer::Metered(Box::new(body))))
            }
        }
    }
}

impl Passed {
    /// For a reply that is neither metered nor edited.
    pub fn from(target: &Target, from_page: bool) -> Self {
        Self { swapped: target.credential != Credential::Clients, from_page, ..Self::default() }
    }

    /// What has to watch a reply with these headers.
    fn watch(self, headers: &HeaderMap) -> Option<Watch> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let framing = self.framing(text(CONTENT_TYPE))?;
        let coding = Coding::parse(text(CONTENT_ENCODING));
        if coding == Coding::Unknown {
            return Some(Watch::deaf());
        }
        let trim = Trim { usage: self.injected, empty_chunks: self.drops_empty_chunks };
        let edits = framing == Framing::Events && !trim.is_idle();
        let meter = match framing {
            Framing::Document => Meter::json(),
            Framing::Events => Meter::stream(),
            Framing::Text => Meter::text(),
        };
        let meter = meter.seeing(self.metered.unwrap_or_default());
        let meter = match self.taken_down {
            Some(dialect) => meter.taking_down(dialect),
            None => meter,
        };
        Some(Watch::new(meter, coding, edits.then(|| Editor::Trim(Rewriter::new(trim)))))
    }

    /// How the reply is framed, where it may carry usage.
    fn framing(self, content_type: Option<&str>) -> Option<Framing> {
        let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let sight = self.metered?;
        if kind.eq_ignore_ascii_case("text/event-stream") {
            Some(Framing::Events)
        } else if kind.eq_ignore_ascii_case("application/json") {
            Some(Framing::Document)
        } else if self.stream {
            // Some servers stream without saying so.
            Some(Framing::Events)
        } else if sight == Sight::Captions {
            Some(Framing::Text)
        } else {
            None
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Framing {
    Document,
    Events,
    Text,
}

/// An attempt that goes on without its client until the upstream's usage is known.
struct Detachable<F: Future<Output = Settled> + 'static> {
    work: Option<Pin<Box<F>>>,
    drains: Drains,
    /// Told when the client leaves.
    deserted: Arc<AtomicBool>,
}

type Settled = Result<Response<Answer>, Failure>;

impl<F: Future<Output = Settled> + 'static> Future for Detachable<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Out of reach while it works: what panicked cannot be polled again, and would count as open for ever.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<F: Future<Output = Settled> + 'static> Drop for Detachable<F> {
    fn drop(&mut self) {
        // What panicked cannot be polled again, and has been booked by its own end.
        if let Some(work) = self.work.take().filter(|_| !std::thread::panicking()) {
            self.deserted.store(true, Ordering::Relaxed);
            self.drains.push(Job::Waiting(Box::pin(async move { work.await.ok()?.into_body().into_parts() })));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn an_attempt_that_a_bug_ended_does_not_go_on_without_its_client() {
        let (drains, _work) = Drains::new();
        let work = Box::pin(async {
            assert!(std::hint::black_box(false), "a bug");
            Ok(Response::new(Answer::empty()))
        });
        let attempt = Detachable { work: Some(work), drains: drains.clone(), deserted: Arc::default() };
        let ended = AssertUnwindSafe(attempt).catch_unwind().now_or_never();
        assert!(ended.is_some_and(|ended| ended.is_err()));
        assert_eq!(drains.open(), 0);
    }
}
