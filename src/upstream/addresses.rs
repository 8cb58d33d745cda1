//! Which addresses a destination has: given by the owner, written out, or looked up; the gate's own are refused.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::net::host::{Host, HostPort};
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
    /// Every address of `at` that may be dialled.
    ///
    /// # Errors
    /// A name without an address, and a destination that is the gate itself.
    pub(super) async fn of(&self, at: &HostPort) -> Result<Vec<SocketAddr>, Failure> {
        let addresses: Vec<SocketAddr> = match (self.given.get(at), &at.host) {
            (Some(address), _) => vec![*address],
            (None, Host::Address(address)) => vec![SocketAddr::new(*address, at.port)],
            (None, Host::Name(name)) => {
                let found = tokio::net::lookup_host((&**name, at.port)).await;
                let found = found.map_err(|error| unreachable(at, error.to_string()))?.collect();
                self.beyond_capture(at, name, found).await?
            }
        };
        // One own address among the answers is enough: a name that mixes them is an attack, not a service.
        if addresses.iter().any(|address| self.is_own(*address)) {
            return Err(Failure::unsent(FailureKind::Own { host: at.to_string() }));
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
        let leads_here = |address: &SocketAddr| {
            self.is_own(*address) || captured.redirected && address.ip().to_canonical().is_loopback()
        };
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
        match self.given.get(at) {
            Some(address) => HostPort { host: Host::Address(address.ip()), port: address.port() },
            None => at.clone(),
        }
    }

    /// Whether `at` is the gate itself also where it is not dialled by the gate: the loopback of an outer proxy may be
    /// this machine's. Looks a name up only where its port is one of ours.
    pub(super) async fn leads_home(&self, at: &HostPort) -> bool {
        self.own_ports.contains(&at.port)
            && self.of(at).await.is_err_and(|failure| matches!(failure.kind, FailureKind::Own { .. }))
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
