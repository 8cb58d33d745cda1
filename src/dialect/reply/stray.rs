//! What came in the place of a stream of events.

use serde_json::{Value, json};

/// The beginning of what could not be understood.
#[derive(Debug, Default)]
pub(super) struct Stray(Vec<u8>);

impl Stray {
    /// More of it.
    pub(super) fn keep(&mut self, raw: &[u8]) {
        let room = LONGEST.saturating_sub(self.0.len());
        self.0.extend_from_slice(&raw[..raw.len().min(room)]);
    }

    /// What the client is told where nothing else came: the server's own error, or what this is.
    pub(super) fn error(&self) -> Vec<u8> {
        if self.is_error() {
            return self.0.clone();
        }
        let code = "upstream_unreadable";
        let error = json!({"message": self.message(), "type": "server_error", "param": null, "code": code});
        json!({ "error": error }).to_string().into_bytes()
    }

    /// Whether it is an error in some form of JSON.
    fn is_error(&self) -> bool {
        let Ok(Value::Object(document)) = serde_json::from_slice(&self.0) else { return false };
        ["error", "detail", "message"].iter().any(|name| document.get(*name).is_some_and(|value| !value.is_null()))
    }

    fn message(&self) -> &'static str {
        let text = self.0.trim_ascii_start();
        let begins = |mark: &[u8]| text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
        match text {
            [] => "the server ended its stream before it had begun",
            _ if begins(b"<!doctype") || begins(b"<html") => "the server answered with HTML in the place of a stream",
            [b'{' | b'[', ..] => "the server answered with a JSON document in the place of a stream",
            _ => "the server answered with something that is no stream of events",
        }
    }
}

/// In bytes; enough to say what it is instead.
const LONGEST: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_says_what_it_is() {
        let mut stray = Stray::default();
        for _ in 0..40 {
            stray.keep(&[b'x'; 4000]);
        }
        assert_eq!(stray.0.len(), LONGEST);
        assert!(String::from_utf8(stray.error()).unwrap().contains("no stream of events"));
    }
}
