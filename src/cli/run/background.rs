//! The gate that runs for programs: away from the terminal, and only as long as one of them runs.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Context;

use crate::cli::arguments::ConfigArgs;
use crate::cli::hub::hub_settings;
use crate::cli::machine::{self, Attendance};
use crate::cli::problem::Problem;
use crate::cli::run::folder::{Folder, Running};
use crate::cli::run::gate::{DEFAULTS, FAILED, READY, is_default};
use crate::cli::run::outer::{self, Outer};
use crate::cli::serve::ServeArgs;
use crate::cli::serve::signals::stop_on_signals;
use crate::cli::sources::{inherited, loaded, loader};
use crate::gate::{Gate, Surroundings};
use crate::ledger::Ledger;
use crate::net::shutdown::{Phase, Stopper};
use crate::system::lease::Ended;
use crate::system::supervisor;
use crate::telemetry;

/// Runs a gate whose leases are in `folder`; it ends soon after the last of them.
///
/// # Errors
/// As `serve`; they stand in the log, and whoever started it hears that there are some.
pub fn run(args: &ServeArgs, folder: &Path) -> Result<(), Problem> {
    if !args.detached {
        return detach();
    }
    let folder = Folder::at(folder);
    let (gate, _attendance) = match start(&args.config, &folder) {
        Ok(started) => started,
        Err(problem) => {
            tell(&format!("{FAILED}{}", problem.code));
            return Err(problem);
        }
    };
    gate.wait();
    folder.withdraw();
    Ok(())
}

fn start(config: &ConfigArgs, folder: &Folder) -> Result<(Gate, Attendance), Problem> {
    let mut config = config.clone();
    let first = loaded(&config)?;
    // The program that is run does not care which ports these are.
    config.proxy = config.proxy.or_else(|| free_instead(first.setup.proxy, DEFAULTS.0));
    config.admin = config.admin.or_else(|| free_instead(first.setup.admin, DEFAULTS.1));
    let loaded = if config.proxy.is_some() || config.admin.is_some() { loaded(&config)? } else { first };
    telemetry::start();
    supervisor::forbid_core_dumps();
    let loader = Some(loader(&config)?);
    let hub = Some(hub_settings());
    let changes = machine::undo_stale(&loaded.setup.state);
    let gate = Gate::start(loaded, Surroundings { inherited: inherited(), hub, loader, ..Surroundings::default() })?;
    let attendance = machine::attend(changes, gate.proxy_address(), gate.stopper());
    stop_on_signals(gate.stopper())?;
    end_with_leases(folder, gate.stopper(), gate.ledger().clone())?;
    let outer = env::var(outer::PROXY).ok().map(|url| Outer { url, spared: None }.place());
    let (proxy, admin) = (gate.proxy_address(), gate.admin_address());
    let running = Running { process: std::process::id(), proxy, admin, outer };
    folder.announce(&running).with_context(|| format!("cannot write into `{}`", folder.path().display()))?;
    tell(&format!("{READY}{}", serde_json::to_string(&running).context("cannot tell who it is")?));
    Ok((gate, attendance))
}

/// Leaves the terminal, the descriptors and the family of whoever started it, in a process that is nobody's child: a
/// program that waits for its children must not find one that it does not know.
fn detach() -> Result<(), Problem> {
    close_inherited();
    rustix::process::setsid().map_err(io::Error::from).context("cannot leave the terminal")?;
    let itself = env::current_exe().context("cannot tell where this program is")?;
    Command::new(itself).args(env::args_os().skip(1)).arg("--detached").spawn().context("cannot start a gate")?;
    Ok(())
}

/// What was open in the shell, such as the other end of a pipe, would stay open as long as the gate runs.
#[cfg(target_os = "linux")]
fn close_inherited() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // The one by which the folder was read is closed already.
        let _ = nix::unistd::close(number);
    }
}

#[cfg(not(target_os = "linux"))]
fn close_inherited() {}

/// Any port in place of the default one if that is taken.
fn free_instead(at: SocketAddr, default: u16) -> Option<String> {
    let taken =
        is_default(at, default) && TcpListener::bind(at).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    taken.then(|| "127.0.0.1:0".into())
}

/// Stops the gate when the last lease has ended and nothing is being served.
fn end_with_leases(folder: &Folder, stopper: Stopper, ledger: Ledger) -> Result<(), Problem> {
    let leases = folder.leases();
    let watch = move || {
        let ended = Ended::wait(&leases, GRACE, || ledger.open_calls() == 0);
        match &ended {
            Ok(_) => tracing::info!("the last program has ended"),
            Err(error) => tracing::warn!(%error, "cannot tell whether a program runs"),
        }
        stopper.advance(Phase::Draining);
        // Until the process ends nobody must take a lease.
        loop {
            thread::park();
        }
    };
    thread::Builder::new().name("leases".into()).spawn(watch).context("cannot watch the leases")?;
    Ok(())
}

/// To whoever started it; that he may have gone is no reason to end.
fn tell(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// For the next run, which need not start a gate again.
const GRACE: Duration = Duration::from_secs(2);
