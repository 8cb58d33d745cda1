//! What may change while the gate runs: one snapshot, taken once per exchange.

pub mod assumption;
pub mod auditing;
pub mod budgets;
pub mod bypass;
pub mod custom;
pub mod interception;
pub mod outer;
pub mod pac;
pub mod pricing;
pub mod refusal;
pub mod region;
pub mod routing;
pub mod self_test;
pub mod target;

use std::sync::Arc;

use arc_swap::ArcSwap;

use self::auditing::Auditing;
use self::interception::Interception;
use self::pricing::PriceBook;
use self::routing::Routing;

/// One consistent set of rules.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Whether a program may go past the books.
    pub auditing: Auditing,
    /// Which connections are opened.
    pub interception: Interception,
    /// How usage is asked for and what happens when a client leaves.
    pub metering: Metering,
    /// What calls cost.
    pub prices: PriceBook,
    /// What becomes of a call whose price nobody knows.
    pub unpriced: Unpriced,
    /// Where calls go.
    pub routing: Routing,
}

/// The owner's choices about metering.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Metering {
    /// Ask streams for usage where the client did not.
    pub inject_usage: bool,
    /// What to do with the upstream when the client has gone.
    pub on_disconnect: OnDisconnect,
}

impl Default for Metering {
    fn default() -> Self {
        Self { inject_usage: true, on_disconnect: OnDisconnect::Drain }
    }
}

/// What to do with the upstream when the client has gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnDisconnect {
    /// Close the upstream at once.
    Cancel,
    /// Read on to the usage, within bounds.
    Drain,
}

/// What becomes of a call whose price nobody knows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Unpriced {
    /// It is sent, and booked as unpriced.
    #[default]
    Book,
    /// It is turned away before anything is sent.
    Refuse,
}

/// The policy in force; cheap to clone, replaced whole.
#[derive(Clone, Debug)]
pub struct Live(Arc<ArcSwap<Policy>>);

impl Live {
    /// Starts with `policy`.
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(policy)))
    }

    /// The snapshot to use for the whole of one exchange.
    pub fn now(&self) -> Arc<Policy> {
        self.0.load_full()
    }

    /// Replaces the policy for exchanges that begin after this.
    pub fn swap(&self, policy: Policy) {
        self.0.store(Arc::new(policy));
    }
}
