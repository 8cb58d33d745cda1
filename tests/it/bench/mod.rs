//! What the tests stand on: the upstream that plays OpenAI, Azure and custom servers, a gate, and a client.

pub mod admin;
pub mod client;
pub mod collector;
pub mod elsewhere;
pub mod gate;
pub mod hub;
pub mod outer;
pub mod process;
pub mod raw;
pub mod replay;
pub mod socket;
pub mod socks;
pub mod strict;
pub mod upstream;
pub mod verbatim;

mod tests;
