//! Where a request meant to go and how it came in.

use std::net::IpAddr;

use crate::ledger::entry::Ingress;
use crate::net::host::HostPort;
use crate::policy::target::Scheme;

/// What the session knows of every request on its connection.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The host and port that the client asked for.
    pub at: HostPort,
    /// The peer's address.
    pub client: IpAddr,
    /// The way in.
    pub ingress: Ingress,
    /// How the client would have reached the host without the gate.
    pub scheme: Scheme,
    /// The name in the TLS handshake was another one: every request is misdirected.
    pub misdirected: bool,
}
