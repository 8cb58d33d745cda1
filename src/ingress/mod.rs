//! The ways in: one listener tells CONNECT, absolute URLs and base-URL requests apart.

pub mod accept;
pub mod front;
pub mod portal;
pub mod worker;
