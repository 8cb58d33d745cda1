//! Tokenizers, and where they come from: built-in encodings, and the Hugging Face hub with its cache.

pub(crate) mod base64;
mod bounds;
mod chat_rule;
pub mod clerks;
mod cuts;
pub mod encoding;
pub mod hub;
mod images;
mod json;
pub mod kit;
pub mod length;
pub mod library;
pub mod prompt;
pub mod repository;
mod responses_rule;
pub mod tally;
pub mod tokenizer;
