//! Dialling: look-up, TCP, verified TLS, all within one limit.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::net::host::{Host, HostPort};
use crate::net::own_traffic;
use crate::policy::target::{Destination, ExtraRoots, Scheme};
use crate::system::roots::MachineRoots;
use crate::upstream::addresses::{Addresses, unreachable};
use crate::upstream::failure::{Failure, FailureKind};
use crate::upstream::race;
use crate::upstream::road::Road;
use crate::upstream::verifying::{Offer, TrustError, Verifying};
use crate::upstream::wire::Wire;

/// Makes connections for tunnels and for exchanges; shared by all workers.
#[derive(Debug)]
pub struct Connector {
    addresses: Addresses,
    limit: Duration,
    marked: bool,
    verifying: Verifying,
}

/// What a [`Connector`] is made of.
#[derive(Debug)]
pub struct ConnectorParts {
    /// Ports of the gate's own listeners.
    pub own_ports: Vec<u16>,
    /// Addresses that the owner gave for some hosts and ports.
    pub resolve: HashMap<HostPort, SocketAddr>,
    /// For look-up, TCP and TLS together.
    pub limit: Duration,
    /// The machine's roots.
    pub roots: MachineRoots,
    /// Our own root, DER: clients trust it, upstreams are never verified by it.
    pub own_root: Vec<u8>,
    /// `upstream.ca`.
    pub shared_roots: Option<Arc<ExtraRoots>>,
    /// Sockets are marked, so that redirect rules leave them alone.
    pub marked: bool,
}

impl ConnectorParts {
    /// What reaches every upstream that these roots vouch for, within ten seconds.
    pub fn new(roots: MachineRoots) -> Self {
        Self {
            own_ports: Vec::new(),
            resolve: HashMap::new(),
            limit: Duration::from_secs(10),
            roots,
            own_root: Vec::new(),
            shared_roots: None,
            marked: false,
        }
    }
}

impl Connector {
    /// Builds the TLS configuration that most upstreams use.
    ///
    /// # Errors
    /// A root that is no certificate.
    pub fn new(parts: ConnectorParts) -> Result<Self, TrustError> {
        let ConnectorParts { own_ports, resolve, limit, roots, own_root, shared_roots, marked } = parts;
        let addresses = Addresses { own_ports, given: resolve };
        let verifying = Verifying { machine: roots, own_root, shared: shared_roots, kept: Mutex::default() };
        verifying.upstream(None, Offer::Both)?;
        Ok(Self { addresses, limit, marked, verifying })
    }

    /// A way to `at`, without TLS: for tunnels.
    ///
    /// # Errors
    /// Always with nothing sent.
    pub async fn dial(&self, at: &HostPort) -> Result<Road, Failure> {
        self.within(at, self.road(at)).await
    }

    /// A connection to a destination, over verified TLS where its scheme says so.
    ///
    /// # Errors
    /// Always with nothing of the request sent.
    pub async fn connect(&self, to: &Destination) -> Result<Wire, Failure> {
        self.offering(to, Offer::Both).await
    }

    /// The same over HTTP/1 alone: only there a connection can become another protocol's.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn connect_http1(&self, to: &Destination) -> Result<Wire, Failure> {
        self.offering(to, Offer::Http1).await
    }

    async fn offering(&self, to: &Destination, offer: Offer) -> Result<Wire, Failure> {
        self.within(&to.at, async {
            let road = self.road(&to.at).await?;
            match to.scheme {
                Scheme::Http => Ok(Wire::Plain(road)),
                Scheme::Https => self.tls(to, road, offer).await,
            }
        })
        .await
    }

    async fn within<T>(&self, at: &HostPort, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        timeout(self.limit, work).await.unwrap_or_else(|_| {
            Err(Failure::unsent(FailureKind::Timeout { host: at.to_string(), what: "connect", limit: self.limit }))
        })
    }

    /// The one place where it is decided how a destination is reached.
    async fn road(&self, at: &HostPort) -> Result<Road, Failure> {
        let addresses = self.addresses.of(at).await?;
        let dialled = race::first(&addresses, |address| own_traffic::connect(address, self.marked)).await;
        let stream = dialled.map_err(|error| unreachable(at, error.to_string()))?;
        // Without it, the second small write of a request waits for an acknowledgement.
        let _ = stream.set_nodelay(true);
        Ok(Road::Direct(stream))
    }

    async fn tls(&self, to: &Destination, road: Road, offer: Offer) -> Result<Wire, Failure> {
        let failed = |cause: String| Failure::unsent(FailureKind::Certificate { host: to.at.to_string(), cause });
        let name = match &to.at.host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.to_string()).map_err(|error| failed(error.to_string()))?,
        };
        let config = self.verifying.upstream(to.roots.as_ref(), offer).map_err(|error| failed(error.to_string()))?;
        let stream = TlsConnector::from(config).connect(name, road).await;
        stream.map(|stream| Wire::Tls(Box::new(stream))).map_err(|error| failed(error.to_string()))
    }
}
