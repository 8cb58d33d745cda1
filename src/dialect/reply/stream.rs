//! A reply that is a stream of events.

use std::mem;

use bytes::Bytes;

use super::flow::Flow;
use super::head::{Head, event, usage_chunk};
use super::plan::ReplyPlan;
use super::texts::Texts;
use super::words::usage_object;
use crate::dialect::rewrite::{Pieces, Run};
use crate::dialect::sse::{Event, Splitter};
use crate::units::Usage;

/// Brings a stream into the client's form, event by event.
#[derive(Debug)]
pub struct ReplyStream {
    splitter: Splitter,
    flow: Flow,
}

impl ReplyStream {
    /// At the beginning of a stream.
    pub fn new(plan: ReplyPlan) -> Self {
        Self { splitter: Splitter::new(), flow: Flow::new(plan) }
    }

    /// Takes the next bytes of the server's stream, shows every event that ends in them as it came, and gives what
    /// goes out. After [`ReplyStream::is_over`] nothing does.
    pub fn feed(&mut self, chunk: Bytes, mut on_event: impl FnMut(&Event)) -> Pieces {
        let mut run = Run::over(chunk.clone());
        let Self { splitter, flow } = self;
        splitter.feed(chunk, |event| {
            on_event(&event);
            flow.take(event, &mut run);
        });
        run.finish()
    }

    /// The server's stream is at its end: an event without its blank line, text that was held back, and the last
    /// chunk of choices that the server left open. Called again it gives nothing.
    pub fn end(&mut self, mut on_event: impl FnMut(&Event)) -> Pieces {
        let mut run = Run::over(Bytes::new());
        if let Some(event) = mem::take(&mut self.splitter).finish() {
            on_event(&event);
            self.flow.take(event, &mut run);
        }
        self.flow.end(&mut run);
        run.finish()
    }

    /// The last of all: usage where the client asked for it, the server's own if it reports one, and `[DONE]`.
    pub fn close(&mut self, usage: Option<&Usage>) -> Pieces {
        let mut pieces = Pieces::default();
        let flow = &mut self.flow;
        if flow.failed || !flow.plan.last {
            return pieces;
        }
        if flow.plan.asks_usage {
            let chunk = flow.usage_event.take().or_else(|| {
                let reported = flow.usage.take();
                let usage = reported.or_else(|| usage.map(usage_object))?;
                Some(event(&usage_chunk(&flow.plan, &flow.head, usage)))
            });
            pieces.push(chunk.unwrap_or_default());
        }
        pieces.push(flow.done.take().unwrap_or(DONE));
        pieces
    }

    /// Whether nothing more is wanted of the server: `[DONE]`, an error, or every choice met a stop string.
    pub fn is_over(&self) -> bool {
        self.flow.over
    }

    /// Whether the gate ended it by a stop string before the server did.
    pub fn is_cut_short(&self) -> bool {
        self.flow.cut_short
    }

    /// Whether the server reported a usage that counts something.
    pub fn reports_usage(&self) -> bool {
        self.flow.usage.is_some() || self.flow.usage_event.is_some()
    }

    /// Whether it ended in an error: of the server's own, or because what it sent is no stream of the dialect.
    pub fn has_failed(&self) -> bool {
        self.flow.failed
    }

    /// What the model wrote, before any stop string was enforced.
    pub fn texts(&self) -> &Texts {
        &self.flow.texts
    }
}

/// The end of a reply that was put together of several streams: usage where the client asked for it, and `[DONE]`.
pub fn closing(plan: &ReplyPlan, usage: Option<&Usage>) -> Bytes {
    let mut end = Vec::new();
    if let Some(usage) = usage.filter(|_| plan.asks_usage) {
        end.extend(event(&usage_chunk(plan, &Head::of(plan), usage_object(usage))));
    }
    end.extend(DONE);
    end.into()
}

const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

#[cfg(test)]
mod tests;
