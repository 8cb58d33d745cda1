//! The whole running program: every part built once, started, drained, closed.

mod crew;
pub mod error;
pub mod listeners;
pub mod repricer;
pub mod reviser;
pub mod succession;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use arc_swap::ArcSwap;

use self::crew::Crew;
use self::error::GateError;
use self::listeners::{Given, Listeners};
use self::reviser::{Loader, Parts};
use self::succession::{Copies, Estate, Offer, Predecessor};
use crate::admin::surface::{Reloader, Surface};
use crate::ca::authority::Authority;
use crate::ca::bundle::write_bundle;
use crate::ca::marker::open_marker;
use crate::config::load::Loaded;
use crate::config::setup::CollectorSetup;
use crate::ingress::worker::Common;
use crate::ledger::Ledger;
use crate::ledger::ids::Ids;
use crate::net::own_traffic::{OWN_TRAFFIC, try_to_mark};
use crate::net::shutdown::{Phase, Stopper, shutdown};
use crate::otlp::exporter::{Exporter, Settings, Sources};
use crate::policy::Live;
use crate::session::pinned::Pinned;
use crate::system::hugging_face::HubSettings;
use crate::system::original::Originals;
use crate::system::programs::Programs;
use crate::system::roots::machine_roots;
use crate::tokens::clerks::Clerks;
use crate::tokens::library::Library;
use crate::upstream::addresses::Captured;
use crate::upstream::connect::{Connector, ConnectorParts};
use crate::upstream::pool::PoolLimits;

/// What the gate finds around it.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Certificate files that the user's environment already trusts; they go into the bundle.
    pub inherited: Vec<PathBuf>,
    /// Where models of the Hugging Face hub are; `None` looks for none.
    pub hub: Option<HubSettings>,
    /// Tells where redirected connections were going.
    pub originals: Originals,
    /// Listeners that were opened before; what is missing is opened here.
    pub given: Vec<Given>,
    /// Where the configuration can be read again; `None` where it cannot.
    pub loader: Option<Loader>,
    /// The gate that serves until this one does.
    pub predecessor: Option<Predecessor>,
}

