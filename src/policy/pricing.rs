//! What tokens cost: exact prices per token and the sum for one reading.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::policy::price_table::{self, PriceError};
use crate::units::{Cost, Usage};

/// The table of prices by model.
#[derive(Clone, Debug, Default)]
pub struct PriceBook {
    models: HashMap<Arc<str>, Arc<Listing>, RandomState>,
}

impl PriceBook {
    /// The table that the program carries.
    ///
    /// # Errors
    /// Never for the table as shipped; a test reads it.
    pub fn built_in() -> Result<Self, PriceError> {
        Self::parse(BUILT_IN, BUILT_IN_NAME)
    }

    /// Reads a table in the form of `config/prices.json5`; `name` is what the books call it.
    ///
    /// # Errors
    /// No JSON5, an unknown key, or a price that is not a plain decimal.
    pub fn parse(text: &str, name: &str) -> Result<Self, PriceError> {
        let listed = price_table::read(text, name)?;
        let listing = |(model, tariffs): (String, Tariffs)| {
            let source = format!("{name}:{model}").into();
            (model.into(), Arc::new(Listing { source, tariffs }))
        };
        Ok(Self { models: listed.into_iter().map(listing).collect() })
    }

    /// This table with `other` laid over it: a model named in both is priced by `other` alone.
    #[must_use]
    pub fn overlaid(mut self, other: &Self) -> Self {
        self.models.extend(other.models.iter().map(|(model, listing)| (Arc::clone(model), Arc::clone(listing))));
        self
    }

    /// How many models have a price.
    pub fn len(&self) -> usize {
        self.models.len()
    }

    /// Whether no model has a price.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// The cost of a sale; `None` is unpriced, never zero.
    ///
    /// A custom model's own price knows neither tiers nor kinds of tokens: all input costs the same.
    pub fn cost(&self, sale: &Sale<'_>) -> Option<Priced> {
        if let Some(own) = sale.own {
            return Some(Priced { cost: total(own, sale.usage)?, source: OWN.into() });
        }
        if has_unlisted_kinds(sale.usage) {
            return None;
        }
        let listing = self.listing(sale)?;
        let tariff = listing.tariffs.tier(sale.tier)?;
        let cost = total(tariff.at(sale.usage.input)?, sale.usage)?;
        Some(Priced { cost, source: Arc::clone(&listing.source) })
    }

    /// The owner's word first, then the reply's and the client's, each next form only when the closer ones failed.
    fn listing(&self, sale: &Sale<'_>) -> Option<&Listing> {
        let owners = || FORMS.iter().find_map(|form| self.find(*form, sale.base_model?));
        let others = || {
            FORMS.iter().find_map(|form| {
                let find = |name: &str| self.find(*form, name);
                sale.served.and_then(find).or_else(|| sale.asked.and_then(find))
            })
        };
        owners().or_else(others)
    }

    fn find(&self, form: Form, name: &str) -> Option<&Listing> {
        let exact = |name: &str| self.models.get(name).map(Arc::as_ref);
        match form {
            Form::Exact => exact(name),
            Form::Undated => exact(without_date(name)?),
            Form::FineTuned => {
                let base = fine_tuned_base(name)?;
                exact(base).or_else(|| exact(without_date(base)?))
            }
            Form::Azure => {
                let spelt = format!("gpt-3.5-turbo{}", name.strip_prefix("gpt-35-turbo")?);
                exact(&spelt).or_else(|| exact(without_date(&spelt)?))
            }
        }
    }
}

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
    /// `tokenPricing`, or `table:model` with the name of the model found in the table.
    pub source: Arc<str>,
}

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

/// A price in pico-dollars per 1000 tokens, exact.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rate(pub i64);

impl Rate {
    /// Reads dollars per 1,000,000 tokens, such as `0.0375`; `None` for anything but a plain decimal in range.
    pub fn per_million(text: &str) -> Option<Self> {
        decimal(text, 9).map(Self)
    }

    /// Reads dollars per 1000 tokens; `None` for anything but a plain decimal in range.
    pub fn per_thousand(text: &str) -> Option<Self> {
        decimal(text, 12).map(Self)
    }
}

/// The prices of one model by service tier.
#[derive(Clone, Debug)]
pub(crate) struct Tariffs {
    pub(crate) base: Tariff,
    pub(crate) flex: Option<Tariff>,
    pub(crate) priority: Option<Tariff>,
}

impl Tariffs {
    /// The tariff of a served tier; `None` where the table has none.
    fn tier(&self, served: Option<&str>) -> Option<&Tariff> {
        match served {
            None | Some("auto" | "default" | "standard") => Some(&self.base),
            Some("flex") => self.flex.as_ref(),
            Some("fast" | "priority") => self.priority.as_ref(),
            Some(_) => None,
        }
    }
}

