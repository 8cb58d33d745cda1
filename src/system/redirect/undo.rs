//! Takes back what a redirection added, also where only a part of it was added or is still there.

use std::error::Error;
use std::path::Path;

use serde_json::Value;

use crate::system::changes::undo::{Undo, Undone};
use crate::system::redirect::hosts::without_blocks;
use crate::system::redirect::hosts_file::{self, HostsError};
use crate::system::redirect::kernel::Kernel;
use crate::system::redirect::listener::may_change_rules;
use crate::system::redirect::record::{Added, Place, Rules};
use crate::system::redirect::tools::Tools;

/// The name of our records in the journal of changes.
pub const KIND: &str = "redirect";

/// Undoes records of that kind.
#[derive(Clone, Copy, Debug)]
pub struct Redirects;

impl Undo for Redirects {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn undo(&self, data: &Value) -> Undone {
        match serde_json::from_value::<Added>(data.clone()) {
            Ok(added) => take_back(&added)
                .unwrap_or_else(|why| Undone::Blocked { why, command: Some(added.command.clone().into_string()) }),
            Err(error) => Undone::Blocked { why: format!("its record cannot be understood: {error}"), command: None },
        }
    }
}

/// Removes the rules and the block.
fn take_back(added: &Added) -> Result<Undone, String> {
    if let Some(rules) = &added.rules {
        remove_rules(rules, &added.place)?;
    }
    match &added.hosts {
        None => Ok(Undone::Restored),
        Some(file) => remove_blocks(file).map_err(|error| told(&error)),
    }
}

fn remove_rules(rules: &Rules, place: &Place) -> Result<(), String> {
    let here = Place::here().map_err(|error| error.to_string())?;
    if here.boot != place.boot {
        return Ok(());
    }
    if here.namespace != place.namespace {
        if place.has_gone() {
            return Ok(());
        }
        return Err(format!("its rules are in another network namespace, {}", place.namespace));
    }
    if !may_change_rules().map_err(|error| error.to_string())? {
        return Err("changing the kernel's rules needs root (CAP_NET_ADMIN)".into());
    }
    let kernel = Kernel::of(Tools::find(), rules.tool);
    kernel.remove(rules).map(|_| ()).map_err(|error| error.to_string())
}

/// Takes every block of ours out of a hosts file.
///
/// # Errors
/// A file that cannot be read or written.
pub fn remove_blocks(file: &Path) -> Result<Undone, HostsError> {
    let cleared = without_blocks(&hosts_file::read(file)?);
    if cleared.ids.is_empty() {
        return Ok(Undone::Restored);
    }
    hosts_file::write(file, &cleared.text)?;
    if cleared.kept == 0 {
        return Ok(Undone::Restored);
    }
    let lines = if cleared.kept == 1 { "line" } else { "lines" };
    Ok(Undone::Left(vec![format!(
        "{} {lines} that somebody wrote into its block in `{}`",
        cleared.kept,
        file.display()
    )]))
}

fn told(error: &HostsError) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}; {}", error.hint())
}
