//! `tollgate redirect on`: writes down what will be added, adds it, and leaves nothing behind where that fails.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, anyhow};

use crate::cli::problem::Problem;
use crate::cli::redirect::command::{loaded, with_sudo};
use crate::cli::redirect::existing::{check_privilege, refuse_block, refuse_existing};
use crate::cli::redirect::target::{Target, addresses, names};
use crate::cli::redirect::wanted::Wanted;
use crate::cli::redirect::words::{failed, greet, hosts_problem, listed, show, told};
use crate::cli::redirect::{OnArgs, recorded};
use crate::system::changes::undo::{Undo, Undone};
use crate::system::changes::{Change, Changes, Record};
use crate::system::redirect::hosts::with_block;
use crate::system::redirect::hosts_file;
use crate::system::redirect::kernel::{Existing, Kernel, KernelError};
use crate::system::redirect::nft;
use crate::system::redirect::record::{Added, Place, Rules, Tool};
use crate::system::redirect::tools::Tools;
use crate::system::redirect::undo::{KIND, Redirects};

/// Redirects connections to the running gate.
///
/// # Errors
/// Whatever stands in the way; then nothing was added.
pub(super) fn run(args: &OnArgs, config: Option<&PathBuf>) -> Result<(), Problem> {
    let wanted = Wanted::read(args)?;
    let loaded = loaded(config)?;
    let names = names(&loaded, &args.host)?;
    if !args.dry_run {
        check_privilege(config)?;
    }
    let changes = Changes::at(&loaded.setup.state);
    let target = Target::find(&loaded.setup, &changes)?;
    // Nobody else may write rules of ours between the look at what is there and our own.
    let _alone =
        if args.dry_run { None } else { Some(changes.claim().context("cannot write the journal of changes")?) };
    let kernel = Kernel::new(Tools::find());
    if !args.dry_run {
        refuse_existing(&changes, kernel.as_ref(), config)?;
    }
    let mut added = Added {
        id: id()?.into(),
        place: Place::here().context("cannot tell this network namespace")?,
        names,
        command: with_sudo("off", config).into(),
        rules: None,
        hosts: None,
    };
    if wanted.hosts {
        added.hosts = Some(args.hosts_file.clone());
        refuse_block(&args.hosts_file)?;
    }
    if let Some(capture) = wanted.capture(&added, &target, &loaded)? {
        let tool = kernel.as_ref().map_or(Tool::Nft, Kernel::tool);
        added.rules = Some(Rules { tool, capture });
    }
    if args.dry_run {
        return Ok(show(&added)?);
    }
    add(&changes, &target, kernel, &added)?;
    Ok(greet(&added, config)?)
}

/// Puts the addresses of now in place of those in force.
///
/// # Errors
/// Nothing is on, or a name or the rules do not do what they should; then what was in force still is.
pub(super) fn refresh(args: &OnArgs, config: Option<&PathBuf>) -> Result<(), Problem> {
    let loaded = loaded(config)?;
    let changes = Changes::at(&loaded.setup.state);
    let Some((record, mut added)) = recorded(&changes)? else {
        return Err(failed(anyhow!("nothing is redirected"), "`tollgate redirect on` does that"));
    };
    if added.hosts.is_some() {
        return Err(failed(
            anyhow!("the hosts file leads names to the gate, which has no addresses to refresh"),
            "nothing is to be done",
        ));
    }
    let hosts = addresses(&added.names, &loaded.setup)?;
    let Some(rules) = &mut added.rules else { return Ok(()) };
    if args.dry_run {
        return Ok(io::stdout().lock().write_all(nft::refresh(&hosts).as_bytes())?);
    }
    check_privilege(config)?;
    let _alone = changes.claim().context("cannot write the journal of changes")?;
    let kernel = Kernel::of(Tools::find(), rules.tool);
    if kernel.existing().map_err(told)? != Existing::Ours(added.id.clone()) {
        let hint = format!("`{}` clears the record, and `on` adds them again", with_sudo("off", config));
        return Err(failed(anyhow!("the rules that were added are no longer there"), &hint));
    }
    kernel.refresh(&rules.capture, &hosts).map_err(told)?;
    rules.capture.hosts = hosts;
    let shown = listed(&rules.capture.hosts);
    let data = serde_json::to_value(&added).context("the record cannot be written")?;
    changes.write(&Record { data, ..record }).context("cannot write the journal of changes")?;
    Ok(writeln!(io::stdout().lock(), "addresses  {shown}")?)
}

/// Adds what is written down; where that fails, takes it back.
fn add(changes: &Changes, target: &Target, kernel: Result<Kernel, KernelError>, added: &Added) -> Result<(), Problem> {
    let kernel = match (&added.rules, kernel) {
        (None, _) => None,
        (Some(_), kernel) => Some(kernel.map_err(told)?),
    };
    let data = serde_json::to_value(added).context("the record cannot be written")?;
    let what = match (&added.rules, &added.hosts) {
        (_, Some(file)) => format!("the block in `{}`", file.display()),
        _ => "the redirect rules of the kernel".into(),
    };
    let change = Change { kind: KIND, what, gate: Some(target.gate.clone()), data };
    let record = changes.note(change).context("cannot write the journal of changes; nothing was changed")?;
    let outcome = put(kernel.as_ref(), added);
    if outcome.is_err() && !matches!(Redirects.undo(&record.data), Undone::Blocked { .. }) {
        changes.forget(&record).context("cannot clear the journal of changes")?;
    }
    outcome
}

fn put(kernel: Option<&Kernel>, added: &Added) -> Result<(), Problem> {
    if let (Some(kernel), Some(rules)) = (kernel, &added.rules) {
        kernel.add(&rules.capture).map_err(told)?;
    }
    if let Some(file) = &added.hosts {
        let text = hosts_file::read(file).map_err(hosts_problem)?;
        hosts_file::write(file, &with_block(&text, &added.id, &added.names)).map_err(hosts_problem)?;
    }
    Ok(())
}

/// 16 hexadecimal digits that nobody has drawn before.
fn id() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("the system gives no random numbers"))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
