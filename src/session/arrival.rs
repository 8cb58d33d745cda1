//! A client connection and where it meant to go.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use tokio::net::TcpStream;

use crate::exchange::origin::{Origin, Whose};
use crate::exchange::peer::Peer;
use crate::ledger::entry::Ingress;
use crate::net::host::{Host, HostPort};
use crate::net::prefixed::Prefixed;
use crate::policy::target::Scheme;

/// The client's end of a connection; what was read of it to find out what it is comes first.
pub type Client = Prefixed<TcpStream>;

/// A client connection that asked to be connected somewhere.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Where it meant to go.
    pub destination: HostPort,
    /// The address that the client itself had for it, which is dialled whatever the name would lead to.
    pub dialled: Option<SocketAddr>,
    /// The way in.
    pub ingress: Ingress,
    /// Who is at the other end of the connection.
    pub peer: Rc<Peer>,
    /// Whose calls will come over it.
    pub label: Whose,
}

impl Arrival {
    /// A connection to `destination`, by its name or by its address.
    pub fn new(destination: HostPort, ingress: Ingress, peer: Rc<Peer>) -> Self {
        let dialled = match destination.host {
            Host::Address(address) => Some(SocketAddr::new(address, destination.port)),
            Host::Name(_) => None,
        };
        Self { destination, dialled, ingress, peer, label: Whose::Unknown }
    }

    /// The same with what its client told its proxy.
    pub fn labelled(self, label: Whose) -> Self {
        Self { label, ..self }
    }

    /// The same by the name that its first bytes gave, still to the address that the client had.
    pub fn named(self, host: Host) -> Self {
        let destination = HostPort { host, port: self.destination.port };
        Self { destination, ..self }
    }

    /// What every request on the connection comes from.
    pub fn into_origin(self, scheme: Scheme, misdirected: bool) -> Origin {
        let Self { destination: at, dialled, ingress, peer, label } = self;
        Origin { at, dialled, peer, label, ingress, scheme, misdirected }
    }
}

/// An address as somewhere to go.
pub fn place(address: SocketAddr) -> HostPort {
    let host: IpAddr = address.ip().to_canonical();
    HostPort { host: Host::Address(host), port: address.port() }
}
