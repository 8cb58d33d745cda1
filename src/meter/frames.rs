//! Reads the text messages of one direction of a WebSocket while its bytes go by (RFC 6455, section 5.2).

pub mod inflater;

use std::mem;

use self::inflater::{Inflater, Unreadable};

/// Follows one direction; it never changes a byte, and never fails: what it cannot read is passed over.
///
/// A message is given whole, however its frames and their bytes are divided, and without its mask. A message that came
/// in one piece and without a mask is not copied.
#[derive(Debug)]
pub struct Frames {
    /// Whether text is gathered; else only the ends are seen.
    reads: bool,
    /// Undoes compression, where the two ends have agreed on it.
    inflater: Option<Inflater>,
    head: Head,
    /// The frame whose payload goes by.
    frame: Option<Frame>,
    fate: Fate,
    /// The text of a message that did not come in one piece.
    kept: Vec<u8>,
    /// The first bytes of a close frame.
    code: Vec<u8>,
    lost: bool,
}

/// What went by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen<'a> {
    /// A close frame with its code, where it has one.
    Close(Option<u16>),
    /// A message, or all that follows, could not be read.
    Passed(&'static str),
    /// A whole text message.
    Text(&'a [u8]),
}

impl Frames {
    /// Before the first frame; `reads` says whether text messages are wanted.
    pub fn new(reads: bool) -> Self {
        Self {
            reads,
            inflater: None,
            head: Head::default(),
            frame: None,
            fate: Fate::Nothing,
            kept: Vec::new(),
            code: Vec::new(),
            lost: false,
        }
    }

    /// Reads compressed messages too.
    #[must_use]
    pub fn inflated(self, inflater: Option<Inflater>) -> Self {
        Self { inflater, ..self }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Seen<'_>)) {
        while !bytes.is_empty() && !self.lost {
            let used = if self.frame.is_some() {
                self.payload(bytes, &mut seen)
            } else {
                self.head(bytes[0], &mut seen);
                1
            };
            bytes = &bytes[used..];
        }
    }

    /// Whether the last byte was the last of a frame, so that another frame could be put behind it.
    pub fn is_between(&self) -> bool {
        self.frame.is_none() && self.head.length == 0 && !self.lost
    }

    fn head(&mut self, byte: u8, seen: &mut impl FnMut(Seen<'_>)) {
        self.head.add(byte);
        if !self.head.is_complete() {
            return;
        }
        let head = mem::take(&mut self.head);
        let Some(frame) = head.frame() else {
            self.lost = true;
            self.kept = Vec::new();
            return seen(Seen::Passed(UNFOLLOWED));
        };
        match frame.kind {
            Kind::Text | Kind::Binary => {
                self.fate = self.fate(&frame);
                self.kept.clear();
            }
            Kind::Close => self.code.clear(),
            Kind::Continuation | Kind::Other => {}
        }
        let is_empty = frame.left == 0;
        self.frame = Some(frame);
        if is_empty {
            self.end(seen);
        }
    }

    /// What becomes of the message that begins with this frame.
    fn fate(&self, frame: &Frame) -> Fate {
        let is_text = frame.kind == Kind::Text;
        match (frame.reserved, &self.inflater) {
            _ if !self.reads => Fate::Nothing,
            (0, _) if is_text => Fate::Text,
            // Nobody wants binary messages; but later ones may refer to what is in them.
            (COMPRESSED, Some(_)) => Fate::Squeezed { is_wanted: is_text },
            _ if is_text => Fate::Passed(EXTENDED),
            _ => Fate::Nothing,
        }
    }

    /// Takes compressed bytes of a message.
    fn inflate(&mut self, piece: &[u8], is_wanted: bool) {
        let Some(inflater) = &mut self.inflater else { return };
        let outcome = inflater.push(piece, LARGEST, &mut self.kept);
        if !is_wanted {
            self.kept.clear();
        }
        if let Err(why) = outcome {
            self.give_up(why);
        }
    }

    /// Without this message, none that refers to it can be read.
    fn give_up(&mut self, why: Unreadable) {
        self.inflater = None;
        self.kept = Vec::new();
        self.fate = Fate::Passed(match why {
            Unreadable::Broken => BROKEN,
            Unreadable::TooLarge => TOO_LARGE,
        });
    }

    /// Takes what belongs to the frame, and says how much that is.
    fn payload(&mut self, bytes: &[u8], seen: &mut impl FnMut(Seen<'_>)) -> usize {
        let Some(frame) = &mut self.frame else { return bytes.len() };
        let here = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
        let piece = &bytes[..here];
        let is_last = here as u64 == frame.left;
        match frame.kind {
            Kind::Text | Kind::Continuation if self.fate == Fate::Text => {
                if self.kept.is_empty() && is_last && frame.is_final && frame.mask.is_none() {
                    self.frame = None;
                    self.fate = Fate::Nothing;
                    seen(Seen::Text(piece));
                    return here;
                }
                if self.kept.len() + here > LARGEST {
                    self.fate = Fate::Passed(TOO_LARGE);
                    self.kept = Vec::new();
                } else {
                    frame.unmask(piece, &mut self.kept);
                }
            }
            Kind::Text | Kind::Binary | Kind::Continuation => {
                if let Fate::Squeezed { is_wanted } = self.fate {
                    let mut plain = Vec::new();
                    if frame.mask.is_some() {
                        frame.unmask(piece, &mut plain);
                    }
                    let piece = if frame.mask.is_some() { &plain[..] } else { piece };
                    self.inflate(piece, is_wanted);
                }
            }
            Kind::Close => {
                let room = 2_usize.saturating_sub(self.code.len()).min(here);
                frame.unmask(&piece[..room], &mut self.code);
            }
            Kind::Other => {}
        }
        if let Some(frame) = &mut self.frame {
            frame.left -= here as u64;
            frame.gone = frame.gone.wrapping_add(here);
        }
        if is_last {
            self.end(seen);
        }
        here
    }

    /// At the end of a frame.
    fn end(&mut self, seen: &mut impl FnMut(Seen<'_>)) {
        let Some(frame) = self.frame.take() else { return };
        match frame.kind {
            Kind::Close => {
                let code = <[u8; 2]>::try_from(self.code.as_slice()).ok();
                seen(Seen::Close(code.map(u16::from_be_bytes)));
            }
            Kind::Text | Kind::Binary | Kind::Continuation if frame.is_final => {
                if let (Fate::Squeezed { .. }, Some(inflater)) = (self.fate, &mut self.inflater)
                    && let Err(why) = inflater.finish(LARGEST, &mut self.kept)
                {
                    self.give_up(why);
                }
                match mem::replace(&mut self.fate, Fate::Nothing) {
                    Fate::Nothing | Fate::Squeezed { is_wanted: false } => {}
                    Fate::Passed(why) => seen(Seen::Passed(why)),
                    Fate::Text | Fate::Squeezed { is_wanted: true } => seen(Seen::Text(&self.kept)),
                }
                self.kept.clear();
                self.kept.shrink_to(AT_REST);
            }
            _ => {}
        }
    }
}

/// What becomes of the message that goes by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// Nobody wants it.
    Nothing,
    Passed(&'static str),
    /// It is compressed.
    Squeezed {
        is_wanted: bool,
    },
    Text,
}

/// The head of a frame while it is read.
#[derive(Debug, Default)]
struct Head {
    bytes: [u8; LONGEST_HEAD],
    length: usize,
}

impl Head {
    fn add(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn is_complete(&self) -> bool {
        let lengths = match self.bytes[1] & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.bytes[1] & 0x80 == 0 { 0 } else { 4 };
        self.length >= 2 && self.length == 2 + lengths + mask
    }

    /// `None` where the length makes no sense.
    fn frame(&self) -> Option<Frame> {
        let [first, second, rest @ ..] = &self.bytes;
        let (left, rest) = match (second & 0x7F, rest) {
            (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), &rest[..]),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), &rest[..])
            }
            (small, rest) => (u64::from(small), &rest[..]),
        };
        let mask = (second & 0x80 != 0).then(|| <[u8; 4]>::try_from(rest.get(..4)?).ok()).flatten();
        let kind = match first & 0x0F {
            0 => Kind::Continuation,
            1 => Kind::Text,
            2 => Kind::Binary,
            8 => Kind::Close,
            _ => Kind::Other,
        };
        let frame = Frame { kind, is_final: first & 0x80 != 0, reserved: first & 0x70, mask, left, gone: 0 };
        (left >> 63 == 0).then_some(frame)
    }
}

#[derive(Debug)]
struct Frame {
    kind: Kind,
    is_final: bool,
    /// The reserved bits; where one is set, the payload is not what it seems.
    reserved: u8,
    mask: Option<[u8; 4]>,
    /// Bytes of the payload that are still to come.
    left: u64,
    /// Bytes that have gone by; only its lower bits matter.
    gone: usize,
}

impl Frame {
    fn unmask(&self, piece: &[u8], into: &mut Vec<u8>) {
        let Some(mask) = self.mask else { return into.extend_from_slice(piece) };
        into.extend(piece.iter().zip(self.gone & 3..).map(|(byte, at)| byte ^ mask[at & 3]));
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Binary,
    Close,
    Continuation,
    /// Pings, pongs, and what nobody knows.
    Other,
    Text,
}

const LONGEST_HEAD: usize = 14;
/// Bytes of a message that are gathered at most.
pub const LARGEST: usize = 16 << 20;
/// Room that is kept between two messages.
const AT_REST: usize = 64 << 10;

/// The reserved bit that says that a message is compressed (RFC 7692, section 6).
const COMPRESSED: u8 = 0x40;

const BROKEN: &str = "compressed events could not be read";
const EXTENDED: &str = "an event was compressed, though nobody agreed to that";
const TOO_LARGE: &str = "an event was too large to be read";
const UNFOLLOWED: &str = "the frames could not be followed any further";

#[cfg(test)]
mod tests;
