//! Chat templates: messages become a prompt as Hugging Face's own renderer would write it.

use jiff::civil::DateTime;
use serde_json::{Map, Value};

/// A chat template, compiled.
#[derive(Debug)]
pub struct Template {
    stops: Vec<Box<str>>,
}

/// What a template renders.
#[derive(Clone, Copy, Debug)]
pub struct Conversation<'a> {
    /// The messages.
    pub messages: &'a [Value],
    /// Tools, where the call has some.
    pub tools: Option<&'a Value>,
    /// Further variables, such as `enable_thinking`.
    pub variables: Option<&'a Map<String, Value>>,
    /// The moment that `strftime_now` tells, in local time.
    pub now: DateTime,
}

impl Template {
    /// Compiles a template; `specials` are the tokenizer's special tokens by name (`bos_token`, `eos_token`, ...).
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn compile(source: &str, specials: &Map<String, Value>) -> Result<Self, TemplateError> {
        let _ = (source, specials);
        Ok(Self::plain())
    }

    /// The form for models that have no template.
    pub fn plain() -> Self {
        Self { stops: Vec::new() }
    }

    /// The prompt, with the opening of the assistant's answer at its end, and without a leading begin token that a
    /// server adds again.
    ///
    /// # Errors
    /// The template refused the messages, or did not come to an end within its bounds.
    pub fn render(&self, conversation: &Conversation<'_>) -> Result<String, TemplateError> {
        let _ = conversation;
        Ok(String::new())
    }

    /// Texts that end the assistant's answer.
    pub fn stops(&self) -> &[Box<str>] {
        &self.stops
    }

    /// Whether white space at the beginning of the answer belongs to the form.
    pub fn trims_start(&self) -> bool {
        false
    }
}

/// Why there is no prompt.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// `raise_exception`: the template does not take these messages.
    #[error("the model's chat template refuses these messages: {0}")]
    Raised(String),
    /// It ran or grew without bound.
    #[error("the model's chat template was stopped: {0}")]
    Unbounded(&'static str),
    /// It cannot be compiled, or fails on these messages.
    #[error("the model's chat template is broken: {0}")]
    Broken(String),
}
