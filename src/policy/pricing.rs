//! What tokens cost: exact prices per token and the sum for one reading.

use std::sync::Arc;

use crate::units::{Cost, Usage};

/// A price in pico-dollars per 1000 tokens, exact.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rate(pub i64);

/// What the tokens of one model cost.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Price {
    /// Input tokens.
    pub input: Rate,
    /// Cached input tokens; the input rate where there is none.
    pub cached_input: Option<Rate>,
    /// Tokens written to the cache; the input rate where there is none.
    pub cache_write: Option<Rate>,
    /// Output tokens.
    pub output: Rate,
}

/// The table of prices by model.
#[derive(Clone, Debug, Default)]
pub struct PriceBook {}

/// What one attempt used and under which names it may be priced.
#[derive(Clone, Copy, Debug)]
pub struct Sale<'a> {
    /// Price of the custom model's own line; wins over every table.
    pub own: Option<&'a Price>,
    /// The base model that the owner configured for a deployment.
    pub base_model: Option<&'a str>,
    /// The model that the reply names.
    pub served: Option<&'a str>,
    /// The model that the client asked for.
    pub asked: Option<&'a str>,
    /// The service tier that the reply names.
    pub tier: Option<&'a str>,
    /// The tokens.
    pub usage: &'a Usage,
}

/// An exact cost and where its price came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Priced {
    /// The cost.
    pub cost: Cost,
    /// `tokenPricing`, or the table and the name of the model found in it.
    pub source: Arc<str>,
}

impl PriceBook {
    /// The cost of a sale; `None` is unpriced, never zero.
    pub fn cost(&self, _sale: &Sale<'_>) -> Option<Priced> {
        None
    }
}
