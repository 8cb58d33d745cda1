//! Reads the data of genai-prices, version 2: providers, each with the models that its clauses match.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::policy::pricing::card::Card;
use crate::policy::pricing::dates::When;
use crate::policy::pricing::draft::{Draft, Tier};
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
    let conditional: Vec<ConditionalLine<'_>> = if line.prices.get().starts_with('[') {
        serde_json::from_str(line.prices.get()).map_err(|_| wrong("no prices"))?
    } else {
        vec![ConditionalLine { constraint: None, prices: line.prices }]
    };
    let mut parts = Vec::new();
    for ConditionalLine { constraint, prices } in conditional {
        let when = constraint.map(|line| line.when().ok_or_else(|| wrong("no date"))).transpose()?;
        let draft = draft(prices.get()).map_err(|key| wrong(&format!("no price for `{key}`")))?;
        parts.push((when, draft));
    }
    let mut variants = Vec::new();
    for variant in line.price_variants {
        let Some(tier) = variant.tier() else { continue };
        let when = variant.constraint.map(|line| line.when().ok_or_else(|| wrong("no date"))).transpose()?;
        let draft = draft(variant.prices.get()).map_err(|key| wrong(&format!("no price for `{key}`")))?;
        variants.push((tier, when, draft));
    }
    let dated = dated(parts, &variants).into_iter().map(|(when, draft)| (when, Arc::new(Card::new(&draft)))).collect();
    let is_priced = !line.prices.get().trim_matches(['{', '}', '[', ']', ' ']).is_empty();
    let source = format!("{table}:{}", line.id).into();
    Ok(is_priced.then(|| (clause, Arc::new(Listing { source, dated }))))
}

/// The prices from each day on from which some of them change, with those of the tiers that hold by then.
///
/// Where prices go by the time of day, those of tiers are left out: such a call is unpriced.
fn dated(parts: Vec<(Option<When>, Draft)>, variants: &[(Tier, Option<When>, Draft)]) -> Vec<(Option<When>, Draft)> {
    let days: Option<Vec<Option<Date>>> =
        parts.iter().map(|(when, _)| when).chain(variants.iter().map(|(_, when, _)| when)).map(day).collect();
    let Some(mut days) = days.filter(|_| !variants.is_empty()) else { return parts };
    days.push(None);
    days.sort_unstable();
    days.dedup();
    let holds = |when: &Option<When>, day: Option<Date>| match when {
        Some(When::From(from)) => day.is_some_and(|day| day >= *from),
        _ => true,
    };
    let at = |day: Option<Date>| {
        let in_force = parts.iter().rev().find(|(when, _)| holds(when, day)).or(parts.first())?;
        let mut draft = in_force.1.clone();
        // The first that says something counts.
        for (tier, _, variant) in variants.iter().rev().filter(|(_, when, _)| holds(when, day)) {
            *draft.tier(*tier) = variant.base.clone();
        }
        Some((day.map(When::From), draft))
    };
    days.into_iter().filter_map(at).collect()
}

/// The day from which something holds; nothing where it holds at times of the day.
fn day(when: &Option<When>) -> Option<Option<Date>> {
    match when {
        None => Some(None),
        Some(When::From(day)) => Some(Some(*day)),
        Some(When::Daily(..)) => None,
    }
}

/// The prices of a model at one time; the key of what is none.
fn draft(text: &str) -> Result<Draft, String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|_| "prices".to_owned())?;
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
    #[serde(borrow, default)]
    price_variants: Vec<VariantLine<'a>>,
}

/// Prices of calls that are served in some way.
#[derive(Deserialize)]
struct VariantLine<'a> {
    when: BTreeMap<String, String>,
    constraint: Option<ConstraintLine>,
    #[serde(borrow)]
    prices: &'a RawValue,
}

impl VariantLine<'_> {
    /// The tier that it is about, where it is about a tier and nothing else.
    fn tier(&self) -> Option<Tier> {
        let (key, value) = self.when.first_key_value().filter(|_| self.when.len() == 1)?;
        match (&**key, &**value) {
            ("processing", "batch") => Some(Tier::Batch),
            ("service_tier", "fast" | "priority") => Some(Tier::Priority),
            ("service_tier", "flex") => Some(Tier::Flex),
            _ => None,
        }
    }
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
