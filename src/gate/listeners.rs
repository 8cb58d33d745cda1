//! The gate's listeners: opened here, or taken over from systemd or from another gate.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use crate::config::setup::Setup;
use crate::gate::error::GateError;
use crate::system::original::take_foreign;

/// What a listener is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Programs reach the gate here.
    Proxy,
    /// The books are shown here.
    Admin,
    /// The system leads connections here.
    Transparent,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Proxy, Self::Admin, Self::Transparent];

    /// The key of the configuration that says where.
    pub fn key(self) -> &'static str {
        match self {
            Self::Proxy => "listen.proxy",
            Self::Admin => "listen.admin",
            Self::Transparent => "listen.transparent",
        }
    }

    /// What whoever hands a listener over calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Admin => "admin",
            Self::Transparent => "transparent",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    fn configured(self, setup: &Setup) -> Option<SocketAddr> {
        match self {
            Self::Proxy => Some(setup.proxy),
            Self::Admin => Some(setup.admin),
            Self::Transparent => setup.transparent,
        }
    }

    /// Whether a listener at `at` is one of this role.
    fn is_at(self, setup: &Setup, at: SocketAddr) -> bool {
        let configured = self.configured(setup);
        // It has one on each loopback address.
        let beside = |own: SocketAddr| self == Self::Transparent && own.port() == at.port() && at.ip().is_loopback();
        configured.is_some_and(|own| own == at || beside(own))
    }
}

/// A listener that somebody else opened.
#[derive(Debug)]
pub struct Given {
    /// The socket.
    pub listener: TcpListener,
    /// What it is called, where it has a name.
    pub name: Option<String>,
    /// Where it comes from, for messages: `descriptor 3 of systemd`.
    pub from: String,
}

/// All of a gate's listeners; none of them blocks.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) proxy: TcpListener,
    pub(super) admin: TcpListener,
    /// None, one, or one for each protocol.
    pub(super) transparent: Vec<TcpListener>,
}

impl Listeners {
    /// Takes what is given, and opens what is missing.
    ///
    /// # Errors
    /// An address that cannot be had; a listener that fits nothing, or that would be open to other machines.
    pub(super) fn open(setup: &Setup, given: Vec<Given>) -> Result<Self, GateError> {
        let (transparent, mut taken): (Vec<_>, Vec<_>) =
            sort(setup, given)?.into_iter().partition(|(role, _)| *role == Role::Transparent);
        let mut take = |role: Role, configured: SocketAddr| match taken.iter().position(|(of, _)| *of == role) {
            Some(at) => unblocked(taken.swap_remove(at).1).map_err(GateError::System),
            None => bind(role, configured),
        };
        let (proxy, admin) = (take(Role::Proxy, setup.proxy)?, take(Role::Admin, setup.admin)?);
        let transparent = if transparent.is_empty() {
            led(setup.transparent)?
        } else {
            transparent.into_iter().map(|(_, listener)| unblocked(listener)).collect::<io::Result<_>>()?
        };
        transparent.iter().for_each(take_foreign);
        Ok(Self { proxy, admin, transparent })
    }

    /// The same sockets once more, for the next gate.
    pub(super) fn copies(&self) -> io::Result<Vec<(Role, TcpListener)>> {
        let one = |role: Role, listener: &TcpListener| listener.try_clone().map(|copy| (role, copy));
        let mut copies = vec![one(Role::Proxy, &self.proxy)?, one(Role::Admin, &self.admin)?];
        for listener in &self.transparent {
            copies.push(one(Role::Transparent, listener)?);
        }
        Ok(copies)
    }
}

/// Finds out what each of them is for: by its name, else by its address.
fn sort(setup: &Setup, given: Vec<Given>) -> Result<Vec<(Role, TcpListener)>, GateError> {
    let mut sorted: Vec<(Role, TcpListener)> = Vec::new();
    for Given { listener, name, from } in given {
        let at = listener.local_addr()?;
        let role = name.as_deref().and_then(Role::named);
        let role = role.or_else(|| Role::ALL.into_iter().find(|role| role.is_at(setup, at)));
        let Some(role) = role else { return Err(GateError::Unknown { from, name, at }) };
        if !at.ip().is_loopback() && role.configured(setup) != Some(at) {
            // The address of the configuration has passed its own check.
            return Err(GateError::Exposed { from, at });
        }
        if role != Role::Transparent && sorted.iter().any(|(of, _)| *of == role) {
            return Err(GateError::Twice { from, key: role.key() });
        }
        sorted.push((role, listener));
    }
    Ok(sorted)
}

/// The listeners for what the system leads here: that of `listen.transparent`, and the same port of the other loopback
/// address where the machine has it, since the system leads each protocol to its own.
fn led(at: Option<SocketAddr>) -> Result<Vec<TcpListener>, GateError> {
    let Some(at) = at else { return Ok(Vec::new()) };
    let first = bind(Role::Transparent, at)?;
    let port = first.local_addr()?.port();
    let other: IpAddr = if at.is_ipv4() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    let mut listeners = vec![first];
    match bind(Role::Transparent, (other, port).into()) {
        Ok(listener) => listeners.push(listener),
        Err(GateError::Listen { source, .. }) if source.kind() != io::ErrorKind::AddrInUse => {}
        // Somebody else would get the calls.
        Err(error) if at.port() != 0 => return Err(error),
        Err(_) => {}
    }
    Ok(listeners)
}

fn bind(role: Role, at: SocketAddr) -> Result<TcpListener, GateError> {
    TcpListener::bind(at).and_then(unblocked).map_err(|source| GateError::Listen { key: role.key(), at, source })
}

fn unblocked(listener: TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true).map(|()| listener)
}
