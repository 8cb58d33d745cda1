//! The ways in: HTTP, SOCKS5 and TLS to one listener, told apart by the first byte, and what the system leads to another.

pub mod accept;
pub mod door;
pub mod front;
pub mod portal;
pub mod redirected;
pub mod socks;
pub mod worker;
