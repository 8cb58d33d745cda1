//! What an image counts as, from the width and height that stand at the beginning of its file.

use super::base64::decode_prefix;

/// Width and height, in pixels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Size {
    pub width: u64,
    pub height: u64,
}

/// Tokens of an image of this size for a model; `None` where no rule is known.
pub(crate) fn tokens(model: &str, size: Option<Size>, low: bool) -> Option<u64> {
    let base = model.strip_prefix("ft:").unwrap_or(model);
    if let Some((_, hundredths)) = PATCHES.iter().find(|(prefix, _)| base.starts_with(prefix)) {
        let Size { width, height } = size?;
        let patches = width.div_ceil(32).saturating_mul(height.div_ceil(32)).min(MOST_PATCHES);
        return Some((patches * hundredths).div_ceil(100));
    }
    let (_, once, tile) = TILES.iter().find(|(prefix, _, _)| base.starts_with(prefix))?;
    if low {
        return Some(*once);
    }
    let Size { width, height } = fit(size?);
    Some(once + tile * width.div_ceil(512) * height.div_ceil(512))
}

/// The size of an image in a data URL; `None` for another URL, or a form that is not known.
pub(crate) fn size_of(url: &str) -> Option<Size> {
    let (_, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    size(&decode_prefix(data, MOST_HEAD))
}

/// Into 2048 by 2048, and then the shorter side to at most 768; never made larger.
fn fit(Size { width, height }: Size) -> Size {
    let (mut width, mut height) = (width.max(1), height.max(1));
    let long = width.max(height);
    if long > 2048 {
        (width, height) = (scale(width, 2048, long), scale(height, 2048, long));
    }
    let short = width.min(height);
    if short > 768 {
        (width, height) = (scale(width, 768, short), scale(height, 768, short));
    }
    Size { width, height }
}

fn scale(side: u64, to: u64, from: u64) -> u64 {
    u64::try_from(u128::from(side) * u128::from(to) / u128::from(from)).unwrap_or(u64::MAX).max(1)
}

fn size(head: &[u8]) -> Option<Size> {
    let found = match head {
        [0x89, b'P', b'N', b'G', ..] => Size { width: big(head, 16, 4)?, height: big(head, 20, 4)? },
        [b'G', b'I', b'F', b'8', ..] => Size { width: little(head, 6, 2)?, height: little(head, 8, 2)? },
        [0xff, 0xd8, ..] => jpeg(head)?,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp(head)?,
        _ => return None,
    };
    (found.width > 0 && found.height > 0).then_some(found)
}

fn jpeg(head: &[u8]) -> Option<Size> {
    let mut at = 2;
    loop {
        let marker = *head.get(at + 1)?;
        match (*head.get(at)?, marker) {
            // Fill bytes may stand before a marker.
            (0xff, 0xff) => at += 1,
            (0xff, 0xc0..=0xcf) if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                return Some(Size { width: big(head, at + 7, 2)?, height: big(head, at + 5, 2)? });
            }
            (0xff, 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, _) => at += 2 + usize::try_from(big(head, at + 2, 2)?).ok()?,
            _ => return None,
        }
    }
}

fn webp(head: &[u8]) -> Option<Size> {
    match head.get(12..16)? {
        b"VP8X" => Some(Size { width: little(head, 24, 3)? + 1, height: little(head, 27, 3)? + 1 }),
        b"VP8L" => {
            let bits = little(head, 21, 4)?;
            Some(Size { width: (bits & 0x3fff) + 1, height: (bits >> 14 & 0x3fff) + 1 })
        }
        b"VP8 " => Some(Size { width: little(head, 26, 2)? & 0x3fff, height: little(head, 28, 2)? & 0x3fff }),
        _ => None,
    }
}

fn big(head: &[u8], at: usize, bytes: usize) -> Option<u64> {
    Some(head.get(at..at + bytes)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn little(head: &[u8], at: usize, bytes: usize) -> Option<u64> {
    Some(head.get(at..at + bytes)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// Models that count tiles: the beginning of the name, tokens once, and tokens of a tile. Longer beginnings first.
const TILES: [(&str, u64, u64); 7] = [
    ("gpt-4o-mini", 2833, 5667),
    ("gpt-4o", 85, 170),
    ("chatgpt-4o", 85, 170),
    ("gpt-4.1", 85, 170),
    ("gpt-5", 70, 140),
    ("o1", 75, 150),
    ("o3", 75, 150),
];

/// Models that count patches of 32 by 32 pixels: the beginning of the name, and hundredths of a token for each.
const PATCHES: [(&str, u64); 5] =
    [("gpt-5.2", 120), ("gpt-5.4", 120), ("gpt-5.5", 120), ("gpt-5.6", 120), ("gpt-4.1-mini", 162)];

/// An image with more is made smaller.
const MOST_PATCHES: u64 = 1536;

/// How far into a file its size is looked for: a photograph may have a preview before it.
const MOST_HEAD: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_read_from_every_form() {
        let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &[0, 0, 4, 0, 0, 0, 2, 0, 8]].concat();
        let gif = b"GIF89a\x90\x01\x2c\x01";
        let jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc2\x00\x11\x08\x01\x2c\x01\x90";
        let vp8 = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x90\x01\x2c\x01";
        let vp8x = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x8f\x01\0\x2b\x01\0";
        let lossless = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x8f\xc1\x4a\0";
        assert_eq!(size(&png), Some(Size { width: 1024, height: 512 }));
        for form in [&gif[..], jpeg, vp8, vp8x, lossless] {
            assert_eq!(size(form), Some(Size { width: 400, height: 300 }), "{form:?}");
            for end in 0..form.len() {
                size(&form[..end]);
            }
        }
        assert_eq!(size(b"\xff\xd8\xff\xe0\xff\xff"), None);
        assert_eq!(size(b"BM"), None);
        assert_eq!(size_of("data:image/gif;base64,R0lGODlhkAEsAQ=="), Some(Size { width: 400, height: 300 }));
        assert_eq!(size_of("https://example.com/a.png"), None);
    }

    #[test]
    fn tiles_are_counted_after_fitting() {
        let size = |width, height| Some(Size { width, height });
        assert_eq!(tokens("gpt-4o", size(1024, 1024), false), Some(85 + 4 * 170));
        assert_eq!(tokens("gpt-4o", size(2048, 4096), false), Some(85 + 6 * 170));
        assert_eq!(tokens("gpt-4o", size(100, 100), false), Some(85 + 170));
        assert_eq!(tokens("gpt-4o", None, true), Some(85));
        assert_eq!(tokens("gpt-4o-mini", size(10, 10), false), Some(2833 + 5667));
        assert_eq!(tokens("gpt-5.4", size(64, 64), false), Some(5));
        assert_eq!(tokens("gpt-5", size(64, 64), false), Some(210));
        assert_eq!(tokens("gpt-4.1-mini", size(32, 33), false), Some(4));
        assert_eq!(tokens("gpt-4", size(32, 33), false), None);
        assert_eq!(tokens("gpt-4o", size(u64::from(u32::MAX), 1), false), Some(85 + 4 * 170));
    }
}
