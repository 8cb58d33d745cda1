//! A reply on its way to the client, under the meter.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::exchange::drain::{Drains, Job};
use crate::exchange::receipt::Receipt;
use crate::exchange::watch::{Unreadable, Watch};
use crate::ledger::entry::Outcome;
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
    ended: bool,
}

impl Metered {
    /// Watches `reply` until its end.
    pub fn new(reply: Reply, watch: Option<Watch>, receipt: Receipt, drains: Option<Drains>) -> Self {
        let mut parts =
            Parts { reply, watch, receipt, ready: VecDeque::new(), broken: None, trailers: None, ended: false };
        // A reply without a body is never polled.
        if parts.reply.is_end_stream() {
            parts.finish();
        }
        Self { parts: Some(parts), drains }
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
            match ready!(Pin::new(&mut self.reply).poll_frame(cx)) {
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
        let outcome = if self.receipt.status() < 400 { Outcome::Ok } else { Outcome::UpstreamError };
        self.book(outcome, None);
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
        let reading = self.watch.as_mut().map(Watch::reading);
        self.receipt.close(outcome, reading, error);
    }

    /// Reads one more piece for the meter alone, the client having gone, and gives its length; `None` at the end.
    pub fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        let Some(Ok(frame)) = ready!(Pin::new(&mut self.reply).poll_frame(cx)) else { return Poll::Ready(None) };
        let bytes = frame.into_data().unwrap_or_default();
        let count = bytes.len();
        self.receipt.received(count);
        let taken = self.watch.as_mut().map_or(Ok(()), |watch| watch.take(bytes, &mut self.ready));
        self.ready.clear();
        let over = taken.is_err() || self.reply.is_end_stream();
        Poll::Ready((!over).then_some(count))
    }

    /// Books that the client went away, with whatever the meter has read.
    pub fn leave(&mut self, error: Option<&str>) {
        if let Some(watch) = &mut self.watch {
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
            self.leave(Some("the gate was stopping"));
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
            Some(drains) if parts.watch.as_ref().is_some_and(Watch::listens) => {
                drains.push(Job::Reply(Box::new(parts)));
            }
            _ => parts.leave(None),
        }
    }
}
