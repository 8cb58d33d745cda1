//! Dialling: look-up, the gate's own addresses refused, TCP, verified TLS.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::net::host::{Host, HostPort};
use crate::net::reach::{Asker, Reach, is_inside};
use crate::policy::target::{Destination, ExtraRoots, Scheme};
use crate::system::roots::{MachineRoots, RootsError, root_store};
use crate::upstream::failure::{Failure, FailureKind};
use crate::upstream::wire::Wire;

/// Makes connections for tunnels and for exchanges; shared by all workers.
#[derive(Debug)]
pub struct Connector {
    /// Ports of the gate's own listeners; never dialled at an address of this machine.
    own_ports: Vec<u16>,
    resolve: HashMap<HostPort, SocketAddr>,
    listed: Reach,
    limit: Duration,
    roots: MachineRoots,
    own_root: Vec<u8>,
    shared_roots: Option<Arc<ExtraRoots>>,
    /// TLS configurations by the identity of their further roots; each keeps its roots alive.
    configs: Mutex<HashMap<usize, Verifying>>,
}

/// A TLS configuration; holds its roots so that their identity is never given to others.
#[derive(Debug)]
struct Verifying {
    _roots: Option<Arc<ExtraRoots>>,
    config: Arc<ClientConfig>,
    /// The same for connections that must speak HTTP/1.
    http1: Arc<ClientConfig>,
}

/// Which HTTP versions are offered to an upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Offer {
    Both,
    Http1,
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
}

impl Connector {
    /// Builds the TLS configuration that most upstreams use.
    ///
    /// # Errors
    /// A root that is no certificate.
    pub fn new(parts: ConnectorParts) -> Result<Self, TrustError> {
        let ConnectorParts { own_ports, resolve, reach: listed, limit, roots, own_root, shared_roots } = parts;
        let connector =
            Self { own_ports, resolve, listed, limit, roots, own_root, shared_roots, configs: Mutex::default() };
        connector.config(None, Offer::Both)?;
        Ok(connector)
    }

