//! A reply that is a stream of events.

use bytes::Bytes;

use super::plan::ReplyPlan;
use super::texts::Texts;
use crate::dialect::rewrite::{Pieces, Rewriter};
use crate::dialect::sse::Event;
use crate::dialect::trim::Trim;
use crate::units::Usage;

/// Brings a stream into the client's form, event by event.
#[derive(Debug)]
pub struct ReplyStream {
    rewriter: Rewriter,
    texts: Texts,
}

impl ReplyStream {
    /// At the beginning of a stream.
    pub fn new(plan: ReplyPlan) -> Self {
        drop(plan);
        Self { rewriter: Rewriter::new(Trim::default()), texts: Texts::default() }
    }

    /// Takes the next bytes of the server's stream, shows every event that ends in them as it came, and gives what
    /// goes out. After [`ReplyStream::is_over`] nothing does.
    pub fn feed(&mut self, chunk: Bytes, on_event: impl FnMut(&Event)) -> Pieces {
        self.rewriter.feed(chunk, on_event)
    }

    /// The server's stream is at its end: an event without its blank line, text that was held back, and the last
    /// chunk of choices that the server left open.
    pub fn end(&mut self, on_event: impl FnMut(&Event)) -> Pieces {
        drop(on_event);
        Pieces::default()
    }

    /// The last of all: usage where the client asked for it, the server's own if it reports one, and `[DONE]`.
    pub fn close(&mut self, usage: Option<&Usage>) -> Pieces {
        let _ = usage;
        Pieces::default()
    }

    /// Whether nothing more is wanted of the server: `[DONE]`, an error, or every choice met a stop string.
    pub fn is_over(&self) -> bool {
        false
    }

    /// Whether the gate ended it by a stop string before the server did.
    pub fn is_cut_short(&self) -> bool {
        false
    }

    /// Whether the server reported a usage that counts something.
    pub fn reports_usage(&self) -> bool {
        true
    }

    /// Whether an error of the server's ended it.
    pub fn has_failed(&self) -> bool {
        false
    }

    /// What the model wrote, before any stop string was enforced.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }
}

/// The end of a reply that was put together of several streams: usage where the client asked for it, and `[DONE]`.
pub fn closing(plan: &ReplyPlan, usage: Option<&Usage>) -> Bytes {
    let _ = (plan, usage);
    Bytes::from_static(b"data: [DONE]\n\n")
}
