//! Ways through the outer proxy: the connection to it, and what it is asked for.

mod http;
mod socks;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::net::host::{Host, HostPort};
use crate::net::own_traffic;
use crate::net::reach::Asker;
use crate::policy::outer::{OuterKind, OuterProxy};
use crate::upstream::addresses::Addresses;
use crate::upstream::failure::{Failure, FailureKind};
use crate::upstream::race;
use crate::upstream::road::{Leg, Road};

/// The outer proxy of a gate.
#[derive(Debug)]
pub(super) struct Outer {
    proxy: OuterProxy,
    /// For the connection to the proxy itself, where that is over TLS.
    tls: Option<Arc<ClientConfig>>,
}

/// What stands in the way, as a clause about the proxy ("it answered ...") with its remedy.
#[derive(Debug)]
pub(super) struct Obstacle {
    cause: String,
    lasting: bool,
}

impl Obstacle {
    /// It may be gone next time.
    fn passing(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), lasting: false }
    }

    /// It stays until somebody changes something.
    fn lasting(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), lasting: true }
    }

    /// The connection to the proxy broke.
    fn broken(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::passing("it closed the connection before it answered"),
            _ => Self::passing(format!("the connection to it broke off: {error}")),
        }
    }
}

impl Outer {
    /// Uses `tls` where the proxy is reached over TLS.
    pub(super) fn new(proxy: OuterProxy, tls: ClientConfig) -> Self {
        let tls = (proxy.kind == OuterKind::Https).then(|| Arc::new(tls));
        Self { proxy, tls }
    }

    /// Whether `at` is to be reached through it.
    pub(super) fn carries(&self, at: &HostPort) -> bool {
        !self.proxy.bypass.covers(at)
    }

    /// The failure of a way to `at` that took longer than `limit`.
    pub(super) fn late(&self, at: &HostPort, limit: Duration) -> FailureKind {
        FailureKind::OuterTimeout { host: at.to_string(), proxy: self.proxy.at.to_string(), limit }
    }

    /// A way to `to`.
    ///
    /// # Errors
    /// Names the proxy and what it said; nothing was sent to `to`.
    pub(super) async fn road(
        &self,
        to: &HostPort,
        addresses: &Addresses,
        (marked, asker): (bool, Asker),
    ) -> Result<Road, Failure> {
        let asked = match self.proxy.kind {
            // The first ones of each family; a proxy needs a connection of its own for each.
            OuterKind::Socks5 => {
                let found = race::alternating(&addresses.of(to, asker).await?);
                found.into_iter().take(MOST_TRIED).map(HostPort::from).collect::<Vec<_>>()
            }
            OuterKind::Http | OuterKind::Https | OuterKind::Socks5h => vec![to.clone()],
        };
        let mut last = Obstacle::passing("the name has no address");
        for asked in &asked {
            match self.open(asked, addresses, marked).await {
                Ok(road) => return Ok(road),
                Err(obstacle) => last = obstacle,
            }
        }
        let Obstacle { cause, lasting } = last;
        let (host, proxy) = (to.to_string(), self.proxy.at.to_string());
        Err(Failure::unsent(FailureKind::OuterProxy { host, proxy, cause, lasting }))
    }

    async fn open(&self, to: &HostPort, addresses: &Addresses, marked: bool) -> Result<Road, Obstacle> {
        let mut leg = BufReader::new(self.leg(addresses, marked).await?);
        let login = self.proxy.login.as_ref();
        match self.proxy.kind {
            OuterKind::Http | OuterKind::Https => http::open(&mut leg, to, login).await?,
            OuterKind::Socks5 | OuterKind::Socks5h => socks::open(&mut leg, to, login).await?,
        }
        Ok(Road::Through(leg))
    }

    /// The connection to the proxy itself.
    async fn leg(&self, addresses: &Addresses, marked: bool) -> Result<Box<dyn Leg>, Obstacle> {
        let unreachable = |cause: String| Obstacle::passing(format!("it could not be reached: {cause}"));
        let found = addresses.of(&self.proxy.at, Asker::Here).await.map_err(|failure| match failure.kind {
            FailureKind::Own { .. } => Obstacle::lasting("that is the gate itself; change `upstream.proxy`"),
            FailureKind::Connect { cause, .. } => unreachable(cause),
            other => unreachable(other.to_string()),
        })?;
        let dialled = race::first(&found, |address| own_traffic::connect(address, marked)).await;
        let stream = dialled.map_err(|error| unreachable(error.to_string()))?;
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => self.tls_with_proxy(Arc::clone(tls), stream).await,
        }
    }

    async fn tls_with_proxy(&self, tls: Arc<ClientConfig>, stream: TcpStream) -> Result<Box<dyn Leg>, Obstacle> {
        let failed =
            |cause: String| Obstacle::lasting(format!("the TLS handshake with the proxy itself failed: {cause}"));
        let name = server_name(&self.proxy.at.host).map_err(failed)?;
        match TlsConnector::from(tls).connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) if is_unknown_issuer(&error) => {
                Err(failed(format!("{error}; name the file of its authority as `upstream.proxy.ca`")))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// The name that a certificate must have.
///
/// # Errors
/// A name that no certificate can have.
pub(super) fn server_name(host: &Host) -> Result<ServerName<'static>, String> {
    match host {
        Host::Address(address) => Ok(ServerName::from(*address)),
        Host::Name(name) => ServerName::try_from(name.to_string()).map_err(|error| error.to_string()),
    }
}

/// Whether a handshake failed because nobody vouches for the certificate.
pub(super) fn is_unknown_issuer(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)))
}

/// Addresses of one name that a SOCKS proxy is asked for in turn.
const MOST_TRIED: usize = 4;
