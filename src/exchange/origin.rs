//! Where a request meant to go and how it came in.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::exchange::peer::Peer;
use crate::ledger::entry::Ingress;
use crate::net::host::HostPort;
use crate::policy::target::Scheme;

/// What the session knows of every request on its connection.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The host and port that the client asked for.
    pub at: HostPort,
    /// The address that the client itself had for it, where it is known.
    pub dialled: Option<SocketAddr>,
    /// Who is at the other end of the connection.
    pub peer: Rc<Peer>,
    /// Whose calls they are, by the way in; what a call says of itself goes before that.
    pub label: Option<Arc<str>>,
    /// The way in.
    pub ingress: Ingress,
    /// How the client would have reached the host without the gate.
    pub scheme: Scheme,
    /// The name in the TLS handshake was another one: every request is misdirected.
    pub misdirected: bool,
}
