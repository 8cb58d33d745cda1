//! An entry as something to be priced.

use crate::dialect::endpoint::{Dialect, Endpoint};
use crate::ledger::entry::{Entry, Outcome};
use crate::policy::pricing::PriceBook;
use crate::policy::pricing::rate::Price;
use crate::policy::pricing::sale::{Priced, Sale};
use crate::units::Usage;

/// What only the owner's configuration tells of where an entry went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// The price of the custom model's own line.
    pub own: Option<&'a Price>,
    /// The base model of a deployment.
    pub base_model: Option<&'a str>,
    /// Whether Azure serves it.
    pub on_azure: bool,
}

impl Entry {
    /// What the entry's usage costs by these prices; `None` is unpriced, never zero.
    pub fn price(&self, prices: &PriceBook, terms: Terms<'_>) -> Option<Priced> {
        // A moderation costs nothing, and its reply has no usage.
        let is_free = self.outcome == Outcome::Ok && self.endpoint == Endpoint::Call(Dialect::Moderation);
        let usage = self.usage.or(is_free.then_some(Usage::NOTHING))?;
        prices.cost(&Sale {
            own: terms.own,
            base_model: terms.base_model,
            served: self.model.served.as_deref(),
            asked: self.model.asked.as_deref(),
            deployment: self.model.sent.as_deref().filter(|_| terms.on_azure),
            endpoint: &self.endpoint,
            tier: self.tier.served.as_deref(),
            region: self.region.served.as_deref(),
            size: self.media.size.as_deref(),
            quality: self.media.quality.as_deref(),
            time: self.time,
            usage: &usage,
        })
    }
}
