//! What the admin surface shows.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::ledger::Ledger;
use crate::policy::Live;

/// The parts of the gate that are shown.
#[derive(Clone, Debug)]
pub struct Surface {
    /// The books.
    pub ledger: Ledger,
    /// The root certificate that clients trust, PEM.
    pub root: Arc<str>,
    /// The configuration, secrets masked.
    pub config: serde_json::Value,
    /// The policy in force, for the list of models.
    pub policy: Live,
    /// Whether the gate takes calls.
    pub ready: Arc<AtomicBool>,
}
