//! A client connection and where it meant to go.

use std::rc::Rc;

use crate::exchange::origin::Whose;
use crate::exchange::peer::Peer;
use crate::net::host::HostPort;

/// A client connection that asked to be connected somewhere.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Where it meant to go.
    pub destination: HostPort,
    /// Who is at the other end of the connection.
    pub peer: Rc<Peer>,
    /// Whose calls will come over it.
    pub label: Whose,
}
