//! What the log looks like: one line for each call, decisions with their reason below.

use std::io;

use tracing_subscriber::EnvFilter;

/// Starts the log on standard error; `RUST_LOG` chooses what is in it.
///
/// Control characters that came from outside are escaped, and keys and bodies are never handed to it.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("tollgate=info,warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_target(false);
    // Somebody who embeds the gate may have a log already.
    let _ = log.with_writer(io::stderr).try_init();
}
