//! A reply on its way to the client, under the meter.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::dialect::reply::stream::ReplyStream;
use crate::exchange::counting::reckoning::Written;
use crate::exchange::counting::tail::Tail;
use crate::exchange::drain::{Drains, Job};
use crate::exchange::receipt::{End, Receipt};
use crate::exchange::watch::{Unreadable, Watch};
use crate::ledger::entry::{AfterClose, Outcome};
use crate::meter::reading::Reading;
use crate::meter::transcript::Transcript;
use crate::units::Usage;
use crate::upstream::reply::{Reply, ReplyError};

/// A reply under the meter; passes the bytes on, edits them where it must, and books the end.
#[derive(Debug)]
pub struct Metered {
    /// `None` once it was handed to the drains.
    parts: Option<Parts>,
    drains: Option<Drains>,
}

/// The working parts, which outlive the client where the upstream is read to its end.
#[derive(Debug)]
pub struct Parts {
    reply: Reply,
    /// `None` where no usage is to be had and nothing is edited.
    watch: Option<Watch>,
    receipt: Receipt,
    /// Pieces that wait for the client.
    ready: VecDeque<Bytes>,
    /// What the client gets after the last piece.
    broken: Option<ReplyError>,
    /// What it gets after that; boxed because it is rare.
    trailers: Option<Box<Frame<Bytes>>>,
    /// Counts what the upstream does not report, where the reply waits for it.
    tail: Option<Box<Tail>>,
    /// What was reported or counted, once that is known.
    usage: Option<Usage>,
    ended: bool,
}

impl Metered {
    /// Watches `reply` until its end.
    pub fn new(reply: Reply, watch: Option<Watch>, receipt: Receipt, drains: Option<Drains>) -> Self {
        let mut parts = Parts {
            reply,
            watch,
            receipt,
            ready: VecDeque::new(),
            broken: None,
            trailers: None,
            tail: None,
            usage: None,
            ended: false,
        };
        // A reply without a body is never polled.
        if parts.reply.is_end_stream() {
            parts.finish();
        }
        Self { parts: Some(parts), drains }
    }

    /// The same, its usage counted before its end where the upstream reports none.
    #[must_use]
    pub fn awaiting(mut self, tail: Tail) -> Self {
        if let Some(parts) = self.parts.as_mut().filter(|parts| !parts.ended) {
            parts.tail = Some(Box::new(tail));
        }
        self
    }

    /// What was reported or counted; known once the body has ended.
    pub fn usage(&self) -> Option<Usage> {
        self.parts.as_ref().and_then(|parts| parts.usage)
    }

    /// Whether the upstream ended it by an error of its own.
    pub fn has_failed(&self) -> bool {
        self.parts.as_ref().is_some_and(Parts::has_failed)
    }

    /// What is left to be read for the meter once the client has gone; `None` where there is nothing more to be learned,
    /// which is booked then.
    pub fn into_parts(mut self) -> Option<Box<Parts>> {
        let listens = self.parts.as_ref().is_some_and(Parts::listens);
        self.drains.as_ref().filter(|_| listens)?;
        self.parts.take().map(Box::new)
    }

    /// Puts back bytes that were read ahead: they are the next that the client gets.
    pub fn unread(&mut self, bytes: Bytes) {
        if let Some(parts) = &mut self.parts
            && !bytes.is_empty()
        {
            parts.ready.push_front(bytes);
        }
    }
}

impl Parts {
    /// Whether reading on may still bring usage.
    fn listens(&self) -> bool {
        !self.ended && self.watch.as_ref().is_some_and(Watch::listens)
    }

