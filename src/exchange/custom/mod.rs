//! Calls for custom models: what is sent, what becomes of the reply, and counts that nobody reported.

pub mod chain;
pub mod order;
pub mod reckoning;
pub mod reply;
pub mod room;
mod steps;