/// The price of one tier, and the price of requests with a long input.
#[derive(Clone, Debug)]
pub(crate) struct Tariff {
    pub(crate) price: Price,
    pub(crate) long: Long,
}

impl Tariff {
    /// The price of a request of this size: past the threshold all of its tokens take the other price.
    fn at(&self, input: Option<u64>) -> Option<&Price> {
        match &self.long {
            Long::Same => Some(&self.price),
            Long::Priced { above, price } => Some(if input? > *above { price } else { &self.price }),
            Long::Unpriced { above } => (input? <= *above).then_some(&self.price),
        }
    }
}

/// What becomes of the price where the input is long.
#[derive(Clone, Debug)]
pub(crate) enum Long {
    /// This price above so many input tokens.
    Priced { above: u64, price: Price },
    /// The same price at any length.
    Same,
    /// The model has a long-context price, but not in this tier.
    Unpriced { above: u64 },
}

/// One model of a table with the name that the books show.
#[derive(Debug)]
struct Listing {
    source: Arc<str>,
    tariffs: Tariffs,
}

/// In which form a name is looked up.
#[derive(Clone, Copy)]
enum Form {
    Azure,
    Exact,
    FineTuned,
    Undated,
}

/// The sum for one reading, rounded half up once; `None` where a count that costs something is not known.
fn total(price: &Price, usage: &Usage) -> Option<Cost> {
    if usage.input.is_none() && usage.output.is_none() {
        return None;
    }
    let input = known(usage.input, price.input)?;
    let output = known(usage.output, price.output)?;
    let cached = usage.cached_input.unwrap_or(0).min(input);
    let written = usage.cache_write.unwrap_or(0).min(input - cached);
    let fresh = input - cached - written;
    let parts = [
        (fresh, price.input),
        (cached, price.cached_input.unwrap_or(price.input)),
        (written, price.cache_write.unwrap_or(price.input)),
        (output, price.output),
    ];
    let thousandfold = parts.into_iter().map(times).fold(500, i128::saturating_add);
    Some(Cost(thousandfold.div_euclid(1000)))
}

/// A count, where an unknown one does no harm because such tokens are free.
fn known(count: Option<u64>, rate: Rate) -> Option<u64> {
    if rate == Rate(0) { Some(count.unwrap_or(0)) } else { count }
}

/// Always in range: a count is below 2^64 and a rate below 2^63.
fn times((tokens, rate): (u64, Rate)) -> i128 {
    i128::from(tokens) * i128::from(rate.0)
}

/// Audio and image tokens have rates of their own, which the table does not carry.
fn has_unlisted_kinds(usage: &Usage) -> bool {
    [usage.audio_input, usage.image_input, usage.audio_output, usage.image_output]
        .into_iter()
        .any(|count| count.is_some_and(|count| count > 0))
}

/// `gpt-4o-2024-08-06` and `gpt-3.5-turbo-0125` without their dates.
fn without_date(name: &str) -> Option<&str> {
    let digits = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    let (rest, last) = name.rsplit_once('-')?;
    if digits(last, 4) {
        return Some(rest);
    }
    let (rest, month) = rest.rsplit_once('-')?;
    let (rest, year) = rest.rsplit_once('-')?;
    (digits(last, 2) && digits(month, 2) && digits(year, 4)).then_some(rest)
}

/// `ft:gpt-4o-2024-08-06:org::id` up to its base; `None` for a name that is no fine-tuned one.
fn fine_tuned_base(name: &str) -> Option<&str> {
    let base = name.strip_prefix("ft:")?.split(':').next()?;
    name.get(.."ft:".len() + base.len())
}

/// A plain decimal times 10^`places`; more places than that must be zeros.
fn decimal(text: &str, places: usize) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let (kept, dropped) = part.split_at(part.len().min(places));
    if dropped.bytes().any(|digit| digit != b'0') {
        return None;
    }
    format!("{whole}{kept:0<places$}").parse().ok()
}

/// In the order in which they are tried.
const FORMS: [Form; 4] = [Form::Exact, Form::Undated, Form::FineTuned, Form::Azure];

/// What the books name as the source of a custom model's own price.
const OWN: &str = "tokenPricing";

const BUILT_IN: &str = include_str!("../../config/prices.json5");

/// Names the source and its version, so that an old entry says which prices it was reckoned with.
const BUILT_IN_NAME: &str = "litellm-1.109.1";

#[cfg(test)]
mod tests;
