//! A client connection and where it meant to go.

use std::net::IpAddr;

use crate::net::host::HostPort;

/// A client connection that asked to be connected somewhere.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Where it meant to go.
    pub destination: HostPort,
    /// The peer's address.
    pub client: IpAddr,
}
