//! What a client must not see of a stream: usage that only the gate asked for, and chunks without choices.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;
use memchr::memmem::Finder;

use crate::dialect::sse::Event;

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
        let Some(chunk) = Chunk::read(&data) else { return Verdict::Keep };
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

    fn drops(self, chunk: &Chunk) -> bool {
        if chunk.error {
            return false;
        }
        let ours = self.usage && chunk.reports && chunk.choices != Choices::Some;
        let empty = self.empty_chunks && chunk.choices == Choices::Empty && (self.usage || !chunk.reports);
        ours || empty
    }
}

/// The members of a chunk that decide.
#[derive(Default)]
struct Chunk {
    usage: Vec<Member>,
    /// Whether one of them is not null.
    reports: bool,
    choices: Choices,
    error: bool,
}

impl Chunk {
    /// Reads the top of an object; every member counts, so that a repeated one is no way around.
    fn read(json: &[u8]) -> Option<Self> {
        let mut chunk = Self::default();
        walk(json, |key, member| {
            let value = &json[member.value.clone()];
            match key {
                b"usage" => {
                    chunk.reports |= value != b"null";
                    chunk.usage.push(member);
                }
                b"choices" => chunk.choices = choices(value),
                b"error" => chunk.error = value != b"null",
                _ => {}
            }
        })?;
        Some(chunk)
    }
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Choices {
    /// No member, or null.
    #[default]
    Missing,
    Empty,
    Some,
}

fn choices(value: &[u8]) -> Choices {
    if value == b"null" {
        return Choices::Missing;
    }
    match value.strip_prefix(b"[").map(|rest| rest.trim_ascii_start().starts_with(b"]")) {
        Some(true) => Choices::Empty,
        _ => Choices::Some,
    }
}

/// Where a member of an object lies.
struct Member {
    /// The opening quote of the key.
    key: usize,
    value: Range<usize>,
}

/// Gives the members of an object in their order; `None` if the text does not have the build of an object.
fn walk(json: &[u8], mut each: impl FnMut(&[u8], Member)) -> Option<()> {
    let mut at = after(json, 0, b'{')?;
    let mut end = after(json, at, b'}');
    while end.is_none() {
        let key = after(json, at, b'"')?;
        let key_end = text_end(json, key)?;
        let start = after(json, key_end, b':')?;
        let start = json.len() - json[start..].trim_ascii_start().len();
        let value = start..value_end(json, start)?;
        end = after(json, value.end, b'}');
        if end.is_none() {
            at = after(json, value.end, b',')?;
        }
        each(&json[key..key_end - 1], Member { key: key - 1, value });
    }
    json[end?..].trim_ascii().is_empty().then_some(())
}

/// The index after this byte, which may have white space before it.
fn after(json: &[u8], at: usize, byte: u8) -> Option<usize> {
    let rest = json[at..].trim_ascii_start();
    rest.starts_with(&[byte]).then(|| json.len() - rest.len() + 1)
}

/// The index after the closing quote of a string.
fn text_end(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', json.get(at..)?)? + 1;
        if json[at - 1] == b'"' {
            return Some(at);
        }
        at += 1;
    }
}

fn value_end(json: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut nest) = (start, 0_usize);
    loop {
        let byte = *json.get(at)?;
        match byte {
            b'"' => at = text_end(json, at + 1)?,
            b'{' | b'[' => nest += 1,
            b'}' | b']' if nest > 0 => nest -= 1,
            b'}' | b']' | b',' | b':' if nest == 0 => return (at > start).then_some(at),
            _ => {}
        }
        if byte != b'"' {
            at += 1;
        }
        let closed = nest == 0 && matches!(byte, b'"' | b'}' | b']');
        if closed || nest == 0 && json.get(at).is_some_and(u8::is_ascii_whitespace) {
            return Some(at);
        }
    }
}

/// Whether a `choices` key is followed by an array with an object in it, as in nearly every chunk.
fn opens_a_choice(after: &[u8]) -> bool {
    let mut marks = after.iter().filter(|byte| !byte.is_ascii_whitespace());
    marks.next() == Some(&b':') && marks.next() == Some(&b'[') && marks.next() == Some(&b'{')
}

/// What to cut out of a document so that these members go, each with one comma.
fn cuts(json: &[u8], members: &[Member]) -> Vec<Range<usize>> {
    let mut cuts: Vec<Range<usize>> = Vec::with_capacity(members.len());
    for Member { key, value } in members {
        let before = json[..*key].trim_ascii_end();
        let taken = cuts.last().map_or(0, |cut| cut.end);
        if let Some(before) = before.strip_suffix(b",").filter(|before| before.len() >= taken) {
            cuts.push(before.trim_ascii_end().len().max(taken)..value.end);
            continue;
        }
        // The first member of the object: the comma behind it goes, and the space up to the next key.
        let rest = after(json, value.end, b',').map_or(&json[value.end..], |at| json[at..].trim_ascii_start());
        cuts.push(*key..json.len() - rest.len());
    }
    cuts
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

const CHOICES_KEY: &[u8] = b"\"choices\"";
static CHOICES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(CHOICES_KEY));
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));

#[cfg(test)]
mod tests;
