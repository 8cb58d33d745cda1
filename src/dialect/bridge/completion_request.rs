//! A completion request for a server that only chats.

use serde_json::Value;

use super::refusal::Refused;

/// A completion request, read for translation.
#[derive(Clone, Debug)]
pub struct CompletionRequest {
    prompts: Vec<Prompt>,
    stops: Vec<Box<str>>,
}

/// One prompt; each becomes a call of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Prompt {
    /// Written out.
    Text(Box<str>),
    /// As ids of the model's own tokenizer.
    Tokens(Box<[u32]>),
}

impl CompletionRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// The first member that has no counterpart, or that is malformed.
    pub fn read(body: &[u8]) -> Result<Self, Refused> {
        let _: Value = serde_json::from_slice(body).map_err(|_| Refused::invalid("body", "not a JSON object"))?;
        Ok(Self { prompts: Vec::new(), stops: Vec::new() })
    }

    /// The prompts, at least one.
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }

    /// `stop` as the client gave it.
    pub fn stops(&self) -> &[Box<str>] {
        &self.stops
    }

    /// `max_tokens`, which is 16 where the client gave none.
    pub fn max_tokens(&self) -> u64 {
        16
    }

    /// `n`, at least 1.
    pub fn n(&self) -> u32 {
        1
    }

    /// Whether the prompt is to stand before each choice's text.
    pub fn echo(&self) -> bool {
        false
    }

    /// The chat request for one of the prompts, JSON; `include_usage` asks a stream for its usage, whatever the
    /// client asked for. `max_tokens` is already the lesser of what was asked for and what fits.
    pub fn chat(&self, model: &str, prompt: &str, max_tokens: u64, include_usage: bool) -> Vec<u8> {
        let _ = (model, prompt, max_tokens, include_usage);
        Vec::new()
    }
}
