//! What some kinds of replies say beside their usage: how a job stands, and what was made.

use crate::meter::field::Field;
use crate::meter::reading::{Reading, name, plain};
use crate::meter::scan::{Found, Scanner};
use crate::meter::sight::Sight;
use crate::meter::usage;
use crate::units::Usage;

/// What some kinds of replies say; the last word of a stream counts.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// The upstream goes on with it when nobody listens.
    pub background: bool,
    /// Such as `queued` or `completed`.
    pub status: Option<Box<str>>,
    /// `size` of a picture or a video.
    pub size: Option<Box<str>>,
    /// `quality` of a picture.
    pub quality: Option<Box<str>>,
    /// `seconds` of a video.
    pub seconds: Option<u64>,
    /// `duration` of a piece of sound, a part of a second being one.
    pub duration: Option<u64>,
    /// Where the last caption of a piece of sound ends, a part of a second being one.
    pub captions: Option<u64>,
    /// Pictures in the reply.
    pub pictures: Option<u64>,
    /// Tokens that a model was trained on.
    pub trained: Option<u64>,
    /// Tools that were used and are charged by their use, and nothing else.
    pub tools: Usage,
    /// What the objects of a list say, each for itself; the first 128 of them.
    pub listed: Vec<Reading>,
}

impl Extra {
    /// Adds what one document says.
    pub(super) fn absorb(&mut self, document: &Scanner, sight: Sight) {
        self.background |= document.find(Field::Background) == Some(Found::Raw(b"true"));
        let word = |field| document.find(field).and_then(name);
        let Self { status, size, quality, .. } = self;
        for (known, field) in [(status, Field::Status), (size, Field::Size), (quality, Field::Quality)] {
            if let Some(told) = word(field) {
                *known = Some(told);
            }
        }
        let number = |field| document.find(field).and_then(rounded_up);
        self.seconds = number(Field::Seconds).or(self.seconds);
        self.duration = number(Field::Duration).or(self.duration);
        if let Some(Found::Raw(raw)) = document.find(Field::Trained) {
            self.trained = usage::count(raw).ok().or(self.trained);
        }
        let Some(found) = document.list().map(|list| &list.found).filter(|found| found.came) else { return };
        match sight {
            Sight::Jobs | Sight::Runs => self.listed.clone_from(&found.readings),
            Sight::Pictures => self.pictures = Some(found.count),
            Sight::Captions | Sight::Output | Sight::Plain => {}
        }
    }
}

/// Seconds, also where they are written as a text; `None` for anything but a plain decimal.
fn rounded_up(found: Found<'_>) -> Option<u64> {
    let Found::Raw(raw) = found else { return None };
    let text = plain(Some(found)).or_else(|| std::str::from_utf8(raw).ok())?;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let more = u64::from(part.bytes().any(|digit| digit != b'0'));
    usage::count(whole.as_bytes()).ok()?.checked_add(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_second_is_one() {
        let of = |raw: &str| rounded_up(Found::Raw(raw.as_bytes()));
        for (raw, seconds) in [("8.470000267", 9), ("9", 9), ("9.0", 9), ("\"8\"", 8), ("\"8.01\"", 9), ("0.2", 1)] {
            assert_eq!(of(raw), Some(seconds), "{raw}");
        }
        for raw in ["-1", "1e3", "8.", "\"a\"", "null", "[]", "9223372036854775808", "1.5e3"] {
            assert_eq!(of(raw), None, "{raw}");
        }
    }
}
