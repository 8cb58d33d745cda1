//! What becomes of a custom model's reply: errors and documents in OpenAI's form, streams under watch.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::response::Parts as Head;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;

use crate::dialect::coding::{Coding, decode};
use crate::dialect::endpoint::Dialect;
use crate::dialect::reply::errors::error_body;
use crate::dialect::reply::plan::ReplyPlan;
use crate::dialect::reply::stream::ReplyStream;
use crate::dialect::reply::whole::{Unreadable, WholeReply};
use crate::exchange::answer::Answer;
use crate::exchange::counting::reckoning::{Reckoning, Written};
use crate::exchange::counting::tail::Tail;
use crate::exchange::drain::Drains;
use crate::exchange::metered::Metered;
use crate::exchange::receipt::{End, Receipt};
use crate::exchange::watch::{Editor, Watch};
use crate::exchange::{headers, scrub};
use crate::ledger::entry::Outcome;
use crate::meter::Meter;
use crate::meter::reading::Reading;
use crate::meter::transcript::Transcript;
use crate::net::secret::Secret;
use crate::upstream::failure::{Failure, FailureKind};
use crate::upstream::reply::{Reply, ReplyError};

/// What a custom model's reply is to become.
#[derive(Clone, Debug)]
pub struct CustomReply {
    /// The client's form; `None` where a reply of success passes as it comes.
    pub plan: Option<ReplyPlan>,
    /// A stream was asked for.
    pub stream: bool,
    /// Counts what the server does not report.
    pub reckoning: Reckoning,
    /// The usage must be known before the reply ends, because somebody adds it up.
    pub tells_usage: bool,
    /// The host, for messages.
    pub host: String,
}

/// A reply as it came, with what has to be known about it.
#[derive(Debug)]
pub struct Arrived {
    /// Status and headers, already fit for the client.
    pub head: Head,
    /// The body.
    pub reply: Reply,
    /// Its line in the books.
    pub receipt: Receipt,
    /// Keys that no error may show.
    pub secrets: Vec<Secret>,
    /// Where the rest goes if the client leaves.
    pub drains: Option<Drains>,
}

impl CustomReply {
    /// Turns what came into what the client gets.
    ///
    /// # Errors
    /// Nothing that could be passed on; the attempt is booked.
    pub async fn settle(self, arrived: Arrived) -> Result<Response<Answer>, Failure> {
        if arrived.head.status.as_u16() >= 400 {
            return self.error(arrived).await;
        }
        if !arrived.head.status.is_success() {
            return Ok(unwatched(arrived));
        }
        match (self.plan.clone(), self.stream && !is_json(&arrived.head.headers)) {
            (None, _) => Ok(self.passed(arrived)),
            (Some(plan), true) => Ok(self.streamed(arrived, plan)),
            (Some(plan), false) => self.document(arrived, &plan).await,
        }
    }

    /// A reply that passes as it comes, and is counted at its end if it must be.
    fn passed(self, arrived: Arrived) -> Response<Answer> {
        let Arrived { head, reply, receipt, drains, .. } = arrived;
        let watch = Watch::new(Meter::json(), coding(&head.headers), None);
        let body = Metered::new(reply, Some(watch), receipt, drains);
        Response::from_parts(head, Answer::Metered(Box::new(body)))
    }

    fn streamed(self, arrived: Arrived, plan: ReplyPlan) -> Response<Answer> {
        let Arrived { mut head, reply, receipt, drains, .. } = arrived;
        let awaited = self.tells_usage || plan.asks_usage && plan.last;
        let editor = Editor::Reply(Box::new(ReplyStream::new(plan)));
        let watch = Watch::new(Meter::stream(), coding(&head.headers), Some(editor));
        headers::body_changes(&mut head.headers);
        if !is_events(&head.headers) {
            head.headers.insert(CONTENT_TYPE, EVENTS);
        }
        let mut body = Metered::new(reply, Some(watch), receipt, drains);
        if awaited {
            body = body.awaiting(Tail::new(self.reckoning));
        }
        Response::from_parts(head, Answer::Metered(Box::new(body)))
    }

