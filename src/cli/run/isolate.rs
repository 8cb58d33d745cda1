//! `tollgate run --isolate`: the program's process enters a network whose only way out is the gate.

use clap::Args;

use crate::cli::problem::Problem;
use crate::config::load::Loaded;

/// `tollgate __relay`.
#[derive(Args, Clone, Debug)]
pub struct RelayArgs {
    /// Serve; otherwise, start one that serves and is nobody's child
    #[arg(long)]
    detached: bool,
}

/// What leads programs to a proxy that they cannot reach inside.
pub const PROXIES: [&str; 11] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "ftp_proxy",
    "no_proxy",
    "NODE_USE_ENV_PROXY",
];

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Loaded, Problem, RelayArgs};

    pub(super) fn enter(_: &Loaded, _: Option<&str>) -> Result<(), Problem> {
        let error = anyhow::anyhow!("only Linux gives a program a network of its own");
        Err(Problem::usage(error, ["without `--isolate`, the program is led through the gate by its settings".into()]))
    }

    pub(super) fn relay(_: &RelayArgs) -> Result<(), Problem> {
        Err(anyhow::anyhow!("only Linux has relays").into())
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;
    use std::io::{self, Write};
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::os::unix::process::CommandExt;
    use std::process::{self, Command, Stdio};

    use anyhow::Context;

    use super::{Loaded, Problem, RelayArgs};
    use crate::ca::hashed::subject_hash;
    use crate::cli::run::{BUNDLE, ROOT};
    use crate::system::isolation::enter::{enter as go_inside, settle};
    use crate::system::isolation::files::Cover;
    use crate::system::isolation::hand::{give, pair};
    use crate::system::isolation::relay::{Order, Served, network, serve, wait};

    pub(super) fn enter(loaded: &Loaded, label: Option<&str>) -> Result<(), Problem> {
        let certs = &loaded.setup.certs;
        let read = |name| fs::read(certs.join(name)).with_context(|| format!("cannot read `{name}`"));
        let (bundle, root) = (read(BUNDLE)?, read(ROOT)?);
        let (line, theirs) = pair().context("cannot speak with a relay")?;
        start(theirs).context("cannot start a relay")?;
        let order = Order { gate: loaded.setup.proxy, label: label.map(Into::into), process: process::id() };
        give(&line, &order, &[]).and_then(|()| wait(&line)).context("the relay did not begin")?;

        let hash = subject_hash(&root);
        let inside = go_inside(&Cover { bundle: &bundle, root: &root, hash: hash.as_deref() }).map_err(|error| {
            let hints = error.hints.clone();
            Problem::failed(error, hints)
        })?;
        for warning in &inside.warnings {
            let _ = writeln!(io::stderr(), "warning: {warning}");
        }
        let sockets = &inside.sockets;
        let descriptors: Vec<BorrowedFd<'_>> =
            sockets.streams.iter().map(AsFd::as_fd).chain(sockets.names.iter().map(AsFd::as_fd)).collect();
        let served = Served { kind: sockets.kind, network: network().context("cannot name the new network")? };
        give(&line, &served, &descriptors)
            .and_then(|()| wait(&line))
            .context("the relay did not take over the network of the program")?;
        settle();
        Ok(())
    }

    /// Started twice over, so that it is no child of the program, which may wait for all of its children.
    fn start(line: OwnedFd) -> io::Result<()> {
        let status = command(line).arg("__relay").spawn()?.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other("it did not start")) }
    }

    pub(super) fn relay(args: &RelayArgs) -> Result<(), Problem> {
        let line = io::stdin().as_fd().try_clone_to_owned()?;
        if args.detached {
            return Ok(serve(&line)?);
        }
        // Away from the terminal, whose signals are the program's.
        let _ = rustix::process::setsid();
        command(line).args(["__relay", "--detached"]).spawn()?;
        Ok(())
    }

    /// This very program, however it was found, and nothing that the user's program keeps open.
    fn command(line: OwnedFd) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("tollgate").env_clear().current_dir("/");
        command.stdin(line).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Brings this process inside; what it becomes has no way out but the gate.
///
/// # Errors
/// What the system forbids, with the switch that forbids it; no relay.
pub fn enter(loaded: &Loaded, label: Option<&str>) -> Result<(), Problem> {
    system::enter(loaded, label)
}

/// Serves a program that is inside.
///
/// # Errors
/// It was not started by `run --isolate`.
pub fn relay(args: &RelayArgs) -> Result<(), Problem> {
    system::relay(args)
}
