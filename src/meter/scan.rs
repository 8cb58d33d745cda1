//! Finds a few members of a JSON document while it goes by, in any pieces and without keeping it.

use std::mem;
use std::ops::Range;

use memchr::memchr2;

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
}

/// A member that is remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// `code`
    Code,
    /// `error`
    Error,
    /// `id`
    Id,
    /// `type`
    Kind,
    /// `model`
    Model,
    /// `object`
    Object,
    /// `service_tier`
    Tier,
    /// `usage`
    Usage,
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

    /// Forgets everything and stands before the next document.
    pub fn restart(&mut self) {
        let mut kept = mem::take(&mut self.kept);
        kept.clear();
        *self = Self { kept, ..Self::default() };
    }

    /// Takes the next bytes of the document.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = match self.place {
                Place::Start => self.open(bytes[0]),
                Place::Member => self.member(bytes[0]),
                Place::Key { escaped } => self.read_key(bytes, escaped),
                Place::Colon => self.colon(bytes[0]),
                Place::Value => self.begin(bytes[0]),
                Place::Text { escaped } => self.skim_text(bytes, escaped),
                Place::Nest => self.skim_nest(bytes),
                Place::Scalar => self.skim_scalar(bytes),
                Place::Complete | Place::Broken => bytes.len(),
            };
            bytes = &bytes[used..];
        }
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

    fn skim_text(&mut self, bytes: &[u8], mut escaped: bool) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if escaped {
                escaped = false;
                at += 1;
                continue;
            }
            let Some(mark) = memchr2(b'"', b'\\', &bytes[at..]) else { break };
            at += mark + 1;
            if bytes[at - 1] == b'"' {
                self.keep(&bytes[..at]);
                self.place = Place::Nest;
                if self.nest == 0 {
                    self.end_value();
                }
                return at;
            }
            escaped = true;
        }
        self.place = Place::Text { escaped };
        self.keep(bytes);
        bytes.len()
    }

    fn skim_nest(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(mark) = next_mark(&bytes[at..]) {
            at += mark + 1;
            match bytes[at - 1] {
                b'{' | b'[' => self.nest += 1,
                b'}' | b']' => self.nest -= 1,
                _ => {
                    self.keep(&bytes[..at]);
                    self.place = Place::Text { escaped: false };
                    return at;
                }
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
        if self.kept.capacity() == 0 {
            self.kept.reserve(ENOUGH);
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

/// The next quote or bracket.
fn next_mark(bytes: &[u8]) -> Option<usize> {
    let near = bytes.len().min(BLOCK);
    if let Some(at) = bytes[..near].iter().position(|&byte| is_mark(byte)) {
        return Some(at);
    }
    // Whole blocks are judged without a branch per byte, which the compiler turns into vector instructions.
    let mut at = near;
    for block in bytes[near..].chunks_exact(BLOCK) {
        if block.iter().fold(false, |any, &byte| any | is_mark(byte)) {
            break;
        }
        at += BLOCK;
    }
    bytes[at..].iter().position(|&byte| is_mark(byte)).map(|mark| at + mark)
}

fn is_mark(byte: u8) -> bool {
    // The bit that is masked is what tells `{` from `[` and `}` from `]`.
    byte == b'"' || byte & 0xDF == b'[' || byte & 0xDF == b']'
}

/// The most bytes of a value that are remembered.
pub const LONGEST: usize = 64 << 10;

/// What most documents give to remember; less is grown into piece by piece.
const ENOUGH: usize = 512;

/// The most bytes that are remembered of a document.
const ROOM: usize = 4 * LONGEST;

const BLOCK: usize = 32;

const FIELDS: [(&[u8], Field); 8] = [
    (b"code", Field::Code),
    (b"error", Field::Error),
    (b"id", Field::Id),
    (b"type", Field::Kind),
    (b"model", Field::Model),
    (b"object", Field::Object),
    (b"service_tier", Field::Tier),
    (b"usage", Field::Usage),
];

#[cfg(test)]
mod tests;
