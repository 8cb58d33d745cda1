//! What can go wrong between the gate and a hub.

use std::io;
use std::path::PathBuf;

/// Why a file of a model is not there.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The `modelUrl` is none that could be asked.
    #[error("`modelUrl` {0}")]
    Address(String),
    /// Another process is downloading the same file.
    #[error("another program is downloading `{0}` at this moment")]
    Busy(String),
    /// The cache cannot be read or written.
    #[error("the cache at `{}` cannot be used: {cause}", .at.display())]
    Cache {
        /// Which file or folder.
        at: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The owner of the model must let you in.
    #[error("`{0}` is open only to those whom its owner let in; ask there, and set HF_TOKEN")]
    Gated(String),
    /// The bytes are not those that were announced.
    #[error("`{0}` came damaged and was thrown away")]
    Damaged(String),
    /// The hub said something that makes no sense.
    #[error("`{host}` does not answer as a hub does: {what}")]
    NoHub {
        /// Whom.
        host: String,
        /// What it said or did not say.
        what: String,
    },
    /// Downloads are switched off.
    #[error("`{0}` is not in the cache, and HF_HUB_OFFLINE is set")]
    Offline(String),
    /// There is no such model, or none for this token.
    #[error("`{0}` is not on the hub, or not for you; `modelUrl` says where else it is")]
    NoModel(String),
    /// There is no such revision.
    #[error("`{0}` has no such revision")]
    NoRevision(String),
    /// More bytes than such a file may have.
    #[error("`{file}` has {bytes} bytes, more than the {limit} that are taken")]
    TooLarge {
        /// Which file.
        file: String,
        /// What was announced.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// No answer, or a broken one.
    #[error("`{host}` could not be asked: {cause}")]
    Unreachable {
        /// Whom.
        host: String,
        /// Why.
        cause: String,
    },
}

impl HubError {
    /// Whether the hub would say the same of every other file of the model.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Gated(_) | Self::NoModel(_) | Self::NoRevision(_))
    }
}
