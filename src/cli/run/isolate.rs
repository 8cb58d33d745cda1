//! `tollgate run --isolate`: the program's process enters a network whose only way out is the gate.

use std::ffi::OsStr;
use std::path::Path;

use clap::Args;

use crate::cli::problem::Problem;
use crate::cli::run::gate::Reached;
use crate::system::environment::Files;

/// `tollgate __relay`.
#[derive(Args, Clone, Debug)]
pub struct RelayArgs {
    /// Serve; otherwise, start one that serves and is nobody's child
    #[arg(long)]
    detached: bool,
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Files, OsStr, Path, Problem, Reached, RelayArgs};

    pub(super) fn enter(_: &Path, _: &Files, _: SocketAddr, _: Option<&str>, _: Option<&Lease>) -> Result<(), Problem> {
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

    use super::{Files, OsStr, Path, Problem, Reached, RelayArgs};
    use crate::ca::hashed::subject_hash;
    use crate::system::isolation::enter::{enter as go_inside, settle};
    use crate::system::isolation::files::Cover;
    use crate::system::isolation::hand::{give, pair};
    use crate::system::isolation::relay::{Order, Served, network, serve, wait};

    pub(super) fn enter(
        program: &OsStr,
        certs: &Path,
        files: &Files,
        reached: &Reached,
        label: Option<&str>,
    ) -> Result<(), Problem> {
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read `{}`", path.display()));
        let (root, bundle) = (read(&certs.join("ca.pem"))?, read(&files.bundle)?);
        let java = files.java.as_deref().map(read).transpose()?;
        let (line, theirs) = pair().context("cannot speak with a relay")?;
        start(theirs).context("cannot start a relay")?;
        let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
        let order = Order { gate: reached.proxy, label: label.map(Into::into), process: process::id(), name };
        let lease = [reached.lease.as_fd()];
        give(&line, &order, &lease).and_then(|()| wait(&line)).context("the relay did not begin")?;

        let hash = subject_hash(&root);
        let cover = Cover { bundle: &bundle, root: &root, hash: hash.as_deref(), java: java.as_deref() };
        let inside = go_inside(&cover).map_err(|error| {
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

/// Brings this process, which is to become `program`, inside: it has no way out but the gate that was reached, in whose
/// books it is `label`. The gate's lease is held as long as anything is inside.
///
/// # Errors
/// What the system forbids, with the switch that forbids it; no relay.
pub(super) fn enter(
    program: &OsStr,
    certs: &Path,
    files: &Files,
    reached: &Reached,
    label: Option<&str>,
) -> Result<(), Problem> {
    system::enter(program, certs, files, reached, label)
}

/// Serves a program that is inside.
///
/// # Errors
/// It was not started by `run --isolate`.
pub fn relay(args: &RelayArgs) -> Result<(), Problem> {
    system::relay(args)
}
