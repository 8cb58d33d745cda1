//! `tollgate redirect`: the kernel, or the hosts file, leads connections of unchanged programs to the gate.

mod command;
mod existing;
pub mod guard;
mod off;
mod on;
mod status;
mod target;
mod wanted;
mod words;

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};

use crate::cli::problem::Problem;
use crate::system::changes::{Changes, Record};
use crate::system::redirect::hosts_file::HOSTS;
use crate::system::redirect::record::Added;
use crate::system::redirect::undo::KIND;

/// `tollgate redirect`.
#[derive(Args, Clone, Debug)]
pub struct RedirectArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: RedirectCommand,
    /// Configuration file (JSON5) of the running gate
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// What can be done with the redirection.
#[derive(Clone, Debug, Subcommand)]
pub enum RedirectCommand {
    /// Lead connections to the intercepted hosts to the running gate (Linux, root)
    On(OnArgs),
    /// Remove exactly what `on` has added
    Off {
        /// The hosts file
        #[arg(long, value_name = "FILE", default_value = HOSTS, hide = true)]
        hosts_file: PathBuf,
    },
    /// Say what is on, since when, for which addresses, and what went through
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `tollgate redirect on`.
#[derive(Args, Clone, Debug, Default)]
pub struct OnArgs {
    /// Programs of this user, by number or name; without any of these choices, of the user who called `sudo`
    #[arg(long, value_name = "USER", conflicts_with = "for_all")]
    pub for_uid: Option<String>,
    /// Programs of every user, but for the gate itself
    #[arg(long, action = ArgAction::SetTrue)]
    pub for_all: bool,
    /// What containers or namespaces behind this interface send through this machine
    #[arg(long, value_name = "NAME")]
    pub for_interface: Option<String>,
    /// Take such traffic by TPROXY, which leaves its destination as it is; without an interface, from all of them
    #[arg(long, action = ArgAction::SetTrue)]
    pub tproxy: bool,
    /// Whole machine, by the hosts file: the intercepted names lead to this machine
    #[arg(long, action = ArgAction::SetTrue, conflicts_with_all = ["for_uid", "for_all", "for_interface", "tproxy"])]
    pub hosts: bool,
    /// A further intercepted name, such as a subdomain in use, whose addresses are captured too
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
    /// Look the names up again, and put the addresses of now in place of those in force
    #[arg(long, action = ArgAction::SetTrue,
        conflicts_with_all = ["for_uid", "for_all", "for_interface", "tproxy", "hosts", "host"])]
    pub refresh: bool,
    /// Print what would be added, and add nothing
    #[arg(long, action = ArgAction::SetTrue)]
    pub dry_run: bool,
    /// The hosts file
    #[arg(long, value_name = "FILE", default_value = HOSTS, hide = true)]
    pub hosts_file: PathBuf,
}

/// Redirects, stops to, or says what is redirected.
///
/// # Errors
/// Whatever stands in the way; then nothing was added.
pub fn run(args: &RedirectArgs) -> Result<(), Problem> {
    if !cfg!(target_os = "linux") {
        let hints = ["use `tollgate run -- PROGRAM` or `tollgate system on`".to_owned()];
        return Err(Problem::failed(anyhow::anyhow!("only Linux can redirect connections to the gate"), hints));
    }
    let config = args.config.as_ref();
    match &args.what {
        RedirectCommand::On(on) if on.refresh => on::refresh(on, config),
        RedirectCommand::On(on) => on::run(on, config),
        RedirectCommand::Off { hosts_file } => off::run(hosts_file, config),
        RedirectCommand::Status { json } => status::run(*json, config),
    }
}

/// The redirection in the journal of changes, if there is one.
fn recorded(changes: &Changes) -> anyhow::Result<Option<(Record, Added)>> {
    let found = changes.found()?;
    let mut ours = found.records.into_iter().filter(|record| record.kind == KIND);
    Ok(ours.find_map(|record| serde_json::from_value(record.data.clone()).ok().map(|added| (record, added))))
}
