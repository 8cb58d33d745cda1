//! Tokenizers, and where they come from: built-in encodings, and the Hugging Face hub with its cache.

pub mod clerks;
pub mod hub;
pub mod kit;
pub mod library;
pub mod prompt;
pub mod tally;
pub mod tokenizer;
