//! The running gate that connections are led to, and the addresses of the hosts that they would go to.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;

use crate::cli::ask::{AskError, ask};
use crate::cli::problem::Problem;
use crate::config::load::Loaded;
use crate::config::setup::Setup;
use crate::net::host::{Host, HostPort};
use crate::system::changes::Changes;
use crate::system::changes::gates::Gate;
use crate::system::redirect::capture::{Addresses, HTTPS};
use crate::system::redirect::listener::Listener;

/// The running gate.
pub(super) struct Target {
    /// As the journal of changes knows it.
    pub(super) gate: Gate,
    /// Where it takes redirected connections.
    pub(super) listener: Listener,
    /// The port of that.
    pub(super) port: u16,
}

impl Target {
    /// Finds the gate of this configuration, which must run, answer and take redirected connections.
    ///
    /// # Errors
    /// What is missing, and what to do about it.
    pub(super) fn find(setup: &Setup, changes: &Changes) -> Result<Self, Problem> {
        let port = port(setup)?;
        let listener = Listener::find(port)
            .map_err(|error| failed(anyhow!("cannot tell who listens on port {port}: {error}"), None))?;
        let Some(listener) = listener else {
            let hint = "start it with `tollgate serve`, in this network namespace and with this configuration";
            return Err(failed(anyhow!("no gate listens on port {port} (`listen.transparent`)"), Some(hint.into())));
        };
        if let Err(error) = answers(setup) {
            let hint = error.hint().map(str::to_owned);
            return Err(failed(anyhow::Error::from(error).context("the gate does not answer"), hint));
        }
        let gate = changes.gates().into_iter().find(|gate| listener.process.is_none_or(|pid| pid == gate.pid));
        let Some(gate) = gate else {
            let hint = "name the configuration that it was started with by `--config`".to_owned();
            let what = format!("what listens on port {port} is not the gate of this configuration");
            return Err(failed(anyhow!(what), Some(hint)));
        };
        Ok(Self { gate, listener, port })
    }
}

/// Whether the gate of this configuration answers.
///
/// # Errors
/// Why not.
pub(super) fn answers(setup: &Setup) -> Result<(), AskError> {
    ask(&setup.admin.to_string(), "/readyz", None).map(|_| ())
}

/// The port of `listen.transparent`.
fn port(setup: &Setup) -> Result<u16, Problem> {
    let example = "e.g. `listen: {transparent: \"127.0.0.1:8486\"}`, and start the gate anew";
    let Some(at) = setup.transparent else {
        let missing = "the gate has no listener for redirected connections";
        return Err(failed(anyhow!(missing), Some(format!("set `listen.transparent`, {example}"))));
    };
    if at.port() == 0 {
        let missing = "`listen.transparent` has port 0, so that it is not known where the gate listens";
        return Err(failed(anyhow!(missing), Some(format!("give it a port, {example}"))));
    }
    Ok(at.port())
}

/// The intercepted names, and those that were given beside them.
///
/// # Errors
/// A name that is not intercepted.
pub(super) fn names(loaded: &Loaded, further: &[String]) -> Result<Vec<Box<str>>, Problem> {
    let interception = &loaded.policy.interception;
    let mut names: Vec<Box<str>> = interception.hosts().iter().map(|pattern| pattern.name().into()).collect();
    for name in further {
        let host: Option<Host> = name.parse().ok();
        match host.as_ref().filter(|host| interception.opens(host)).and_then(Host::name) {
            Some(name) if names.iter().all(|other| **other != *name) => names.push(name.into()),
            Some(_) => {}
            None => {
                let hint = "`--host` takes names at or below those of `intercept` in the configuration".to_owned();
                return Err(Problem::usage(anyhow!("`{name}` is not intercepted"), [hint]));
            }
        }
    }
    if names.is_empty() {
        let hint = "`intercept` in the configuration lists the hosts".to_owned();
        return Err(failed(anyhow!("no host is intercepted"), Some(hint)));
    }
    Ok(names)
}

/// Where these names are now: what `upstream.resolve` says of them, and what the machine's resolver says.
///
/// # Errors
/// A name that has no address beyond this machine.
pub(super) fn addresses(names: &[Box<str>], setup: &Setup) -> Result<Addresses, Problem> {
    let mut all: Vec<IpAddr> = Vec::new();
    for name in names {
        let at = HostPort { host: Host::Name(name.clone()), port: HTTPS };
        let given = setup.upstream.resolve.get(&at).map(SocketAddr::ip);
        let (found, complaint) = match look_up(name) {
            Ok(found) => (found, None),
            Err(complaint) => (Vec::new(), Some(complaint)),
        };
        let elsewhere = |address: &IpAddr| {
            let address = address.to_canonical();
            !address.is_loopback() && !address.is_unspecified()
        };
        let before = all.len();
        all.extend(given.into_iter().chain(found.iter().copied()).filter(elsewhere));
        if all.len() == before {
            return Err(nowhere(name, !found.is_empty(), complaint));
        }
    }
    Ok(all.into_iter().collect())
}

fn nowhere(name: &str, leads_here: bool, complaint: Option<String>) -> Problem {
    if leads_here {
        let hint = "is it in the hosts file? take it out, or use the `--hosts` form".to_owned();
        return failed(anyhow!("`{name}` has only addresses of this machine itself"), Some(hint));
    }
    let why = complaint.unwrap_or_else(|| "it has no address".into());
    let hint = "rules are made for addresses, so names must be found now; `upstream.resolve` can give one".to_owned();
    failed(anyhow!(why).context(format!("cannot look up `{name}`")), Some(hint))
}

/// What the machine's resolver says, which may take its time.
fn look_up(name: &str) -> Result<Vec<IpAddr>, String> {
    let (sender, receiver) = channel();
    let asked = name.to_owned();
    thread::spawn(move || {
        let found = (asked.as_str(), HTTPS).to_socket_addrs();
        let _ = sender.send(found.map(|found| found.map(|address| address.ip()).collect()));
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(_) => Err("the resolver did not answer within 10 seconds".into()),
    }
}

fn failed(error: anyhow::Error, hint: Option<String>) -> Problem {
    Problem::failed(error, hint)
}

const PATIENCE: Duration = Duration::from_secs(10);
