//! Reads the data of genai-prices, version 2: providers, each with the models that its clauses match.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::policy::pricing::card::{Card, Draft};
use crate::policy::pricing::dates::When;
use crate::policy::pricing::kind::Kind;
use crate::policy::pricing::matching::{Clause, Provider, Providers};
use crate::policy::pricing::rate::Rate;
use crate::policy::pricing::table::Listing;

/// What the data price, and what of it cannot be used, each in a clause that begins with its name.
pub(crate) struct Read {
    pub(crate) providers: Providers,
    pub(crate) flaws: Vec<String>,
}

/// Reads the data; `table` is what the books call them.
///
/// # Errors
/// No list of providers; what the parser says.
pub(crate) fn read(text: &str, table: &str) -> Result<Read, serde_json::Error> {
    let lines: Vec<ProviderLine<'_>> = serde_json::from_str(text)?;
    let mut flaws = Vec::new();
    let mut providers = Vec::new();
    for line in lines {
        let mut models = Vec::new();
        for raw in line.models {
            match model(raw, table) {
                Ok(Some(model)) => models.push(model),
                // Without prices it says nothing.
                Ok(None) => {}
                Err(flaw) => flaws.push(format!("`{}` {flaw}", line.id)),
            }
        }
        let model_match = line.model_match.and_then(|raw| Clause::read(raw.get()).ok());
        providers.push(Provider { id: line.id, model_match, fallbacks: line.fallback_model_providers, models });
    }
    Ok(Read { providers: Providers::new(providers), flaws })
}

fn model(raw: &RawValue, table: &str) -> Result<Option<(Clause, Arc<Listing>)>, String> {
    let line: ModelLine<'_> = serde_json::from_str(raw.get()).map_err(|error| format!("has a model that {error}"))?;
    let wrong = |what: &str| format!("has {what} in the model `{}`", line.id);
    let clause = Clause::read(line.clause.get()).map_err(|what| wrong(&what))?;
    let mut dated = Vec::new();
    let conditional: Vec<ConditionalLine<'_>> = if line.prices.get().starts_with('[') {
        serde_json::from_str(line.prices.get()).map_err(|_| wrong("no prices"))?
    } else {
        vec![ConditionalLine { constraint: None, prices: line.prices }]
    };
    for ConditionalLine { constraint, prices } in conditional {
        let when = constraint.map(|line| line.when().ok_or_else(|| wrong("no date"))).transpose()?;
        let draft = draft(prices.get()).map_err(|key| wrong(&format!("no price for `{key}`")))?;
        dated.push((when, Arc::new(Card::new(&draft))));
    }
    let is_priced = !line.prices.get().trim_matches(['{', '}', '[', ']', ' ']).is_empty();
    let source = format!("{table}:{}", line.id).into();
    Ok(is_priced.then(|| (clause, Arc::new(Listing { source, dated }))))
}

/// The prices of a model at one time; the key of what is none.
fn draft(text: &str) -> Result<Draft, String> {
    let members: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|_| "prices".to_owned())?;
    let mut draft = Draft::default();
    for (key, raw) in members {
        let Some((_, kind, power)) = KINDS.iter().find(|(known, _, _)| *known == key) else { continue };
        let rate = |text: &str| Rate::number(text, *power).ok_or_else(|| key.clone());
        if raw.get() == "null" {
            continue;
        }
        if !raw.get().starts_with('{') {
            draft.base.rates.set(*kind, rate(raw.get().trim_matches('"'))?);
            continue;
        }
        let tiered: TieredLine<'_> = serde_json::from_str(raw.get()).map_err(|_| key.clone())?;
        draft.base.rates.set(*kind, rate(tiered.base.get())?);
        for tier in tiered.tiers {
            let rate = rate(tier.price.get())?;
            draft.base.above(tier.start).set(*kind, rate);
        }
    }
    Ok(draft)
}

#[derive(Deserialize)]
struct ProviderLine<'a> {
    id: String,
    #[serde(borrow, default)]
    model_match: Option<&'a RawValue>,
    #[serde(default)]
    fallback_model_providers: Vec<String>,
    #[serde(borrow)]
    models: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct ModelLine<'a> {
    id: String,
    #[serde(borrow, rename = "match")]
    clause: &'a RawValue,
    #[serde(borrow)]
    prices: &'a RawValue,
}

#[derive(Deserialize)]
struct ConditionalLine<'a> {
    constraint: Option<ConstraintLine>,
    #[serde(borrow)]
    prices: &'a RawValue,
}

#[derive(Deserialize)]
struct ConstraintLine {
    start_date: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
}

impl ConstraintLine {
    fn when(&self) -> Option<When> {
        match (&self.start_date, &self.start_time, &self.end_time) {
            (Some(day), None, None) => When::from_day(day),
            (None, Some(start), Some(end)) => When::daily(start, end),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct TieredLine<'a> {
    #[serde(borrow)]
    base: &'a RawValue,
    #[serde(borrow)]
    tiers: Vec<TierLine<'a>>,
}

#[derive(Deserialize)]
struct TierLine<'a> {
    start: u64,
    #[serde(borrow)]
    price: &'a RawValue,
}

/// What a key prices, and for how many of it, as a power of ten.
const KINDS: [(&str, Kind, u8); 15] = [
    ("input_mtok", Kind::Input, 6),
    ("output_mtok", Kind::Output, 6),
    ("cache_read_mtok", Kind::CachedInput, 6),
    ("cache_write_mtok", Kind::CacheWrite, 6),
    ("input_audio_mtok", Kind::AudioInput, 6),
    ("output_audio_mtok", Kind::AudioOutput, 6),
    ("cache_audio_read_mtok", Kind::CachedAudio, 6),
    ("input_image_mtok", Kind::ImageInput, 6),
    ("output_image_mtok", Kind::ImageOutput, 6),
    ("cache_image_read_mtok", Kind::CachedImage, 6),
    ("output_reasoning_mtok", Kind::Reasoning, 6),
    ("input_mchars", Kind::Character, 6),
    ("requests_kcount", Kind::Request, 3),
    ("web_searches_kcount", Kind::WebSearch, 3),
    ("code_executions_kcount", Kind::CodeSession, 3),
];
