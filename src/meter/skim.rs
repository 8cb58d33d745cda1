//! Skips through JSON text to the next byte that matters.

use memchr::memchr2;

/// The index after the quote that ends a string, or else whether a backslash stands at the very end.
pub(super) fn text_end(bytes: &[u8], escaped: bool) -> Result<usize, bool> {
    let mut at = usize::from(escaped);
    while let Some(mark) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += mark + 1;
        if bytes[at - 1] == b'"' {
            return Ok(at);
        }
        at += 1;
    }
    Err(at > bytes.len())
}

/// The next quote or bracket.
pub(super) fn next_mark(bytes: &[u8]) -> Option<usize> {
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

const BLOCK: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_at_every_distance() {
        for mark in *b"\"{}[]" {
            for distance in 0..200 {
                let text = [vec![b'7'; distance], vec![mark], vec![b'7'; 9]].concat();
                assert_eq!(next_mark(&text), Some(distance));
            }
        }
        let others: Vec<u8> = (0..=255).filter(|byte| !b"\"{}[]".contains(byte)).collect();
        assert_eq!(next_mark(&others.repeat(3)), None);
    }

    #[test]
    fn an_escape_at_the_very_end_is_remembered() {
        assert_eq!(text_end(b"ab\"", false), Ok(3));
        assert_eq!(text_end(b"\"\\\"\"", true), Ok(4));
        assert_eq!(text_end(b"ab\\", false), Err(true));
        assert_eq!(text_end(b"ab\\\\", false), Err(false));
        assert_eq!(text_end(b"\\", true), Err(false));
        assert_eq!(text_end(b"", false), Err(false));
    }
}
