//! A chat request for a server that completes texts.

use serde_json::Value;

use super::refusal::Refused;

/// A chat request, read for translation.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    messages: Vec<Value>,
    stops: Vec<Box<str>>,
}

/// What a completion request gets that the chat request does not say.
#[derive(Clone, Copy, Debug)]
pub struct Fill<'a> {
    /// `model`.
    pub model: &'a str,
    /// `prompt`: the messages, rendered.
    pub prompt: &'a str,
    /// Stop strings of the template and of the line, beside the client's own.
    pub stops: &'a [Box<str>],
    /// `max_tokens`, already the lesser of what was asked for and what fits.
    pub max_tokens: u64,
    /// Ask a stream for its usage, whatever the client asked for.
    pub include_usage: bool,
}

impl ChatRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// The first member that has no counterpart, or that is malformed.
    pub fn read(body: &[u8]) -> Result<Self, Refused> {
        let body: Value = serde_json::from_slice(body).map_err(|_| Refused::invalid("body", "not a JSON object"))?;
        let messages = body["messages"].as_array().cloned().unwrap_or_default();
        Ok(Self { messages, stops: Vec::new() })
    }

    /// The messages, as a template takes them: texts where the content is nothing but text.
    pub fn messages(&self) -> &[Value] {
        &self.messages
    }

    /// `stop` as the client gave it.
    pub fn stops(&self) -> &[Box<str>] {
        &self.stops
    }

    /// `max_completion_tokens` or `max_tokens`; `None` is without limit.
    pub fn max_tokens(&self) -> Option<u64> {
        None
    }

    /// `n`, at least 1.
    pub fn n(&self) -> u32 {
        1
    }

    /// The completion request in its place, JSON.
    pub fn completion(&self, fill: &Fill<'_>) -> Vec<u8> {
        let _ = fill;
        Vec::new()
    }
}
