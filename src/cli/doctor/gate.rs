//! The gate that is asked: the one that runs, or one in this process for as long as the probes need it.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::cli::arguments::ConfigArgs;
use crate::cli::problem::Problem;
use crate::cli::run::gate::{Reached, find};
use crate::cli::sources::{loaded, quietly_loaded};
use crate::config::load::Loaded;
use crate::gate::{Gate, Surroundings};
use crate::policy::self_test::token;

/// A gate that takes calls as long as this is kept.
#[derive(Debug)]
pub(super) struct Asked {
    /// Where programs reach it.
    pub(super) proxy: SocketAddr,
    /// It was there before.
    pub(super) runs: bool,
    /// The configuration that it has.
    pub(super) loaded: Loaded,
    _kept: Kept,
}

#[derive(Debug)]
#[expect(dead_code, reason = "kept for what their end does")]
enum Kept {
    Running(Reached),
    Own(Gate),
}

impl Asked {
    /// Finds the gate of this configuration, or starts one without books in this process.
    ///
    /// # Errors
    /// A mistake in the configuration, or a gate that cannot be started.
    pub(super) fn begin(config: Option<PathBuf>, now: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, Problem> {
        let loaded = loaded(&ConfigArgs { config: config.clone(), ..ConfigArgs::default() })?;
        if let Some(reached) = find(&loaded, now)? {
            return Ok(Self { proxy: reached.proxy, runs: true, loaded, _kept: Kept::Running(reached) });
        }
        let mut own = quietly_loaded(config).context("the configuration has changed just now")?;
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        own.setup.proxy = anywhere;
        own.setup.admin = anywhere;
        own.setup.transparent = None;
        own.setup.journal = None;
        own.setup.collector = None;
        let gate = Gate::start(own, Surroundings::default())?;
        Ok(Self { proxy: gate.proxy_address(), runs: false, loaded, _kept: Kept::Own(gate) })
    }

    /// Makes sure that the gate knows its self-test host, so that no other failure is laid at a program's door.
    ///
    /// # Errors
    /// A gate of an earlier version, or something else in its place.
    pub(super) fn check(&self, host: &str) -> Result<(), Problem> {
        let answered = ask(self.proxy, host).unwrap_or_default();
        if answered.contains(&token(NONCE)) {
            return Ok(());
        }
        let error = anyhow!("the gate at `{}` does not answer as its self-test host `{host}`", self.proxy);
        Err(Problem::failed(error, ["restart the gate: it is of another version than this command".into()]))
    }
}

/// What the gate answers at its own address under that name.
fn ask(proxy: SocketAddr, host: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&proxy, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /{NONCE} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answered = Vec::new();
    stream.take(64 << 10).read_to_end(&mut answered)?;
    Ok(String::from_utf8_lossy(&answered).into_owned())
}

const NONCE: &str = "doctor";
const PATIENCE: Duration = Duration::from_secs(10);
