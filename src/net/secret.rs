//! A secret text that no log, error or answer can show.

use std::fmt;

use serde::{Serialize, Serializer};

/// An API key or password; `Debug`, `Display` and `Serialize` hide it.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text that must not be shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

/// A URL, or path and query, without the values of the query, where some hosts want their key.
pub fn masked_query(url: &str) -> String {
    let Some((path, query)) = url.split_once('?') else { return url.into() };
    let parts: Vec<String> = query
        .split('&')
        .map(|part| match part.split_once('=') {
            Some(("api-version", _)) => part.into(),
            Some((name, _)) => format!("{name}={MASK}"),
            None => MASK.into(),
        })
        .collect();
    format!("{path}?{}", parts.join("&"))
}

/// What stands for a secret wherever one would be shown.
pub const MASK: &str = "***";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_keeps_its_names_and_shows_no_value_but_the_version() {
        let shown = masked_query("https://a/b?api-version=2024-10-21&key=sk-x&sk-y");
        assert_eq!(shown, "https://a/b?api-version=2024-10-21&key=***&***");
    }

    #[test]
    fn a_secret_never_shows_in_debug_display_or_json() {
        let secret = Secret::new("sk-very-secret");
        let shown = format!("{secret:?} {secret} {}", serde_json::json!({ "key": secret }));
        assert!(!shown.contains("very"), "{shown}");
    }
}
