//! Attempts at upstreams: dialling, kept connections, sending, and the replies.

pub mod bounded;
pub mod connect;
pub mod failure;
pub mod lane;
pub mod pool;
pub mod reply;
pub mod request;
pub mod wire;
