//! Takes this process into a network of its own, with the user that it had.

use std::fs;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities, remove_capability_from_bounding_set, set_capabilities};

use crate::system::isolation::files::{Cover, cover};
use crate::system::isolation::links;
use crate::system::isolation::obstacles::obstacles;
use crate::system::isolation::sockets::Sockets;

/// What is there once this process is inside.
#[derive(Debug)]
pub struct Inside {
    /// The sockets at which everything ends.
    pub sockets: Sockets,
    /// What the program will have less of than it should, in words.
    pub warnings: Vec<String>,
}

/// Why a process cannot be isolated.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}")]
pub struct IsolationError {
    what: &'static str,
    #[source]
    cause: io::Error,
    /// What may be done about it.
    pub hints: Vec<String>,
}

impl IsolationError {
    fn new(what: &'static str, cause: impl Into<io::Error>) -> Self {
        let cause = cause.into();
        let forbidden = [Errno::EPERM, Errno::EACCES, Errno::ENOSPC, Errno::EUSERS, Errno::ENOSYS, Errno::EINVAL];
        let is_forbidden = cause.raw_os_error().is_some_and(|code| forbidden.contains(&Errno::from_raw(code)));
        let mut hints = if is_forbidden { obstacles(Path::new("/proc")) } else { Vec::new() };
        if is_forbidden && !geteuid().is_root() {
            hints.push("or run it as root, which needs no such permission".into());
        }
        Self { what, cause, hints }
    }
}

/// Enters a new network and a new view of the files, lays the links, opens the sockets and covers the files.
///
/// This process must have one thread. What it may do to the network it may do until [`settle`].
///
/// # Errors
/// What the kernel forbids; this process is of no use afterwards.
pub fn enter(files: &Cover<'_>) -> Result<Inside, IsolationError> {
    separate()?;
    let v6 = links::lay().map_err(|cause| IsolationError::new("lay the links of a network of its own", cause))?;
    let covered = cover(files).map_err(|cause| IsolationError::new("show the program its own files", cause))?;
    let (sockets, refused) = Sockets::open(v6, !covered.resolver)
        .map_err(|cause| IsolationError::new("listen in a network of its own", cause))?;
    let mut warnings = covered.warnings;
    if let Some(cause) = refused {
        warnings.push(format!(
            "this kernel has no nf_tables to lead every port to the gate ({cause}); the program reaches ports 80 and \
             443 only"
        ));
    }
    Ok(Inside { sockets, warnings })
}

/// Gives up the rights over the network and over other programs' namespaces, before the program begins.
pub fn settle() {
    let given_up = CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_PTRACE;
    // A program of root keeps all else. Where there is nothing to give up, this fails.
    for right in given_up.iter() {
        let _ = remove_capability_from_bounding_set(right);
    }
    if let Ok(mut now) = capabilities(None) {
        now.inheritable -= given_up;
        let _ = set_capabilities(None, now);
    }
}

/// Root needs no user namespace, unless it is the root of a container.
fn separate() -> Result<(), IsolationError> {
    let own = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    let (user, group) = (geteuid(), getegid());
    if user.is_root() && unshare(own).is_ok() {
        return Ok(());
    }
    let failed = |cause| IsolationError::new("make a network of its own for the program", io::Error::from(cause));
    unshare(own | CloneFlags::CLONE_NEWUSER).map_err(failed)?;
    // The program sees the user and the group that it had.
    let (user, group) = (user.as_raw(), group.as_raw());
    fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("{user} {user} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("{group} {group} 1")))
        .map_err(|cause| IsolationError::new("keep the program's user in a namespace of its own", cause))
}
