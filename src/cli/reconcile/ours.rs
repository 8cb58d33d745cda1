//! What the books say of the same days: the entries of the period, summed by all that a comparison may need.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::cli::books::{BooksArgs, pairs};
use crate::cli::reconcile::theirs::{Measure, Numbers, day};
use crate::dialect::endpoint::{Dialect, Endpoint, Job};
use crate::ledger::entry::{Entry, Outcome};
use crate::ledger::totals::{Line, is_unpriced};
use crate::ledger::words::route_name;
use crate::units::Basis;

/// What the entries of one sum have in common.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Kind {
    pub(crate) day: Date,
    /// The model as it was served, sent and asked for.
    pub(crate) names: [Option<Arc<str>>; 3],
    /// The operation's name.
    pub(crate) endpoint: &'static str,
    pub(crate) route: String,
}

/// Sums, and how far they can be trusted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) entries: u64,
    pub(crate) numbers: Numbers,
    pub(crate) doubts: Doubts,
}

/// Entries whose numbers may differ from the provider's for a reason that is known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Doubts {
    /// Tokens that the gate counted itself.
    pub counted: u64,
    /// Tokens that are an estimate.
    pub estimated: u64,
    /// Tokens that nobody knows.
    pub unknown: u64,
    /// A cost that nobody knows.
    pub unpriced: u64,
    /// They ended on another day than they began.
    pub over_midnight: u64,
}

impl Doubts {
    /// Adds others.
    pub(crate) fn merge(&mut self, other: Self) {
        self.counted += other.counted;
        self.estimated += other.estimated;
        self.unknown += other.unknown;
        self.unpriced += other.unpriced;
        self.over_midnight += other.over_midnight;
    }
}

/// The books of the period.
#[derive(Debug, Default)]
pub(crate) struct Ours {
    pub(crate) sums: HashMap<Kind, Sum>,
    /// `tunnels` of `/stats`: since the start of the gate.
    pub(crate) tunnels: Value,
}

#[derive(Deserialize)]
struct Page {
    entries: Vec<Entry>,
    next: Option<String>,
    /// Why entries may be missing.
    missing: Option<String>,
}

impl Ours {
    /// Reads all entries of the period, from a running gate or from its journal.
    ///
    /// # Errors
    /// No answer, or books that no longer list every entry of the period.
    pub(crate) fn read(books: &BooksArgs, (since, until): (Timestamp, Timestamp)) -> anyhow::Result<Self> {
        // Whole days, so that the sum of them can be held against what is listed.
        let (first, past) = (floor(since), floor(until.checked_add(A_DAY)? - SignedDuration::from_nanos(1)));
        let (from, to) = (first.to_string(), past.to_string());
        let period = [("since", Some(from.as_str())), ("until", Some(to.as_str()))];
        let stats = books.stats(&pairs(period))?;
        let mut ours = Self { tunnels: stats["tunnels"].clone(), ..Self::default() };
        let (mut listed, mut cursor) = (0, None::<String>);
        loop {
            let further = [("limit", Some(PAGE)), ("cursor", cursor.as_deref())];
            let page = books.entries(&pairs(period.into_iter().chain(further)))?;
            let page: Page = serde_json::from_value(page).context(NO_JSON)?;
            if let Some(why) = page.missing {
                anyhow::bail!("not every entry of these days can be listed: {why}");
            }
            for entry in &page.entries {
                listed += 1;
                ours.take(entry, since, until);
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let booked = stats["totals"]["requests"].as_u64().context(NO_JSON)?;
        // More may have come since the sum was asked for, never less.
        anyhow::ensure!(
            listed >= booked,
            "the books list {listed} of the {booked} entries of these days; the others are no longer in memory"
        );
        Ok(ours)
    }

    /// Adds an entry, if it lies in the period and may be on a bill.
    pub(crate) fn take(&mut self, entry: &Entry, since: Timestamp, until: Timestamp) {
        if !(since..until).contains(&entry.time) || !may_be_billed(entry) {
            return;
        }
        let usage = entry.usage.unwrap_or_default();
        let route = entry.route.as_ref().map(|route| (route.kind, &*route.name));
        let kind = Kind {
            day: day(entry.time),
            names: [entry.model.served.clone(), entry.model.sent.clone(), entry.model.asked.clone()],
            endpoint: entry.endpoint.name(),
            route: route_name(route),
        };
        let requests = usage.requests.filter(|_| entry.endpoint == Endpoint::Job(Job::Batch)).unwrap_or(1);
        let sum = self.sums.entry(kind).or_default();
        sum.entries += 1;
        for (measure, number) in [
            (Measure::Requests, Some(requests)),
            (Measure::Input, usage.input),
            (Measure::Cached, usage.cached_input),
            (Measure::Output, usage.output),
            (Measure::Images, usage.images),
            (Measure::Characters, usage.characters),
            (Measure::Seconds, usage.seconds),
        ] {
            *sum.numbers.entry(measure).or_default() += i128::from(number.unwrap_or(0));
        }
        *sum.numbers.entry(Measure::Cost).or_default() += entry.cost.unwrap_or_default().0;
        sum.doubts.merge(doubts(entry));
    }
}

fn doubts(entry: &Entry) -> Doubts {
    let length = SignedDuration::from_millis(i64::try_from(entry.duration_ms).unwrap_or(0));
    let end = entry.time.checked_add(length).unwrap_or(entry.time);
    let known = entry.usage.is_some();
    Doubts {
        counted: u64::from(known && entry.basis == Basis::Counted),
        estimated: u64::from(known && entry.basis == Basis::Estimated),
        unknown: u64::from(!known),
        unpriced: u64::from(is_unpriced(&Line::of(entry))),
        over_midnight: u64::from(day(entry.time) != day(end)),
    }
}

/// Whether the provider may have it on a bill: it reached a model, and its usage is not told by another entry.
fn may_be_billed(entry: &Entry) -> bool {
    if entry.usage.is_some() {
        return true;
    }
    let failed = matches!(entry.outcome, Outcome::Refused | Outcome::UpstreamError);
    // A connection of turns has no usage of its own, and a question about a job none unless it tells it.
    !failed && !entry.deferred && matches!(entry.endpoint, Endpoint::Call(dialect) if dialect != Dialect::InputTokens)
}

/// The beginning of the day of UTC.
fn floor(time: Timestamp) -> Timestamp {
    let second = time.as_second().div_euclid(SECONDS_OF_A_DAY) * SECONDS_OF_A_DAY;
    Timestamp::from_second(second).unwrap_or(time)
}

const SECONDS_OF_A_DAY: i64 = 86_400;
const A_DAY: SignedDuration = SignedDuration::from_secs(SECONDS_OF_A_DAY);
const NO_JSON: &str = "what the books answered cannot be read";

/// Entries that are read at once.
const PAGE: &str = "1000";
