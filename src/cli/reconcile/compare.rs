//! Puts both sides beside each other, under one name for each model.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::Value;

use crate::cli::reconcile::ours::{Doubts, Kind, Ours, Sum};
use crate::cli::reconcile::theirs::{Bill, Family, Measure, Numbers, Part, Place};
use crate::dialect::endpoint::{Dialect, Endpoint, Job, Socket};

/// Both sides, and what neither can say.
#[derive(Debug)]
pub struct Comparison {
    /// One for usage, one for costs.
    pub tables: Vec<Table>,
    /// By day, where there are any.
    pub doubts: BTreeMap<Date, Doubts>,
    /// Entries that went elsewhere, by route.
    pub elsewhere: BTreeMap<String, u64>,
    /// Entries of operations that the exports are not about.
    pub outside: BTreeMap<&'static str, u64>,
    /// What was passed on unseen since the start of the gate.
    pub tunnels: Value,
}

/// Days and models side by side.
#[derive(Debug)]
pub struct Table {
    /// Whether models are told apart.
    pub by_model: bool,
    /// What is compared.
    pub measures: Vec<Measure>,
    /// By day and model.
    pub lines: BTreeMap<Place, Sides>,
}

/// What each side says; `None` says nothing at all.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    /// The export.
    pub theirs: Option<Numbers>,
    /// The books.
    pub ours: Option<Numbers>,
}

impl Sides {
    /// Both numbers of a measure; `None` where the export does not tell it of this line.
    pub fn of(&self, measure: Measure) -> Option<(i128, i128)> {
        let theirs = match &self.theirs {
            None => 0,
            Some(numbers) => *numbers.get(&measure)?,
        };
        Some((theirs, self.ours.as_ref().and_then(|numbers| numbers.get(&measure)).copied().unwrap_or(0)))
    }

    fn is_equal(&self, measures: &[Measure]) -> bool {
        measures.iter().filter_map(|measure| self.of(*measure)).all(|(theirs, ours)| theirs == ours)
    }
}

impl Table {
    /// How many lines differ.
    pub fn differing(&self) -> usize {
        self.lines.values().filter(|sides| !sides.is_equal(&self.measures)).count()
    }

    /// All lines together.
    pub fn total(&self) -> Sides {
        let mut total = Sides { theirs: Some(Numbers::new()), ours: Some(Numbers::new()) };
        for sides in self.lines.values() {
            for measure in &self.measures {
                let Some((theirs, ours)) = sides.of(*measure) else { continue };
                for (side, number) in [(&mut total.theirs, theirs), (&mut total.ours, ours)] {
                    *side.get_or_insert_default().entry(*measure).or_default() += number;
                }
            }
        }
        total
    }
}

impl Comparison {
    /// Whether both sides agree in every line.
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(|table| table.differing() == 0)
    }
}

