//! One worker: a thread with its own runtime, connections and upstream pool.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::ca::authority::Authority;
use crate::exchange::drain::Drains;
use crate::exchange::parts::RelayParts;
use crate::exchange::peer::Peer;
use crate::exchange::relay::Relay;
use crate::ingress::door::{self, Door, client};
use crate::ingress::redirected;
use crate::ledger::Ledger;
use crate::ledger::ids::Ids;
use crate::net::keepers::Keepers;
use crate::net::limits::Limits;
use crate::net::mark::Marker;
use crate::net::shutdown::{Phase, Stopping};
use crate::policy::Live;
use crate::policy::budgets::Budget;
use crate::session::house::House;
use crate::session::pinned::Pinned;
use crate::system::original::Originals;
use crate::system::programs::{Asked, Programs};
use crate::tokens::clerks::Clerks;
use crate::tokens::library::Library;
use crate::upstream::connect::Connector;
use crate::upstream::pool::{Pool, PoolLimits};

/// The accepting side's view of a worker.
#[derive(Debug)]
pub struct Worker {
    queue: mpsc::UnboundedSender<Accepted>,
    load: Arc<AtomicUsize>,
    thread: thread::JoinHandle<()>,
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: StdStream,
    /// The client's end of it.
    pub client: SocketAddr,
    /// The listener that it came to.
    pub door: Door,
}

/// What all workers share.
#[derive(Clone, Debug)]
pub struct Common {
    /// Bounds on what clients may do.
    pub limits: Limits,
    /// Clients that do not take the gate's certificate.
    pub pinned: Pinned,
    /// What may be spent.
    pub budgets: Arc<[Arc<Budget>]>,
    /// Who may come in from other machines.
    pub keepers: Keepers,
    /// Bounds on what upstreams may do.
    pub pool: PoolLimits,
    /// The rules in force.
    pub live: Live,
    /// The books.
    pub ledger: Ledger,
    /// Mints leaves.
    pub authority: Authority,
    /// Dials.
    pub connector: Arc<Connector>,
    /// What is known about custom models.
    pub library: Library,
    /// Where templates are rendered and tokens counted.
    pub clerks: Clerks,
    /// Marks the keys of clients.
    pub marker: Marker,
    /// Finds the programs of clients.
    pub programs: Programs,
    /// Tells where redirected connections were going.
    pub originals: Originals,
    /// Ids of this process.
    pub ids: Arc<Ids>,
    /// A random number of this process.
    pub seed: u64,
    /// When to stop.
    pub stopping: Stopping,
}

