//! Which addresses a destination has: given by the owner, written out, or looked up; the gate's own are refused.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::net::host::{Host, HostPort};
use crate::net::reach::{Asker, Reach, is_inside};
use crate::policy::Live;
use crate::upstream::dns::NameServers;
use crate::upstream::failure::{Failure, FailureKind};

/// Finds the addresses of destinations.
#[derive(Debug)]
pub(super) struct Addresses {
    /// Ports of the gate's own listeners; never dialled at an address of this machine.
    pub(super) own_ports: Vec<u16>,
    /// Addresses that the owner gave for some hosts and ports.
    pub(super) given: HashMap<HostPort, SocketAddr>,
    /// Where programs of other machines may be led within the gate's own network, beside those addresses.
    pub(super) listed: Reach,
    /// Names that may lead here because the owner wants it so.
    pub(super) captured: Option<(Captured, NameServers)>,
}

/// Names that the machine's own resolver may lead to the gate, as where a hosts file points intercepted hosts at it.
#[derive(Clone, Debug)]
pub struct Captured {
    /// Says which hosts are intercepted.
    pub live: Live,
    /// Redirected connections are taken: then any loopback address may lead here, whatever its port.
    pub redirected: bool,
    /// `upstream.nameServers`; `None` asks those of the machine.
    pub name_servers: Option<Vec<SocketAddr>>,
}

impl Addresses {
    /// Every address of `at` that may be dialled for `asker`.
    ///
    /// # Errors
    /// A name without an address, and a destination that is the gate itself or closed to the asker.
    pub(super) async fn of(&self, at: &HostPort, asker: Asker) -> Result<Vec<SocketAddr>, Failure> {
        let addresses: Vec<SocketAddr> = match (self.given.get(at), &at.host) {
            (Some(address), _) => vec![*address],
            (None, Host::Address(address)) => vec![SocketAddr::new(*address, at.port)],
            (None, Host::Name(name)) => {
                let found = tokio::net::lookup_host((&**name, at.port)).await;
                let unknown = |error: io::Error| unreachable(at, error.to_string()).because(ErrorKind::HostUnreachable);
                let found = found.map_err(unknown)?.collect();
                self.beyond_capture(at, name, found).await?
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
        Ok(addresses)
    }

    /// The addresses of an intercepted name outside of this machine, where its resolver leads it back to the gate. Any
    /// other name that leads here is refused, and not looked up again.
    async fn beyond_capture(
        &self,
        at: &HostPort,
        name: &str,
        found: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let Some((captured, servers)) = &self.captured else { return Ok(found) };
        let leads_here = |address: &SocketAddr| self.leads_here(*address);
        if !found.iter().any(leads_here) || !captured.live.now().interception.opens(&at.host) {
            return Ok(found);
        }
        let asked = servers.look_up(name).await.map_err(|cause| {
            unreachable(at, format!("this machine's resolver leads it to the gate itself, and {cause}"))
        })?;
        let asked: Vec<SocketAddr> = asked.iter().map(|address| SocketAddr::new(*address, at.port)).collect();
        if asked.iter().any(leads_here) {
            return Err(Failure::unsent(FailureKind::Own { host: at.to_string() }));
        }
        Ok(asked)
    }

    /// What to ask an outer proxy for: the address that the owner gave, or the destination itself.
    pub(super) fn beyond(&self, at: &HostPort) -> HostPort {
        self.given.get(at).map_or_else(|| at.clone(), |address| HostPort::from(*address))
    }

    /// Whether an outer proxy may be asked for `at`, whose addresses only the proxy learns: its loopback may be this
    /// machine's, so a name is looked up where its port is one of ours.
    ///
    /// # Errors
    /// The gate itself, and an address that is closed to the asker.
    pub(super) async fn admit_beyond(&self, at: &HostPort, asker: Asker) -> Result<(), Failure> {
        if !matches!(at.host, Host::Address(_)) && !self.own_ports.contains(&at.port) {
            return Ok(());
        }
        match self.of(at, asker).await {
            Err(failure) if !matches!(failure.kind, FailureKind::Connect { .. }) => Err(failure),
            _ => Ok(()),
        }
    }

    /// Whether a connection to `address` would come to the gate.
    pub(super) fn leads_here(&self, address: SocketAddr) -> bool {
        let redirected = self.captured.as_ref().is_some_and(|(captured, _)| captured.redirected);
        self.is_own(address) || redirected && address.ip().to_canonical().is_loopback()
    }

    /// Whether a program of another machine that asked for `at` may be led to this address of it.
    fn leads(&self, at: &HostPort, address: IpAddr) -> bool {
        // An address that the owner gave for a host and port is listed by that.
        let listed = self.given.contains_key(at) || self.listed.lists(at, address);
        listed || !(is_inside(address) || is_of_this_machine(address))
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        self.own_ports.contains(&address.port()) && is_of_this_machine(address.ip())
    }
}

/// The failure of a destination that cannot be reached.
pub(super) fn unreachable(at: &HostPort, cause: String) -> Failure {
    Failure::unsent(FailureKind::Connect { host: at.to_string(), cause })
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
