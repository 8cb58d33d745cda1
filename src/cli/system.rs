//! `tollgate system`: the proxy setting of the desktop, while a gate runs.

mod switch;

use std::env;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::switch::{Switched, setting, switch_on};
use crate::cli::arguments::ConfigArgs;
use crate::cli::ask::ask;
use crate::cli::machine::{borrowed, undoers};
use crate::cli::problem::Problem;
use crate::cli::sources::loaded;
use crate::config::setup::Setup;
use crate::system::changes::Changes;
use crate::system::changes::gates::Gate;
use crate::system::changes::undo::{Told, Undone};
use crate::system::commands::Machine;
use crate::system::desktop::restore::KIND;
use crate::system::desktop::{Desktop, DesktopError, Session, Setting, Wanted};

/// `tollgate system`.
#[derive(Args, Clone, Debug)]
pub struct SystemArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: SystemCommand,
    /// Configuration file (JSON5) that the gate runs with
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What can be done with the desktop's setting.
#[derive(Clone, Debug, Subcommand)]
pub enum SystemCommand {
    /// Let the desktop's programs go through the running gate, until it ends
    On {
        /// Everything goes to the gate, instead of only what it intercepts (by a PAC)
        #[arg(long)]
        proxy: bool,
    },
    /// Put back what was set before
    Off,
    /// Say what is set, and whether a gate is there
    Status,
}

/// Sets, puts back or shows the desktop's proxy.
///
/// # Errors
/// No gate or no desktop, or one that does not take it.
pub fn run(args: &SystemArgs) -> Result<(), Problem> {
    let loaded = loaded(&ConfigArgs { config: args.config.clone(), ..ConfigArgs::default() })?;
    let changes = Changes::at(&loaded.setup.state);
    let session = Session { os: env::consts::OS, current: env::var("XDG_CURRENT_DESKTOP").unwrap_or_default() };
    match args.what {
        SystemCommand::On { proxy } => on(&loaded.setup, &changes, &session, Choice { proxy, json: args.json }),
        SystemCommand::Off => off(&changes, args.json),
        SystemCommand::Status => status(&changes, &session, args.json),
    }
}

/// How it was asked for.
#[derive(Clone, Copy)]
struct Choice {
    proxy: bool,
    json: bool,
}

fn on(setup: &Setup, changes: &Changes, session: &Session, choice: Choice) -> Result<(), Problem> {
    let gate = running(setup, changes)?;
    let at = reached(gate.proxy);
    let url = format!("http://{at}/proxy.pac");
    let wanted = if choice.proxy { Wanted::Proxy(at) } else { Wanted::Pac(url.clone()) };
    if !choice.proxy {
        // A PAC that cannot be had would leave programs without one, or waiting for it.
        ask(&at.to_string(), "/proxy.pac", None)
            .with_context(|| format!("the gate at `{at}` does not give its PAC"))
            .map_err(|error| Problem::failed(error, [format!("try `curl {url}`, or `tollgate system on --proxy`")]))?;
    }
    let desktops = Desktop::found(session, &Machine);
    if desktops.is_empty() {
        let error = anyhow!("no desktop is here whose proxy can be set: neither `gsettings` nor KDE's `kwriteconfig`");
        let hint = format!(
            "give your desktop or browser the automatic proxy URL {url}, or the proxy {at}; for one program, `tollgate run`"
        );
        return Err(Problem::failed(error, [hint]));
    }
    let alone = changes.claim().with_context(|| {
        format!("cannot keep in `{}` what was set before, so nothing was changed", changes.state().display())
    })?;
    let mut done = Vec::new();
    for desktop in desktops {
        done.push((desktop, switch_on(desktop, &wanted, changes, &gate)));
    }
    drop(alone);
    // A setting of another desktop than the one that runs, and which cannot be written from here, is in nobody's way.
    let is_set = done.iter().any(|(_, outcome)| outcome.is_ok());
    let counts = |desktop: Desktop| !is_set || desktop.is_current(session);
    let failed = done.iter().position(|(desktop, outcome)| outcome.is_err() && counts(*desktop));
    let failed = failed.map(|at| done.remove(at));
    show_on(&done, &wanted, choice.json)?;
    match failed {
        None | Some((_, Ok(_))) => Ok(()),
        Some((desktop, Err(error))) => {
            let hint = format!("run it as the user, and in the session, of the desktop; or set {url} by hand");
            Err(Problem::failed(error.context(format!("the proxy of {desktop} is as it was")), [hint]))
        }
    }
}