    /// A document is read whole before its head goes out, since what is in it may not be what its status says.
    async fn document(self, arrived: Arrived, plan: &ReplyPlan) -> Result<Response<Answer>, Failure> {
        let Arrived { mut head, reply, mut receipt, secrets, .. } = arrived;
        let body = match read(reply, &mut receipt, LARGEST).await {
            Ok(body) => body,
            Err((error, came)) => return Err(self.broken(receipt, error, &came, Some((plan.served, &head.headers)))),
        };
        let came = body.clone();
        let coding = coding(&head.headers);
        let body = if coding == Coding::Identity { Ok(body) } else { decode(coding, &body, LARGEST).map(Bytes::from) };
        let Ok(plain) = body else { return Err(self.unreadable(receipt, "its content coding is broken")) };
        let mut meter = Meter::json();
        meter.feed(&plain);
        let reading = meter.finish();
        let whole = match WholeReply::read(plain, plan) {
            Ok(whole) => whole,
            Err(Unreadable::Error(error)) => {
                let status = status_within(&error);
                receipt.answered(status.as_u16());
                receipt.close(Outcome::UpstreamError, Some(reading), None);
                let error = scrub::bytes(error, &secrets);
                return Ok(with_body(head, status, error, JSON));
            }
            Err(unreadable) => return Err(self.unreadable(receipt, &unreadable.to_string())),
        };
        let (reading, usage) = self.complete(reading, &whole).await;
        receipt.close(Outcome::Ok, Some(reading), None);
        let (body, kind) = match self.stream {
            true => (whole.write_stream(usage.as_ref()), EVENTS),
            false => (whole.write(usage.as_ref()), JSON),
        };
        if coding == Coding::Identity && body == came && !self.stream {
            return Ok(Response::from_parts(head, Answer::full(body)));
        }
        headers::body_changes(&mut head.headers);
        let status = head.status;
        Ok(with_body(head, status, body, kind))
    }

    /// Usage and its basis, counted where the server reports none.
    async fn complete(&self, mut reading: Reading, whole: &WholeReply) -> (Reading, Option<crate::units::Usage>) {
        if whole.reports_usage() && reading.usage.is_some() {
            return (reading, None);
        }
        let written = Written { transcript: whole.texts().clone().into(), whole: true, served: None };
        let counted = self.reckoning.clone().counted(written).await;
        counted.fill(&mut reading);
        (reading, Some(counted.usage))
    }

    /// An error of the server's in OpenAI's form.
    async fn error(self, arrived: Arrived) -> Result<Response<Answer>, Failure> {
        let Arrived { mut head, reply, mut receipt, secrets, .. } = arrived;
        scrub::head(&mut head.headers, &secrets);
        let came = match read(reply, &mut receipt, LARGEST_ERROR).await {
            Ok(body) => body,
            // What is too long for an error is none that a client could use.
            Err((Unfinished::TooLong, _)) => Bytes::new(),
            Err((error, _)) => return Err(self.broken(receipt, error, &Bytes::new(), None)),
        };
        let coding = coding(&head.headers);
        let plain = match coding {
            Coding::Identity => came.clone(),
            coding => decode(coding, &came, LARGEST_ERROR).map(Bytes::from).unwrap_or_default(),
        };
        let mut meter = Meter::json();
        meter.feed(&plain);
        receipt.close(Outcome::UpstreamError, Some(meter.finish()), None);
        let mended = error_body(&plain, head.status.as_u16()).map(Bytes::from);
        let sound = mended.is_none();
        let body = scrub::bytes(mended.unwrap_or(plain), &secrets);
        if sound && coding == Coding::Identity && body == came {
            return Ok(Response::from_parts(head, Answer::full(body)));
        }
        let status = head.status;
        Ok(with_body(head, status, body, JSON))
    }

