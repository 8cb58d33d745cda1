//! What all exchanges of one worker share.

use std::cell::Cell;
use std::sync::Arc;

use crate::exchange::drain::Drains;
use crate::ledger::Ledger;
use crate::ledger::ids::Ids;
use crate::policy::Live;
use crate::tokens::clerks::Clerks;
use crate::tokens::library::Library;
use crate::upstream::pool::Pool;

/// What the exchanges of one worker share.
#[derive(Debug)]
pub struct RelayParts {
    /// The rules in force.
    pub live: Live,
    /// The books.
    pub ledger: Ledger,
    /// Kept connections of this worker.
    pub pool: Pool,
    /// What is known about custom models.
    pub library: Library,
    /// Where templates are rendered and tokens counted.
    pub clerks: Clerks,
    /// Where exchanges go that lost their client.
    pub drains: Drains,
    /// Ids of this process.
    pub ids: Arc<Ids>,
    /// Decides between duplicates; any seed will do.
    pub dice: Cell<u64>,
    /// Largest request body that is read whole.
    pub body_bytes: usize,
}

impl RelayParts {
    /// A cheap pseudo-random number: it spreads load and decides nothing else.
    pub fn draw(&self) -> u64 {
        let mut dice = self.dice.get() | 1;
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        self.dice.set(dice);
        dice
    }
}
