//! What needs a restart to change: listeners, paths, limits.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::net::host::HostPort;
use crate::net::keepers::Keepers;
use crate::net::limits::Limits;
use crate::net::reach::Reach;
use crate::net::secret::Secret;
use crate::policy::budgets::Budget;
use crate::policy::outer::OuterProxy;
use crate::policy::target::{Destination, ExtraRoots};

/// Everything that is fixed while the gate runs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `listen.proxy`.
    pub proxy: SocketAddr,
    /// `listen.admin`.
    pub admin: SocketAddr,
    /// `listen.users`: who may come in from other machines.
    pub keepers: Keepers,
    /// `listen.reach`: where programs of other machines may be led within the gate's own network.
    pub reach: Reach,
    /// `listen.transparent`: for what the system leads here; `None` listens for no such thing.
    pub transparent: Option<SocketAddr>,
    /// `admin.token`: what changes something on the admin surface needs it; with it set, what reads does too.
    pub admin_token: Option<Secret>,
    /// Where the certificate authority lives.
    pub certs: PathBuf,
    /// Where it is kept what was changed on this machine, and which gates run by this configuration.
    pub state: PathBuf,
    /// `ledger.path`; `None` keeps the books in memory only.
    pub journal: Option<PathBuf>,
    /// `ledger.keep`: how long entries stay in the journal; `None` keeps them for ever.
    pub keep: Option<Duration>,
    /// `budgets`.
    pub budgets: Vec<Arc<Budget>>,
    /// `upstream.*`.
    pub upstream: UpstreamSetup,
    /// `limits.*`, and `ledger.entries`.
    pub limits: Limits,
    /// `telemetry.otlp`: where metrics and spans are sent; `None` sends none.
    pub collector: Option<CollectorSetup>,
    /// Worker threads; one per core unless told otherwise.
    pub workers: usize,
}

/// Where metrics and spans are sent, as OTLP over HTTP.
#[derive(Clone, Debug)]
pub struct CollectorSetup {
    /// Where to connect.
    pub destination: Destination,
    /// The path before `/v1/traces` and `/v1/metrics`, without a slash at its end.
    pub base_path: Box<str>,
    /// Further headers of every request, such as the collector's key.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Between two reports of the metrics.
    pub interval: Duration,
    /// `service.name`.
    pub service: Box<str>,
}

/// Time limits and roots for connections to upstreams.
#[derive(Clone, Debug)]
pub struct UpstreamSetup {
    /// `upstream.ca`: trusted beside the machine's roots.
    pub roots: Option<Arc<ExtraRoots>>,
    /// `upstream.proxy`: what everything goes through that leaves the gate.
    pub outer: Option<OuterProxy>,
    /// `upstream.nameServers`: asked for an intercepted name that the machine's own resolver leads back to the gate;
    /// `None` asks those of the machine.
    pub name_servers: Option<Vec<SocketAddr>>,
    /// Name look-up, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From the request to the head of the reply.
    pub first_byte_timeout: Duration,
    /// Between two pieces of a reply.
    pub idle_timeout: Duration,
    /// `upstream.resolve`: the address to dial for a host and port, instead of looking the name up. The name
    /// that is sent and verified stays the same.
    pub resolve: HashMap<HostPort, SocketAddr>,
}

impl Default for UpstreamSetup {
    fn default() -> Self {
        Self {
            roots: None,
            outer: None,
            name_servers: None,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(300),
            resolve: HashMap::new(),
        }
    }
}
