//! What was changed on this machine for a gate, put back: at its stop, at the next start after a crash, or when asked.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::{self, JoinHandle};

use crate::net::shutdown::{Phase, Stopper};
use crate::system::changes::Changes;
use crate::system::changes::gates::Gate;
use crate::system::changes::undo::{Told, Undo, Undone};
use crate::system::commands::Machine;
use crate::system::desktop::restore::Desktops;
use crate::system::redirect::undo::Redirects;

/// Everything that knows how to undo a change; one line each.
pub(crate) fn undoers() -> Vec<Box<dyn Undo>> {
    vec![Box::new(Desktops(Machine)), Box::new(Redirects)]
}

/// The journal in `state`, after what gates that died left behind was put back. Failures are logged and hinder no start.
pub(crate) fn undo_stale(state: &Path) -> Changes {
    let changes = Changes::at(state);
    log(changes.undo_stale(&borrowed(&undoers())));
    changes
}

/// Says that the gate at `proxy` runs in this process, and puts back what is changed for it as soon as it stops taking
/// connections. Whoever takes over its address has to have started before.
pub(crate) fn attend(changes: Changes, proxy: SocketAddr, stopper: Stopper) -> Attendance {
    let gate = Gate::this(proxy);
    if let Err(error) = changes.enter(&gate) {
        let folder = changes.state().display();
        tracing::warn!(%error, %folder, "cannot keep what is changed on this machine; `tollgate system on` is refused");
        return Attendance(None);
    }
    let stopping = stopper.stopping();
    let end = move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() {
            runtime.block_on(stopping.reached(Phase::Draining));
        }
        log(changes.undo_of(&gate, &borrowed(&undoers())));
    };
    match thread::Builder::new().name("machine".into()).spawn(end) {
        Ok(thread) => Attendance(Some((stopper, thread))),
        Err(error) => {
            tracing::warn!(%error, "what is changed on this machine is put back only at the next start");
            Attendance(None)
        }
    }
}

/// Stops the gate when it is dropped, if it still runs, and waits until everything is put back.
#[derive(Debug)]
pub(crate) struct Attendance(Option<(Stopper, JoinHandle<()>)>);

impl Drop for Attendance {
    fn drop(&mut self) {
        if let Some((stopper, thread)) = self.0.take() {
            stopper.advance(Phase::Draining);
            let _ = thread.join();
        }
    }
}

pub(crate) fn borrowed(undoers: &[Box<dyn Undo>]) -> Vec<&dyn Undo> {
    undoers.iter().map(AsRef::as_ref).collect()
}

fn log(told: io::Result<Vec<Told>>) {
    let told = match told {
        Ok(told) => told,
        Err(error) => return tracing::warn!(%error, "cannot read what was changed on this machine"),
    };
    for Told { what, undone } in told {
        match undone {
            Undone::Restored => tracing::info!("put back {what}"),
            Undone::Left(left) => {
                let left = left.join(", ");
                tracing::warn!("put back {what}, but for what somebody has changed since: {left}");
            }
            Undone::Blocked { why, command } => {
                let command = command.unwrap_or_default();
                tracing::warn!(%command, "cannot put back {what}: {why}");
            }
        }
    }
}
