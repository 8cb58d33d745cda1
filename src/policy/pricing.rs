//! What calls cost: tables of exact prices, and the sum for one attempt.

mod bill;
mod card;
mod dates;
mod draft;
mod file;
mod genai;
mod kind;
mod litellm;
mod matching;
mod names;
mod own;
pub mod problem;
pub mod rate;
pub mod sale;
mod table;

use std::sync::{Arc, OnceLock};

use crate::dialect::endpoint::{Endpoint, Job};
use crate::policy::pricing::card::{Card, Tariff};
use crate::policy::pricing::problem::PriceError;
use crate::policy::pricing::sale::{Priced, Quote, Sale};
use crate::policy::pricing::table::{Listing, Table};
use crate::units::Cost;

/// The tables of prices; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PriceBook {
    /// The one that wins first.
    tables: Vec<Arc<Table>>,
}

impl PriceBook {
    /// The table that the program carries; read once.
    ///
    /// # Errors
    /// Never for the table as shipped; a test reads it.
    pub fn built_in() -> Result<Self, PriceError> {
        static READ: OnceLock<PriceBook> = OnceLock::new();
        if let Some(book) = READ.get() {
            return Ok(book.clone());
        }
        let book = Self::parse(BUILT_IN, BUILT_IN_NAME)?.0;
        Ok(READ.get_or_init(|| book).clone())
    }

    /// Reads a table in any of the accepted forms: that of `config/prices.json5`, LiteLLM's price map, or the data of
    /// genai-prices in version 2. `name` is what the books call it.
    ///
    /// With it comes what of the text cannot be used, each in a clause that begins with its name.
    ///
    /// # Errors
    /// A text that has none of these forms, or prices nothing.
    pub fn parse(text: &str, name: &str) -> Result<(Self, Vec<String>), PriceError> {
        let file::Read { table, flaws } = file::read(text, name)?;
        Ok((Self { tables: vec![Arc::new(table)] }, flaws))
    }

    /// This book with `other` laid over it: what `other` prices, under any form of a name, it prices alone.
    #[must_use]
    pub fn overlaid(self, other: &Self) -> Self {
        Self { tables: other.tables.iter().cloned().chain(self.tables).collect() }
    }

    /// How many models have a price, those of several tables as often as they stand there.
    pub fn len(&self) -> usize {
        self.tables.iter().map(|table| table.len()).sum()
    }

    /// Whether no model has a price.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cost of a sale; `None` is unpriced, never zero.
    ///
    /// A custom model's own price knows neither tiers nor kinds of tokens: all input costs the same.
    pub fn cost(&self, sale: &Sale<'_>) -> Option<Priced> {
        if let Some(own) = sale.own {
            return Some(Priced { cost: bill::own(own, sale.usage)?, source: OWN.into(), rates: own.shown() });
        }
        let (listing, card) = self.card(sale)?;
        let (tariff, cost) = Self::charged(card, sale)?;
        Some(Priced { cost, source: Arc::clone(&listing.source), rates: tariff.shown() })
    }

    /// Whether a sale under these names and terms can have a price, whatever it will use.
    pub fn prices(&self, sale: &Sale<'_>) -> bool {
        sale.own.is_some() || self.card(sale).is_some_and(|(_, card)| card.prices(&sale.terms()))
    }

    /// The prices of a model under every terms but those of a region.
    pub fn quote(&self, sale: &Sale<'_>) -> Option<Quote> {
        if let Some(own) = sale.own {
            return Some(Quote { source: OWN.into(), tariffs: own.shown().into_iter().collect() });
        }
        let (listing, card) = self.card(sale)?;
        Some(Quote { source: Arc::clone(&listing.source), tariffs: card.shown() })
    }

    fn card(&self, sale: &Sale<'_>) -> Option<(&Listing, &Card)> {
        let listing = self.tables.iter().find_map(|table| table.listing(sale))?;
        Some((listing, listing.at(sale.time)?))
    }

    /// By the form of what was made where that has a price of its own, else by the terms.
    fn charged<'c>(card: &'c Card, sale: &Sale<'_>) -> Option<(&'c Tariff, Cost)> {
        let usage = sale.usage;
        let by = |tariff: &'c Tariff| Some((tariff, bill::sum(&tariff.rates, usage, sale.is_spoken())?));
        if usage.total() == 0 {
            let picture = usage.images.and_then(|_| card.picture(sale.quality, sale.size));
            let made = picture.or_else(|| usage.seconds.and_then(|_| card.video(sale.size)));
            if let Some(tariff) = made {
                return by(tariff);
            }
        }
        let terms = sale.terms();
        // The price of long requests goes by each of them, and these tell only what all of theirs used together.
        let is_sum = matches!(sale.endpoint, Endpoint::Job(Job::Batch | Job::Run));
        by(if is_sum { card.tariff_of_several(&terms, usage.input)? } else { card.tariff(&terms, usage.input)? })
    }
}

/// What the books name as the source of a custom model's own price.
const OWN: &str = "tokenPricing";

const BUILT_IN: &str = include_str!("../../config/prices.json5");

/// Names the source and its version, so that an old entry says which prices it was reckoned with.
const BUILT_IN_NAME: &str = "litellm-1.109.1";

#[cfg(test)]
mod tests;
