//! Names of places and small pieces of transport that any part may use.

pub mod host;
pub mod secret;
