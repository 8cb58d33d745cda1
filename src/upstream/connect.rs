//! Dialling: look-up, TCP, verified TLS, all within one limit.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::net::host::HostPort;
use crate::net::own_traffic;
use crate::net::reach::{Asker, Reach};
use crate::policy::outer::OuterProxy;
use crate::policy::target::{Destination, ExtraRoots, Scheme};
use crate::system::roots::MachineRoots;
use crate::upstream::addresses::{Addresses, Captured, unreachable};
use crate::upstream::dns::NameServers;
use crate::upstream::failure::{Failure, FailureKind};
use crate::upstream::outer::{Outer, is_unknown_issuer, server_name};
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
    outer: Option<Outer>,
    verifying: Verifying,
}

/// What a [`Connector`] is made of.
#[derive(Debug)]
pub struct ConnectorParts {
    /// Ports of the gate's own listeners.
    pub own_ports: Vec<u16>,
    /// Addresses that the owner gave for some hosts and ports.
    pub resolve: HashMap<HostPort, SocketAddr>,
    /// Where programs of other machines may be led within the gate's own network, beside those addresses.
    pub reach: Reach,
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
    /// `upstream.proxy`: everything goes through it, but what it excepts.
    pub outer: Option<OuterProxy>,
    /// Names that may lead to the gate because the owner wants it so.
    pub captured: Option<Captured>,
}

impl ConnectorParts {
    /// What reaches every upstream that these roots vouch for, within ten seconds.
    pub fn new(roots: MachineRoots) -> Self {
        Self {
            own_ports: Vec::new(),
            resolve: HashMap::new(),
            reach: Reach::default(),
            limit: Duration::from_secs(10),
            roots,
            own_root: Vec::new(),
            shared_roots: None,
            marked: false,
            outer: None,
            captured: None,
        }
    }
}

impl Connector {
    /// Builds the TLS configuration that most upstreams use.
    ///
    /// # Errors
    /// A root that is no certificate.
    pub fn new(parts: ConnectorParts) -> Result<Self, TrustError> {
        let ConnectorParts { own_ports, resolve, reach, limit, roots, own_root, shared_roots, marked, outer, captured } =
            parts;
        let captured = captured.map(|captured| {
            let servers = NameServers::new(captured.name_servers.clone());
            (captured, servers)
        });
        let addresses = Addresses { own_ports, given: resolve, listed: reach, captured };
        let verifying = Verifying { machine: roots, own_root, shared: shared_roots, kept: Mutex::default() };
        verifying.upstream(None, Offer::Both)?;
        let outer = match outer {
            None => None,
            Some(proxy) => {
                let tls = verifying.trusting([proxy.roots.as_ref(), None])?;
                Some(Outer::new(proxy, tls))
            }
        };
        Ok(Self { addresses, limit, marked, outer, verifying })
    }

    /// A way to `at`, without TLS: for tunnels, and for what else a client asks for that is no call.
    ///
    /// # Errors
    /// Always with nothing sent.
    pub async fn dial(&self, at: &HostPort, asker: Asker) -> Result<Road, Failure> {
        self.within(at, self.road(at, None, asker)).await
    }

    /// A connection to a destination, over verified TLS where its scheme says so.
    ///
    /// # Errors
    /// Always with nothing of the request sent.
    pub async fn connect(&self, to: &Destination) -> Result<Wire, Failure> {
        self.connect_for(to, Asker::Here).await
    }

    /// The same for a client that asked to be led there itself.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn connect_for(&self, to: &Destination, asker: Asker) -> Result<Wire, Failure> {
        self.offering(to, Offer::Both, asker).await
    }

    /// As [`Connector::connect`], over HTTP/1 alone: only there a connection can become another protocol's.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn connect_http1(&self, to: &Destination) -> Result<Wire, Failure> {
        self.offering(to, Offer::Http1, Asker::Here).await
    }

    async fn offering(&self, to: &Destination, offer: Offer, asker: Asker) -> Result<Wire, Failure> {
        self.within(&to.at, async {
            let road = self.road(&to.at, to.dialled, asker).await?;
            match to.scheme {
                Scheme::Http => Ok(Wire::Plain(road)),
                Scheme::Https => self.tls(to, road, offer).await,
            }
        })
        .await
    }

    async fn within<T>(&self, at: &HostPort, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        timeout(self.limit, work).await.unwrap_or_else(|_| {
            Err(Failure::unsent(match self.through(at, None) {
                Some((outer, _)) => outer.late(at, self.limit),
                None => FailureKind::Timeout { host: at.to_string(), what: "connect", limit: self.limit },
            }))
        })
    }

    /// The outer proxy, where `at` is to be reached through it, and what it is asked for.
    fn through(&self, at: &HostPort, dialled: Option<SocketAddr>) -> Option<(&Outer, HostPort)> {
        let outer = self.outer.as_ref().filter(|outer| outer.carries(at))?;
        let asked = dialled.map_or_else(|| self.addresses.beyond(at), HostPort::from);
        outer.carries(&asked).then_some((outer, asked))
    }

    /// The one place where it is decided how a destination is reached: `dialled` is its address, where the client had
    /// one.
    async fn road(&self, at: &HostPort, dialled: Option<SocketAddr>, asker: Asker) -> Result<Road, Failure> {
        let dialled = dialled.filter(|address| !self.addresses.leads_here(*address));
        if let Some((outer, asked)) = self.through(at, dialled) {
            self.addresses.admit_beyond(&asked, asker).await?;
            // Only where there is one, and not a part of every dialling that is kept in memory.
            return Box::pin(outer.road(&asked, &self.addresses, (self.marked, asker))).await;
        }
        let addresses = match dialled {
            None => self.addresses.of(at, asker).await?,
            Some(address) => self.addresses.of(&HostPort::from(address), asker).await?,
        };
        let dialled = race::first(&addresses, |address| own_traffic::connect(address, self.marked)).await;
        let stream = dialled.map_err(|error| unreachable(at, error.to_string()).because(error.kind()))?;
        // Without it, the second small write of a request waits for an acknowledgement.
        let _ = stream.set_nodelay(true);
        Ok(Road::Direct(stream))
    }

    async fn tls(&self, to: &Destination, road: Road, offer: Offer) -> Result<Wire, Failure> {
        let failed = |cause: String| Failure::unsent(FailureKind::Certificate { host: to.at.to_string(), cause });
        let name = server_name(&to.at.host).map_err(failed)?;
        let config = self.verifying.upstream(to.roots.as_ref(), offer).map_err(|error| failed(error.to_string()))?;
        let is_through = matches!(road, Road::Through(_));
        match TlsConnector::from(config).connect(name, road).await {
            Ok(stream) => Ok(Wire::Tls(Box::new(stream))),
            Err(error) if is_through && is_unknown_issuer(&error) => Err(failed(format!(
                "{error}; if the outer proxy opens TLS, name the file of its authority as `upstream.ca`"
            ))),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}
