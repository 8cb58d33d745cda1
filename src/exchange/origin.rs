//! Where a request meant to go and how it came in.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::exchange::peer::Peer;
use crate::ledger::entry::Ingress;
use crate::net::host::HostPort;
use crate::policy::target::Scheme;

/// Whose calls come by a way in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Whose {
    /// Nobody says so.
    #[default]
    Unknown,
    /// The client says so; what a call says of itself goes before that.
    Said(Arc<str>),
    /// The client has shown a user's password: no call can say that it is somebody else's.
    Proven(Arc<str>),
}

impl Whose {
    /// What a client says.
    pub fn said(label: Option<Arc<str>>) -> Self {
        label.map_or(Self::Unknown, Self::Said)
    }

    /// The label, if there is one.
    pub fn label(&self) -> Option<&Arc<str>> {
        match self {
            Self::Unknown => None,
            Self::Said(label) | Self::Proven(label) => Some(label),
        }
    }
}

/// What the session knows of every request on its connection.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The host and port that the client asked for.
    pub at: HostPort,
    /// The address that the client itself had for it, where it is known.
    pub dialled: Option<SocketAddr>,
    /// Who is at the other end of the connection.
    pub peer: Rc<Peer>,
    /// Whose calls they are, by the way in.
    pub label: Whose,
    /// The way in.
    pub ingress: Ingress,
    /// How the client would have reached the host without the gate.
    pub scheme: Scheme,
    /// The name in the TLS handshake was another one: every request is misdirected.
    pub misdirected: bool,
}
