//! An entry as something to be priced.

use crate::ledger::entry::Entry;
use crate::policy::pricing::sale::Sale;
use crate::units::Usage;

impl Entry {
    /// The entry as a sale of `usage`, without what only the owner's configuration tells: a price of its own, a base
    /// model, and whether Azure served it.
    pub fn sale<'a>(&'a self, usage: &'a Usage) -> Sale<'a> {
        Sale {
            own: None,
            base_model: None,
            served: self.model.served.as_deref(),
            asked: self.model.asked.as_deref(),
            deployment: None,
            endpoint: &self.endpoint,
            tier: self.tier.served.as_deref(),
            region: self.region.served.as_deref(),
            size: self.media.size.as_deref(),
            quality: self.media.quality.as_deref(),
            time: self.time,
            usage,
        }
    }
}
