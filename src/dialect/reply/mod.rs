//! Replies of custom models: brought into OpenAI's form where a server has its own, and into the client's dialect.

mod choice;
mod chunk;
pub mod errors;
pub mod plan;
pub mod stops;
pub mod stream;
pub mod texts;
pub mod whole;
mod words;
