//! Cuts a stream of server-sent events into its events without changing or, mostly, copying a byte.

use std::borrow::Cow;
use std::mem;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// Cuts bytes, however they are chunked, into events; LF, CRLF and CR end a line, also mixed.
///
/// The same bytes give the same events at any chunking (only an opaque event may come in several pieces).
#[derive(Debug)]
pub struct Splitter {
    /// The beginning of an event whose end has not come yet; never more than [`BOUND`].
    held: BytesMut,
    place: Place,
    /// The last line of the current event ended with a CR alone.
    bare: bool,
    /// No event has ended yet, so a byte order mark may open this one.
    first: bool,
    /// The current event is over the bound: its bytes go through unread until it ends.
    over: bool,
}

/// Where in the grammar the next byte stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before a line.
    Start,
    /// Inside a line.
    Line,
    /// After a CR that may be half of a CRLF; `blank` if its line is empty.
    Return { blank: bool },
    /// After an event that a CR alone ended; a LF here still belongs to that CR.
    Skip,
}

impl Splitter {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self { held: BytesMut::new(), place: Place::Start, bare: false, first: true, over: false }
    }

    /// Takes the next bytes and gives every event that ends in them.
    ///
    /// An event inside one chunk is a slice of it; one that spans chunks is copied together.
    pub fn feed(&mut self, chunk: Bytes, mut each: impl FnMut(Event)) {
        let mut rest = chunk;
        while let Some(end) = self.event_end(&rest) {
            let piece = rest.split_to(end);
            self.close(piece, &mut each);
        }
        if !rest.is_empty() {
            self.hold(rest, &mut each);
        }
    }

    /// What is left when the stream ends: an event without its blank line.
    pub fn finish(self) -> Option<Event> {
        let Self { held, first, .. } = self;
        (!held.is_empty()).then(|| Event { raw: held.freeze(), first, opaque: false })
    }

    /// The index after the blank line that ends the current event.
    fn event_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            match self.place {
                Place::Line => {
                    at += memchr2(b'\n', b'\r', &bytes[at..])? + 1;
                    self.bare = false;
                    self.place = if bytes[at - 1] == b'\n' { Place::Start } else { Place::Return { blank: false } };
                }
                Place::Start => match *bytes.get(at)? {
                    b'\n' => return self.end(at + 1, Place::Start),
                    // To wait for a LF here would hold each event of a CR-only stream back until the next.
                    b'\r' if self.bare => return self.end(at + 1, Place::Skip),
                    b'\r' => {
                        at += 1;
                        self.place = Place::Return { blank: true };
                    }
                    _ => self.place = Place::Line,
                },
                Place::Return { blank } => {
                    let newline = *bytes.get(at)? == b'\n';
                    at += usize::from(newline);
                    self.bare = !newline;
                    self.place = Place::Start;
                    if blank {
                        return self.end(at, Place::Start);
                    }
                }
                Place::Skip => {
                    at += usize::from(*bytes.get(at)? == b'\n');
                    self.place = Place::Start;
                }
            }
        }
    }

    fn end(&mut self, at: usize, next: Place) -> Option<usize> {
        self.bare = false;
        self.place = next;
        Some(at)
    }

    fn close(&mut self, piece: Bytes, each: &mut impl FnMut(Event)) {
        let first = mem::replace(&mut self.first, false);
        if self.over || self.held.len() + piece.len() > BOUND {
            self.spill(piece, each);
            self.over = false;
            return;
        }
        let raw = if self.held.is_empty() {
            piece
        } else {
            self.held.extend_from_slice(&piece);
            mem::take(&mut self.held).freeze()
        };
        each(Event { raw, first, opaque: false });
    }

    fn hold(&mut self, piece: Bytes, each: &mut impl FnMut(Event)) {
        if self.over || self.held.len() + piece.len() > BOUND {
            self.over = true;
            self.spill(piece, each);
        } else {
            self.held.extend_from_slice(&piece);
        }
    }

    fn spill(&mut self, piece: Bytes, each: &mut impl FnMut(Event)) {
        let held = mem::take(&mut self.held).freeze();
        for raw in [held, piece] {
            if !raw.is_empty() {
                each(Event { raw, first: false, opaque: true });
            }
        }
    }
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}

/// One event of a stream, with every byte that it was sent with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// All bytes, comments and the blank line included.
    pub raw: Bytes,
    first: bool,
    opaque: bool,
}

impl Event {
    /// Whether this is (a piece of) an event that is too large to be read; it has no data and no name.
    pub fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// The value of the `data` field; several lines are joined by LF. `None` if there is no such field.
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        let mut spans = self.data_spans();
        let first = &self.raw[spans.next()?];
        let Some(second) = spans.next() else { return Some(Cow::Borrowed(first)) };
        let mut joined = first.to_vec();
        for span in std::iter::once(second).chain(spans) {
            joined.push(b'\n');
            joined.extend_from_slice(&self.raw[span]);
        }
        Some(Cow::Owned(joined))
    }

    /// The value of the last `event` field, if it is UTF-8.
    pub fn name(&self) -> Option<&str> {
        let span = self.values(b"event").last()?;
        std::str::from_utf8(&self.raw[span]).ok()
    }

    /// Where in `raw` the values of the `data` lines are.
    pub fn data_spans(&self) -> impl Iterator<Item = Range<usize>> {
        self.values(b"data")
    }

    fn values(&self, field: &'static [u8]) -> impl Iterator<Item = Range<usize>> {
        let mark = if self.first && self.raw.starts_with(MARK) { MARK.len() } else { 0 };
        let start = if self.opaque { self.raw.len() } else { mark };
        let lines = Lines { raw: &self.raw, at: start };
        lines.filter_map(move |line| {
            let value = value_start(&self.raw[line.clone()], field)?;
            Some(line.start + value..line.end)
        })
    }
}

/// The spans of the lines of an event, without their ends.
struct Lines<'a> {
    raw: &'a [u8],
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let rest = self.raw.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        // A CRLF gives one more empty line, which no field can be mistaken for.
        self.at = start + length + 1;
        Some(start..start + length)
    }
}

/// Where in a line the value begins, if the line is of this field.
fn value_start(line: &[u8], field: &[u8]) -> Option<usize> {
    let after = line.strip_prefix(field)?;
    match after {
        [] => Some(line.len()),
        [b':', b' ', ..] => Some(field.len() + 2),
        [b':', ..] => Some(field.len() + 1),
        _ => None,
    }
}

/// The most bytes that are held of one event; a larger event goes through opaque.
pub const BOUND: usize = 16 << 20;

/// The UTF-8 byte order mark, which may open a stream.
const MARK: &[u8] = b"\xEF\xBB\xBF";

#[cfg(test)]
mod tests;
