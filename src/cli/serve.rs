//! `tollgate serve`: runs the gate until it is told to stop.

use std::io::{self, Write};
use std::path::Path;
use std::thread;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::arguments::ServeArgs;
use crate::cli::hub::hub_settings;
use crate::cli::machine;
use crate::cli::problem::Problem;
use crate::cli::redirect::guard::refuse_loop;
use crate::cli::sources::{inherited, loaded};
use crate::gate::{Gate, Surroundings};
use crate::net::shutdown::{Phase, Stopper};
use crate::telemetry;

/// Runs the gate; prints where it listens and what to do next.
///
/// # Errors
/// A configuration or a machine that does not let it start.
pub fn run(args: &ServeArgs) -> Result<(), Problem> {
    let loaded = loaded(&args.config)?;
    telemetry::start();
    let file = loaded.file.clone();
    let changes = machine::undo_stale(&loaded.setup.state);
    refuse_loop(&changes)?;
    let gate = Gate::start(
        loaded,
        Surroundings { inherited: inherited(), hub: Some(hub_settings()), ..Surroundings::default() },
    )?;
    let _attendance = machine::attend(changes, gate.proxy_address(), gate.stopper());
    stop_on_signals(gate.stopper())?;
    greet(&gate, file.as_deref())?;
    gate.wait();
    Ok(())
}

/// The first signal drains, the second stops at once.
///
/// # Errors
/// No thread or no signal handler to be had.
pub fn stop_on_signals(stopper: Stopper) -> Result<(), Problem> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().context("cannot listen for signals")?;
    let (mut interrupts, mut terms) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            for phase in [Phase::Draining, Phase::Halting] {
                tokio::select! { _ = interrupts.recv() => {}, _ = terms.recv() => {} }
                tracing::info!(?phase, "stopping; a second signal stops at once");
                stopper.advance(phase);
            }
        });
    })?;
    Ok(())
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
