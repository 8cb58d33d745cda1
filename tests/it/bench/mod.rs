//! What the tests stand on: the upstream that plays OpenAI, Azure and custom servers.

pub mod upstream;

mod tests;
