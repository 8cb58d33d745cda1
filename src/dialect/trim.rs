//! What a client must not see of a stream: usage that only the gate asked for, and chunks without choices.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;
use memchr::memrchr;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::sse::{Event, Splitter};

/// What is taken out of a stream of chat or completion chunks; everything else stays byte for byte.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Trim {
    /// The gate asked for usage and the client did not: the usage chunk goes, and `usage` in every other chunk.
    pub usage: bool,
    /// Chunks with an empty `choices` go, unless they carry usage that the client asked for.
    pub empty_chunks: bool,
}

/// What becomes of an event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It goes out as it came.
    Keep,
    /// It does not go out.
    Drop,
    /// These bytes go out in its place.
    Replace(Bytes),
}

impl Trim {
    /// Whether nothing is ever taken out, so that the bytes need not be looked at.
    pub fn is_idle(self) -> bool {
        !self.usage && !self.empty_chunks
    }

    /// Judges one event. What cannot be read is kept.
    pub fn apply(&self, event: &Event) -> Verdict {
        if !self.suspects(&event.raw) {
            return Verdict::Keep;
        }
        let Some(data) = event.data() else { return Verdict::Keep };
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(&data) else { return Verdict::Keep };
        if self.drops(&chunk) {
            return Verdict::Drop;
        }
        if !self.usage || chunk.usage.is_empty() {
            return Verdict::Keep;
        }
        Verdict::Replace(without(event, &cuts(&data, &chunk.usage)))
    }

    /// A cheap look that lets nearly all chunks go by without being parsed.
    fn suspects(self, raw: &[u8]) -> bool {
        let usage = self.usage && USAGE.find(raw).is_some();
        usage || self.empty_chunks && CHOICES.find_iter(raw).any(|at| !opens_a_choice(&raw[at + CHOICES_KEY.len()..]))
    }

    fn drops(self, chunk: &Chunk<'_>) -> bool {
        if chunk.error {
            return false;
        }
        let usage = chunk.usage.iter().any(|usage| usage.get() != "null");
        let ours = self.usage && usage && chunk.choices != Choices::Some;
        let empty = self.empty_chunks && chunk.choices == Choices::Empty && (self.usage || !usage);
        ours || empty
    }
}

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
        let mut run = Run { chunk: chunk.clone(), span: 0..0, pieces: Pieces::default() };
        let trim = self.trim;
        self.splitter.feed(chunk, |event| {
            on_event(&event);
            match trim.apply(&event) {
                Verdict::Keep => run.keep(event.raw),
                Verdict::Drop => {}
                Verdict::Replace(bytes) => run.insert(bytes),
            }
        });
        run.flush();
        run.pieces
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
    fn push(&mut self, bytes: Bytes) {
        if self.first.is_none() {
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
struct Run {
    chunk: Bytes,
    span: Range<usize>,
    pieces: Pieces,
}

impl Run {
    fn keep(&mut self, raw: Bytes) {
        let Some(start) = position(&self.chunk, &raw) else { return self.insert(raw) };
        if start != self.span.end {
            self.flush();
            self.span = start..start;
        }
        self.span.end = start + raw.len();
    }

    fn insert(&mut self, bytes: Bytes) {
        self.flush();
        self.pieces.push(bytes);
    }

    fn flush(&mut self) {
        if !self.span.is_empty() {
            self.pieces.push(self.chunk.slice(self.span.clone()));
        }
        self.span = 0..0;
    }
}

/// The members of a chunk that decide.
#[derive(Default)]
struct Chunk<'a> {
    usage: Vec<&'a RawValue>,
    choices: Choices,
    error: bool,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Choices {
    /// No member, or null.
    #[default]
    Missing,
    Empty,
    Some,
}

impl<'de> Deserialize<'de> for Chunk<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ChunkVisitor)
    }
}

/// Sees every member, so that a repeated one is no way around.
struct ChunkVisitor;

impl<'de> Visitor<'de> for ChunkVisitor {
    type Value = Chunk<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a chunk")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Chunk<'de>, A::Error> {
        let mut chunk = Chunk::default();
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Usage => chunk.usage.push(map.next_value()?),
                Key::Choices => chunk.choices = choices(map.next_value::<&RawValue>()?.get()),
                Key::Error => chunk.error = map.next_value::<&RawValue>()?.get() != "null",
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(chunk)
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Usage,
    Choices,
    Error,
    #[serde(other)]
    Other,
}

fn choices(raw: &str) -> Choices {
    if raw == "null" {
        return Choices::Missing;
    }
    match raw.strip_prefix('[').map(|rest| rest.trim_start().starts_with(']')) {
        Some(true) => Choices::Empty,
        _ => Choices::Some,
    }
}

/// Whether a `choices` key is followed by an array with an object in it, as in nearly every chunk.
fn opens_a_choice(after: &[u8]) -> bool {
    let mut marks = after.iter().filter(|byte| !byte.is_ascii_whitespace());
    marks.next() == Some(&b':') && marks.next() == Some(&b'[') && marks.next() == Some(&b'{')
}

/// What to cut out of a document so that these values go, each with its key and one comma.
fn cuts(json: &[u8], values: &[&RawValue]) -> Vec<Range<usize>> {
    let mut cuts: Vec<Range<usize>> = Vec::with_capacity(values.len());
    for value in values {
        let Some(start) = position(json, value.get().as_bytes()) else { continue };
        let end = start + value.get().len();
        let Some(key) = key_start(&json[..start]) else { continue };
        let before = json[..key].trim_ascii_end().len();
        let taken = cuts.last().map_or(0, |cut| cut.end);
        if before > taken && json[before - 1] == b',' {
            cuts.push(json[..before - 1].trim_ascii_end().len().max(taken)..end);
            continue;
        }
        // The first member of the object: the comma behind it goes, and the space up to the next key.
        let rest = json[end..].trim_ascii_start();
        let rest = rest.strip_prefix(b",").map_or(&json[end..], <[u8]>::trim_ascii_start);
        cuts.push(key..json.len() - rest.len());
    }
    cuts
}

/// Where the key begins whose value begins after `before`. The key has no quote inside: it spells `usage`.
fn key_start(before: &[u8]) -> Option<usize> {
    let key = before.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end().strip_suffix(b"\"")?;
    memrchr(b'"', key)
}

/// The event without these spans of its data, which may lie over several `data` lines.
fn without(event: &Event, cuts: &[Range<usize>]) -> Bytes {
    let raw = &event.raw;
    let mut kept = BytesMut::with_capacity(raw.len());
    let mut cuts = cuts.iter().peekable();
    let (mut done, mut base) = (0, 0);
    for span in event.data_spans() {
        let limit = base + span.len();
        while let Some(cut) = cuts.peek() {
            let (from, to) = (cut.start.max(base), cut.end.min(limit));
            if from < to {
                kept.extend_from_slice(&raw[done..span.start + from - base]);
                done = span.start + to - base;
            }
            if cut.end > limit {
                break;
            }
            cuts.next();
        }
        base = limit + 1;
    }
    kept.extend_from_slice(&raw[done..]);
    kept.freeze()
}

/// Where `part` lies in `whole`, if it is a slice of it.
fn position(whole: &[u8], part: &[u8]) -> Option<usize> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (start + part.len() <= whole.len()).then_some(start)
}

const CHOICES_KEY: &[u8] = b"\"choices\"";
static CHOICES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(CHOICES_KEY));
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));

#[cfg(test)]
mod tests;
