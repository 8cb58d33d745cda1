//! The threads of a gate: workers, and the one that accepts and shows the books.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::admin;
use crate::admin::surface::Surface;
use crate::gate::error::GateError;
use crate::gate::listeners::Listeners;
use crate::gate::succession::Copies;
use crate::ingress::accept::accept;
use crate::ingress::door::Door;
use crate::ingress::worker::{Common, Worker};
use crate::net::shutdown::{Phase, Stopper, Stopping};

/// How many workers, and what they share.
pub(super) struct Crew {
    pub(super) workers: usize,
    pub(super) common: Common,
    /// When the books are no longer shown here.
    pub(super) hidden: Stopping,
    /// Ends what rests, once another gate has served for a while.
    pub(super) stopper: Stopper,
    /// What else keeps the listeners open.
    pub(super) copies: Copies,
}

impl Crew {
    /// Starts the workers, then the thread that accepts and shows the books.
    pub(super) fn launch(self, listeners: Listeners, surface: Surface) -> Result<thread::JoinHandle<()>, GateError> {
        let Self { workers, common, hidden, stopper, copies } = self;
        let workers: Vec<Worker> =
            (0..workers).map(|number| Worker::start(number, common.clone())).collect::<io::Result<_>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let Listeners { proxy, admin, transparent } = listeners;
        let doors =
            [(Door::Proxy, proxy)].into_iter().chain(transparent.into_iter().map(|one| (Door::Transparent, one)));
        let (doors, admin) = {
            let _inside = runtime.enter();
            let doors = doors.map(|(door, listener)| TcpListener::from_std(listener).map(|one| (door, one)));
            (doors.collect::<io::Result<Vec<_>>>()?, TcpListener::from_std(admin)?)
        };
        let limit = common.limits.connections;
        let stopping = common.stopping;
        let thread = thread::Builder::new().name("gate".into()).spawn(move || {
            let ready = Arc::clone(&surface.ready);
            // The books stay visible while the workers finish what is open.
            let stopped = stopping.clone();
            let books = admin::serve(admin, surface, async move {
                tokio::select! { () = hidden.reached(Phase::Halting) => {}, () = stopped.reached(Phase::Halting) => {} }
            });
            let books = runtime.spawn(books);
            runtime.block_on(accept(doors, &workers, limit, &stopping));
            copies.close();
            ready.store(false, Ordering::Relaxed);
            runtime.block_on(async {
                let rest = async {
                    tokio::time::sleep(REST).await;
                    stopper.advance(Phase::Draining);
                    std::future::pending::<()>().await;
                };
                tokio::select! { () = finished(workers) => {}, () = rest => {} }
            });
            books.abort();
        })?;
        Ok(thread)
    }
}

/// Waits for the workers without stopping the books.
async fn finished(workers: Vec<Worker>) {
    let joined = tokio::task::spawn_blocking(move || workers.into_iter().for_each(Worker::join));
    let _ = joined.await;
}

/// How long connections may rest at a gate that another one follows: a client that uses one meanwhile is told with its
/// answer that it is the last.
const REST: Duration = Duration::from_secs(5);
