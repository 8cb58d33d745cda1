//! Why a gate did not start, and what the user can do about it.

use std::io;
use std::net::SocketAddr;

use crate::ca::error::CaError;
use crate::gate::listeners::Role;
use crate::gate::succession::TakeOverError;
use crate::ledger::journal::lock::Taken;
use crate::upstream::verifying::TrustError;

/// Why a gate did not start.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Another gate keeps its books in the same file.
    #[error(transparent)]
    Books(#[from] Taken),
    /// The certificate authority.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// A listener that was handed over would be open to other machines.
    #[error("{from} listens on {at}, which other machines can reach")]
    Exposed {
        /// Where the listener comes from.
        from: String,
        /// Its address.
        at: SocketAddr,
    },
    /// An address that cannot be listened on.
    #[error("cannot listen on {at} (`{key}`)")]
    Listen {
        /// Which setting.
        key: &'static str,
        /// The address.
        at: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The gate that runs goes on.
    #[error(transparent)]
    Kept(#[from] TakeOverError),
    /// No randomness.
    #[error("the system gives no random numbers")]
    Random,
    /// Threads or runtimes.
    #[error("the system refuses what the gate needs to run")]
    System(#[from] io::Error),
    /// Roots for upstreams.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Two listeners that were handed over are for the same.
    #[error("{from} is a second listener for `{key}`")]
    Twice {
        /// Where the listener comes from.
        from: String,
        /// Which setting.
        key: &'static str,
    },
    /// A listener that was handed over, and that the gate has no use for.
    #[error("{from}{} listens on {at}, which is none of the gate's addresses", .name.as_ref().map(|name| format!(" (`{name}`)")).unwrap_or_default())]
    Unknown {
        /// Where the listener comes from.
        from: String,
        /// The name that it was given.
        name: Option<String>,
        /// Its address.
        at: SocketAddr,
    },
}

impl GateError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Books(_) => Some("stop that gate, or give this one a file of its own as `ledger.path`".into()),
            Self::Ca(error) => error.hint(),
            Self::Listen { key, source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                let with = if *key == Role::Admin.key() {
                    "with --admin 127.0.0.1:PORT"
                } else if *key == Role::Proxy.key() {
                    "with --proxy 127.0.0.1:PORT"
                } else {
                    "as `listen.transparent`"
                };
                Some(format!("is another gate running? stop it, or choose another port {with}"))
            }
            Self::Listen { key, .. } => Some(format!("choose another address for `{key}`")),
            Self::Exposed { .. } => Some("let it listen on `127.0.0.1` or `[::1]`".into()),
            Self::Twice { .. } => Some("hand over one listener for each".into()),
            Self::Unknown { .. } => {
                Some("name it `proxy`, `admin` or `transparent`, or let it have an address of `listen`".into())
            }
            Self::Kept(TakeOverError::Nobody { .. }) => Some("start the gate without `--take-over`".into()),
            Self::Kept(_) => Some("that gate serves on; its log may say more".into()),
            Self::Random | Self::System(_) | Self::Trust(_) => None,
        }
    }
}
