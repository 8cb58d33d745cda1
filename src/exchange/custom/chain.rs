//! Several streams, one after the other, as one reply.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;

use crate::dialect::reply::plan::ReplyPlan;
use crate::dialect::reply::stream::closing;
use crate::exchange::answer::Answer;
use crate::exchange::attempt::Attempt;
use crate::exchange::fault::Fault;
use crate::exchange::metered::Metered;
use crate::units::Usage;
use crate::upstream::pool::Pool;
use crate::upstream::reply::ReplyError;
use crate::upstream::request::Outbound;

/// One call of several, ready to be made.
#[derive(Debug)]
pub struct Link {
    /// The attempt.
    pub attempt: Attempt,
    /// What is sent.
    pub request: Request<Outbound>,
}

/// Several streams, one after the other, as one reply.
pub struct Chain {
    stage: Stage,
    waiting: VecDeque<Link>,
    pool: Pool,
    plan: ReplyPlan,
    /// What all streams so far used; `None` once one of them did not tell.
    usage: Option<Usage>,
}

enum Stage {
    /// A stream is passed on.
    Streaming(Box<Metered>),
    /// The next call has been made.
    Asking(Pin<Box<dyn Future<Output = Next>>>),
    Over,
}

enum Next {
    Stream(Box<Metered>),
    /// The call failed; the event that says so.
    Failed(Bytes),
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Chain {
    /// Begins with a stream that has come, and goes on with the calls that wait.
    pub fn new(first: Box<Metered>, waiting: Vec<Link>, pool: Pool, plan: ReplyPlan) -> Self {
        let usage = Some(Usage { input: Some(0), output: Some(0), ..Usage::default() });
        Self { stage: Stage::Streaming(first), waiting: waiting.into(), pool, plan, usage }
    }

    /// The next piece for the client.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        loop {
            match &mut self.stage {
                Stage::Over => return Poll::Ready(None),
                Stage::Streaming(body) => {
                    if let Some(piece) = ready!(Pin::new(&mut **body).poll_frame(cx)) {
                        return Poll::Ready(Some(piece));
                    }
                    if body.has_failed() {
                        self.stage = Stage::Over;
                        return Poll::Ready(None);
                    }
                    let used = body.usage();
                    self.usage = self.usage.zip(used).map(|(all, one)| sum(all, one));
                    if !self.advance() {
                        return Poll::Ready(Some(Ok(Frame::data(closing(&self.plan, self.usage.as_ref())))));
                    }
                }
                Stage::Asking(asking) => match ready!(asking.as_mut().poll(cx)) {
                    Next::Stream(body) => self.stage = Stage::Streaming(body),
                    Next::Failed(event) => {
                        self.stage = Stage::Over;
                        return Poll::Ready(Some(Ok(Frame::data(event))));
                    }
                },
            }
        }
    }

    /// Whether all has been passed on.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Makes the next call; `false` if there is none.
    fn advance(&mut self) -> bool {
        let Some(Link { attempt, request }) = self.waiting.pop_front() else {
            self.stage = Stage::Over;
            return false;
        };
        let pool = self.pool.clone();
        self.stage = Stage::Asking(Box::pin(async move {
            let response = match attempt.run(&pool, request).await {
                Ok(response) => response,
                Err(failure) => Fault::upstream(&failure).answer(),
            };
            next(response).await
        }));
        true
    }
}

async fn next(response: Response<Answer>) -> Next {
    match response.into_body() {
        Answer::Metered(body) => Next::Stream(body),
        other => {
            let body = other.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let mut event = b"data: ".to_vec();
            event.extend(body.iter().filter(|byte| !matches!(byte, b'\n' | b'\r')));
            event.extend(b"\n\n");
            Next::Failed(event.into())
        }
    }
}

fn sum(all: Usage, one: Usage) -> Usage {
    let plus = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a.saturating_add(b));
    Usage { input: plus(all.input, one.input), output: plus(all.output, one.output), ..Usage::default() }
}