    /// A connection to `at`, without TLS: for tunnels, and for what else a client asks for that is no call.
    ///
    /// # Errors
    /// Always with nothing sent.
    pub async fn dial(&self, at: &HostPort, asker: Asker) -> Result<TcpStream, Failure> {
        self.within(at, self.tcp(at, asker)).await
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
            let stream = self.reach(to, asker).await?;
            match to.scheme {
                Scheme::Http => Ok(Wire::Plain(stream)),
                Scheme::Https => self.tls(to, stream, offer).await,
            }
        })
        .await
    }

    async fn within<T>(&self, at: &HostPort, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        timeout(self.limit, work).await.unwrap_or_else(|_| {
            Err(Failure::unsent(FailureKind::Timeout { host: at.to_string(), what: "connect", limit: self.limit }))
        })
    }

    /// TCP to a destination: to the address that its client had, where it is known.
    async fn reach(&self, to: &Destination, asker: Asker) -> Result<TcpStream, Failure> {
        match to.dialled {
            None => self.tcp(&to.at, asker).await,
            Some(address) => {
                self.tcp(&HostPort { host: Host::Address(address.ip()), port: address.port() }, asker).await
            }
        }
    }

    async fn tcp(&self, at: &HostPort, asker: Asker) -> Result<TcpStream, Failure> {
        let refused = |cause: String| Failure::unsent(FailureKind::Connect { host: at.to_string(), cause });
        let addresses: Vec<SocketAddr> = match (self.resolve.get(at), &at.host) {
            (Some(address), _) => vec![*address],
            (None, Host::Address(address)) => vec![SocketAddr::new(*address, at.port)],
            (None, Host::Name(name)) => {
                let unknown = |error: io::Error| refused(error.to_string()).because(ErrorKind::HostUnreachable);
                tokio::net::lookup_host((&**name, at.port)).await.map_err(unknown)?.collect()
            }
        };
        // One own address among the answers is enough: a name that mixes them is an attack, not a service.
        if addresses.iter().any(|address| self.is_own(*address)) {
            return Err(Failure::unsent(FailureKind::Own { host: at.to_string() }));
        }
        // So it is with an address within: what is checked is what is dialled, whatever a name says next.
        if asker == Asker::Elsewhere && !addresses.iter().all(|address| self.leads(at, address.ip())) {
            return Err(Failure::unsent(FailureKind::Inside { host: at.to_string() }));
        }
        let mut last = None;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Without it, the second small write of a request waits for an acknowledgement.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            None => refused("the name has no address".into()).because(ErrorKind::HostUnreachable),
            Some(error) => refused(error.to_string()).because(error.kind()),
        })
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        self.own_ports.contains(&address.port()) && is_of_this_machine(address.ip())
    }

    /// Whether a program of another machine that asked for `at` may be led to this address of it.
    fn leads(&self, at: &HostPort, address: IpAddr) -> bool {
        // An address that the owner gave for a host and port is listed by that.
        let listed = self.resolve.contains_key(at) || self.listed.lists(at, address);
        listed || !(is_inside(address) || is_of_this_machine(address))
    }

    async fn tls(&self, to: &Destination, stream: TcpStream, offer: Offer) -> Result<Wire, Failure> {
        let failed = |cause: String| Failure::unsent(FailureKind::Certificate { host: to.at.to_string(), cause });
        let name = match &to.at.host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.to_string()).map_err(|error| failed(error.to_string()))?,
        };
        let config = self.config(to.roots.as_ref(), offer).map_err(|error| failed(error.to_string()))?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        stream.map(|stream| Wire::Tls(Box::new(stream))).map_err(|error| failed(error.to_string()))
    }

    /// The TLS configuration for some further roots, built once and kept so that sessions resume.
    fn config(&self, extra: Option<&Arc<ExtraRoots>>, offer: Offer) -> Result<Arc<ClientConfig>, TrustError> {
        let key = extra.map_or(0, |roots| Arc::as_ptr(roots) as usize);
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verifying) = configs.get(&key) {
            return Ok(verifying.offering(offer));
        }
        let further = [self.shared_roots.as_ref(), extra].into_iter().flatten();
        let further: Vec<Vec<u8>> = further.flat_map(|roots| roots.certificates.iter().cloned()).collect();
        let roots = root_store(&self.roots, &further, Some(&self.own_root))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = Arc::new(config.clone());
        config.alpn_protocols.insert(0, b"h2".to_vec());
        let verifying = Verifying { _roots: extra.cloned(), config: Arc::new(config), http1 };
        let chosen = verifying.offering(offer);
        configs.insert(key, verifying);
        Ok(chosen)
    }
}

impl Verifying {
    fn offering(&self, offer: Offer) -> Arc<ClientConfig> {
        Arc::clone(match offer {
            Offer::Both => &self.config,
            Offer::Http1 => &self.http1,
        })
    }
}

/// Why upstreams cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A root is no certificate.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The provider does not fit the versions.
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
}

/// Whether packets to `address` stay on this machine: only then can a socket be bound to it.
///
/// Where that cannot be found out, as without a free descriptor, it counts as one of this machine.
fn is_of_this_machine(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let elsewhere = || UdpSocket::bind((address, 0)).is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable);
    address.is_loopback() || address.is_unspecified() || !elsewhere()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_another_machines_only_where_the_system_says_so() {
        for (address, own) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("0.0.0.0", true),
            ("::1", true),
            ("::", true),
            ("::ffff:127.0.0.1", true),
            // Neither yes nor no: without its interface it cannot be bound, whoever has it.
            ("fe80::1", true),
            ("192.0.2.1", false),
        ] {
            assert_eq!(is_of_this_machine(address.parse().unwrap()), own, "{address}");
        }
    }
}
