//! What the gate does when it is sent a signal, and what it tells whoever watches over it.

use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{interval, timeout};

use crate::admin::surface::{Flaw, Reloaded, Reloader, Unchanged};
use crate::cli::problem::Problem;
use crate::gate::Gate;
use crate::net::shutdown::{Phase, Stopper};
use crate::system::supervisor::{self, News};

/// A gate that is served by this process.
#[derive(Clone)]
pub(super) struct Service {
    stopper: Stopper,
    proxy: SocketAddr,
    admin: SocketAddr,
    reloader: Reloader,
    /// How another process like this one is started.
    program: Option<PathBuf>,
    arguments: Vec<OsString>,
    /// Another process goes on in the place of this one.
    followed: Arc<AtomicBool>,
}

impl Service {
    pub(super) fn of(gate: &Gate) -> Self {
        Self {
            stopper: gate.stopper(),
            proxy: gate.proxy_address(),
            admin: gate.admin_address(),
            reloader: gate.reloader(),
            // Asked now: once the file is replaced, the system only knows that it was deleted.
            program: env::current_exe().ok(),
            arguments: env::args_os().skip(1).collect(),
            followed: Arc::default(),
        }
    }

    /// The first signal to stop drains, the second stops at once; HUP reads the configuration anew; USR2 starts the program anew in the place of this one.
    pub(super) fn watch_signals(&self) -> Result<(), Problem> {
        let service = self.clone();
        on_signals(async move |signals| {
            let Signals { hang_ups, interrupts, terms, successions } = signals;
            let mut phases = [Phase::Draining, Phase::Halting].into_iter();
            let watchdog = tokio::spawn(service.clone().watch());
            loop {
                tokio::select! {
                    _ = interrupts.recv() => {}
                    _ = terms.recv() => {}
                    _ = hang_ups.recv() => {
                        service.reload();
                        continue;
                    }
                    _ = successions.recv() => {
                        service.start_next();
                        continue;
                    }
                }
                let Some(phase) = phases.next() else { break };
                service.stop(phase);
            }
            watchdog.abort();
        })
    }

    fn stop(&self, phase: Phase) {
        tracing::info!(?phase, "stopping; a second signal stops at once");
        if !self.followed.load(Ordering::Relaxed) {
            supervisor::tell(News::Stopping);
        }
        self.stopper.advance(phase);
    }

    /// Reads the configuration anew, and says in the log what came of it.
    fn reload(&self) {
        supervisor::tell(News::Reloading);
        match self.reloader.reload() {
            Ok(Reloaded { needs_restart, warnings }) => {
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                for key in &needs_restart {
                    tracing::warn!("{key}: needs a restart");
                }
                tracing::info!("the configuration was read anew");
            }
            Err(unchanged) => complain(&unchanged),
        }
        supervisor::tell(News::Ready(&self.status()));
    }

    /// A line for `systemctl status`.
    pub(super) fn status(&self) -> String {
        format!("proxy http://{}, admin http://{}", self.proxy, self.admin)
    }

    /// What is to be done once another process serves.
    pub(super) fn followed(&self) -> impl FnOnce(u32) + Send + 'static {
        let followed = Arc::clone(&self.followed);
        move |process| {
            followed.store(true, Ordering::Relaxed);
            supervisor::tell(News::Followed(process));
        }
    }

    /// Starts the file that this program was started from, which may be a newer one by now, to take over.
    fn start_next(&self) {
        let Some(program) = &self.program else {
            tracing::error!("the system does not say which file this program is; start `serve --take-over` by hand");
            return;
        };
        let mut command = Command::new(program);
        command.args(self.arguments.iter().filter(|argument| !is_take_over(argument)));
        // `tollgate` alone serves, and takes the same arguments.
        command.arg(format!("--take-over={}", self.proxy));
        for ours in ["WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
            command.env_remove(ours);
        }
        match command.spawn() {
            Err(error) => tracing::error!(%error, program = %program.display(), "the next gate cannot be started"),
            Ok(mut child) => {
                tracing::info!(process = child.id(), "the next gate is started");
                // Waited for, so that one that fails leaves nothing behind.
                let waiting = thread::Builder::new().name("next".into()).spawn(move || match child.wait() {
                    Ok(status) => tracing::warn!(%status, "the next gate has ended"),
                    Err(error) => tracing::warn!(%error, "nobody knows how the next gate ended"),
                });
                drop(waiting);
            }
        }
    }

    /// Tells whoever watches that the gate lives, as long as it answers.
    async fn watch(self) {
        let Some(within) = supervisor::watchdog() else { return };
        let mut ticks = interval(within / 2);
        loop {
            ticks.tick().await;
            if self.followed.load(Ordering::Relaxed) {
                return;
            }
            match timeout(within / 4, healthy(self.admin)).await {
                Ok(true) => supervisor::tell(News::Alive),
                _ => tracing::error!("the gate does not answer"),
            }
        }
    }
}

fn complain(unchanged: &Unchanged) {
    match unchanged {
        Unchanged::Mistakes { first, more } => {
            for Flaw { file, line, column, message, hint } in first {
                let file = file.as_deref().unwrap_or_default();
                let hint = hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
                tracing::error!("{file}:{line}:{column}: {message}{hint}");
            }
            tracing::error!(mistakes = first.len() + more, "the configuration has mistakes; nothing was changed");
        }
        Unchanged::Nowhere => tracing::error!("there is no configuration that could be read again"),
        Unchanged::Unreadable(why) => tracing::error!("{why}; nothing was changed"),
    }
}

/// Whether the gate answers at `admin`.
async fn healthy(admin: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(admin).await?;
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.map(|_| head)
    };
    asked.await.is_ok_and(|head: [u8; 12]| head == *b"HTTP/1.1 200")
}

fn is_take_over(argument: &OsString) -> bool {
    argument.to_string_lossy().split('=').next() == Some("--take-over")
}

/// The signals that this program listens to.
pub(super) struct Signals {
    hang_ups: Signal,
    interrupts: Signal,
    terms: Signal,
    successions: Signal,
}

/// Runs `work` with the signals on a thread of its own.
fn on_signals(work: impl AsyncFnOnce(&mut Signals) + Send + 'static) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("cannot listen for signals")?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals {
            hang_ups: signal(SignalKind::hangup())?,
            interrupts: signal(SignalKind::interrupt())?,
            terms: signal(SignalKind::terminate())?,
            successions: signal(SignalKind::user_defined2())?,
        }
    };
    thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(work(&mut signals)))?;
    Ok(())
}

/// The first signal drains, the second stops at once.
///
/// # Errors
/// No thread or no signal handler to be had.
pub fn stop_on_signals(stopper: Stopper) -> Result<(), Problem> {
    on_signals(async move |Signals { interrupts, terms, .. }| {
        for phase in [Phase::Draining, Phase::Halting] {
            tokio::select! { _ = interrupts.recv() => {}, _ = terms.recv() => {} }
            tracing::info!(?phase, "stopping; a second signal stops at once");
            stopper.advance(phase);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_gate_is_told_of_this_one_only_once() {
        for (argument, is) in [("--take-over", true), ("--take-over=127.0.0.1:1", true), ("--take-overs", false)] {
            assert_eq!(is_take_over(&argument.into()), is, "{argument}");
        }
    }
}