impl Worker {
    /// Starts worker `number`.
    ///
    /// # Errors
    /// No thread or no runtime to be had.
    pub fn start(number: usize, common: Common) -> io::Result<Self> {
        let (queue, arrivals) = mpsc::unbounded_channel();
        let load = Arc::new(AtomicUsize::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let seen = Arc::clone(&load);
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime, run(arrivals, common, seen));
            // Whatever is still open after the last phase is closed here, and booked by that.
            drop(local);
            runtime.shutdown_timeout(Duration::from_millis(100));
        })?;
        Ok(Self { queue, load, thread })
    }

    /// Connections that it has now.
    pub fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Hands over an accepted connection.
    pub fn take(&self, accepted: Accepted) {
        self.load.fetch_add(1, Ordering::Relaxed);
        if self.queue.send(accepted).is_err() {
            self.load.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Waits for its end.
    pub fn join(self) {
        drop(self.queue);
        let _ = self.thread.join();
    }
}

async fn run(mut arrivals: mpsc::UnboundedReceiver<Accepted>, common: Common, load: Arc<AtomicUsize>) {
    let pool = Pool::new(Arc::clone(&common.connector), common.pool);
    let (drains, draining) = Drains::new();
    tokio::task::spawn_local(draining);
    tokio::task::spawn_local(sweep(pool.clone()));
    let open = Rc::new(Cell::new(0));
    let house = Rc::new(House {
        relay: Relay::new(RelayParts {
            live: common.live,
            ledger: common.ledger.clone(),
            pool,
            drains: drains.clone(),
            library: common.library,
            clerks: common.clerks,
            ids: common.ids,
            dice: Cell::new(common.seed),
            body_bytes: common.limits.body_bytes,
        }),
        authority: common.authority,
        connector: common.connector,
        ledger: common.ledger,
        pinned: common.pinned,
        budgets: common.budgets,
        keepers: common.keepers,
        limits: common.limits.clone(),
        stopping: common.stopping.clone(),
        open: Rc::clone(&open),
    });
    let whose = Whose { marker: common.marker, programs: common.programs, originals: common.originals };
    loop {
        let arrival = tokio::select! {
            arrival = arrivals.recv() => arrival,
            () = common.stopping.reached(Phase::Draining) => None,
        };
        let Some(accepted) = arrival else { break };
        adopt(accepted, (&house, &whose), &load);
    }
    let idle = async {
        let mut check = interval(CHECK);
        while open.get() + drains.open() > 0 {
            check.tick().await;
        }
    };
    tokio::select! {
        () = idle => {}
        () = common.stopping.reached(Phase::Halting) => {}
        () = async {
            common.stopping.reached(Phase::Draining).await;
            tokio::time::sleep(common.limits.drain_timeout).await;
        } => {}
    }
    // Those that were told to stop get the time for a goodbye.
    let farewells = async {
        while open.get() > 0 {
            tokio::time::sleep(GLANCE).await;
        }
    };
    let _ = tokio::time::timeout(FAREWELLS, farewells).await;
}

/// Who is at the other end of connections.
struct Whose {
    marker: Marker,
    programs: Programs,
    originals: Originals,
}

impl Whose {
    /// The other end of a connection from `client`; its program is looked for while the connection is served.
    fn peer(&self, client: SocketAddr, stream: &TcpStream, original: Option<SocketAddr>) -> Peer {
        let reached = stream.local_addr().ok();
        let program = match (original, reached) {
            (Some(original), _) => self.programs.ask_redirected(client, original),
            (None, Some(own)) => self.programs.ask(client, own),
            (None, None) => Asked::nobody(),
        };
        Peer::new(client.ip(), reached, program, self.marker.clone())
    }
}

/// Serves one connection in a task of its own.
fn adopt(accepted: Accepted, (house, whose): (&Rc<House>, &Whose), load: &Arc<AtomicUsize>) {
    let Accepted { stream, client: from, door } = accepted;
    let house = Rc::clone(house);
    let busy = Busy::new(&house.open, load);
    let adopted = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
    let Ok(stream) = adopted else { return };
    let _ = stream.set_nodelay(true);
    let original = if door == Door::Transparent { whose.originals.of(&stream) } else { None };
    let peer = Rc::new(whose.peer(from, &stream, original));
    tokio::task::spawn_local(async move {
        let _busy = busy;
        let ended = match (door, original) {
            (Door::Proxy, _) => Box::pin(door::enter(stream, peer, house)).await,
            (Door::Transparent, Some(original)) => {
                Box::pin(redirected::serve(client(stream), original, peer, house)).await
            }
            (Door::Transparent, None) => Box::pin(redirected::at_home(client(stream), peer, house)).await,
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a client connection ended");
        }
    });
}

/// Counts a connection for as long as it is served, also when its task panics.
struct Busy {
    open: Rc<Cell<usize>>,
    load: Arc<AtomicUsize>,
}

impl Busy {
    fn new(open: &Rc<Cell<usize>>, load: &Arc<AtomicUsize>) -> Self {
        open.set(open.get() + 1);
        Self { open: Rc::clone(open), load: Arc::clone(load) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn sweep(pool: Pool) {
    let mut tick = interval(SWEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        pool.sweep();
    }
}

const CHECK: Duration = Duration::from_millis(20);
/// What a goodbye may take, so that a stop at once is one.
const FAREWELLS: Duration = Duration::from_millis(500);
/// Between two looks at who is still there.
const GLANCE: Duration = Duration::from_millis(1);
const SWEEP: Duration = Duration::from_secs(10);
