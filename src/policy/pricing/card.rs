//! All prices of one model: by tier, region, length of the input, and size of what is made.

use std::sync::{Arc, OnceLock};

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::policy::pricing::kind::{Kind, Rates};
use crate::policy::pricing::rate::{Factor, Rate};

/// How a call is served, where that has rates of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tier {
    Balanced,
    Base,
    Batch,
    Decisions,
    Flex,
    Priority,
    Ultrafast,
}

impl Tier {
    /// The key in a table of the gate's own form.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Base => "base",
            Self::Batch => "batch",
            Self::Decisions => "decisions",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Ultrafast => "ultrafast",
        }
    }

    /// The tier that a reply names; `None` for one that nobody knows.
    fn served(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("auto" | "default" | "standard") => Some(Self::Base),
            Some("balanced") => Some(Self::Balanced),
            Some("fast" | "priority") => Some(Self::Priority),
            Some("flex") => Some(Self::Flex),
            Some("ultrafast") => Some(Self::Ultrafast),
            Some(_) => None,
        }
    }
}

/// What a table says of one tier.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) rates: Rates,
    /// Rates of requests whose input is above so many tokens.
    pub(crate) long: Vec<(u64, Rates)>,
}

impl Sheet {
    /// The rates above so many tokens, to be filled in.
    pub(crate) fn above(&mut self, tokens: u64) -> &mut Rates {
        let at = self.long.partition_point(|(above, _)| *above < tokens);
        if self.long.get(at).is_none_or(|(above, _)| *above != tokens) {
            self.long.insert(at, (tokens, Rates::default()));
        }
        &mut self.long[at].1
    }

    fn find(&self, tokens: u64) -> Option<&Rates> {
        self.long.iter().find(|(above, _)| *above == tokens).map(|(_, rates)| rates)
    }
}

/// What a table says of one model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) base: Sheet,
    pub(crate) tiers: Vec<(Tier, Sheet)>,
    /// What tokens cost more in a region.
    pub(crate) uplifts: Vec<(Box<str>, Factor)>,
    /// Prices of one picture by `quality/size` or `size`.
    pub(crate) pictures: Vec<(Box<str>, Rate)>,
    /// Prices of one second by the size of a video.
    pub(crate) videos: Vec<(Box<str>, Rate)>,
}

impl Draft {
    /// What is said of a tier, to be filled in.
    pub(crate) fn tier(&mut self, tier: Tier) -> &mut Sheet {
        if tier == Tier::Base {
            return &mut self.base;
        }
        let at = self.tiers.iter().position(|(known, _)| *known == tier).unwrap_or_else(|| {
            self.tiers.push((tier, Sheet::default()));
            self.tiers.len() - 1
        });
        &mut self.tiers[at].1
    }

    /// Whether what it writes is paid for.
    pub(crate) fn writes(&self) -> bool {
        self.base.rates.get(Kind::Output).is_some_and(|rate| rate != Rate(0))
    }

    /// Whether it has no price at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.base.rates.is_empty() && self.tiers.is_empty() && self.pictures.is_empty() && self.videos.is_empty()
    }

    /// The base rates, and those of long inputs with what they leave out.
    fn base_steps(&self) -> Steps {
        let mut steps = vec![(0, self.base.rates.clone())];
        for (above, rates) in &self.base.long {
            steps.push((*above, filled(rates.clone(), &[&self.base.rates])));
        }
        Steps { steps, unpriced_above: None }
    }

    /// The rates of a tier; `None` where it prices less than the base does.
    fn tier_steps(&self, tier: Tier, sheet: &Sheet) -> Option<Steps> {
        let base = &self.base;
        let has_all = |rates: &Rates, of: &Rates| {
            [Kind::Input, Kind::Output].iter().all(|kind| rates.get(*kind).is_some() || of.get(*kind).is_none())
        };
        // What a decision has no rate of its own for is charged like anything else.
        if !has_all(&sheet.rates, &base.rates) && tier != Tier::Decisions {
            return None;
        }
        let mut steps = vec![(0, filled(sheet.rates.clone(), &[&base.rates]))];
        let mut unpriced_above = None;
        let mut thresholds: Vec<u64> = base.long.iter().chain(&sheet.long).map(|(above, _)| *above).collect();
        thresholds.sort_unstable();
        thresholds.dedup();
        let nothing = Rates::default();
        for above in thresholds {
            let own = sheet.find(above).unwrap_or(&nothing);
            let standard = base.find(above).unwrap_or(&nothing);
            if !has_all(own, standard) && tier != Tier::Decisions {
                unpriced_above = Some(above);
                break;
            }
            steps.push((above, filled(own.clone(), &[standard, &sheet.rates, &base.rates])));
        }
        Some(Steps { steps, unpriced_above })
    }

    /// The rates of a batch: its own, else half of the usual ones. What is no token has no known price in a batch.
    fn batch_steps(&self) -> Steps {
        let nothing = Sheet::default();
        let sheet = self.tiers.iter().find(|(tier, _)| *tier == Tier::Batch).map_or(&nothing, |(_, sheet)| sheet);
        let none = Rates::default();
        let of = |(above, usual): (u64, Rates)| {
            let own = if above == 0 { &sheet.rates } else { sheet.find(above).unwrap_or(&none) };
            let half = usual.iter().filter_map(|(kind, rate)| match kind {
                _ if kind.is_token() => Some((kind, rate.halved())),
                _ if kind.is_fee() => Some((kind, rate)),
                _ => None,
            });
            (above, filled(own.clone(), &[&half.collect()]))
        };
        Steps { steps: self.base_steps().steps.into_iter().map(of).collect(), unpriced_above: None }
    }
}

/// `rates` with what they leave out, from the nearest of `others` that has it.
fn filled(mut rates: Rates, others: &[&Rates]) -> Rates {
    // Reasoning without a rate of its own costs what the output of its own tier costs.
    let keeps_reasoning = rates.get(Kind::Output).is_some();
    for (kind, rate) in others.iter().flat_map(|other| other.iter()) {
        if kind != Kind::Reasoning || !keeps_reasoning {
            rates.fill(kind, rate);
        }
    }
    rates
}

struct Steps {
    steps: Vec<(u64, Rates)>,
    unpriced_above: Option<u64>,
}

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
