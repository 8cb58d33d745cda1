//! What a server took in, kept until it is known whether it must be counted.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::dialect::endpoint::Dialect;
use crate::tokens::tally::Tally;

/// What a server took in.
#[derive(Clone, Debug)]
pub enum Input {
    /// The body that was sent, or the client's where that is the same.
    Body {
        /// The dialect of the body.
        dialect: Dialect,
        /// The body.
        body: Bytes,
    },
    /// Counted before it was sent.
    Known(Tally),
}

impl Input {
    /// The input of this body; one that is too large to be kept is guessed at once.
    pub fn of(dialect: Dialect, body: &Bytes) -> Self {
        if body.len() > LARGEST_KEPT {
            return Self::Known(guess(body));
        }
        Self::Body { dialect, body: body.clone() }
    }

    /// Whether the call goes on by itself after its reply, which then does not tell what it will have cost.
    pub fn is_deferred(&self) -> bool {
        let Self::Body { dialect: Dialect::Responses, body } = self else { return false };
        BACKGROUND.find_iter(body).any(|at| {
            let behind = body[at + BACKGROUND.needle().len()..].trim_ascii_start();
            behind.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
        })
    }

    /// The same without a closer look: cheap, and marked as a guess.
    #[must_use]
    pub fn roughly(&self) -> Self {
        Self::Known(match self {
            Self::Body { body, .. } => guess(body),
            Self::Known(tally) => *tally,
        })
    }
}

/// A quarter of the bytes, those of files apart: a picture is as many tokens as a common one, however many its bytes.
fn guess(body: &[u8]) -> Tally {
    let (mut bytes, mut files, mut rest) = (body.len(), 0_u64, body);
    while let Some(at) = BASE64.find(rest) {
        rest = &rest[at + BASE64.needle().len()..];
        let length = memchr::memchr(b'"', rest).unwrap_or(rest.len());
        bytes -= length;
        files += 1;
        rest = &rest[length..];
    }
    Tally { tokens: (bytes as u64).div_ceil(4).saturating_add(files.saturating_mul(A_FILE)), exact: false }
}

/// Bytes of a body that are kept until the reply has ended, in case that it must be counted.
const LARGEST_KEPT: usize = 4 << 20;
/// Tokens of a picture of which nothing is known: one of about a thousand by a thousand pixels.
const A_FILE: u64 = 765;

static BACKGROUND: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"background\""));
static BASE64: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b";base64,"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_too_large_to_be_kept_is_guessed_without_its_pictures() {
        let picture = "A".repeat(3 << 20);
        let text = "x".repeat(4000);
        let url = format!("data:image/png;base64,{picture}");
        let body = Bytes::from(format!(r#"{{"messages":"{text}","a":"{url}","b":"{url}"}}"#));
        let Input::Known(tally) = Input::of(Dialect::Chat, &body) else { panic!("it is not kept") };
        assert!(!tally.exact && (1000 + 2 * A_FILE..1050 + 2 * A_FILE).contains(&tally.tokens), "{tally:?}");
        let small = Bytes::from_static(b"{\"input\":\"12345678\"}");
        assert!(matches!(Input::of(Dialect::Chat, &small), Input::Body { .. }));
        let Input::Known(tally) = Input::of(Dialect::Chat, &small).roughly() else { panic!("it is guessed") };
        assert_eq!(tally.tokens, 5);
    }

    #[test]
    fn a_call_in_the_background_is_known() {
        for (body, deferred) in [
            (r#"{"background": true}"#, true),
            (r#"{"background":false,"input":"\"background\":true"}"#, false),
            (r#"{"input":"background"}"#, false),
        ] {
            let body = Bytes::from_static(body.as_bytes());
            assert_eq!(Input::of(Dialect::Responses, &body).is_deferred(), deferred, "{body:?}");
            assert!(!Input::of(Dialect::Chat, &body).is_deferred());
        }
    }
}