/// A running gate; stops when it is dropped.
#[derive(Debug)]
pub struct Gate {
    admin: SocketAddr,
    authority: Authority,
    /// What it has for the next one, until that is offered.
    estate: Option<Estate>,
    clerks: Clerks,
    exporter: Exporter,
    ledger: Ledger,
    library: Library,
    predecessor: Option<Predecessor>,
    proxy: SocketAddr,
    reloader: Reloader,
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
        let Surroundings { inherited, hub, originals, given, loader, predecessor } = surroundings;
        let Loaded { setup, policy, view, lines, .. } = loaded;
        let listeners = Listeners::open(&setup, given)?;
        let (proxy_at, admin_at) = (address(&listeners.proxy)?, address(&listeners.admin)?);
        let transparent_at = listeners.transparent.first().map(address).transpose()?;
        let permitted: Vec<String> =
            policy.interception.hosts().iter().map(|pattern| pattern.name().to_owned()).collect();
        let authority = Authority::open(&setup.certs, &permitted)?;
        let marker = open_marker(&setup.certs)?;
        let roots = machine_roots();
        write_bundle(&authority, &roots.certificates, &inherited)?;
        let live = Live::new(policy);
        let connector = Connector::new(ConnectorParts {
            own_ports: [Some(proxy_at), Some(admin_at), transparent_at]
                .into_iter()
                .flatten()
                .map(|at| at.port())
                .collect(),
            resolve: setup.upstream.resolve.clone(),
            reach: setup.reach.clone(),
            limit: setup.upstream.connect_timeout,
            own_root: authority.root_der().to_vec(),
            shared_roots: setup.upstream.roots.clone(),
            marked: transparent_at.is_some() && may_mark(),
            outer: setup.upstream.outer.clone(),
            captured: Some(Captured {
                live: live.clone(),
                redirected: transparent_at.is_some(),
                name_servers: setup.upstream.name_servers.clone(),
            }),
            ..ConnectorParts::new(roots)
        })?;
        let seed = seed()?;
        let connector = Arc::new(connector);
        let library = match hub {
            Some(settings) => Library::start(settings, Arc::clone(&connector))?,
            None => Library::default(),
        };
        library.prepare(live.now().routing.customs.values());
        let copies = Copies::new(listeners.copies()?);
        let programs = Programs::start()?;
        // The last step before the books, since the other gate must do without them from now on.
        if let Some(predecessor) = &predecessor {
            predecessor.books(setup.journal.as_deref())?;
        }
        let ledger = match &setup.journal {
            Some(path) => Ledger::open_held_to(&setup.budgets, setup.limits.entries, path.clone(), setup.keep)?,
            None => {
                let ledger = Ledger::new(setup.limits.entries);
                ledger.hold_to(&setup.budgets);
                ledger
            }
        };
        let clerks = Clerks::default();
        let (stopper, stopping) = shutdown();
        let common = Common {
            limits: setup.limits.clone(),
            keepers: setup.keepers.clone(),
            pinned: Pinned::default(),
            budgets: setup.budgets.as_slice().into(),
            pool: PoolLimits { first_byte: setup.upstream.first_byte_timeout, idle: setup.upstream.idle_timeout },
            live,
            ledger: ledger.clone(),
            authority: authority.clone(),
            connector,
            library: library.clone(),
            clerks: clerks.clone(),
            marker,
            programs,
            originals,
            ids: Arc::new(Ids::new(seed)),
            seed,
            stopping,
        };
        let exporter = exporter(setup.collector.clone(), &common)?;
        let view = Arc::new(ArcSwap::from_pointee(view));
        let (reviser, reloader) = reviser::of(Parts {
            live: common.live.clone(),
            view: Arc::clone(&view),
            library: library.clone(),
            authority: authority.clone(),
            setup: setup.clone(),
            lines,
            loader,
        });
        let surface = Surface {
            ledger: ledger.clone(),
            root: authority.root_pem().into(),
            config: view,
            policy: common.live.clone(),
            proxy: proxy_at,
            token: setup.admin_token.clone(),
            reviser,
            reloader: reloader.clone(),
            ready: Arc::new(AtomicBool::new(true)),
        };
        let (books, hidden) = shutdown();
        let crew = Crew { workers: setup.workers, common, hidden, stopper: stopper.clone(), copies: copies.clone() };
        let thread = crew.launch(listeners, surface)?;
        let estate = Estate {
            certs: setup.certs,
            journal: setup.journal,
            ledger: ledger.clone(),
            listeners: copies,
            proxy: proxy_at,
            stopper: stopper.clone(),
            books,
        };
        Ok(Self {
            admin: admin_at,
            authority,
            estate: Some(estate),
            clerks,
            exporter,
            ledger,
            library,
            predecessor,
            proxy: proxy_at,
            reloader,
            stopper,
            thread: Some(thread),
            transparent: transparent_at,
        })
    }

    /// Tells the gate before this one, where there is one, that this one serves; that one stops then.
    ///
    /// # Errors
    /// It does not answer, and goes on; this gate must end.
    pub fn follow(&mut self) -> Result<(), GateError> {
        self.predecessor.take().map_or(Ok(()), Predecessor::serving).map_err(GateError::from)
    }

    /// Hands over to a process that asks for it, as [`Predecessor::call`] does, for as long as the offer is kept;
    /// `followed` is told which process that was. Can be made once.
    ///
    /// # Errors
    /// The folder of the certificates cannot be written.
    pub fn offer(&mut self, followed: impl FnOnce(u32) + Send + 'static) -> io::Result<Option<Offer>> {
        self.estate.take().map(|estate| Offer::make(estate, followed)).transpose()
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

    /// What reads the configuration anew, for a signal handler.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
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

/// Whether the gate's own connections are marked, so that rules which lead connections here can tell them apart.
fn may_mark() -> bool {
    match try_to_mark() {
        Ok(()) => tracing::info!(mark = format_args!("{OWN_TRAFFIC:#x}"), "the gate's own connections are marked"),
        Err(error) => {
            tracing::info!(%error, "the gate's own connections are not marked; redirect rules must except its user");
            return false;
        }
    }
    true
}

fn address(listener: &StdListener) -> Result<SocketAddr, GateError> {
    Ok(listener.local_addr()?)
}

fn seed() -> Result<u64, GateError> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| GateError::Random)?;
    Ok(u64::from_ne_bytes(bytes))
}
