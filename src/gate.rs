//! The whole running program: every part built once, started, drained, closed.

pub mod repricer;
mod reviser;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;

use self::reviser::Parts;
use crate::admin;
use crate::admin::surface::Surface;
use crate::ca::authority::Authority;
use crate::ca::bundle::write_bundle;
use crate::ca::error::CaError;
use crate::ca::marker::open_marker;
use crate::config::load::Loaded;
use crate::config::setup::CollectorSetup;
use crate::ingress::accept::accept;
use crate::ingress::door::Door;
use crate::ingress::worker::{Common, Worker};
use crate::ledger::Ledger;
use crate::ledger::ids::Ids;
use crate::ledger::journal::lock::Taken;
use crate::net::shutdown::{Phase, Stopper, shutdown};
use crate::otlp::exporter::{Exporter, Settings, Sources};
use crate::policy::Live;
use crate::system::hugging_face::HubSettings;
use crate::system::original::{Originals, take_foreign};
use crate::system::programs::Programs;
use crate::system::roots::machine_roots;
use crate::tokens::clerks::Clerks;
use crate::tokens::library::Library;
use crate::upstream::connect::{Connector, ConnectorParts, TrustError};
use crate::upstream::pool::PoolLimits;

/// What the gate finds around it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Certificate files that the user's environment already trusts; they go into the bundle.
    pub inherited: Vec<PathBuf>,
    /// Where models of the Hugging Face hub are; `None` looks for none.
    pub hub: Option<HubSettings>,
    /// Tells where redirected connections were going.
    pub originals: Originals,
}

/// A running gate; stops when it is dropped.
#[derive(Debug)]
pub struct Gate {
    admin: SocketAddr,
    authority: Authority,
    clerks: Clerks,
    exporter: Exporter,
    ledger: Ledger,
    library: Library,
    proxy: SocketAddr,
    stopper: Stopper,
    thread: Option<thread::JoinHandle<()>>,
    transparent: Option<SocketAddr>,
}

impl Gate {
    /// Builds every part and returns when both listeners accept.
    ///
    /// # Errors
    /// A listener, the authority or a root that cannot be had; nothing is left running.
    pub fn start(loaded: Loaded, surroundings: Surroundings) -> Result<Self, GateError> {
        let Surroundings { inherited, hub, originals } = surroundings;
        let Loaded { setup, policy, view, lines, .. } = loaded;
        let proxy = bind("listen.proxy", setup.proxy)?;
        let admin = bind("listen.admin", setup.admin)?;
        let transparent = transparent(setup.transparent)?;
        let (proxy_at, admin_at) = (address(&proxy)?, address(&admin)?);
        let transparent_at = transparent.first().map(address).transpose()?;
        let permitted: Vec<String> =
            policy.interception.hosts().iter().map(|pattern| pattern.name().to_owned()).collect();
        let authority = Authority::open(&setup.certs, &permitted)?;
        let marker = open_marker(&setup.certs)?;
        let roots = machine_roots();
        write_bundle(&authority, &roots.certificates, &inherited)?;
        let connector = Connector::new(ConnectorParts {
            own_ports: [Some(proxy_at), Some(admin_at), transparent_at]
                .into_iter()
                .flatten()
                .map(|at| at.port())
                .collect(),
            resolve: setup.upstream.resolve.clone(),
            limit: setup.upstream.connect_timeout,
            roots,
            own_root: authority.root_der().to_vec(),
            shared_roots: setup.upstream.roots.clone(),
        })?;
        let ledger = match &setup.journal {
            Some(path) => Ledger::open_held_to(&setup.budgets, setup.limits.entries, path.clone(), setup.keep)?,
            None => {
                let ledger = Ledger::new(setup.limits.entries);
                ledger.hold_to(&setup.budgets);
                ledger
            }
        };
        let seed = seed()?;
        let connector = Arc::new(connector);
        let library = match hub {
            Some(settings) => Library::start(settings, Arc::clone(&connector))?,
            None => Library::default(),
        };
        library.prepare(policy.routing.customs.values());
        let clerks = Clerks::default();
        let (stopper, stopping) = shutdown();
        let common = Common {
            limits: setup.limits.clone(),
            pool: PoolLimits { first_byte: setup.upstream.first_byte_timeout, idle: setup.upstream.idle_timeout },
            live: Live::new(policy),
            ledger: ledger.clone(),
            authority: authority.clone(),
            connector,
            library: library.clone(),
            clerks: clerks.clone(),
            marker,
            programs: Programs::start()?,
            originals,
            ids: Arc::new(Ids::new(seed)),
            seed,
            stopping,
        };
        let exporter = exporter(setup.collector.clone(), &common)?;
        let view = Arc::new(ArcSwap::from_pointee(view));
        let surface = Surface {
            ledger: ledger.clone(),
            root: authority.root_pem().into(),
            config: Arc::clone(&view),
            policy: common.live.clone(),
            token: setup.admin_token.clone(),
            reviser: reviser::of(lines, Parts { live: common.live.clone(), view, library: library.clone() }),
            ready: Arc::new(AtomicBool::new(true)),
        };
        let doors =
            [(Door::Proxy, proxy)].into_iter().chain(transparent.into_iter().map(|one| (Door::Transparent, one)));
        let thread = launch(doors.collect(), admin, Crew { workers: setup.workers, common }, surface)?;
        Ok(Self {
            admin: admin_at,
            authority,
            clerks,
            exporter,
            ledger,
            library,
            proxy: proxy_at,
            stopper,
            thread: Some(thread),
            transparent: transparent_at,
        })
    }

