//! The gate's listeners: opened here, or taken over from systemd or from another gate.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::config::setup::Setup;
use crate::gate::error::GateError;

/// What a listener is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Programs reach the gate here.
    Proxy,
    /// The books are shown here.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Proxy, Self::Admin];

    /// The key of the configuration that says where.
    pub fn key(self) -> &'static str {
        match self {
            Self::Proxy => "listen.proxy",
            Self::Admin => "listen.admin",
        }
    }

    /// What whoever hands a listener over calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    fn configured(self, setup: &Setup) -> SocketAddr {
        match self {
            Self::Proxy => setup.proxy,
            Self::Admin => setup.admin,
        }
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
}

impl Listeners {
    /// Takes what is given, and opens what is missing.
    ///
    /// # Errors
    /// An address that cannot be had; a listener that fits nothing, or that would be open to other machines.
    pub(super) fn open(setup: &Setup, given: Vec<Given>) -> Result<Self, GateError> {
        let mut taken = sort(setup, given)?;
        let mut take = |role: Role| match taken.iter().position(|(of, _)| *of == role) {
            Some(at) => unblocked(taken.swap_remove(at).1).map_err(GateError::System),
            None => bind(role, role.configured(setup)),
        };
        Ok(Self { proxy: take(Role::Proxy)?, admin: take(Role::Admin)? })
    }

    /// The same sockets once more, for the next gate.
    pub(super) fn copies(&self) -> io::Result<Vec<(Role, TcpListener)>> {
        Ok(vec![(Role::Proxy, self.proxy.try_clone()?), (Role::Admin, self.admin.try_clone()?)])
    }
}

/// Finds out what each of them is for: by its name, else by its address.
fn sort(setup: &Setup, given: Vec<Given>) -> Result<Vec<(Role, TcpListener)>, GateError> {
    let mut sorted: Vec<(Role, TcpListener)> = Vec::new();
    for Given { listener, name, from } in given {
        let at = listener.local_addr()?;
        let role = name.as_deref().and_then(Role::named);
        let role = role.or_else(|| Role::ALL.into_iter().find(|role| role.configured(setup) == at));
        let Some(role) = role else { return Err(GateError::Unknown { from, name, at }) };
        if !at.ip().is_loopback() && role.configured(setup) != at {
            // The address of the configuration has passed its own check.
            return Err(GateError::Exposed { from, at });
        }
        if sorted.iter().any(|(of, _)| *of == role) {
            return Err(GateError::Twice { from, key: role.key() });
        }
        sorted.push((role, listener));
    }
    Ok(sorted)
}

fn bind(role: Role, at: SocketAddr) -> Result<TcpListener, GateError> {
    TcpListener::bind(at).and_then(unblocked).map_err(|source| GateError::Listen { key: role.key(), at, source })
}

fn unblocked(listener: TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true).map(|()| listener)
}
