//! Reads a price table in any of the forms that are accepted, told apart by their shape.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::policy::pricing::card::Card;
use crate::policy::pricing::problem::PriceError;
use crate::policy::pricing::table::{Dated, Listing, Models, Table};
use crate::policy::pricing::{genai, litellm, own};

/// A table, and what of it cannot be used, each in a clause that begins with its name.
pub(crate) struct Read {
    pub(crate) table: Table,
    pub(crate) flaws: Vec<String>,
}

/// Reads a table; `name` is what the books and errors call it.
///
/// A list is the data of genai-prices, an object with the keys of LiteLLM's map is that map, and anything else is the
/// gate's own form, in JSON5.
///
/// # Errors
/// A text that has none of these forms, or prices nothing.
pub(crate) fn read(text: &str, name: &str) -> Result<Read, PriceError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let shape = |problem: String| PriceError::Shape { table: name.into(), problem: problem.into() };
    let read = if text.trim_start().starts_with('[') {
        let genai::Read { providers, flaws } = genai::read(text, name).map_err(|error| shape(error.to_string()))?;
        Read { table: Table { models: Models::Matched(providers) }, flaws }
    } else if MAP_KEYS.iter().any(|key| text.contains(key)) {
        let litellm::Read { models, flaws } = litellm::read(text).map_err(|error| shape(error.to_string()))?;
        let cards = models.into_iter().map(|(model, draft)| (model, vec![(None, Arc::new(Card::new(&draft)))]));
        Read { table: named(cards, name), flaws }
    } else {
        Read { table: named(own::read(text, name)?.into_iter(), name), flaws: Vec::new() }
    };
    if read.table.len() == 0 {
        let first = read.flaws.first().map_or_else(String::new, |flaw| format!("; {flaw}"));
        return Err(shape(format!("it prices no model{first}")));
    }
    Ok(read)
}

fn named(models: impl Iterator<Item = (String, Dated)>, name: &str) -> Table {
    let listing = |(model, dated): (String, Dated)| {
        let source = format!("{name}:{model}").into();
        (Arc::from(model), Arc::new(Listing { source, dated }))
    };
    let models: HashMap<Arc<str>, Arc<Listing>, RandomState> = models.map(listing).collect();
    Table { models: Models::Named(models) }
}

/// What only LiteLLM's map has in it.
const MAP_KEYS: [&str; 3] = ["\"litellm_provider\"", "_cost_per_", "_token_cost\""];
