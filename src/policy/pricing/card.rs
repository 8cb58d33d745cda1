//! All prices of one model: by tier, region, length of the input, and size of what is made.

use std::sync::{Arc, OnceLock};

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::policy::pricing::draft::{Draft, Steps, Tier};
use crate::policy::pricing::kind::{Kind, Rates};
use crate::policy::pricing::rate::{Factor, Rate};

/// All prices of one model, ready to be used.
#[derive(Debug)]
pub(crate) struct Card {
    variants: Vec<Variant>,
    uplifted: bool,
    pictures: Vec<(Box<str>, Tariff)>,
    videos: Vec<(Box<str>, Tariff)>,
}

/// Under which terms a call was, or will be, served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) tier: Option<&'a str>,
    pub(crate) batch: bool,
    pub(crate) decisions: bool,
    pub(crate) region: Option<&'a str>,
}

impl Card {
    /// Works out every tariff, so that a call has only to find its own.
    pub(crate) fn new(draft: &Draft) -> Self {
        let mut tiers = vec![(Tier::Base, draft.base_steps()), (Tier::Batch, draft.batch_steps())];
        for (tier, sheet) in draft.tiers.iter().filter(|(tier, _)| *tier != Tier::Batch) {
            tiers.extend(draft.tier_steps(*tier, sheet).map(|steps| (*tier, steps)));
        }
        let mut variants = Vec::new();
        for (tier, Steps { steps, unpriced_above }) in &tiers {
            let plain = std::iter::once((None, None));
            let regions = draft.uplifts.iter().map(|(region, factor)| (Some(region), Some(*factor)));
            for (region, factor) in plain.chain(regions) {
                let tariff = |(above, rates): &(u64, Rates)| {
                    let rates = factor.map_or_else(|| rates.clone(), |factor| raised(rates, factor));
                    Tariff { tier: *tier, region: region.cloned(), above: *above, rates, ..Tariff::default() }
                };
                let tariffs = steps.iter().map(tariff).collect();
                variants.push(Variant { tariffs, unpriced_above: *unpriced_above });
            }
        }
        let sized = |kind: Kind| {
            move |(size, rate): &(Box<str>, Rate)| {
                let rates = Rates::from_iter([(kind, *rate)]);
                (size.clone(), Tariff { size: Some(size.clone()), rates, ..Tariff::default() })
            }
        };
        Self {
            variants,
            uplifted: !draft.uplifts.is_empty(),
            pictures: draft.pictures.iter().map(sized(Kind::Image)).collect(),
            videos: draft.videos.iter().map(sized(Kind::Second)).collect(),
        }
    }

    /// The tariff of a call with so many input tokens; `None` where the table has none.
    pub(crate) fn tariff(&self, terms: &Terms<'_>, input: Option<u64>) -> Option<&Tariff> {
        self.variant(terms)?.at(input)
    }

    /// The same for several requests whose input is told as one sum; `None` where one of them may have been a long one.
    pub(crate) fn tariff_of_several(&self, terms: &Terms<'_>, sum: Option<u64>) -> Option<&Tariff> {
        let variant = self.variant(terms)?;
        let may_be_long = |tariff: &Tariff| tariff.above > 0 && sum.is_none_or(|sum| sum > tariff.above);
        if variant.tariffs.iter().any(may_be_long) { None } else { variant.at(sum) }
    }

    /// Whether calls under these terms may have a price.
    pub(crate) fn prices(&self, terms: &Terms<'_>) -> bool {
        let standard = self.variant(terms).and_then(|variant| variant.tariffs.first());
        standard.is_some_and(|tariff| !tariff.rates.is_empty()) || !(self.pictures.is_empty() && self.videos.is_empty())
    }

    /// The rates of every tariff without a region, those of the usual one first.
    pub(crate) fn shown(&self) -> Vec<Arc<RawValue>> {
        let tariffs = self.variants.iter().flat_map(|variant| &variant.tariffs);
        let global = tariffs.filter(|tariff| tariff.region.is_none() && !tariff.rates.is_empty());
        let sized = self.pictures.iter().chain(&self.videos).map(|(_, tariff)| tariff);
        global.chain(sized).filter_map(Tariff::shown).collect()
    }

