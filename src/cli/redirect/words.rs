//! What the user is told of a redirection.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::cli::problem::Problem;
use crate::cli::redirect::command::with_sudo;
use crate::system::redirect::capture::{Addresses, Capture, Family, Spared, Who};
use crate::system::redirect::hosts::with_block;
use crate::system::redirect::hosts_file::HostsError;
use crate::system::redirect::kernel::KernelError;
use crate::system::redirect::record::{Added, Rules, Tool};
use crate::system::redirect::{iptables, nft, routes};

/// What would be added.
pub(super) fn show(added: &Added) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if let Some(Rules { tool, capture }) = &added.rules {
        if let Some(tproxy) = capture.forwarded.as_ref().and_then(|forwarded| forwarded.tproxy) {
            routes::shown(tproxy).iter().try_for_each(|line| writeln!(out, "# {line}"))?;
        }
        match tool {
            Tool::Nft => write!(out, "{}", nft::table(capture))?,
            Tool::Iptables => {
                write!(out, "# iptables-restore --noflush\n{}", iptables::add(capture, Family::V4))?;
                write!(out, "# ip6tables-restore --noflush\n{}", iptables::add(capture, Family::V6))?;
            }
        }
    }
    if added.hosts.is_some() {
        write!(out, "{}", with_block("", &added.id, &added.names))?;
    }
    out.flush()
}

/// What was added, what it does not do, and how it ends.
pub(super) fn greet(added: &Added, config: Option<&PathBuf>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "redirected {}", added.names.join(", "))?;
    if let Some(rules) = &added.rules {
        writeln!(out, "addresses  {}", listed(&rules.capture.hosts))?;
        writeln!(out, "to         port {}", rules.capture.port)?;
    }
    if let Some(file) = &added.hosts {
        writeln!(out, "by         {}", file.display())?;
    }
    writeln!(out, "\nSubdomains are not captured: they cannot be listed. `--host NAME` adds one.")?;
    if added.hosts.is_none() {
        writeln!(out, "Addresses are those of now: `{}` looks them up again.", with_sudo("on --refresh", config))?;
        writeln!(out, "Connections that are open already go on as they are.")?;
    }
    writeln!(out, "`{}` removes exactly what was added.", with_sudo("off", config))?;
    if let Some(warning) = added.rules.as_ref().and_then(|rules| gap(&rules.capture)) {
        writeln!(io::stderr(), "warning: {warning}")?;
    }
    out.flush()
}

/// Addresses on one line.
pub(super) fn listed(hosts: &Addresses) -> String {
    hosts.iter().map(|address| address.to_string()).collect::<Vec<_>>().join(", ")
}

/// A failure of the kernel's tools.
pub(super) fn told(error: KernelError) -> Problem {
    let hint = match &error {
        KernelError::NoTool => Some("install the package nftables (or iptables)".to_owned()),
        KernelError::Missing(_) => Some("install it".to_owned()),
        KernelError::Tool(_) => None,
    };
    Problem::failed(error, hint)
}

/// A failure to change the hosts file.
pub(super) fn hosts_problem(error: HostsError) -> Problem {
    let hint = error.hint();
    Problem::failed(error, [hint])
}

/// A failure that the user can do something about.
pub(super) fn failed(error: anyhow::Error, hint: &str) -> Problem {
    Problem::failed(error, [hint.to_owned()])
}

/// Wrong usage.
pub(super) fn usage(error: anyhow::Error, hint: &str) -> Problem {
    Problem::usage(error, [hint.to_owned()])
}

/// What is captured less than it seems.
fn gap(capture: &Capture) -> Option<String> {
    match (capture.own, capture.spared) {
        (Some(Who::All), Spared { mark: None, uid: Some(uid) }) => Some(format!(
            "programs of the user that the gate runs as ({uid}) are not captured, since it cannot mark its connections; start it with CAP_NET_ADMIN to capture them too"
        )),
        _ => None,
    }
}
