//! Which connections are opened, decided by destination alone.

use crate::net::host::{Host, HostPattern};

/// The hosts whose connections are opened; every other host is a tunnel.
#[derive(Clone, Debug, Default)]
pub struct Interception {
    hosts: Vec<HostPattern>,
}

impl Interception {
    /// Opens connections to these names and what lies below them.
    pub fn new(hosts: Vec<HostPattern>) -> Self {
        Self { hosts }
    }

    /// Whether a connection to `host` is opened.
    pub fn opens(&self, host: &Host) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// The host that a base URL stands for: the first of the list.
    pub fn principal(&self) -> Option<Host> {
        self.hosts.first().map(|pattern| Host::Name(pattern.name().into()))
    }

    /// The list as configured.
    pub fn hosts(&self) -> &[HostPattern] {
        &self.hosts
    }
}
