//! What can be typed: the commands and their arguments.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::cli::budget::BudgetArgs;
use crate::cli::ca::trust::{TrustArgs, UntrustArgs};
use crate::cli::completions::{CompletionsArgs, ManArgs};
use crate::cli::count::CountArgs;
use crate::cli::export::ExportArgs;
use crate::cli::reconcile::ReconcileArgs;
use crate::cli::redirect::RedirectArgs;
use crate::cli::run::isolate::RelayArgs;
use crate::cli::run::label;
use crate::cli::serve::ServeArgs;
use crate::cli::service::ServiceArgs;
use crate::cli::stats::StatsArgs;
use crate::cli::system::SystemArgs;
use crate::cli::tail::TailArgs;
use crate::cli::top::TopArgs;

/// Stands between programs and api.openai.com: intercepts, routes and meters every call.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, propagate_version = true, disable_help_subcommand = true)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// Without a command: `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The arguments of `serve`, for when no command is given.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Whether a limit is reached, as an exit code: 0 under, 1 at or over, 2 error, 3 unknown
    Budget(BudgetArgs),
    /// Show, export or renew the certificate authority, and let this machine trust it
    Ca(CaArgs),
    /// Load the configuration, say every mistake, resolve every route; starts nothing
    Check(CheckArgs),
    /// What a shell needs to complete commands and options
    Completions(CompletionsArgs),
    /// Tokens of a text or of a request, by one model or several
    Count(CountArgs),
    /// Everything at once, offline: interception, a custom model, a duplicate, a stream, and the books
    Demo(DemoArgs),
    /// Calls of a period as CSV or JSON lines, from the running gate or a journal
    Export(ExportArgs),
    /// The manual, as a page for `man`
    Man(ManArgs),
    /// Hold the books against OpenAI's usage or cost export
    Reconcile(ReconcileArgs),
    /// Lead connections of unchanged programs to the gate, by the kernel or the hosts file (Linux)
    Redirect(RedirectArgs),
    /// Reckon the costs in the journal anew with the present price tables, and keep the old ones beside them
    Reprice(RepriceArgs),
    /// Serves an isolated program; started by `run --isolate`
    #[command(name = "__relay", hide = true)]
    Relay(RelayArgs),
    /// Say where a call would go, why, and at what price
    Route(RouteArgs),
    /// Run one program through the gate, which is started if none runs: `tollgate run --label NAME -- PROGRAM ARGS...`
    Run(RunArgs),
    /// Run the gate; makes the certificate authority at first start
    Serve(ServeArgs),
    /// What systemd or launchd needs to run the gate as a service
    Service(ServiceArgs),
    /// Sums of a period, from the running gate or a journal
    Stats(StatsArgs),
    /// The desktop's proxy: set to the running gate, and put back when it ends
    System(SystemArgs),
    /// The latest calls, from the running gate or a journal
    Tail(TailArgs),
    /// Sums of a period, once a second
    Top(TopArgs),
}

/// Where the configuration comes from.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Configuration file (JSON5)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of the proxy listener
    #[arg(long, value_name = "ADDR")]
    pub proxy: Option<String>,
    /// Address of the admin listener
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// A custom model: one line of the custom-models document; may be repeated
    #[arg(long = "model", value_name = "LINE")]
    pub models: Vec<String>,
}

/// `tollgate check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tollgate demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Keep the gate and its books up until interrupted
    #[arg(long)]
    pub stay: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tollgate reprice`.
#[derive(Args, Clone, Debug)]
pub struct RepriceArgs {
    /// From when on: `7d`, `12h`, or an instant such as 2026-11-22T00:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub since: String,
    /// The journal; that of the configuration if absent. It is changed only while no gate runs on it
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Say what would change, and change nothing; also while a gate runs
    #[arg(long)]
    pub dry_run: bool,
    /// Configuration file (JSON5)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tollgate route`.
#[derive(Args, Clone, Debug)]
pub struct RouteArgs {
    /// The model that a call would name
    pub name: String,
    /// The path that it would be sent to: /v1/chat/completions, or /v1/embeddings for a custom model of that type
    #[arg(long)]
    pub path: Option<String>,
    /// Configuration file (JSON5)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tollgate run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Whose calls they are, in the books and for budgets
    #[arg(long, value_name = "NAME", value_parser = label)]
    pub label: Option<String>,
    /// Give the program a network of its own whose only way out is the gate; for programs that heed no setting (Linux)
    #[arg(long)]
    pub isolate: bool,
    /// Configuration file (JSON5) that the gate runs with
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change nothing but variables: no module for old versions of Node, none for Python
    #[arg(long)]
    pub no_modules: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    pub command: Vec<OsString>,
}

/// `tollgate ca`.
#[derive(Args, Clone, Debug)]
pub struct CaArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: CaCommand,
    /// Configuration file (JSON5)
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// What can be done with the certificate authority.
#[derive(Clone, Debug, Subcommand)]
pub enum CaCommand {
    /// Write the certificate that clients must trust
    Export {
        /// Where to; standard output if absent
        #[arg(value_name = "FILE")]
        to: Option<PathBuf>,
        /// DER instead of PEM
        #[arg(long)]
        der: bool,
    },
    /// Make a new authority; every client must trust the new certificate
    Renew,
    /// Say what it is, what it may sign, and until when
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let the trust stores of this machine and this user trust it: the system's, browsers', and Java's
    Trust(TrustArgs),
    /// Take it out of them again, by its fingerprint
    Untrust(UntrustArgs),
}
