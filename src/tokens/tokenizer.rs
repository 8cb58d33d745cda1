//! One model's tokenizer: a built-in encoding of OpenAI's, or a `tokenizer.json`.

use std::path::Path;

use super::tally::{Tally, estimate};

/// One model's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {}

/// What special tokens written in a text count as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Specials {
    /// As the text that they are: what users and models write.
    Text,
    /// As themselves, and the tokenizer adds those of its own: a prompt as a server takes it in.
    Prompt,
    /// As themselves, and none is added: a rendered template, which has them already.
    Rendered,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// It cannot be read, is too large, or is of a kind that is not known.
    pub fn read(path: &Path) -> Result<Self, TokenizerError> {
        let _ = path;
        Err(TokenizerError { message: "not available".into() })
    }

    /// The built-in encoding for one of OpenAI's models, by its name; `None` where none is known.
    pub fn built_in(model: &str) -> Option<Self> {
        let _ = model;
        None
    }

    /// Tokens of a text; an approximation beyond a bound on size and time.
    pub fn count(&self, text: &str, specials: Specials) -> Tally {
        let _ = specials;
        estimate(text)
    }

    /// The text of some ids; `None` where one is not known.
    pub fn decode(&self, ids: &[u32]) -> Option<String> {
        let _ = ids;
        None
    }

    /// The longest text that one token can stand for, in bytes: no text has fewer tokens than its bytes divided by
    /// this.
    pub fn longest(&self) -> usize {
        usize::MAX
    }
}

/// Why a tokenizer cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct TokenizerError {
    /// What is wrong, and with which file.
    pub message: String,
}