    /// The next piece for the client.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if self.ended {
                let trailers = self.trailers.take().map(|trailers| Ok(*trailers));
                return Poll::Ready(self.broken.take().map(Err).or(trailers));
            }
            if self.is_counting() {
                ready!(self.poll_counting(cx));
                continue;
            }
            if self.watch.as_ref().and_then(Watch::stream).is_some_and(ReplyStream::is_over) {
                // Often its end is there already, and then the connection can be used again.
                let _ = Pin::new(&mut self.reply).poll_frame(cx);
                self.finish();
                continue;
            }
            let polled = ready!(Pin::new(&mut self.reply).poll_frame(cx));
            let last = matches!(&polled, Some(Ok(frame)) if frame.data_ref().is_some_and(|data| data.ends_with(DONE)));
            self.receive(polled);
            // Who reads this event may ask for no more: where the end is there too, it is booked before.
            if last
                && !self.ended
                && let Poll::Ready(polled) = Pin::new(&mut self.reply).poll_frame(cx)
            {
                self.receive(polled);
            }
        }
    }

    /// Takes what the upstream sent, or its end.
    fn receive(&mut self, polled: Option<Result<Frame<Bytes>, ReplyError>>) {
        match polled {
            None => self.finish(),
            Some(Err(error)) => self.fail(error),
            Some(Ok(frame)) => match frame.into_data() {
                Err(trailers) => {
                    // Nothing comes after them, and who has them does not ask again.
                    self.trailers = Some(Box::new(trailers));
                    self.finish();
                }
                Ok(bytes) => self.take(bytes),
            },
        }
    }

    fn take(&mut self, bytes: Bytes) {
        self.receipt.received(bytes.len());
        let taken = match &mut self.watch {
            Some(watch) => watch.take(bytes, &mut self.ready),
            None => {
                self.ready.push_back(bytes);
                Ok(())
            }
        };
        match taken {
            Err(Unreadable) => self.fail(ReplyError::Unreadable),
            Ok(()) if self.reply.is_end_stream() => self.finish(),
            Ok(()) => {}
        }
    }

    fn finish(&mut self) {
        if self.ended {
            return;
        }
        if let Some(watch) = &mut self.watch
            && watch.finish(&mut self.ready).is_err()
        {
            return self.fail(ReplyError::Unreadable);
        }
        if self.tail.is_some() && !self.reports_usage() {
            let written = self.written(true, &mut Reading::default());
            if let Some(tail) = &mut self.tail {
                tail.begin(written);
            }
            return;
        }
        self.close(None);
    }

    /// Whether the upstream has ended, and only its usage is not known yet.
    fn is_counting(&self) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.is_begun())
    }

    fn poll_counting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let counted = match &mut self.tail {
            Some(tail) => ready!(tail.poll_counted(cx)),
            None => None,
        };
        self.close(counted.map(|counted| counted.usage));
        Poll::Ready(())
    }

    /// The reply came to its own end.
    fn close(&mut self, usage: Option<Usage>) {
        if let Some(watch) = &mut self.watch
            && watch.close(usage.as_ref(), &mut self.ready).is_err()
        {
            return self.fail(ReplyError::Unreadable);
        }
        let sound = self.receipt.status() < 400 && !self.has_failed();
        self.book(if sound { Outcome::Ok } else { Outcome::UpstreamError }, None);
    }

    fn has_failed(&self) -> bool {
        self.watch.as_ref().and_then(Watch::stream).is_some_and(ReplyStream::has_failed)
    }

    fn reports_usage(&self) -> bool {
        self.watch.as_ref().and_then(Watch::stream).is_none_or(ReplyStream::reports_usage)
    }

    /// What the model wrote so far: by the stream that was brought into the client's form, or else by the meter.
    fn written(&self, ended: bool, reading: &mut Reading) -> Written {
        if let Some(stream) = self.watch.as_ref().and_then(Watch::stream) {
            let whole = (ended || stream.is_over()) && !stream.is_cut_short();
            return Written { transcript: Transcript::from(stream.texts().clone()), whole, served: None };
        }
        let transcript = reading.transcript.take().map(|transcript| *transcript).unwrap_or_default();
        Written { transcript, whole: reading.terminal, served: None }
    }

    fn fail(&mut self, error: ReplyError) {
        let outcome = match error {
            ReplyError::Cut(_) | ReplyError::Unreadable => Outcome::UpstreamCut,
            ReplyError::Idle(_) => Outcome::Timeout,
        };
        self.book(outcome, Some(&error.to_string()));
        self.broken = Some(error);
    }

    fn book(&mut self, outcome: Outcome, error: Option<&str>) {
        self.ended = true;
        let Some(mut reading) = self.watch.as_mut().map(Watch::reading) else {
            return self.receipt.close(outcome, None, error);
        };
        let counted = self.tail.as_ref().and_then(|tail| tail.result());
        let written = self.written(outcome == Outcome::Ok || counted.is_some(), &mut reading);
        let reported = reading.usage.filter(|usage| usage.total() > 0 || written.transcript.is_empty());
        if let Some(counted) = counted.filter(|_| reported.is_none()) {
            counted.fill(&mut reading);
        }
        self.usage = reported.or(counted.map(|counted| counted.usage));
        self.receipt.conclude(End { outcome, reading, error }, written);
    }

    /// Reads one more piece for the meter alone, the client having gone, and gives its length; `None` at the end.
    pub fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        // Its upstream has ended already where it was only being counted.
        if self.is_counting() {
            return Poll::Ready(None);
        }
        let Some(Ok(frame)) = ready!(Pin::new(&mut self.reply).poll_frame(cx)) else { return Poll::Ready(None) };
        let bytes = frame.into_data().unwrap_or_default();
        let count = bytes.len();
        self.receipt.received(count);
        let taken = self.watch.as_mut().map_or(Ok(()), |watch| watch.take(bytes, &mut self.ready));
        self.ready.clear();
        let done = self.watch.as_ref().and_then(Watch::stream).is_some_and(ReplyStream::is_over);
        let over = taken.is_err() || done || self.reply.is_end_stream();
        Poll::Ready((!over).then_some(count))
    }

    /// Books that the client went away and what became of the upstream, with whatever the meter has read.
    pub fn leave(&mut self, after: AfterClose, error: Option<&str>) {
        self.receipt.left(after);
        let counting = self.is_counting();
        if let Some(watch) = self.watch.as_mut().filter(|_| !counting) {
            // A last event without its blank line is read too; nobody is left to be told of a bad end.
            let _ = watch.finish(&mut self.ready);
        }
        self.book(Outcome::ClientClosed, error);
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // Only a stop drops them unbooked: what has been read by then counts.
        if !self.ended && !std::thread::panicking() {
            self.leave(AfterClose::GivenUp, Some("the gate was stopping"));
        }
    }
}

impl Body for Metered {
    type Data = Bytes;
    type Error = ReplyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        match &mut self.parts {
            Some(parts) => parts.poll_piece(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.parts.as_ref().is_none_or(|parts| {
            parts.ended && parts.ready.is_empty() && parts.broken.is_none() && parts.trailers.is_none()
        })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.parts {
            Some(parts) if !parts.watch.as_ref().is_some_and(Watch::edits) && parts.ready.is_empty() => {
                parts.reply.size_hint()
            }
            _ => SizeHint::new(),
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        if parts.ended {
            return;
        }
        match &self.drains {
            Some(drains) if parts.listens() => {
                drains.push(Job::Reply(Box::new(parts)));
            }
            _ => parts.leave(AfterClose::Cancelled, None),
        }
    }
}

/// How streams of events end.
const DONE: &[u8] = b"data: [DONE]\n\n";
