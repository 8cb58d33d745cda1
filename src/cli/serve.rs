//! `tollgate serve`: runs the gate until it is told to stop.

pub mod signals;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use self::signals::Service;
use crate::cli::arguments::ConfigArgs;
use crate::cli::hub::hub_settings;
use crate::cli::machine;
use crate::cli::problem::Problem;
use crate::cli::redirect::guard::refuse_loop;
use crate::cli::run::background;
use crate::cli::sources::{inherited, loaded, loader};
use crate::gate::listeners::Given;
use crate::gate::succession::Predecessor;
use crate::gate::{Gate, Surroundings};
use crate::system::supervisor::{self, News, Passed};
use crate::telemetry;

/// `tollgate serve`.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Take the listeners over from the running gate, which stops once this one serves; ADDR where it listens at
    /// another address than `listen.proxy`
    #[arg(long, value_name = "ADDR", num_args = 0..=1, require_equals = true)]
    pub take_over: Option<Option<SocketAddr>>,
    /// The folder of the leases with which this gate ends; `run` starts it so
    #[arg(long, hide = true, value_name = "FOLDER", conflicts_with = "take_over")]
    pub leases: Option<PathBuf>,
    /// It is the process that stays
    #[arg(long, hide = true, requires = "leases")]
    pub detached: bool,
}

/// Runs the gate; prints where it listens and what to do next.
///
/// # Errors
/// A configuration or a machine that does not let it start.
pub fn run(args: &ServeArgs) -> Result<(), Problem> {
    if let Some(folder) = &args.leases {
        return background::run(args, folder);
    }
    let passed = supervisor::passed().map_err(|error| Problem::usage(error, Some(PASSED.into())))?;
    supervisor::forbid_core_dumps();
    let loaded = loaded(&args.config)?;
    telemetry::start();
    let file = loaded.file.clone();
    let mut given: Vec<Given> = passed.into_iter().map(from_systemd).collect();
    let predecessor = match args.take_over {
        None => None,
        Some(at) => {
            let (predecessor, taken) = Predecessor::call(&loaded.setup.certs, at.unwrap_or(loaded.setup.proxy))?;
            given.extend(taken);
            Some(predecessor)
        }
    };
    let loader = Some(loader(&args.config)?);
    let surroundings = Surroundings {
        inherited: inherited(),
        hub: Some(hub_settings()),
        given,
        loader,
        predecessor,
        ..Surroundings::default()
    };
    let changes = machine::undo_stale(&loaded.setup.state);
    refuse_loop(&changes)?;
    let mut gate = Gate::start(loaded, surroundings)?;
    let _attendance = machine::attend(changes, gate.proxy_address(), gate.stopper());
    gate.follow()?;
    let service = Service::of(&gate);
    service.watch_signals()?;
    let followed = service.followed();
    let offer = gate.offer(followed).unwrap_or_else(|error| {
        tracing::warn!(%error, "no other gate can take over from this one");
        None
    });
    greet(&gate, file.as_deref())?;
    supervisor::tell(News::Ready(&service.status()));
    gate.wait();
    drop(offer);
    Ok(())
}

fn from_systemd(passed: Passed) -> Given {
    let Passed { listener, descriptor, name } = passed;
    Given { listener, name, from: format!("descriptor {descriptor}") }
}

fn greet(gate: &Gate, file: Option<&Path>) -> io::Result<()> {
    let authority = gate.authority();
    let certs = authority.dir().display();
    let proxy = gate.proxy_address();
    let mut out = io::stdout().lock();
    let config = file.map_or_else(|| "none; the defaults run".to_owned(), |file| file.display().to_string());
    writeln!(out, "proxy    http://{proxy}")?;
    writeln!(out, "admin    http://{}", gate.admin_address())?;
    if let Some(at) = gate.transparent_address() {
        writeln!(out, "transparent {at}")?;
    }
    writeln!(out, "opens    {}", authority.permitted().join(", "))?;
    writeln!(out, "ca       {}", authority.root_path().display())?;
    writeln!(out, "config   {config}")?;
    let journal = gate.ledger().journal();
    match (&journal.path, journal.alarm()) {
        (None, _) => writeln!(out, "books    in memory; they end with this process")?,
        (Some(path), None) => writeln!(out, "books    {path}")?,
        (Some(_), Some(alarm)) => writeln!(out, "books    in memory for now: {alarm}")?,
    }
    if authority.made_now() {
        writeln!(out, "\nA certificate authority was made; programs must trust it.")?;
    }
    writeln!(out, "\nNext, in the shell of a program that calls OpenAI:\n")?;
    writeln!(out, "  export HTTPS_PROXY=http://{proxy} SSL_CERT_FILE={certs}/bundle.pem \\")?;
    writeln!(out, "         NODE_EXTRA_CA_CERTS={certs}/ca.pem CURL_CA_BUNDLE={certs}/bundle.pem")?;
    writeln!(out, "  # or, without interception: export OPENAI_BASE_URL=http://{proxy}/v1")?;
    writeln!(out, "\nThen: tollgate stats")?;
    out.flush()
}

const PASSED: &str = "let the socket unit name a TCP address for each `ListenStream`";
