//! The file form of a price table: dollars per million tokens as decimal texts.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::policy::pricing::{Long, Price, Rate, Tariff, Tariffs};

/// Why a price table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// A price is not a plain decimal of dollars with at most nine places.
    #[error("price table `{table}`: `{text}` for `{model}` is not a plain decimal price")]
    Decimal {
        /// The table.
        table: Box<str>,
        /// The model.
        model: Box<str>,
        /// What stands there.
        text: Box<str>,
    },
    /// The file is no such table.
    #[error("price table `{table}`: {problem}")]
    Shape {
        /// The table.
        table: Box<str>,
        /// What the reader says, with line and column.
        problem: Box<str>,
    },
}

/// Reads a table; `name` stands in errors.
pub(crate) fn read(text: &str, name: &str) -> Result<Vec<(String, Tariffs)>, PriceError> {
    let lines: BTreeMap<String, Line> = json5::from_str(text)
        .map_err(|error| PriceError::Shape { table: name.into(), problem: error.to_string().into() })?;
    let tariffs = |(model, line): (String, Line)| match line.tariffs() {
        Ok(tariffs) => Ok((model, tariffs)),
        Err(NoDecimal(text)) => Err(PriceError::Decimal { table: name.into(), model: model.into(), text: text.into() }),
    };
    lines.into_iter().map(tariffs).collect()
}

/// One model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Line {
    input: String,
    cached_input: Option<String>,
    cache_write: Option<String>,
    output: String,
    long: Option<LongLine>,
    flex: Option<TierLine>,
    priority: Option<TierLine>,
}

impl Line {
    fn tariffs(self) -> Result<Tariffs, NoDecimal> {
        let above = self.long.as_ref().map(|long| long.above);
        let tier = |line: Option<TierLine>| line.map(|line| line.tariff(above)).transpose();
        let (flex, priority) = (tier(self.flex)?, tier(self.priority)?);
        let (input, cached_input, cache_write, output) = (self.input, self.cached_input, self.cache_write, self.output);
        let base = TierLine { input, cached_input, cache_write, output, long: self.long };
        Ok(Tariffs { base: base.tariff(None)?, flex, priority })
    }
}

/// One service tier.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TierLine {
    input: String,
    cached_input: Option<String>,
    cache_write: Option<String>,
    output: String,
    long: Option<LongLine>,
}

impl TierLine {
    /// `cliff` is where the base tier's long-context price begins: this tier has none there unless it says so.
    fn tariff(self, cliff: Option<u64>) -> Result<Tariff, NoDecimal> {
        let long = match (self.long, cliff) {
            (Some(long), _) => Long::Priced {
                above: long.above,
                price: price(long.input, long.cached_input, long.cache_write, long.output)?,
            },
            (None, Some(above)) => Long::Unpriced { above },
            (None, None) => Long::Same,
        };
        Ok(Tariff { price: price(self.input, self.cached_input, self.cache_write, self.output)?, long })
    }
}

/// The rates of requests whose input is above `above` tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LongLine {
    above: u64,
    input: String,
    cached_input: Option<String>,
    cache_write: Option<String>,
    output: String,
}

/// A text that should have been a price.
struct NoDecimal(String);

fn price(
    input: String,
    cached_input: Option<String>,
    cache_write: Option<String>,
    output: String,
) -> Result<Price, NoDecimal> {
    Ok(Price {
        input: rate(input)?,
        cached_input: cached_input.map(rate).transpose()?,
        cache_write: cache_write.map(rate).transpose()?,
        output: rate(output)?,
    })
}

fn rate(text: String) -> Result<Rate, NoDecimal> {
    Rate::per_million(&text).ok_or(NoDecimal(text))
}