/// Compares; `routes` are those of the books that count, all origins if empty.
pub(crate) fn compare(bill: &Bill, ours: Ours, routes: &[String]) -> Comparison {
    let (mut elsewhere, mut outside, mut doubts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut tables: Vec<Table> = bill.parts.iter().map(Table::of).collect();
    let names: Vec<BTreeSet<&str>> = bill.parts.iter().map(names).collect();
    for (kind, sum) in &ours.sums {
        let counts = if routes.is_empty() { kind.route.starts_with("origin/") } else { routes.contains(&kind.route) };
        if !counts {
            *elsewhere.entry(kind.route.clone()).or_default() += sum.entries;
            continue;
        }
        let mut told = false;
        for ((part, table), names) in bill.parts.iter().zip(&mut tables).zip(&names) {
            if part.is_about(kind) {
                told = true;
                table.add(kind, sum, names);
            }
        }
        if told {
            doubts.entry(kind.day).or_insert_with(Doubts::default).merge(sum.doubts);
        } else {
            *outside.entry(kind.endpoint).or_default() += sum.entries;
        }
    }
    doubts.retain(|_, doubts| *doubts != Doubts::default());
    Comparison { tables, doubts, elsewhere, outside, tunnels: ours.tunnels }
}

/// The models that the export names on any day.
fn names(part: &Part) -> BTreeSet<&str> {
    part.places.keys().filter_map(|(_, model)| model.as_deref()).collect()
}

impl Table {
    fn of(part: &Part) -> Self {
        let sides = |numbers: &Numbers| Sides { theirs: Some(numbers.clone()), ours: None };
        Self {
            by_model: part.by_model,
            measures: part.measures.iter().copied().collect(),
            lines: part.places.iter().map(|(place, numbers)| (place.clone(), sides(numbers))).collect(),
        }
    }

    fn add(&mut self, kind: &Kind, sum: &Sum, names: &BTreeSet<&str>) {
        let model = self.by_model.then(|| name(kind, names));
        let sides = self.lines.entry((kind.day, model)).or_default();
        let numbers = sides.ours.get_or_insert_default();
        for measure in &self.measures {
            *numbers.entry(*measure).or_default() += sum.numbers.get(measure).copied().unwrap_or(0);
        }
    }
}

impl Part {
    fn is_about(&self, kind: &Kind) -> bool {
        self.families.contains(&Family::Costs) || family(kind).is_some_and(|family| self.families.contains(&family))
    }
}

/// The name under which the export has the model: as served, as sent, as asked for, or without the date.
fn name(kind: &Kind, known: &BTreeSet<&str>) -> Box<str> {
    let all: Vec<&str> = kind.names.iter().flatten().map(|name| &**name).collect();
    let undated = all.iter().filter_map(|name| undated(name));
    let found = all.iter().copied().chain(undated).find(|name| known.contains(name));
    found.or_else(|| all.first().copied()).unwrap_or("unknown").into()
}

/// `gpt-4o` of `gpt-4o-2024-08-06` and of `gpt-4o:20240806-v1`.
fn undated(name: &str) -> Option<&str> {
    if let Some((name, _)) = name.split_once(':').filter(|(name, _)| *name != "ft") {
        return Some(name);
    }
    let cut = name.len().checked_sub("-2024-08-06".len())?;
    let (base, date) = name.split_at_checked(cut)?;
    date.strip_prefix('-')?.parse::<Date>().ok().map(|_| base)
}

/// In which export a call appears; `None` for what is in the costs only.
fn family(kind: &Kind) -> Option<Family> {
    Some(match Endpoint::named(kind.endpoint)? {
        Endpoint::Call(
            Dialect::Chat | Dialect::Compaction | Dialect::Completion | Dialect::Decision | Dialect::Responses,
        ) => Family::Completions,
        Endpoint::Call(Dialect::Embeddings) => Family::Embeddings,
        Endpoint::Call(Dialect::ImageEdit | Dialect::ImageGeneration | Dialect::ImageVariation) => Family::Images,
        Endpoint::Call(Dialect::Moderation) => Family::Moderations,
        Endpoint::Call(Dialect::Speech) => Family::Speeches,
        Endpoint::Call(Dialect::Transcription | Dialect::Translation) => Family::Transcriptions,
        Endpoint::Job(Job::Batch) => {
            let embeds = kind.names.iter().flatten().any(|name| name.starts_with("text-embedding-"));
            if embeds { Family::Embeddings } else { Family::Completions }
        }
        Endpoint::Job(Job::Response | Job::Run) => Family::Completions,
        Endpoint::Socket(Socket::Live | Socket::Realtime | Socket::Responses) => Family::Completions,
        Endpoint::Call(Dialect::InputTokens | Dialect::Video | Dialect::VideoExtension)
        | Endpoint::Job(Job::FineTuning | Job::Video)
        | Endpoint::Models
        | Endpoint::Model(_)
        | Endpoint::Opening(_)
        | Endpoint::Other => {
            return None;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_go_by_the_name_that_the_export_has() {
        let kind = |served: Option<&str>, asked: &str| Kind {
            day: "2026-11-22".parse().unwrap(),
            names: [served.map(Into::into), None, Some(asked.into())],
            endpoint: "/v1/chat/completions",
            route: "origin/api.openai.com".into(),
        };
        let known = BTreeSet::from(["gpt-4o-2024-08-06", "o3", "gpt-3.5-turbo-instruct", "ft:gpt-4o-2024-08-06:me::1"]);
        for (served, asked, expected) in [
            (Some("gpt-4o-2024-08-06"), "gpt-4o", "gpt-4o-2024-08-06"),
            (Some("o3-2025-04-16"), "o3", "o3"),
            (Some("o3-2025-04-16"), "o3-2025-04-16", "o3"),
            (Some("gpt-3.5-turbo-instruct:20230824-v2"), "x", "gpt-3.5-turbo-instruct"),
            (Some("ft:gpt-4o-2024-08-06:me::1"), "x", "ft:gpt-4o-2024-08-06:me::1"),
            (None, "gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
            (Some("gpt-5-2025-08-07"), "gpt-5", "gpt-5-2025-08-07"),
        ] {
            assert_eq!(&*name(&kind(served, asked), &known), expected);
        }
        for (name, base) in [("gpt-4o-2024-13-06", None), ("-2024-08-06", Some("")), ("é-2024-08-06", Some("é"))] {
            assert_eq!(undated(name), base, "{name}");
        }
    }
}
