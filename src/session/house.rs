//! What every session of one worker works with.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::ca::authority::Authority;
use crate::exchange::relay::Relay;
use crate::ledger::Ledger;
use crate::net::keepers::Keepers;
use crate::net::limits::Limits;
use crate::net::shutdown::Stopping;
use crate::policy::budgets::Budget;
use crate::session::pinned::Pinned;
use crate::upstream::connect::Connector;

/// Shared by all sessions of one worker; stays on its thread.
#[derive(Debug)]
pub struct House {
    /// The pipeline.
    pub relay: Relay,
    /// Mints leaves.
    pub authority: Authority,
    /// Dials for tunnels.
    pub connector: Arc<Connector>,
    /// Counts tunnels.
    pub ledger: Ledger,
    /// Clients that do not take the gate's certificate.
    pub pinned: Pinned,
    /// What may be spent.
    pub budgets: Arc<[Arc<Budget>]>,
    /// Who may come in from other machines.
    pub keepers: Keepers,
    /// Bounds on what clients may do.
    pub limits: Limits,
    /// When to stop.
    pub stopping: Stopping,
    /// Sessions and tunnels that are open on this worker.
    pub open: Rc<Cell<usize>>,
}
