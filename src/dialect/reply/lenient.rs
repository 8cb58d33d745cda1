//! JSON of servers whose writers are not strict.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// An object, also one that holds what JSON does not allow but servers in use write; `None` where it is none.
///
/// That is `NaN` and `Infinity`, which become null; letters that are no UTF-8 and halves of surrogate pairs, which
/// become U+FFFD; line feeds and tabs as they are within a text; a byte order mark before all.
pub(super) fn object(data: &[u8]) -> Option<(Map<String, Value>, Form)> {
    match serde_json::from_slice(data) {
        Ok(Value::Object(object)) => return Some((object, Form::Strict)),
        Ok(_) => return None,
        Err(_) => {}
    }
    match serde_json::from_str(&mended(&String::from_utf8_lossy(data))) {
        Ok(Value::Object(object)) => Some((object, Form::Loose)),
        _ => None,
    }
}

/// A text in JSON.
pub(super) fn text(raw: &str) -> Option<String> {
    serde_json::from_str(raw).or_else(|_| serde_json::from_str(&mended(raw))).ok()
}

/// How an object was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// As JSON allows.
    Strict,
    /// Otherwise.
    Loose,
}

fn mended(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut inside) = (text, false);
    while let Some(letter) = rest.chars().next() {
        let (taken, written) = if inside { within(rest, letter) } else { between(rest, letter) };
        inside ^= letter == '"';
        out.push_str(&written);
        rest = &rest[taken..];
    }
    out
}

/// The next letter of a text: how many bytes it is written in, and what JSON wants in their place.
fn within(rest: &str, letter: char) -> (usize, Cow<'_, str>) {
    if letter.is_ascii_control() {
        return (1, Cow::Owned(format!("\\u{:04x}", u32::from(letter))));
    }
    if letter != '\\' {
        return (letter.len_utf8(), Cow::Borrowed(&rest[..letter.len_utf8()]));
    }
    match (half(rest), rest.get(6..).and_then(half)) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, Cow::Borrowed(&rest[..12])),
        (Some(0xd800..=0xdfff), _) => (6, Cow::Borrowed("\\ufffd")),
        _ => {
            let escaped = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            (escaped, Cow::Borrowed(&rest[..escaped]))
        }
    }
}

/// What stands between texts.
fn between(rest: &str, letter: char) -> (usize, Cow<'_, str>) {
    for word in ["NaN", "Infinity", "-Infinity"] {
        if rest.starts_with(word) {
            return (word.len(), Cow::Borrowed("null"));
        }
    }
    (letter.len_utf8(), Cow::Borrowed(&rest[..letter.len_utf8()]))
}

/// The number in an escape such as `\ud83d`.
fn half(rest: &str) -> Option<u32> {
    let digits = rest.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_json_does_not_allow_is_read_for_what_it_means() {
        for (came, meant) in [
            (
                &br#"{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN"}"#[..],
                json!({"a": null, "b": [null, null], "c": "NaN"}),
            ),
            (b"{\"a\":\"x\xffy\"}", json!({"a": "x\u{fffd}y"})),
            (
                br#"{"a":"\ud83d","b":"\ude00!","c":"\ud83d\ude00"}"#,
                json!({"a": "\u{fffd}", "b": "\u{fffd}!", "c": "😀"}),
            ),
            (br#"{"a":"\ud83d\n\ud83dx\\ud83d\\"}"#, json!({"a": "\u{fffd}\n\u{fffd}x\\ud83d\\"})),
            (b"{\"a\":\"one\ntwo\t\\\"NaN\"}", json!({"a": "one\ntwo\t\"NaN"})),
            (b"\xEF\xBB\xBF{\"a\":1}", json!({"a": 1})),
        ] {
            let (read, form) = object(came).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(came)));
            assert_eq!((Value::Object(read), form), (meant, Form::Loose));
        }
        assert_eq!(object(br#"{"a":"\ud83d\ude00"}"#).unwrap().1, Form::Strict);
        for no in ["", "[]", "7", "{", "{\"a\":", "{\"a\":\"\\", "{\"a\":\"\\u", "{\"a\":\"\\ud83", "NaN"] {
            assert!(object(no.as_bytes()).is_none(), "{no}");
        }
        assert_eq!(text(r#""a\udfff""#).as_deref(), Some("a\u{fffd}"));
        assert_eq!(text("null"), None);
    }
}
