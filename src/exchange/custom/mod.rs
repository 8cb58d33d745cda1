//! Calls for custom models: what is sent, and what becomes of the reply.

pub mod chain;
pub mod order;
pub mod reply;
pub mod room;
mod steps;