    /// The tariff of pictures of this form, where those have prices by their form.
    pub(crate) fn picture(&self, quality: Option<&str>, size: Option<&str>) -> Option<&Tariff> {
        let size = size?;
        let is_it = |known: &str| match (known.split_once('/'), quality) {
            (Some((of_quality, of_size)), Some(quality)) => of_quality == quality && of_size == size,
            (None, None) => known == size,
            _ => false,
        };
        self.pictures.iter().find(|(known, _)| is_it(known)).map(|(_, tariff)| tariff)
    }

    /// The tariff of videos of this size, where it has one of its own.
    pub(crate) fn video(&self, size: Option<&str>) -> Option<&Tariff> {
        self.videos.iter().find(|(known, _)| Some(&**known) == size).map(|(_, tariff)| tariff)
    }

    fn variant(&self, terms: &Terms<'_>) -> Option<&Variant> {
        let of = |tier: Tier| {
            // A model that costs the same everywhere says nothing of regions; one that does not must name this one.
            let region = terms.region.filter(|_| self.uplifted);
            self.variants.iter().find(|variant| variant.is(tier, region))
        };
        if terms.batch {
            return of(Tier::Batch);
        }
        match Tier::served(terms.tier)? {
            Tier::Base if terms.decisions => of(Tier::Decisions).or_else(|| of(Tier::Base)),
            tier => of(tier),
        }
    }
}

/// The tariffs of one tier in one region, by ascending length of the input.
#[derive(Debug)]
struct Variant {
    tariffs: Vec<Tariff>,
    /// The model has other prices above so many input tokens, but not in this tier.
    unpriced_above: Option<u64>,
}

impl Variant {
    fn is(&self, tier: Tier, region: Option<&str>) -> bool {
        self.tariffs.first().is_some_and(|tariff| tariff.tier == tier && tariff.region.as_deref() == region)
    }

    /// Past a threshold all tokens of the request take its rates.
    fn at(&self, input: Option<u64>) -> Option<&Tariff> {
        if self.tariffs.len() == 1 && self.unpriced_above.is_none() {
            return self.tariffs.first();
        }
        let input = input?;
        if self.unpriced_above.is_some_and(|above| input > above) {
            return None;
        }
        self.tariffs.iter().rev().find(|tariff| input > tariff.above || tariff.above == 0)
    }
}

/// The rates of one kind of call.
#[derive(Debug)]
pub(crate) struct Tariff {
    tier: Tier,
    region: Option<Box<str>>,
    above: u64,
    size: Option<Box<str>>,
    pub(crate) rates: Rates,
    shown: OnceLock<Option<Arc<RawValue>>>,
}

impl Default for Tariff {
    fn default() -> Self {
        Self { tier: Tier::Base, region: None, above: 0, size: None, rates: Rates::default(), shown: OnceLock::new() }
    }
}

impl Tariff {
    /// The rates as the books keep them, in the units of a table of the gate's own form; written once.
    pub(crate) fn shown(&self) -> Option<Arc<RawValue>> {
        self.shown.get_or_init(|| to_raw_value(&self.value()).ok().map(Arc::from)).clone()
    }

    fn value(&self) -> Value {
        let mut shown = Map::new();
        if self.tier != Tier::Base {
            shown.insert("tier".into(), self.tier.name().into());
        }
        if let Some(region) = &self.region {
            shown.insert("region".into(), Value::from(&**region));
        }
        if self.above > 0 {
            shown.insert("above".into(), self.above.into());
        }
        if let Some(size) = &self.size {
            shown.insert("size".into(), Value::from(&**size));
        }
        let rates = self.rates.iter().map(|(kind, rate)| (kind.name().into(), rate.dollars(kind.power()).into()));
        shown.extend(rates);
        Value::Object(shown)
    }
}

/// Tokens cost more in some regions; nothing else does.
fn raised(rates: &Rates, factor: Factor) -> Rates {
    rates.iter().map(|(kind, rate)| (kind, if kind.is_token() { rate.times(factor) } else { rate })).collect()
}
