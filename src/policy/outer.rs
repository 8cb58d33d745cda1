//! The outer proxy: another one that everything must pass which leaves the gate.

use std::sync::Arc;

use crate::net::host::HostPort;
use crate::net::secret::Secret;
use crate::policy::bypass::Bypass;
use crate::policy::target::ExtraRoots;

/// Another proxy, between the gate and the world.
#[derive(Clone, Debug)]
pub struct OuterProxy {
    /// What it speaks.
    pub kind: OuterKind,
    /// Where it is.
    pub at: HostPort,
    /// Who the gate says it is.
    pub login: Option<Login>,
    /// What is reached without it.
    pub bypass: Bypass,
    /// Trusted for the TLS with the proxy itself, beside the machine's roots.
    pub roots: Option<Arc<ExtraRoots>>,
}

/// What an outer proxy speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OuterKind {
    /// CONNECT, in the clear.
    Http,
    /// CONNECT, over TLS.
    Https,
    /// SOCKS5; the gate looks names up.
    Socks5,
    /// SOCKS5; the proxy looks names up.
    Socks5h,
}

impl OuterKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Socks5, Self::Socks5h];

    /// The scheme as written in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    /// The port where none is written.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 | Self::Socks5h => 1080,
        }
    }
}

/// A user and a password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Login {
    /// The user.
    pub user: Box<str>,
    /// The password; may be empty.
    pub password: Secret,
}
