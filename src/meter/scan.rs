//! Finds a few members of a JSON document while it goes by, in any pieces and without keeping it.

use std::mem;
use std::ops::Range;

use memchr::memchr2;

use crate::meter::field::{FIELDS, Field};
use crate::meter::list::List;
use crate::meter::skim::{next_mark, text_end};

/// Reads a document once and remembers the raw values of the [`Field`]s at its top and inside `response`.
///
/// It is no validator: what is not JSON, or not an object, gives nothing or what stood before the break.
/// The last of repeated members wins. A key that is spelled with escapes is not recognised.
#[derive(Debug, Default)]
pub struct Scanner {
    place: Place,
    /// Whether the scan is inside the value of `response`.
    inside: bool,
    /// Open brackets of the value that goes by.
    nest: usize,
    key: Key,
    /// The field whose value is being captured.
    capture: Option<Field>,
    /// All captured values, one behind the other.
    kept: Vec<u8>,
    /// Where in `kept` the value that goes by began.
    start: usize,
    top: Slots,
    inner: Slots,
    /// The array whose objects are read one by one.
    list: Option<Box<List>>,
}

/// What was found of a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found<'a> {
    /// Its value as it was written.
    Raw(&'a [u8]),
    /// It was there, and longer than [`LONGEST`].
    TooLong,
}

impl Scanner {
    /// Before a document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Before a document, the objects in whose array `list` are to be read as well.
    pub fn listing(list: List) -> Self {
        Self { list: Some(Box::new(list)), ..Self::default() }
    }

    /// Forgets everything and stands before the next document.
    pub fn restart(&mut self) {
        let mut kept = mem::take(&mut self.kept);
        kept.clear();
        let mut list = self.list.take();
        if let Some(list) = &mut list {
            list.restart();
        }
        *self = Self { kept, list, ..Self::default() };
    }

