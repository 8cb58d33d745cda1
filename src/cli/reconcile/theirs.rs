//! What the provider's exports say, added up by day and model.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::cli::reconcile::decimal::Decimal;

/// What is compared.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Measure {
    /// Calls of a model.
    Requests,
    /// Input tokens, cached ones included.
    Input,
    /// Input tokens from the cache.
    Cached,
    /// Output tokens.
    Output,
    /// Pictures.
    Images,
    /// Characters that were spoken.
    Characters,
    /// Seconds that were transcribed.
    Seconds,
    /// Pico-dollars.
    Cost,
}

impl Measure {
    /// As it heads a column, and is called in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Input => "input",
            Self::Cached => "cached",
            Self::Output => "output",
            Self::Images => "images",
            Self::Characters => "characters",
            Self::Seconds => "seconds",
            Self::Cost => "usd",
        }
    }
}

/// What an export is about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Family {
    Completions,
    Costs,
    Embeddings,
    Images,
    Moderations,
    Speeches,
    Transcriptions,
}

impl Family {
    /// By the last part of its path.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "completions" => Self::Completions,
            "costs" => Self::Costs,
            "embeddings" => Self::Embeddings,
            "images" => Self::Images,
            "moderations" => Self::Moderations,
            "audio_speeches" => Self::Speeches,
            "audio_transcriptions" => Self::Transcriptions,
            _ => return None,
        })
    }

    /// What its rows must tell, by the names that they have in pages and sheets, the newest first.
    pub(crate) fn columns(self) -> &'static [Column] {
        match self {
            Self::Completions => &[REQUESTS, INPUT, CACHED, OUTPUT],
            Self::Costs => &[COST],
            Self::Embeddings | Self::Moderations => &[REQUESTS, INPUT],
            Self::Images => &[REQUESTS, (Measure::Images, true, &["images", "num_images"])],
            Self::Speeches => &[REQUESTS, (Measure::Characters, true, &["characters", "num_characters"])],
            Self::Transcriptions => &[REQUESTS, (Measure::Seconds, true, &["seconds", "num_seconds"])],
        }
    }
}

/// A measure, whether it must be there, and its names.
pub(crate) type Column = (Measure, bool, &'static [&'static str]);

const REQUESTS: Column = (Measure::Requests, true, &["num_model_requests", "num_requests", "n_requests"]);
const INPUT: Column = (Measure::Input, true, &["input_tokens", "n_context_tokens_total"]);
const CACHED: Column = (Measure::Cached, false, &["input_cached_tokens", "n_cached_context_tokens_total"]);
const OUTPUT: Column = (Measure::Output, true, &["output_tokens", "n_generated_tokens_total"]);
const COST: Column = (Measure::Cost, true, &["amount_value", "amount", "cost_usd", "cost"]);

/// One row of an export.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) family: Family,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// `None` where the export is not grouped by it.
    pub(crate) model: Option<Box<str>>,
    pub(crate) project: Option<Box<str>>,
    pub(crate) numbers: Vec<(Measure, Decimal)>,
}

/// A day, and a model where the export tells them apart.
pub(crate) type Place = (Date, Option<Box<str>>);

/// Numbers by measure.
pub(crate) type Numbers = BTreeMap<Measure, i128>;

/// The rows while they are read.
#[derive(Debug)]
pub(crate) struct Theirs<'a> {
    projects: &'a [String],
    hasher: RandomState,
    /// Hashes of rows, so that a file that is given twice is not counted twice.
    seen: HashSet<u64>,
    /// Families of which some page says that there are more, and those of which one says that it is the last.
    more: BTreeSet<Family>,
    last: BTreeSet<Family>,
    buckets: Option<(Timestamp, Timestamp)>,
    rows: Vec<Row>,
}

/// Two halves of what exports say: usage and costs may be grouped differently.
#[derive(Debug)]
pub(crate) struct Bill {
    since: Timestamp,
    until: Timestamp,
    pub(crate) parts: Vec<Part>,
}

/// The rows that are compared in one table.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) families: BTreeSet<Family>,
    pub(crate) by_model: bool,
    pub(crate) measures: BTreeSet<Measure>,
    pub(crate) places: BTreeMap<Place, Numbers>,
}

