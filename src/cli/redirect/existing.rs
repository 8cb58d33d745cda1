//! What stands in the way before anything is added: rights, and what is there already.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::cli::problem::Problem;
use crate::cli::redirect::command::{typed, with_sudo};
use crate::cli::redirect::recorded;
use crate::cli::redirect::words::{failed, hosts_problem, told};
use crate::system::changes::Changes;
use crate::system::changes::undo::{Undo, Undone};
use crate::system::redirect::hosts::without_blocks;
use crate::system::redirect::hosts_file;
use crate::system::redirect::kernel::{Existing, Kernel, KernelError};
use crate::system::redirect::listener::may_change_rules;
use crate::system::redirect::record::{Place, Tool};
use crate::system::redirect::undo::Redirects;

/// Refuses who may not change rules, with what to type.
///
/// # Errors
/// That.
pub(super) fn check_privilege(config: Option<&PathBuf>) -> Result<(), Problem> {
    if may_change_rules().context("cannot tell what this process may do")? {
        return Ok(());
    }
    let hint = format!("type `{}`", with_sudo(&typed(), config));
    Err(failed(anyhow!("changing the kernel's rules needs root (CAP_NET_ADMIN)"), &hint))
}

/// Refuses what is on already, and what stands under our name and is not known; clears what has ended by itself.
///
/// # Errors
/// What is there, and how it is removed.
pub(super) fn refuse_existing(
    changes: &Changes,
    kernel: Result<&Kernel, &KernelError>,
    config: Option<&PathBuf>,
) -> Result<(), Problem> {
    let (off, refresh) = (with_sudo("off", config), with_sudo("on --refresh", config));
    let here = Place::here().context("cannot tell this network namespace")?;
    if let Some((record, added)) = recorded(changes)? {
        if added.place == here || added.hosts.is_some() {
            let hints = [format!("`{refresh}` looks the addresses up again"), format!("`{off}` removes it first")];
            return Err(Problem::failed(anyhow!("a redirection is already on, since {}", record.at), hints));
        }
        // That of an earlier boot, or of a namespace that has gone.
        if matches!(Redirects.undo(&record.data), Undone::Blocked { .. }) {
            let what = format!(
                "a redirection of this configuration is on in another network namespace, {}",
                added.place.namespace
            );
            return Err(failed(anyhow!(what), "remove it there with `tollgate redirect off`"));
        }
        changes.forget(&record).context("cannot clear the journal of changes")?;
    }
    let Ok(kernel) = kernel else { return Ok(()) };
    let (what, look, remove) = match kernel.tool() {
        Tool::Nft => ("table `inet tollgate`", "nft list table inet tollgate", "nft delete table inet tollgate"),
        Tool::Iptables => ("chains `TOLLGATE_...`", "iptables-save", "iptables -D, -F and -X"),
    };
    match kernel.existing().map_err(told)? {
        Existing::None => Ok(()),
        Existing::Foreign => {
            let hint = format!("look at it with `{look}`; if nobody needs it, remove it with `{remove}`");
            Err(failed(anyhow!("{what} exists already, and is not from this program; it was left as it is"), &hint))
        }
        Existing::Ours(id) => {
            let hint = format!(
                "another configuration's gate may have added it, whose `tollgate redirect off --config FILE` removes it; look at it with `{look}`; if nobody needs it, remove it with `{remove}`"
            );
            Err(failed(
                anyhow!(
                    "{what} exists already, with an id ({id}) that this configuration did not give; it was left as it is"
                ),
                &hint,
            ))
        }
    }
}

/// Refuses a hosts file that has a block of ours.
///
/// # Errors
/// It has, or cannot be read.
pub(super) fn refuse_block(file: &Path) -> Result<(), Problem> {
    let text = hosts_file::read(file).map_err(hosts_problem)?;
    if without_blocks(&text).ids.is_empty() {
        return Ok(());
    }
    let what = format!("`{}` has a block of tollgate already", file.display());
    Err(failed(anyhow!(what), "`tollgate redirect off` removes it"))
}
