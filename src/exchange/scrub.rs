//! Keeps a configured key out of error replies: some servers show the key that they did not like.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::response::Parts as Head;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;

use crate::dialect::coding::{Coding, decode};
use crate::exchange::answer::Answer;
use crate::exchange::metered::Metered;
use crate::net::secret::{MASK, Secret};

/// Whether a reply of this status is looked through.
pub fn applies(status: StatusCode) -> bool {
    status.as_u16() >= 400
}

/// Bytes that are at hand, without the keys.
pub fn bytes(body: Bytes, secrets: &[Secret]) -> Bytes {
    scrub_body(&body, Coding::Identity, secrets).unwrap_or(body)
}

/// Masks the keys in headers.
pub fn head(headers: &mut HeaderMap, secrets: &[Secret]) {
    for value in headers.values_mut() {
        if let Some(clean) = scrubbed_of_all(value.as_bytes(), secrets) {
            *value = HeaderValue::from_bytes(&clean).unwrap_or(HeaderValue::from_static(MASK));
        }
    }
}

/// The reply without the keys in its headers and body; a body over 64 KiB goes on as it comes.
pub async fn reply(mut head: Head, mut body: Metered, secrets: &[Secret]) -> Response<Answer> {
    self::head(&mut head.headers, secrets);
    let mut read = BytesMut::new();
    let broken = loop {
        if read.len() as u64 + body.size_hint().lower() > LIMIT as u64 {
            body.unread(read.freeze());
            return Response::from_parts(head, Answer::Metered(Box::new(body)));
        }
        match body.frame().await {
            None => break None,
            Some(Err(error)) => break Some(error),
            Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
        }
    };
    if read.is_empty() && broken.is_none() {
        // Its length may be announced all the same, as in the answer to a HEAD.
        return Response::from_parts(head, Answer::Metered(Box::new(body)));
    }
    let coding = Coding::parse(head.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()));
    let body = match scrub_body(&read, coding, secrets) {
        Some(clean) => {
            head.headers.remove(CONTENT_ENCODING);
            head.headers.remove(CONTENT_LENGTH);
            clean
        }
        None => read.freeze(),
    };
    let Some(error) = broken else { return Response::from_parts(head, Answer::full(body)) };
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Answer::cut(body, error))
}

/// The decoded body without the keys; `None` where none is in it, or it cannot be read.
fn scrub_body(body: &[u8], coding: Coding, secrets: &[Secret]) -> Option<Bytes> {
    let decoded = match coding {
        Coding::Identity => return scrubbed_of_all(body, secrets).map(Bytes::from),
        coding => decode(coding, body, DECODED_LIMIT).ok()?,
    };
    scrubbed_of_all(&decoded, secrets).map(Bytes::from)
}

fn scrubbed_of_all(text: &[u8], secrets: &[Secret]) -> Option<Vec<u8>> {
    let mut clean: Option<Vec<u8>> = None;
    for secret in secrets {
        clean = scrubbed(clean.as_deref().unwrap_or(text), secret).or(clean);
    }
    clean
}

/// `text` with a mask wherever it holds the key, plain or with any of its letters escaped as JSON allows; `None` where
/// it holds none.
fn scrubbed(text: &[u8], secret: &Secret) -> Option<Vec<u8>> {
    let key = secret.reveal().as_bytes();
    if key.len() < SHORTEST {
        return None;
    }
    let mut clean: Option<Vec<u8>> = None;
    let (mut from, mut at) = (0, 0);
    while at < text.len() {
        let Some(length) = held_at(&text[at..], key) else {
            at += 1;
            continue;
        };
        let clean = clean.get_or_insert_default();
        clean.extend_from_slice(&text[from..at]);
        clean.extend_from_slice(MASK.as_bytes());
        at += length;
        from = at;
    }
    let mut clean = clean?;
    clean.extend_from_slice(&text[from..]);
    Some(clean)
}

/// How many bytes the key takes at the beginning of `text`; `None` where `text` does not begin with it.
fn held_at(text: &[u8], key: &[u8]) -> Option<usize> {
    if text.starts_with(key) {
        return Some(key.len());
    }
    let mut at = 0;
    for &byte in key {
        at += letter(text.get(at..)?, byte)?;
    }
    Some(at)
}

/// How many bytes `byte` takes at the beginning of `text`, where that is how a JSON string may write it.
fn letter(text: &[u8], byte: u8) -> Option<usize> {
    match text {
        [b'\\', b'u', digits @ ..] => {
            let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
            (u16::from_str_radix(digits, 16) == Ok(u16::from(byte))).then_some(6)
        }
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [first, ..] => (*first == byte).then_some(1),
        [] => None,
    }
}

/// Bytes of a body that are held back to be looked through.
const LIMIT: usize = 64 << 10;
const DECODED_LIMIT: usize = 1 << 20;
/// A shorter key is a word to please a server that wants none, and would be found in innocent text.
const SHORTEST: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str, key: &str) -> Option<String> {
        scrubbed(text.as_bytes(), &Secret::new(key)).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn the_key_is_masked_wherever_it_stands_and_the_rest_stays() {
        for (text, wanted) in [
            ("sk-secret-1", "***"),
            ("a sk-secret-1, sk-secret-1sk-secret-1 é", "a ***, ****** é"),
            ("sk-sk-secret-1", "sk-***"),
            (r#"{"m":"sk\u002dsecret\u002D1"}"#, r#"{"m":"***"}"#),
            (r"\u0073\u006b-secret-1\n", r"***\n"),
        ] {
            assert_eq!(clean(text, "sk-secret-1").as_deref(), Some(wanted), "{text}");
        }
        assert_eq!(clean(r#"{"m":"a\/b\"c\\d"}"#, r#"a/b"c\d"#).as_deref(), Some(r#"{"m":"***"}"#));
        assert_eq!(clean(r"x\\\\y\\zz", r"\\\\y\\zz").as_deref(), Some("x***"));
    }

    #[test]
    fn what_holds_no_key_is_left_alone() {
        for text in ["", "sk-secret-", "SK-SECRET-1", r"sk-secret-\u00", r"sk-secret-\", "sk-secret-2"] {
            assert_eq!(clean(text, "sk-secret-1"), None, "{text}");
        }
        assert_eq!(clean("no key", "no"), None);
        assert_eq!(clean("anything", ""), None);
    }

    #[test]
    fn headers_are_looked_through_too() {
        let mut headers = HeaderMap::new();
        headers.insert("x-a", HeaderValue::from_static("key=sk-secret-1;"));
        headers.insert("x-b", HeaderValue::from_static("other"));
        head(&mut headers, &[Secret::new("sk-secret-2"), Secret::new("sk-secret-1")]);
        assert_eq!((headers["x-a"].as_bytes(), headers["x-b"].as_bytes()), (&b"key=***;"[..], &b"other"[..]));
    }

    #[test]
    fn a_compressed_body_is_decoded_only_where_it_holds_the_key() {
        let secret = [Secret::new("sk-secret-1")];
        let coded = |text: &str| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let found = scrub_body(&coded("not sk-secret-1"), Coding::Gzip, &secret);
        assert_eq!(found.as_deref(), Some(&b"not ***"[..]));
        assert_eq!(scrub_body(&coded("nothing"), Coding::Gzip, &secret), None);
        assert_eq!(scrub_body(b"no gzip", Coding::Gzip, &secret), None);
    }
}
