//! What a gate that runs for programs leaves on disk: who it is, its leases, its log.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::config::load::Loaded;
use crate::system::kept::{fingerprint, replace};

/// The folder of the gate that belongs to a configuration.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

/// Who the gate is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Running {
    /// Its process.
    pub(super) process: u32,
    /// Where programs reach it.
    pub(super) proxy: SocketAddr,
    /// Where its books are shown.
    pub(super) admin: SocketAddr,
    /// The proxy that it was told to use for its own calls, without user and password.
    pub(super) outer: Option<String>,
}

impl Folder {
    /// Of this configuration.
    pub(super) fn of(loaded: &Loaded, state: Option<PathBuf>) -> Self {
        let certs = &loaded.setup.certs;
        let Some(state) = state else { return Self(certs.join("run")) };
        let file = loaded.file.as_deref().unwrap_or(Path::new(""));
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.into());
        let whole = [file.as_os_str().as_encoded_bytes(), certs.as_os_str().as_encoded_bytes()].join(&0);
        Self(state.join("gates").join(fingerprint(&whole)))
    }

    /// One whose path is known.
    pub(super) fn at(path: &Path) -> Self {
        Self(path.into())
    }

    /// Makes it, for its owner alone.
    pub(super) fn make(&self) -> anyhow::Result<()> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.with_context(|| format!("cannot keep the state of a gate in `{}`", self.0.display()))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The file of [`crate::system::lease`].
    pub(super) fn leases(&self) -> PathBuf {
        self.0.join("leases")
    }

    /// Who has it may start a gate.
    pub(super) fn turn(&self) -> PathBuf {
        self.0.join("turn")
    }

    /// What the gate says while it runs.
    pub(super) fn log(&self) -> PathBuf {
        self.0.join("gate.log")
    }

    /// Who runs, or ran last and could not say that it has ended.
    pub(super) fn running(&self) -> Option<Running> {
        serde_json::from_slice(&fs::read(self.0.join(RUNNING)).ok()?).ok()
    }

    /// Says who runs.
    pub(super) fn announce(&self, running: &Running) -> io::Result<()> {
        replace(&self.0.join(RUNNING), &serde_json::to_vec(running)?, 0o600)
    }

    /// Says that this process no longer runs.
    pub(super) fn withdraw(&self) {
        if self.running().is_some_and(|running| running.process == std::process::id()) {
            let _ = fs::remove_file(self.0.join(RUNNING));
        }
    }
}

/// Where this program keeps its state: `$XDG_STATE_HOME/tollgate`, else below the home folder.
pub(super) fn state(now: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| now(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(base.join("tollgate"))
}

const RUNNING: &str = "gate.json";
