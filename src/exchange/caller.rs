//! Who calls, as the books show it.

use std::sync::Arc;

use http::header::{HeaderName, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue};

use crate::exchange::headers::LABEL;
use crate::exchange::origin::{Origin, Whose};
use crate::ledger::entry::Client;
use crate::ledger::names::shortened;
use crate::system::programs::Asked;
use crate::tokens::base64::decode_prefix;

/// Reads the caller from the connection and the request's headers.
pub fn caller(origin: &Origin, headers: &HeaderMap) -> Client {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| filled(value.as_bytes()));
    let mut client = Client {
        address: origin.peer.address.to_canonical(),
        process: None,
        path: None,
        agent: text(&USER_AGENT),
        label: match &origin.label {
            Whose::Proven(label) => Some(Arc::clone(label)),
            whose => text(&LABEL).or_else(|| whose.label().cloned()),
        },
        key: origin.peer.mark(headers),
    };
    name_program(&mut client, &origin.peer.program);
    client
}

/// Notes the program, if it is known by now.
pub fn name_program(client: &mut Client, asked: &Asked) {
    if client.process.is_none()
        && let Some(program) = asked.program()
    {
        client.process = Some(Arc::clone(&program.name));
        client.path = Some(Arc::clone(&program.path));
    }
}

/// The user name that a client gave to its proxy, in which it says whose call it is. The password says nothing to the
/// gate here and is not looked at.
pub fn proxy_user(headers: &HeaderMap) -> Option<Arc<str>> {
    let bytes = basic(headers.get(PROXY_AUTHORIZATION)?, LONGEST_USER)?;
    filled(bytes.split(|byte| *byte == b':').next()?)
}

/// The decoded beginning of Basic credentials, at most so many bytes.
pub fn basic(value: &HeaderValue, most: usize) -> Option<Vec<u8>> {
    let (scheme, code) = value.as_bytes().trim_ascii().split_at_checked("basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let code = std::str::from_utf8(code.trim_ascii()).ok()?;
    Some(decode_prefix(code, most))
}

/// A name that a client chose, cut to what the books take.
pub fn bounded(text: &str) -> Arc<str> {
    shortened(text).into()
}

/// The same from bytes; `None` where it is empty or no text.
fn filled(bytes: &[u8]) -> Option<Arc<str>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // Cut within a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    Some(bounded(text.trim())).filter(|text| !text.is_empty())
}

/// Bytes of a user name that are looked at; the books take fewer.
const LONGEST_USER: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_name_of_a_proxy_is_read_and_never_its_password() {
        let user = |value: &str| {
            let headers: HeaderMap =
                [(PROXY_AUTHORIZATION, HeaderValue::from_str(value).unwrap())].into_iter().collect();
            proxy_user(&headers).map(|user| user.to_string())
        };
        for (value, expected) in [
            ("Basic dGVhbTpzZWNyZXQ=", Some("team")),
            ("basic  dGVhbTpzZWNyZXQ=", Some("team")),
            ("Basic dGVhbTo=", Some("team")),
            ("Basic dGVhbQ==", Some("team")),
            ("Basic Y2Fmw6k6eA==", Some("café")),
            ("Basic OnNlY3JldA==", None),
            ("Basic ", None),
            ("Basic", None),
            ("Bearer dGVhbTpzZWNyZXQ=", None),
            ("Basic /////w==", None),
            ("", None),
        ] {
            assert_eq!(user(value).as_deref(), expected, "{value}");
        }
        // 300 times `é`, which the bound cuts in the middle of none or one.
        let long = user(&format!("Basic {}", "w6nDqcOp".repeat(100))).unwrap();
        assert_eq!((long.len(), long.chars().all(|letter| letter == 'é')), (128, true));
    }
}
