//! When the last caption of a piece of sound ends (SubRip and WebVTT).

/// Watches captions go by and keeps their end.
#[derive(Debug, Default)]
pub(super) struct Captions {
    tail: Vec<u8>,
}

impl Captions {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > 2 * ROOM {
            self.tail.drain(..self.tail.len() - ROOM);
        }
    }

    /// The end of the last caption in seconds, a part of one being one; `None` for text that is no captions.
    pub(super) fn end(&self) -> Option<u64> {
        let text = String::from_utf8_lossy(&self.tail);
        text.lines().rev().find_map(|line| seconds(line.split_once("-->")?.1))
    }
}

/// `00:01:02,500` or `01:02.500 align:start`.
fn seconds(text: &str) -> Option<u64> {
    let stamp = text.split_whitespace().next()?;
    let (whole, part) = stamp.split_once([',', '.'])?;
    let part: u64 = part.parse().ok()?;
    let mut total: u64 = 0;
    for number in whole.split(':') {
        total = total.checked_mul(60)?.checked_add(number.parse().ok()?)?;
    }
    total.checked_add(u64::from(part > 0))
}

/// Enough for a last caption of any sensible length.
const ROOM: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str, size: usize) -> Option<u64> {
        let mut captions = Captions::default();
        text.as_bytes().chunks(size).for_each(|piece| captions.feed(piece));
        captions.end()
    }

    #[test]
    fn the_last_caption_says_how_long_the_sound_is() {
        let srt = "1\n00:00:00,000 --> 00:00:04,000\nSo it --> goes\n\n2\n00:00:04,000 --> 01:02:03,500\nOn.\n\n";
        let vtt = "WEBVTT\n\n00:00.000 --> 00:04.000\nSo it goes.\n\n00:04.000 --> 02:03.000 align:start\nOn.\n";
        let long = format!("{}\n{srt}", "x\n".repeat(100_000));
        for size in [1, 7, 1000] {
            assert_eq!(end(srt, size), Some(3724));
            assert_eq!(end(vtt, size), Some(123));
            assert_eq!(end(&long, size), Some(3724));
        }
        for text in ["", "So it goes.", "a --> b", "1 --> 99999999999999999999,0", "-->", "00:00:00,000 --> 1:x,0"] {
            assert_eq!(end(text, 3), None, "{text}");
        }
    }
}
