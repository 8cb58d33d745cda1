//! A reply on its way to the client, under the meter.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::dialect::coding::Decoder;
use crate::dialect::rewrite::Rewriter;
use crate::exchange::drain::{Drains, Job};
use crate::exchange::receipt::Receipt;
use crate::ledger::entry::Outcome;
use crate::meter::Meter;
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
    meter: Option<Meter>,
    decoder: Option<Decoder>,
    rewriter: Option<Rewriter>,
    receipt: Receipt,
    /// Edited pieces that wait for the client.
    ready: VecDeque<Bytes>,
    ended: bool,
}

impl Metered {
    /// Watches `reply` until its end.
    pub fn new(reply: Reply, watch: Watch, receipt: Receipt, drains: Option<Drains>) -> Self {
        let Watch { meter, decoder, rewriter } = watch;
        let mut parts = Parts { reply, meter, decoder, rewriter, receipt, ready: VecDeque::new(), ended: false };
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

/// What watches a reply.
#[derive(Debug, Default)]
pub struct Watch {
    /// Reads usage; `None` where no usage is to be had.
    pub meter: Option<Meter>,
    /// Undoes the reply's content coding.
    pub decoder: Option<Decoder>,
    /// Edits the events of a stream; the client then gets what was decoded.
    pub rewriter: Option<Rewriter>,
}

impl Parts {
    /// The next piece for the client.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.reply).poll_frame(cx)) {
                None => self.finish(),
                Some(Err(error)) => {
                    self.fail(&error);
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                    Ok(bytes) => {
                        self.take(bytes);
                        if self.reply.is_end_stream() {
                            self.finish();
                        }
                    }
                },
            }
        }
    }

    fn take(&mut self, bytes: Bytes) {
        self.receipt.received(bytes.len());
        if self.rewriter.is_none() {
            // The client's piece is on its way before the meter looks at it.
            self.ready.push_back(bytes.clone());
        }
        let Some(decoder) = &mut self.decoder else { return self.read(bytes) };
        let mut plain = Vec::new();
        let decoded = decoder.push(&bytes, &mut plain);
        if !plain.is_empty() {
            self.read(plain.into());
        }
        if decoded.is_err() && self.rewriter.is_none() {
            // What cannot be decoded cannot be metered; the client gets its bytes all the same.
            self.meter = None;
        }
    }

    fn read(&mut self, plain: Bytes) {
        let Some(meter) = &mut self.meter else { return };
        match &mut self.rewriter {
            None => meter.feed(&plain),
            Some(rewriter) => {
                let ready = &mut self.ready;
                ready.extend(rewriter.feed(plain, |event| meter.event(event)));
            }
        }
    }

    fn finish(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let (Some(rewriter), Some(meter)) = (self.rewriter.take(), &mut self.meter) {
            self.ready.extend(rewriter.finish(|event| meter.event(event)));
        }
        let outcome = if self.receipt.status() < 400 { Outcome::Ok } else { Outcome::UpstreamError };
        self.book(outcome, None);
    }

    fn fail(&mut self, error: &ReplyError) {
        self.ended = true;
        let outcome = match error {
            ReplyError::Cut(_) => Outcome::UpstreamCut,
            ReplyError::Idle(_) => Outcome::Timeout,
        };
        self.book(outcome, Some(&error.to_string()));
    }

    fn book(&mut self, outcome: Outcome, error: Option<&str>) {
        let reading = self.meter.take().map(Meter::finish);
        self.receipt.close(outcome, reading, error);
    }

    /// Reads one more piece for the meter alone, the client having gone; `false` at the end.
    pub fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        self.ready.clear();
        match ready!(Pin::new(&mut self.reply).poll_frame(cx)) {
            Some(Ok(frame)) => {
                let bytes = frame.into_data().unwrap_or_default();
                let count = bytes.len();
                self.take(bytes);
                self.ready.clear();
                if self.reply.is_end_stream() { Poll::Ready(None) } else { Poll::Ready(Some(count)) }
            }
            Some(Err(_)) | None => Poll::Ready(None),
        }
    }

    /// Books that the client went away, with whatever the meter has read.
    pub fn leave(&mut self, error: Option<&str>) {
        if let (Some(rewriter), Some(meter)) = (self.rewriter.take(), &mut self.meter) {
            rewriter.finish(|event| meter.event(event));
        }
        self.ended = true;
        self.book(Outcome::ClientClosed, error);
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
        self.parts.as_ref().is_none_or(|parts| parts.ended && parts.ready.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.parts {
            Some(parts) if parts.rewriter.is_none() && parts.ready.is_empty() => parts.reply.size_hint(),
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
            Some(drains) if parts.meter.is_some() => drains.push(Job::Reply(Box::new(parts))),
            _ => parts.leave(None),
        }
    }
}