    /// Books a reply that broke off, and what had come of a document in this dialect.
    fn broken(
        &self,
        mut receipt: Receipt,
        error: Unfinished,
        came: &Bytes,
        document: Option<(Dialect, &HeaderMap)>,
    ) -> Failure {
        let host = self.host.clone();
        let (kind, outcome) = match error {
            Unfinished::TooLong => return self.unreadable(receipt, "its reply is too long to be read whole"),
            Unfinished::Reply(ReplyError::Idle(limit)) => {
                (FailureKind::Timeout { host, what: "finish its reply", limit }, Outcome::Timeout)
            }
            Unfinished::Reply(error) => (FailureKind::Broken { host, cause: error.to_string() }, Outcome::UpstreamCut),
        };
        let failure = Failure::sent(kind);
        let message = failure.to_string();
        let Some((dialect, headers)) = document else {
            receipt.close(outcome, None, Some(&message));
            return failure;
        };
        let (reading, transcript) = if coding(headers) == Coding::Identity {
            let mut meter = Meter::json().taking_down(dialect);
            meter.feed(came);
            let mut reading = meter.finish();
            let transcript = reading.transcript.take().map(|transcript| *transcript).unwrap_or_default();
            (reading, transcript)
        } else {
            (Reading::default(), Transcript::unread())
        };
        let end = End { outcome, reading, error: Some(&message) };
        receipt.conclude(end, Written { transcript, whole: false, served: None });
        failure
    }

    fn unreadable(&self, mut receipt: Receipt, cause: &str) -> Failure {
        let failure = Failure::sent(FailureKind::Unreadable { host: self.host.clone(), cause: cause.into() });
        receipt.close(Outcome::UpstreamError, None, Some(&failure.to_string()));
        failure
    }
}

/// Neither success nor error: passed on as it comes.
fn unwatched(arrived: Arrived) -> Response<Answer> {
    let Arrived { head, reply, receipt, .. } = arrived;
    Response::from_parts(head, Answer::Metered(Box::new(Metered::new(reply, None, receipt, None))))
}

/// Why a reply is not there whole.
enum Unfinished {
    Reply(ReplyError),
    TooLong,
}

/// Reads a reply whole, or gives what had come of it.
async fn read(mut reply: Reply, receipt: &mut Receipt, limit: usize) -> Result<Bytes, (Unfinished, Bytes)> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut broken = None;
    while let Some(frame) = reply.frame().await {
        let data = match frame.map(Frame::into_data) {
            Ok(Ok(data)) => data,
            Ok(Err(_)) => continue,
            Err(error) => {
                broken = Some(Unfinished::Reply(error));
                break;
            }
        };
        receipt.received(data.len());
        match &first {
            None => first = Some(data),
            Some(begun) => {
                if rest.is_empty() {
                    rest.extend_from_slice(begun);
                }
                rest.extend_from_slice(&data);
            }
        }
        if rest.len().max(first.as_ref().map_or(0, Bytes::len)) > limit {
            broken = Some(Unfinished::TooLong);
            break;
        }
    }
    let came = if rest.is_empty() { first.unwrap_or_default() } else { rest.freeze() };
    match broken {
        None => Ok(came),
        Some(error) => Err((error, came)),
    }
}

fn with_body(mut head: Head, status: StatusCode, body: Bytes, kind: HeaderValue) -> Response<Answer> {
    headers::body_changes(&mut head.headers);
    head.status = status;
    head.headers.insert(CONTENT_TYPE, kind);
    Response::from_parts(head, Answer::full(body))
}

/// The status that an error under a status of success should have had: the number in it, else a bad gateway.
fn status_within(error: &[u8]) -> StatusCode {
    let value: serde_json::Value = serde_json::from_slice(error).unwrap_or_default();
    let code = &value["error"]["code"];
    let number = code.as_u64().or_else(|| code.as_str().and_then(|code| code.parse().ok()));
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| (400..600).contains(number))
        .and_then(|number| StatusCode::from_u16(number).ok())
        .unwrap_or(StatusCode::BAD_GATEWAY)
}

fn coding(headers: &HeaderMap) -> Coding {
    Coding::parse(headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()))
}

fn is_json(headers: &HeaderMap) -> bool {
    is_kind(headers, "application/json")
}

fn is_events(headers: &HeaderMap) -> bool {
    is_kind(headers, "text/event-stream")
}

fn is_kind(headers: &HeaderMap, kind: &str) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind)
}

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// In bytes, decoded: far more than any model writes in one reply.
const LARGEST: usize = 64 << 20;
const LARGEST_ERROR: usize = 1 << 20;
