//! What a price table says of one model, and what it leaves to be concluded.

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
    pub(crate) fn served(name: Option<&str>) -> Option<Self> {
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
    pub(crate) fn base_steps(&self) -> Steps {
        let mut steps = vec![(0, self.base.rates.clone())];
        for (above, rates) in &self.base.long {
            steps.push((*above, filled(rates.clone(), &[&self.base.rates])));
        }
        Steps { steps, unpriced_above: None }
    }

    /// The rates of a tier; `None` where it prices less than the base does.
    pub(crate) fn tier_steps(&self, tier: Tier, sheet: &Sheet) -> Option<Steps> {
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
    pub(crate) fn batch_steps(&self) -> Steps {
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

/// The rates of one tier by ascending length of the input.
pub(crate) struct Steps {
    /// Each with the input tokens above which it holds.
    pub(crate) steps: Vec<(u64, Rates)>,
    /// The model has other prices above so many input tokens, but not in this tier.
    pub(crate) unpriced_above: Option<u64>,
}
