//! Replies of custom models: brought into OpenAI's form where a server has its own, and into the client's dialect.

#[cfg(test)]
mod bench;
mod choice;
mod chunk;
pub mod errors;
mod flow;
mod head;
pub mod join;
mod lenient;
pub mod plan;
mod probabilities;
mod said;
pub mod stops;
mod stray;
pub mod stream;
pub mod texts;
mod told;
pub mod whole;
mod words;
