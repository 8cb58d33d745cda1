//! The accept loop: each connection goes to the least loaded worker and stays there.

use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;

use crate::ingress::door::Door;
use crate::ingress::worker::{Accepted, Worker};
use crate::net::shutdown::{Phase, Stopping};

/// Accepts from all listeners until the gate stops or yields.
pub async fn accept(listeners: Vec<(Door, TcpListener)>, workers: &[Worker], limit: usize, stopping: &Stopping) {
    let loops = listeners.into_iter().map(|(door, listener)| accept_from(listener, door, workers, limit, stopping));
    join_all(loops).await;
}

async fn accept_from(listener: TcpListener, door: Door, workers: &[Worker], limit: usize, stopping: &Stopping) {
    let mut pause = SHORTEST;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.reached(Phase::Yielding) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                // Out of descriptors or memory: what is open must end first, and spinning would not help.
                tracing::warn!(%error, ?pause, "no connection can be accepted");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
                continue;
            }
        };
        pause = SHORTEST;
        if workers.iter().map(Worker::load).sum::<usize>() >= limit {
            tracing::warn!(limit, "a connection was closed: `limits.connections` is reached");
            continue;
        }
        let Some(worker) = workers.iter().min_by_key(|worker| worker.load()) else { return };
        match stream.into_std() {
            Ok(stream) => worker.take(Accepted { stream, client: peer, door }),
            Err(error) => tracing::warn!(%error, "an accepted connection could not be handed over"),
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

const LONGEST: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(5);