fn show_on(done: &[(Desktop, anyhow::Result<Switched>)], wanted: &Wanted, as_json: bool) -> Result<(), Problem> {
    let shown = match wanted {
        Wanted::Pac(url) => url.clone(),
        Wanted::Proxy(at) => at.to_string(),
    };
    let mut out = io::stdout().lock();
    if as_json {
        let desktops: Vec<Value> = done
            .iter()
            .map(|(desktop, outcome)| match outcome {
                Ok(switched) => {
                    json!({ "desktop": desktop, "set": shown, "already": switched.already, "before": switched.before })
                }
                Err(error) => json!({ "desktop": desktop, "set": null, "error": format!("{error:#}") }),
            })
            .collect();
        writeln!(out, "{:#}", json!({ "desktops": desktops }))?;
    }
    for (desktop, outcome) in done {
        match outcome {
            Ok(switched) => {
                if let Some(before) = &switched.before {
                    let _ = writeln!(
                        io::stderr(),
                        "warning: {desktop} used {before}, which is put back later\n\
                         hint: where nothing else leads out of this network, name that proxy as `upstream.proxy`, so \
                         that the gate goes out by it"
                    );
                }
                match switched.already {
                    _ if as_json => {}
                    true => writeln!(out, "{desktop} uses {shown} already; what was set before stays kept")?,
                    false => writeln!(out, "{desktop} uses {shown} until the gate ends, or `tollgate system off`")?,
                }
            }
            Err(error) => {
                let _ = writeln!(io::stderr(), "warning: {desktop} was left as it was: {error:#}");
            }
        }
    }
    Ok(())
}

fn off(changes: &Changes, as_json: bool) -> Result<(), Problem> {
    let told = changes
        .undo(&borrowed(&undoers()), &|record| record.kind == KIND)
        .with_context(|| format!("cannot read in `{}` what was set before", changes.state().display()))?;
    let mut out = io::stdout().lock();
    if as_json {
        let shown: Vec<Value> = told.iter().map(shown).collect();
        writeln!(out, "{:#}", json!({ "restored": shown }))?;
    } else if told.is_empty() {
        writeln!(out, "nothing is set")?;
    }
    let mut blocked = None;
    for Told { what, undone } in told {
        match undone {
            _ if as_json && !matches!(undone, Undone::Blocked { .. }) => {}
            Undone::Restored => writeln!(out, "{what} is as it was")?,
            Undone::Left(left) => {
                writeln!(out, "{what} is as it was, but for what somebody has changed since: {}", left.join(", "))?;
            }
            Undone::Blocked { why, command } => {
                let hint = command.map(|command| format!("type `{command}`"));
                blocked.get_or_insert_with(|| Problem::failed(anyhow!("{what} was not put back: {why}"), hint));
            }
        }
    }
    blocked.map_or(Ok(()), Err)
}

fn shown(told: &Told) -> Value {
    let (state, left, why) = match &told.undone {
        Undone::Restored => ("restored", Vec::new(), None),
        Undone::Left(left) => ("changed since", left.clone(), None),
        Undone::Blocked { why, .. } => ("failed", Vec::new(), Some(why)),
    };
    json!({ "what": told.what, "state": state, "left": left, "why": why })
}

fn status(changes: &Changes, session: &Session, as_json: bool) -> Result<(), Problem> {
    let gates = changes.gates();
    let records = changes.found().context("cannot read what was changed on this machine")?.records;
    let mut out = io::stdout().lock();
    let mut listed = Vec::new();
    for desktop in Desktop::found(session, &Machine) {
        let record = records.iter().rev().find(|record| setting(record).is_some_and(|kept| kept.desktop == desktop));
        let force = desktop.in_force(&Machine).map_err(anyhow::Error::from)?;
        let ours = match record.and_then(setting) {
            Some(kept) => is_ours(&kept).map_err(anyhow::Error::from)?,
            None => false,
        };
        listed.push(json!({
            "desktop": desktop, "session": desktop.is_current(session), "inForce": force, "ours": ours,
            "since": record.map(|record| record.at),
        }));
    }
    if as_json {
        writeln!(out, "{:#}", json!({ "gates": gates, "desktops": listed }))?;
        return Ok(());
    }
    match gates.as_slice() {
        [] => writeln!(out, "gate     none runs with this configuration")?,
        gates => {
            for gate in gates {
                writeln!(out, "gate     {} (process {})", gate.proxy, gate.pid)?;
            }
        }
    }
    for desktop in &listed {
        let name = desktop["desktop"].as_str().unwrap_or_default();
        let force = desktop["inForce"].as_str().unwrap_or("no proxy");
        let ours = if desktop["ours"] == true { ", set by `tollgate system on`" } else { "" };
        writeln!(out, "{name:8} {force}{ours}")?;
    }
    if listed.is_empty() {
        writeln!(out, "desktop  none is here whose proxy can be set")?;
    }
    Ok(())
}

fn is_ours(kept: &Setting) -> Result<bool, DesktopError> {
    for value in &kept.values {
        if kept.desktop.read(&value.key, &Machine)?.as_ref() != Some(&value.ours) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The gate of this configuration.
fn running(setup: &Setup, changes: &Changes) -> Result<Gate, Problem> {
    let mut gates = changes.gates();
    if let Some(at) = gates.iter().position(|gate| gate.proxy == setup.proxy) {
        return Ok(gates.swap_remove(at));
    }
    if gates.len() > 1 {
        let error = anyhow!("several gates run with this configuration, and none of them at `{}`", setup.proxy);
        return Err(Problem::failed(error, ["give each a configuration of its own".into()]));
    }
    gates.pop().ok_or_else(|| {
        let error = anyhow!("no gate runs with this configuration; a proxy that is not there would cut programs off");
        Problem::failed(error, ["start one with `tollgate serve` and the same configuration".into()])
    })
}

/// Where this machine's own programs reach a listener.
fn reached(at: SocketAddr) -> SocketAddr {
    let ip = match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, at.port())
}