    /// Where programs reach the gate.
    pub fn proxy_address(&self) -> SocketAddr {
        self.proxy
    }

    /// Where the books are shown.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Where the system can lead connections, if that is wanted.
    pub fn transparent_address(&self) -> Option<SocketAddr> {
        self.transparent
    }

    /// The certificate authority.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The books.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The switch that stops it, for a signal handler.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Takes nothing new, finishes what is open, closes the books.
    pub fn stop(mut self) {
        self.stopper.advance(Phase::Draining);
        self.join();
    }

    /// Waits until somebody has stopped it.
    pub fn wait(mut self) {
        self.join();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.library.finish();
        // What they still count belongs into the books.
        self.clerks.finish();
        self.ledger.close();
        self.exporter.finish();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stopper.advance(Phase::Halting);
        self.join();
    }
}

/// How many workers, and what they share.
struct Crew {
    workers: usize,
    common: Common,
}

/// Starts the workers, then the thread that accepts and shows the books.
fn launch(
    doors: Vec<(Door, StdListener)>,
    admin: StdListener,
    crew: Crew,
    surface: Surface,
) -> Result<thread::JoinHandle<()>, GateError> {
    let Crew { workers, common } = crew;
    let workers: Vec<Worker> =
        (0..workers).map(|number| Worker::start(number, common.clone())).collect::<io::Result<_>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let (doors, admin) = {
        let _inside = runtime.enter();
        let doors = doors.into_iter().map(|(door, listener)| TcpListener::from_std(listener).map(|one| (door, one)));
        (doors.collect::<io::Result<Vec<_>>>()?, TcpListener::from_std(admin)?)
    };
    let limit = common.limits.connections;
    let stopping = common.stopping;
    let thread = thread::Builder::new().name("gate".into()).spawn(move || {
        let ready = Arc::clone(&surface.ready);
        let stopped = stopping.clone();
        // The books stay visible while the workers finish what is open.
        let books = admin::serve(admin, surface, async move { stopped.reached(Phase::Halting).await });
        let books = runtime.spawn(books);
        runtime.block_on(accept(doors, &workers, limit, &stopping));
        ready.store(false, Ordering::Relaxed);
        runtime.block_on(finished(workers));
        books.abort();
    })?;
    Ok(thread)
}

/// What sends metrics and spans, where the owner named a collector.
fn exporter(setup: Option<CollectorSetup>, common: &Common) -> io::Result<Exporter> {
    let Some(setup) = setup else { return Ok(Exporter::default()) };
    let CollectorSetup { destination, base_path, headers, interval, service } = setup;
    let (ledger, live, connector) = (common.ledger.clone(), common.live.clone(), Arc::clone(&common.connector));
    Exporter::start(
        Settings { destination, base_path, headers, interval, service },
        Sources { ledger, live, connector },
    )
}

/// Waits for the workers without stopping the books.
async fn finished(workers: Vec<Worker>) {
    let joined = tokio::task::spawn_blocking(move || workers.into_iter().for_each(Worker::join));
    let _ = joined.await;
}

fn bind(key: &'static str, at: SocketAddr) -> Result<StdListener, GateError> {
    let bound = StdListener::bind(at).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(|source| GateError::Listen { key, at, source })
}

/// The listeners for what the system leads here: that of `listen.transparent`, and the same port of the other loopback
/// address where the machine has it, since the system leads each protocol to its own.
fn transparent(at: Option<SocketAddr>) -> Result<Vec<StdListener>, GateError> {
    const KEY: &str = "listen.transparent";
    let Some(at) = at else { return Ok(Vec::new()) };
    let first = bind(KEY, at)?;
    let port = address(&first)?.port();
    let other: IpAddr = if at.is_ipv4() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    let mut listeners = vec![first];
    match bind(KEY, (other, port).into()) {
        Ok(listener) => listeners.push(listener),
        Err(GateError::Listen { source, .. }) if source.kind() != io::ErrorKind::AddrInUse => {}
        // Somebody else would get the calls.
        Err(error) if at.port() != 0 => return Err(error),
        Err(_) => {}
    }
    listeners.iter().for_each(take_foreign);
    Ok(listeners)
}

fn address(listener: &StdListener) -> Result<SocketAddr, GateError> {
    Ok(listener.local_addr()?)
}

fn seed() -> Result<u64, GateError> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| GateError::Random)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Why a gate did not start.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Another gate keeps its books in the same file.
    #[error(transparent)]
    Books(#[from] Taken),
    /// The certificate authority.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// An address that cannot be listened on.
    #[error("cannot listen on {at} (`{key}`)")]
    Listen {
        /// Which setting.
        key: &'static str,
        /// The address.
        at: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No randomness.
    #[error("the system gives no random numbers")]
    Random,
    /// Threads or runtimes.
    #[error("the system refuses what the gate needs to run")]
    System(#[from] io::Error),
    /// Roots for upstreams.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl GateError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Books(_) => Some("stop that gate, or give this one a file of its own as `ledger.path`".into()),
            Self::Ca(error) => error.hint(),
            Self::Listen { key, source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                let with = match *key {
                    "listen.admin" => "with --admin 127.0.0.1:PORT",
                    "listen.proxy" => "with --proxy 127.0.0.1:PORT",
                    _ => "as `listen.transparent`",
                };
                Some(format!("is another gate running? stop it, or choose another port {with}"))
            }
            Self::Listen { key, .. } => Some(format!("choose another address for `{key}`")),
            Self::Random | Self::System(_) | Self::Trust(_) => None,
        }
    }
}
