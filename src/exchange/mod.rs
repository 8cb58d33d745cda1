//! One request and its response: recognise, route, rewrite, send, meter, book.

pub mod admission;
mod afford;
pub mod answer;
pub mod attempt;
pub mod caller;
pub mod cors;
pub mod counting;
pub mod custom;
pub mod drain;
pub mod fault;
pub mod headers;
pub mod inbound;
pub mod metered;
pub mod models;
pub mod origin;
pub mod parts;
pub mod peer;
pub mod pipeline;
mod priced;
pub mod receipt;
pub mod relay;
pub mod scrub;
pub mod self_test;
pub mod settle;
pub mod watch;
pub mod websocket;