impl<'a> Theirs<'a> {
    pub(crate) fn new(projects: &'a [String]) -> Self {
        Self {
            projects,
            hasher: RandomState::new(),
            seen: HashSet::new(),
            more: BTreeSet::new(),
            last: BTreeSet::new(),
            buckets: None,
            rows: Vec::new(),
        }
    }

    /// Notes a bucket of time, which may have no rows.
    ///
    /// # Errors
    /// A bucket that ends before it begins, or is longer than a day.
    pub(crate) fn bucket(&mut self, start: Timestamp, end: Timestamp) -> Result<(), &'static str> {
        let length = end.as_second() - start.as_second();
        if length <= 0 {
            return Err("the bucket ends before it begins");
        }
        if day(start) != day(Timestamp::from_second(end.as_second() - 1).unwrap_or(end)) {
            return Err("the bucket is longer than a day of UTC; ask for `bucket_width=1d`");
        }
        let (first, past) = self.buckets.unwrap_or((start, end));
        self.buckets = Some((first.min(start), past.max(end)));
        Ok(())
    }

    /// Takes a row; `raw` is its text, by which a row that comes twice is known.
    ///
    /// # Errors
    /// The row came before, or has no project although one is asked for.
    pub(crate) fn row(&mut self, row: Row, raw: &str) -> Result<(), &'static str> {
        if !self.seen.insert(self.hasher.hash_one((row.family, row.start, row.end, raw))) {
            return Err("the same row came before; is a file, or a page, given twice?");
        }
        if !self.projects.is_empty() {
            match &row.project {
                None => return Err("the row names no project; export with `group_by=project_id`"),
                Some(project) if self.projects.iter().any(|wanted| **wanted == **project) => {}
                Some(_) => return Ok(()),
            }
        }
        self.rows.push(row);
        Ok(())
    }

    /// Notes whether more pages follow one with rows of this family.
    pub(crate) fn page(&mut self, family: Family, more: bool) {
        if more {
            self.more.insert(family)
        } else {
            self.last.insert(family)
        };
    }

    /// Adds everything up.
    ///
    /// # Errors
    /// No rows at all, pages that are missing, sums too large to be true.
    pub(crate) fn finish(self) -> anyhow::Result<Bill> {
        if let Some(family) = self.more.difference(&self.last).next() {
            anyhow::bail!("the last page of {family:?} is missing: every page that was given says `has_more`");
        }
        let Some((since, until)) = self.buckets else { anyhow::bail!("the export has no days") };
        let (costs, usage): (Vec<Row>, Vec<Row>) = self.rows.into_iter().partition(|row| row.family == Family::Costs);
        let parts: Vec<Part> =
            [usage, costs].into_iter().filter(|rows| !rows.is_empty()).map(Part::of).collect::<anyhow::Result<_>>()?;
        anyhow::ensure!(!parts.is_empty(), "the export has no rows to compare");
        Ok(Bill { since, until, parts })
    }
}

impl Bill {
    /// From the beginning of the first bucket to the end of the last.
    pub(crate) fn period(&self) -> (Timestamp, Timestamp) {
        (self.since, self.until)
    }
}

impl Part {
    fn of(rows: Vec<Row>) -> anyhow::Result<Self> {
        // One row without a model is a sum over models that cannot be taken apart.
        let by_model = rows.iter().all(|row| row.model.is_some());
        let mut sums = BTreeMap::<Place, BTreeMap<Measure, Decimal>>::new();
        let (mut families, mut measures) = (BTreeSet::new(), BTreeSet::new());
        for row in rows {
            families.insert(row.family);
            let place = (day(row.start), row.model.filter(|_| by_model));
            let sum = sums.entry(place).or_default();
            for (measure, number) in row.numbers {
                measures.insert(measure);
                let before = sum.entry(measure).or_default();
                *before = before.plus(number).ok_or_else(|| anyhow::anyhow!("the sums are too large to be true"))?;
            }
        }
        let number = |(measure, sum): (Measure, Decimal)| match measure {
            Measure::Cost => Some((measure, sum.money().0)),
            _ => sum.whole().map(|count| (measure, count)),
        };
        let places = sums.into_iter().map(|(place, sum)| (place, sum.into_iter().filter_map(number).collect()));
        Ok(Self { families, by_model, measures, places: places.collect() })
    }
}

/// The day of UTC that an instant lies in.
pub(crate) fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}
