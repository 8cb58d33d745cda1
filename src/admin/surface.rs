//! What the admin surface shows, and what it changes.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::ledger::Ledger;
use crate::net::secret::Secret;
use crate::policy::Live;

/// The parts of the gate that are shown.
#[derive(Clone, Debug)]
pub struct Surface {
    /// The books.
    pub ledger: Ledger,
    /// The root certificate that clients trust, PEM.
    pub root: Arc<str>,
    /// The configuration in force, secrets masked.
    pub config: Arc<ArcSwap<serde_json::Value>>,
    /// The policy in force, for the list of models.
    pub policy: Live,
    /// Where programs reach the gate, for the PAC.
    pub proxy: SocketAddr,
    /// Whether the gate takes calls.
    pub ready: Arc<AtomicBool>,
    /// What every change needs, and every reading too where there is one.
    pub token: Option<Secret>,
    /// Replaces the lines of the models file.
    pub reviser: Reviser,
    /// Reads the configuration anew.
    pub reloader: Reloader,
}

/// Replaces the lines of the models file by a text and brings them into force; may wait for the disk.
#[derive(Clone)]
pub struct Reviser(Arc<Revise>);

type Revise = dyn Fn(&str) -> Result<Saved, Rejected> + Send + Sync;

impl Reviser {
    /// Wraps what does it; calls from several threads must come out one after the other.
    pub fn new(revise: impl Fn(&str) -> Result<Saved, Rejected> + Send + Sync + 'static) -> Self {
        Self(Arc::new(revise))
    }

    /// Replaces the lines.
    ///
    /// # Errors
    /// Mistakes, or no file to write; then nothing has changed.
    pub fn revise(&self, text: &str) -> Result<Saved, Rejected> {
        (self.0)(text)
    }
}

impl fmt::Debug for Reviser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reviser")
    }
}

/// Reads the whole configuration anew and brings into force what can change while the gate runs; may wait for the disk.
#[derive(Clone)]
pub struct Reloader(Arc<Reload>);

type Reload = dyn Fn() -> Result<Reloaded, Unchanged> + Send + Sync;

impl Reloader {
    /// Wraps what does it; calls from several threads must come out one after the other.
    pub fn new(reload: impl Fn() -> Result<Reloaded, Unchanged> + Send + Sync + 'static) -> Self {
        Self(Arc::new(reload))
    }

    /// Reads it.
    ///
    /// # Errors
    /// Mistakes, or a file that cannot be read; then nothing has changed.
    pub fn reload(&self) -> Result<Reloaded, Unchanged> {
        (self.0)()
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reloader")
    }
}

/// What a new reading has brought.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reloaded {
    /// Keys whose new values are not in force before a restart, each with what else is to be done, if anything.
    pub needs_restart: Vec<String>,
    /// What works, but perhaps not as meant.
    pub warnings: Vec<String>,
}

/// Why a new reading has changed nothing.
#[derive(Debug)]
pub enum Unchanged {
    /// What is wrong with the configuration.
    Mistakes {
        /// In the order of the text.
        first: Vec<Flaw>,
        /// How many more there are.
        more: usize,
    },
    /// The gate was not made from what could be read again.
    Nowhere,
    /// It cannot be read, and why.
    Unreadable(String),
}

/// What has changed.
#[derive(Debug)]
pub struct Saved {
    /// The file that was written.
    pub file: PathBuf,
    /// What works, but perhaps not as meant.
    pub warnings: Vec<String>,
}

/// Why nothing has changed.
#[derive(Debug)]
pub enum Rejected {
    /// What is wrong with the text.
    Mistakes {
        /// In the order of the text.
        first: Vec<Flaw>,
        /// How many more there are.
        more: usize,
    },
    /// There is no models file.
    NoFile,
    /// The file cannot be written.
    Unsaved(io::Error),
}

/// One thing to change in a text.
#[derive(Debug, Serialize)]
pub struct Flaw {
    /// The file, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What may have been meant.
    pub hint: Option<String>,
}
