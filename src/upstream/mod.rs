//! Attempts at upstreams: dialling, kept connections, sending, and the replies.

mod addresses;
pub mod bounded;
pub mod connect;
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
