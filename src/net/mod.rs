//! Names of places and small pieces of transport that any part may use.

pub mod framing;
pub mod host;
pub mod keepers;
pub mod limits;
pub mod mark;
pub mod own_traffic;
pub mod parting;
pub mod prefixed;
pub mod reach;
pub mod secret;
pub mod shutdown;
pub mod strict;
