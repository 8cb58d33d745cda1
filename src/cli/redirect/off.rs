//! `tollgate redirect off`: removes what was added, also after a crash, a reboot, or when only a part of it is there.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::cli::machine::{borrowed, undoers};
use crate::cli::problem::Problem;
use crate::cli::redirect::command::loaded;
use crate::system::changes::Changes;
use crate::system::changes::undo::{Told, Undone};
use crate::system::redirect::hosts::without_blocks;
use crate::system::redirect::hosts_file;
use crate::system::redirect::undo::{KIND, remove_blocks};

/// Removes it.
///
/// # Errors
/// What could not be removed; it stays in the journal.
pub(super) fn run(hosts: &Path, config: Option<&PathBuf>) -> Result<(), Problem> {
    let loaded = loaded(config)?;
    let changes = Changes::at(&loaded.setup.state);
    let mut told = changes.undo(&borrowed(&undoers()), &|record| record.kind == KIND)?;
    // The block says itself whose it is, also where the journal was lost.
    let orphaned = hosts_file::read(hosts).is_ok_and(|text| !without_blocks(&text).ids.is_empty());
    if orphaned && told.is_empty() {
        let undone = remove_blocks(hosts).map_err(|error| {
            let hint = error.hint();
            Problem::failed(error, [hint])
        })?;
        told.push(Told { what: format!("the block in `{}`", hosts.display()), undone });
    }
    let mut out = io::stdout().lock();
    if told.is_empty() {
        return Ok(writeln!(out, "nothing is redirected")?);
    }
    for Told { what, undone } in told {
        match undone {
            Undone::Restored => writeln!(out, "removed {what}")?,
            Undone::Left(left) => writeln!(out, "removed {what}; left {}", left.join(", "))?,
            Undone::Blocked { why, command } => {
                let hint = command.map(|command| format!("type `{command}`"));
                return Err(Problem::failed(anyhow!(why).context(format!("cannot remove {what}")), hint));
            }
        }
    }
    Ok(())
}
