//! Trims the stream of one body as it goes by, without gluing or copying what stays.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::dialect::sse::{Event, Splitter};
use crate::dialect::trim::{Trim, Verdict};

/// Joins a [`Splitter`] and a [`Trim`] for one body.
#[derive(Debug)]
pub struct Rewriter {
    splitter: Splitter,
    trim: Trim,
}

impl Rewriter {
    /// For a body whose events are judged by `trim`.
    pub fn new(trim: Trim) -> Self {
        Self { splitter: Splitter::new(), trim }
    }

    /// Takes the next bytes, shows every event that ends in them as it came, and gives what goes out.
    ///
    /// A chunk of whole events, none of them changed, goes out as the very same bytes.
    pub fn feed(&mut self, chunk: Bytes, mut on_event: impl FnMut(&Event)) -> Pieces {
        let mut run = Run::over(chunk.clone());
        let trim = self.trim;
        self.splitter.feed(chunk, |event| {
            on_event(&event);
            match trim.apply(&event) {
                Verdict::Keep => run.keep(event.raw),
                Verdict::Drop => {}
                Verdict::Replace(bytes) => run.insert(bytes),
            }
        });
        run.finish()
    }

    /// At the end of the body: what goes out of an event that has no blank line.
    pub fn finish(self, mut on_event: impl FnMut(&Event)) -> Option<Bytes> {
        let event = self.splitter.finish()?;
        on_event(&event);
        match self.trim.apply(&event) {
            Verdict::Keep => Some(event.raw),
            Verdict::Drop => None,
            Verdict::Replace(bytes) => Some(bytes),
        }
    }
}

/// Bytes that go out one after the other; mostly one piece.
#[derive(Debug, Default)]
pub struct Pieces {
    first: Option<Bytes>,
    rest: VecDeque<Bytes>,
}

impl Pieces {
    /// Puts bytes at the end; empty ones are passed over.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if self.first.is_none() && self.rest.is_empty() {
            self.first = Some(bytes);
        } else {
            self.rest.push_back(bytes);
        }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.first.take().or_else(|| self.rest.pop_front())
    }
}

/// Gathers what goes out of one chunk; neighbours in the chunk stay one piece.
#[derive(Debug)]
pub struct Run {
    chunk: Bytes,
    span: Range<usize>,
    pieces: Pieces,
}

impl Run {
    /// At the beginning of a chunk.
    pub fn over(chunk: Bytes) -> Self {
        Self { chunk, span: 0..0, pieces: Pieces::default() }
    }

    /// Lets an event of the chunk go out as it came.
    pub fn keep(&mut self, raw: Bytes) {
        let Some(start) = position(&self.chunk, &raw) else { return self.insert(raw) };
        if start != self.span.end {
            self.flush();
            self.span = start..start;
        }
        self.span.end = start + raw.len();
    }

    /// Lets other bytes go out here.
    pub fn insert(&mut self, bytes: Bytes) {
        self.flush();
        self.pieces.push(bytes);
    }

    /// All that goes out.
    pub fn finish(mut self) -> Pieces {
        self.flush();
        self.pieces
    }

    fn flush(&mut self) {
        if !self.span.is_empty() {
            self.pieces.push(self.chunk.slice(self.span.clone()));
        }
        self.span = 0..0;
    }
}

/// Where `part` lies in `whole`, if it is a slice of it.
fn position(whole: &[u8], part: &[u8]) -> Option<usize> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (start + part.len() <= whole.len()).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Trim = Trim { usage: true, empty_chunks: true };

    #[test]
    fn a_chunk_of_kept_events_goes_out_as_the_same_bytes() {
        let chunk = Bytes::from_static(b"data: {\"choices\":[{}]}\n\ndata: [DONE]\n\n");
        let out: Vec<_> = Rewriter::new(BOTH).feed(chunk.clone(), |_| {}).collect();
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].as_ptr(), out[0].len()), (chunk.as_ptr(), chunk.len()));
    }

    #[test]
    fn kept_neighbours_of_a_dropped_event_are_not_copied() {
        let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\ndata: {\"choices\":[]}\n\ndata: 3\n\ndata: 4");
        let mut rewriter = Rewriter::new(BOTH);
        let out: Vec<_> = rewriter.feed(chunk.clone(), |_| {}).collect();
        assert_eq!(out, [&b"data: 1\n\ndata: 2\n\n"[..], b"data: 3\n\n"]);
        assert!(out.iter().all(|piece| position(&chunk, piece).is_some()));
        assert_eq!(rewriter.finish(|_| {}).unwrap(), "data: 4");
    }

    #[test]
    fn every_event_is_shown_as_it_came_also_when_it_is_dropped() {
        let stream = "data: {\"choices\":[]}\n\ndata: {\"choices\":[1],\"usage\":null}\n\ndata: x";
        let mut shown = Vec::new();
        let mut rewriter = Rewriter::new(BOTH);
        rewriter.feed(Bytes::copy_from_slice(stream.as_bytes()), |event| shown.extend_from_slice(&event.raw));
        rewriter.finish(|event| shown.extend_from_slice(&event.raw));
        assert_eq!(shown, stream.as_bytes());
    }
}
