//! Reads a string of JSON as it is written into the text that it stands for.

use std::borrow::Cow;

/// The text of a string, given without its quotes; `None` where it is no text.
pub(super) fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    let Some(first) = memchr::memchr(b'\\', raw) else { return std::str::from_utf8(raw).ok().map(Cow::Borrowed) };
    let mut text = String::with_capacity(raw.len());
    let (mut rest, mut at) = (raw, Some(first));
    while let Some(escape) = at {
        text.push_str(std::str::from_utf8(&rest[..escape]).ok()?);
        rest = &rest[escape + 1..];
        let (letter, length) = match *rest.first()? {
            plain @ (b'"' | b'\\' | b'/') => (char::from(plain), 1),
            b'n' => ('\n', 1),
            b't' => ('\t', 1),
            b'r' => ('\r', 1),
            b'b' => ('\u{8}', 1),
            b'f' => ('\u{c}', 1),
            b'u' => coded(rest)?,
            _ => return None,
        };
        text.push(letter);
        rest = &rest[length..];
        at = memchr::memchr(b'\\', rest);
    }
    text.push_str(std::str::from_utf8(rest).ok()?);
    Some(Cow::Owned(text))
}

/// A letter that is written as its number, or as the two halves of one, and how many bytes that takes from the `u` on.
fn coded(escape: &[u8]) -> Option<(char, usize)> {
    let unit = |digits: &[u8]| {
        let all = digits.iter().all(u8::is_ascii_hexdigit);
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok().filter(|_| all)
    };
    let first = unit(escape.get(1..5)?)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).map(|letter| (letter, 5));
    }
    let second = unit(escape.get(5..)?.strip_prefix(b"\\u")?.get(..4)?)?;
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + low).map(|letter| (letter, 11))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_escape_is_read_and_what_is_none_is_refused() {
        for written in [r"", r"plain é", r#"\"\\\/\b\f\n\r\t"#, r"\u00e9\u0000\uFFFF", r"\ud83c\udf88x", r"a\\u0041"] {
            let expected: String = serde_json::from_str(&format!("\"{written}\"")).unwrap();
            assert_eq!(text(written.as_bytes()).as_deref(), Some(expected.as_str()), "{written}");
        }
        for broken in [r"\", r"\x", r"\u12", r"\u+123", r"\ud83c", r"\ud83cx", r"\ud83c\n", r"\ud83c\ud83c", r"\udf88"]
        {
            assert_eq!(text(broken.as_bytes()), None, "{broken}");
        }
        assert_eq!(text(b"\xff"), None);
        assert_eq!(text(b"\\n\xff"), None);
    }

    proptest! {
        #[test]
        fn any_string_is_read_as_a_full_parser_reads_it(raw in "[ -~é🎈]{0,24}", text_of in ".{0,24}") {
            let written = serde_json::to_string(&text_of).unwrap();
            let inner = &written.as_bytes()[1..written.len() - 1];
            let read = text(inner);
            prop_assert_eq!(read.as_deref(), Some(text_of.as_str()));
            if let Ok(expected) = serde_json::from_str::<String>(&format!("\"{raw}\"")) {
                let read = text(raw.as_bytes());
                prop_assert_eq!(read.as_deref(), Some(expected.as_str()));
            }
        }
    }
}
