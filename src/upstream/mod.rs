//! Attempts at upstreams: dialling, kept connections, sending, and the replies.

pub mod addresses;
pub mod bounded;
pub mod connect;
mod dns;
pub mod failure;
pub mod lane;
mod outer;
pub mod pool;
mod race;
pub mod reply;
pub mod request;
pub mod road;
pub mod verifying;
pub mod wire;