    /// Takes the next bytes of the document.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.advance(bytes);
    }

    /// The same up to the end of the document; gives how many bytes belonged to it.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> usize {
        let length = bytes.len();
        let mut bytes = bytes;
        while let Some(&first) = bytes.first() {
            if self.is_complete() {
                break;
            }
            let used = match self.place {
                Place::Start => self.open(first),
                Place::Member => self.member(first),
                Place::Key { escaped } => self.read_key(bytes, escaped),
                Place::Colon => self.colon(first),
                Place::Value => self.begin(first),
                Place::Text { escaped } => self.skim_text(bytes, escaped),
                Place::Nest => self.skim_nest(bytes),
                Place::Scalar => self.skim_scalar(bytes),
                Place::List => self.read_list(bytes),
                Place::Complete | Place::Broken => bytes.len(),
            };
            bytes = &bytes[used..];
            if matches!(self.place, Place::Member | Place::Colon | Place::Value) {
                bytes = bytes.trim_ascii_start();
            }
        }
        length - bytes.len()
    }

    /// What was read of the array whose objects are wanted.
    pub fn list(&self) -> Option<&List> {
        self.list.as_deref()
    }

    /// Whether the object has ended.
    pub fn is_complete(&self) -> bool {
        matches!(self.place, Place::Complete)
    }

    /// The member at the top, or else the one inside `response`; a null is as good as absent.
    pub fn find(&self, field: Field) -> Option<Found<'_>> {
        [self.top(field), self.inner(field)].into_iter().flatten().find(|found| *found != Found::Raw(b"null"))
    }

    /// The member at the top, as it was written.
    pub fn top(&self, field: Field) -> Option<Found<'_>> {
        self.found(&self.top[field as usize])
    }

    /// The member inside `response`, as it was written.
    pub fn inner(&self, field: Field) -> Option<Found<'_>> {
        self.found(&self.inner[field as usize])
    }

    fn found(&self, slot: &Slot) -> Option<Found<'_>> {
        match slot {
            Slot::Absent => None,
            Slot::TooLong => Some(Found::TooLong),
            Slot::Kept(span) => self.kept.get(span.clone()).map(Found::Raw),
        }
    }

    fn open(&mut self, byte: u8) -> usize {
        match byte {
            b'{' => self.place = Place::Member,
            b' ' | b'\t' | b'\n' | b'\r' | 0xEF | 0xBB | 0xBF => {}
            _ => self.place = Place::Broken,
        }
        1
    }

    fn member(&mut self, byte: u8) -> usize {
        match byte {
            b'"' => {
                self.key = Key::default();
                self.place = Place::Key { escaped: false };
            }
            b'}' if self.inside => self.inside = false,
            b'}' => self.place = Place::Complete,
            b',' | b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => self.place = Place::Broken,
        }
        1
    }

    fn read_key(&mut self, bytes: &[u8], escaped: bool) -> usize {
        if escaped {
            self.place = Place::Key { escaped: false };
            return 1;
        }
        let Some(end) = memchr2(b'"', b'\\', bytes) else {
            self.key.add(bytes);
            return bytes.len();
        };
        self.key.add(&bytes[..end]);
        if bytes[end] == b'"' {
            self.place = Place::Colon;
        } else {
            self.key.spoil();
            self.place = Place::Key { escaped: true };
        }
        end + 1
    }

    fn colon(&mut self, byte: u8) -> usize {
        match byte {
            b':' => self.place = Place::Value,
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => self.place = Place::Broken,
        }
        1
    }

    /// The first byte of a value, or the space before it.
    fn begin(&mut self, byte: u8) -> usize {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return 1;
        }
        let key = self.key.bytes();
        self.capture = FIELDS.iter().find(|(name, _)| *name == key).map(|&(_, field)| field);
        self.start = self.kept.len();
        self.nest = 0;
        if !self.inside && key == b"response" {
            self.inner = Slots::default();
            if byte == b'{' {
                self.inside = true;
                self.place = Place::Member;
                return 1;
            }
        }
        if byte == b'['
            && let Some(list) = self.list.as_mut().filter(|list| list.key() == key)
        {
            list.begin();
            self.place = Place::List;
            return 1;
        }
        match byte {
            b'"' => self.place = Place::Text { escaped: false },
            b'{' | b'[' => {
                self.nest = 1;
                self.place = Place::Nest;
            }
            b',' | b'}' | b']' | b':' => self.place = Place::Broken,
            _ => {
                self.place = Place::Scalar;
                return 0;
            }
        }
        self.keep(&[byte]);
        1
    }

    fn read_list(&mut self, bytes: &[u8]) -> usize {
        let Some(list) = &mut self.list else { return 0 };
        let used = list.feed(bytes);
        if list.is_over() {
            self.place = Place::Member;
        } else if list.is_odd() {
            // The rest of the array goes by like any other.
            self.nest = 1;
            self.place = Place::Nest;
        }
        used
    }

    fn skim_text(&mut self, bytes: &[u8], escaped: bool) -> usize {
        let end = match text_end(bytes, escaped) {
            Ok(end) => end,
            Err(escaped) => {
                self.place = Place::Text { escaped };
                self.keep(bytes);
                return bytes.len();
            }
        };
        self.keep(&bytes[..end]);
        self.place = Place::Nest;
        if self.nest == 0 {
            self.end_value();
        }
        end
    }

    fn skim_nest(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(mark) = next_mark(&bytes[at..]) {
            at += mark + 1;
            match bytes[at - 1] {
                b'{' | b'[' => self.nest += 1,
                b'}' | b']' => self.nest -= 1,
                _ => match text_end(&bytes[at..], false) {
                    Ok(end) => at += end,
                    Err(escaped) => {
                        self.place = Place::Text { escaped };
                        break;
                    }
                },
            }
            if self.nest == 0 {
                self.keep(&bytes[..at]);
                self.end_value();
                return at;
            }
        }
        self.keep(bytes);
        bytes.len()
    }

    /// The delimiter behind a number or a word is left for the next step.
    fn skim_scalar(&mut self, bytes: &[u8]) -> usize {
        let end = bytes.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'));
        self.keep(&bytes[..end.unwrap_or(bytes.len())]);
        if end.is_some() {
            self.end_value();
        }
        end.unwrap_or(bytes.len())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let Some(field) = self.capture else { return };
        let length = self.kept.len() - self.start + bytes.len();
        if length > LONGEST || self.start + length > ROOM {
            self.kept.truncate(self.start);
            self.capture = None;
            *self.slot(field) = Slot::TooLong;
            return;
        }
        self.kept.extend_from_slice(bytes);
    }

    fn end_value(&mut self) {
        self.place = Place::Member;
        if let Some(field) = self.capture.take() {
            *self.slot(field) = Slot::Kept(self.start..self.kept.len());
        }
    }

    fn slot(&mut self, field: Field) -> &mut Slot {
        let slots = if self.inside { &mut self.inner } else { &mut self.top };
        &mut slots[field as usize]
    }
}

/// Where in the document the next byte stands.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Start,
    /// Before a key, a comma or the end of the object.
    Member,
    Key {
        escaped: bool,
    },
    Colon,
    /// Before a value.
    Value,
    /// In a string that is a value or inside one.
    Text {
        escaped: bool,
    },
    /// In an array or object that is a value, outside of strings.
    Nest,
    /// In a number or a word.
    Scalar,
    /// In the array whose objects are read.
    List,
    Complete,
    Broken,
}

#[derive(Clone, Debug, Default)]
enum Slot {
    #[default]
    Absent,
    Kept(Range<usize>),
    TooLong,
}

type Slots = [Slot; FIELDS.len()];

/// The beginning of a key: enough to tell the wanted ones.
#[derive(Clone, Copy, Debug, Default)]
struct Key {
    start: [u8; 16],
    length: usize,
}

impl Key {
    fn add(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        if let Some(room) = self.start.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
        }
        self.length = end;
    }

    fn spoil(&mut self) {
        self.length = usize::MAX;
    }

    /// Empty if the key is longer than any wanted one.
    fn bytes(&self) -> &[u8] {
        self.start.get(..self.length).unwrap_or_default()
    }
}

/// The most bytes of a value that are remembered.
pub const LONGEST: usize = 64 << 10;

/// The most bytes that are remembered of a document.
const ROOM: usize = 4 * LONGEST;

#[cfg(test)]
mod tests;
