//! Ends a JSON document that broke off, so that what had come of it can be read.

/// The document with whatever is open closed: a text that had begun ends where it broke off, a member without a value
/// has none. A document that is whole stays as it is.
pub(super) fn closed(json: &[u8]) -> Vec<u8> {
    let mut open: Vec<u8> = Vec::new();
    // Up to here everything can be closed by closing the brackets that are open there.
    let mut sound = 0;
    let mut at = 0;
    let mut is_key = false;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                let Some(end) = text_end(json, at + 1) else {
                    return if is_key { ended(&json[..sound], &open) } else { ended(&cut_text(json), &open) };
                };
                at = end;
                if !is_key {
                    sound = at;
                }
                continue;
            }
            b'{' | b'[' => {
                open.push(byte);
                is_key = byte == b'{';
                sound = at + 1;
            }
            b'}' | b']' => {
                open.pop();
                is_key = false;
                sound = at + 1;
            }
            b':' => is_key = false,
            b',' => {
                sound = at;
                is_key = open.last() == Some(&b'{');
            }
            _ => {}
        }
        at += 1;
    }
    ended(&json[..sound], &open)
}

/// The index after the closing quote of a text.
fn text_end(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)? + 1;
        if json[at - 1] == b'"' {
            return Some(at);
        }
        at += 1;
    }
}

/// A text that broke off, with its end: without half an escape, half a pair of them, or half a letter.
fn cut_text(json: &[u8]) -> Vec<u8> {
    let valid = match std::str::from_utf8(json) {
        Ok(_) => json.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => json.len(),
    };
    let mut text = json[..valid].to_vec();
    let near = text.len().saturating_sub(LONGEST_ESCAPE);
    // The last backslash that begins an escape: one that has an even number of them before it.
    let begins = (near..text.len()).rev().find(|&at| {
        let before = text[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
        text[at] == b'\\' && before.is_multiple_of(2)
    });
    if let Some(begin) = begins {
        let escape = &text[begin..];
        let is_high = |escape: &[u8]| {
            escape.starts_with(b"\\u")
                && matches!(escape.get(2), Some(b'd' | b'D'))
                && matches!(escape.get(3), Some(b'8' | b'9' | b'a' | b'b' | b'A' | b'B'))
        };
        let needed = if escape.get(1) == Some(&b'u') { 6 } else { 2 };
        let paired = begin >= 6 && is_high(&text[begin - 6..begin]);
        if escape.len() < needed || escape.len() == 6 && is_high(escape) {
            text.truncate(if paired { begin - 6 } else { begin });
        }
    }
    text.push(b'"');
    text
}

fn ended(json: &[u8], open: &[u8]) -> Vec<u8> {
    let mut whole = json.to_vec();
    whole.extend(open.iter().rev().map(|&bracket| if bracket == b'{' { b'}' } else { b']' }));
    whole
}

/// `\u1234`.
const LONGEST_ESCAPE: usize = 6;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const WHOLE: &str =
        r#" {"a" : [1, -2.5, true, null, {"b\"c":"d\\"}, "e\u00e9\ud83c\udf88\"é🎈"], "f":{"g":[[]]}, "h": "" }"#;

    #[test]
    fn what_is_left_at_every_byte_can_be_read() {
        let start = WHOLE.find('{').unwrap() + 1;
        for at in start..=WHOLE.len() {
            let closed = closed(&WHOLE.as_bytes()[..at]);
            let read = serde_json::from_slice::<Value>(&closed);
            assert!(read.is_ok(), "{at}: {}", String::from_utf8_lossy(&closed));
        }
        assert_eq!(closed(WHOLE.as_bytes()), WHOLE.trim_end().as_bytes());
    }

    #[test]
    fn a_text_is_kept_up_to_where_it_broke_off() {
        for (cut, kept) in [
            (r#"{"a":{"b":"one tw"#, r#"{"a":{"b":"one tw"}}"#),
            (r#"{"a":["one","tw\"#, r#"{"a":["one","tw"]}"#),
            (r#"{"a":"tw\\"#, r#"{"a":"tw\\"}"#),
            (r#"{"a":"tw\u00e"#, r#"{"a":"tw"}"#),
            (r#"{"a":"\ud83c\udf8"#, r#"{"a":""}"#),
            (r#"{"a":"\ud83c"#, r#"{"a":""}"#),
            (r#"{"a":"x","b"#, r#"{"a":"x"}"#),
            (r#"{"a":"x","b":"#, r#"{"a":"x"}"#),
            (r#"{"a":"x","b":12"#, r#"{"a":"x"}"#),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8(closed(cut.as_bytes())).unwrap(), kept, "{cut}");
        }
        assert_eq!(closed(b"{\"a\":\"x\xF0\x9F"), b"{\"a\":\"x\"}");
    }
}
