//! What is told to those who watch from outside: names, units, labels and numbers, in no format yet.
//!
//! The names are those of OpenTelemetry's conventions for generative AI where they have one, else begin with
//! `tollgate.`; both formats that are spoken make their own spelling of them.

use std::collections::BTreeMap;

use crate::dialect::endpoint::Endpoint;
use crate::ledger::conventions as names;
use crate::ledger::journal::status::JournalStatus;
use crate::ledger::series::{Counts, Kind};
use crate::ledger::spending::account::Row;
use crate::ledger::spread::{DURATIONS, FIRST_PIECES, Scale, Spread, TOKENS};
use crate::ledger::states;
use crate::ledger::tap::Handed;
use crate::ledger::tunnels::Tunnelled;
use crate::ledger::words::{basis_name, error_type, operation, outcome_name, provider, route_name};
use crate::policy::Policy;
use crate::policy::target::RouteKind;
use crate::units::{Basis, Cost};

/// Names and values that tell the points of one measure apart, in a fixed order of names.
pub type Labels = Vec<(&'static str, String)>;

/// One thing that is measured.
#[derive(Debug)]
pub struct Measure {
    /// The name in OpenTelemetry's spelling: `gen_ai.client.token.usage`.
    pub name: &'static str,
    /// The unit in OpenTelemetry's spelling: `s`, `{token}`, `USD`.
    pub unit: &'static str,
    /// What it is, in one sentence without a full stop.
    pub help: &'static str,
    /// The numbers.
    pub points: Points,
}

/// The numbers of a measure.
#[derive(Debug)]
pub enum Points {
    /// Sums that only grow.
    Counts(Vec<(Labels, u64)>),
    /// Money that only grows.
    Money(Vec<(Labels, Cost)>),
    /// Numbers that rise and fall.
    Levels(Vec<(Labels, u64)>),
    /// Money that rises and falls.
    Amounts(Vec<(Labels, Cost)>),
    /// How often something was how large.
    Spreads(&'static Scale, Vec<(Labels, Spread)>),
}

impl Points {
    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Counts(points) | Self::Levels(points) => points.is_empty(),
            Self::Money(points) | Self::Amounts(points) => points.is_empty(),
            Self::Spreads(_, points) => points.is_empty(),
        }
    }
}

/// What the books have seen since the start.
pub(crate) struct Seen {
    /// Every kind and its counts.
    pub(crate) series: Vec<(Kind, Counts)>,
    /// What was passed on unseen.
    pub(crate) tunnels: Tunnelled,
    /// What became of the entries that were handed out, where anybody asked for them.
    pub(crate) handed: Option<Handed>,
    /// Attempts that are under way.
    pub(crate) open: u64,
    /// How the journal is.
    pub(crate) journal: JournalStatus,
    /// The budgets.
    pub(crate) budgets: Vec<Row>,
}

/// Everything that is told of the books, the numbers since the start.
pub(crate) fn of(seen: &Seen, policy: &Policy) -> Vec<Measure> {
    let series = &*seen.series;
    let gen_ai = |kind: &Kind, error: bool| gen_ai_labels(kind, policy, error);
    let spreads = |labels: &dyn Fn(&Kind) -> Labels, of: fn(&Counts) -> Spread| -> Vec<(Labels, Spread)> {
        let some = series.iter().filter(|(kind, counts)| is_model_call(kind) && of(counts).count() > 0);
        let mut sums = BTreeMap::<Labels, Spread>::new();
        some.for_each(|(kind, counts)| sums.entry(labels(kind)).or_default().merge(&of(counts)));
        sums.into_iter().collect()
    };
    let mut tokens = Vec::new();
    for (name, of) in [("input", (|counts| counts.input) as fn(&Counts) -> Spread), ("output", |counts| counts.output)]
    {
        let labels = |kind: &Kind| with(gen_ai(kind, false), names::TOKEN_TYPE, name);
        tokens.extend(spreads(&labels, of));
    }
    let durations = spreads(&|kind| gen_ai(kind, true), |counts| counts.duration);
    let first = spreads(&|kind| gen_ai(kind, false), |counts| counts.first_piece);
    let mut all = vec![
        spread(names::TOKEN_USAGE, "{token}", USAGE, (&TOKENS, tokens)),
        spread(names::OPERATION_DURATION, "s", DURATION, (&DURATIONS, durations)),
        spread(names::OPERATION_TIME_TO_FIRST_CHUNK, "s", FIRST, (&FIRST_PIECES, first.clone())),
        spread(names::SERVER_TIME_TO_FIRST_TOKEN, "s", FIRST, (&FIRST_PIECES, first)),
    ];
    for (name, unit, help, of) in COUNTERS {
        all.push(Measure { name, unit, help, points: Points::Counts(summed(series, own_labels, of)) });
    }
    let money = Points::Money(summed(series, own_labels, |counts| counts.cost));
    all.push(Measure { name: "tollgate.cost", unit: "USD", help: COST, points: money });
    all.extend(states::of(seen));
    all
}

/// The dollars of exact money as the nearest number that a reader of metrics can hold.
///
/// Fifteen digits survive: up to 1000 dollars to the pico-dollar, up to a billion to the micro-dollar. The books
/// themselves are exact.
pub fn nearest_dollars(cost: Cost) -> f64 {
    cost.to_string().parse().unwrap_or(f64::NAN)
}

/// Whether a model was called: listing models is no operation of generative AI.
fn is_model_call(kind: &Kind) -> bool {
    !matches!(
        Endpoint::named(kind.endpoint),
        None | Some(Endpoint::Models | Endpoint::Model(_) | Endpoint::Opening(_) | Endpoint::Other)
    ) || kind.basis != Basis::None
}

fn gen_ai_labels(kind: &Kind, policy: &Policy, error: bool) -> Labels {
    let operation = Endpoint::named(kind.endpoint).map_or("other", |endpoint| operation(&endpoint));
    let mut labels = vec![
        (names::OPERATION, operation.to_owned()),
        (names::PROVIDER, provider(borrowed(kind), policy).to_owned()),
        (names::REQUEST_MODEL, kind.asked.to_string()),
    ];
    labels.extend(kind.served.as_ref().map(|name| (names::RESPONSE_MODEL, name.to_string())));
    if error {
        labels.extend(error_type(kind.outcome, kind.status).map(|error| (names::ERROR_TYPE, error)));
    }
    labels
}

fn own_labels(kind: &Kind) -> Labels {
    vec![
        (names::REQUEST_MODEL, kind.asked.to_string()),
        ("tollgate.endpoint", kind.endpoint.to_owned()),
        ("tollgate.route", route_name(borrowed(kind))),
        ("tollgate.label", kind.label.to_string()),
        ("tollgate.outcome", outcome_name(kind.outcome).to_owned()),
        ("tollgate.basis", basis_name(kind.basis).to_owned()),
    ]
}

fn borrowed(kind: &Kind) -> Option<(RouteKind, &str)> {
    kind.route.as_ref().map(|(kind, name)| (*kind, &**name))
}

fn with(mut labels: Labels, name: &'static str, value: &str) -> Labels {
    labels.push((name, value.to_owned()));
    labels
}

fn spread(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    (scale, points): (&'static Scale, Vec<(Labels, Spread)>),
) -> Measure {
    Measure { name, unit, help, points: Points::Spreads(scale, points) }
}

/// Adds up what lies under the same labels.
fn summed<T: Sum>(series: &[(Kind, Counts)], labels: fn(&Kind) -> Labels, of: fn(&Counts) -> T) -> Vec<(Labels, T)> {
    let mut sums = BTreeMap::<Labels, T>::new();
    for (kind, counts) in series {
        sums.entry(labels(kind)).or_default().take(of(counts));
    }
    sums.into_iter().collect()
}

trait Sum: Default {
    fn take(&mut self, more: Self);
}

impl Sum for u64 {
    fn take(&mut self, more: Self) {
        *self = self.saturating_add(more);
    }
}

impl Sum for Cost {
    fn take(&mut self, more: Self) {
        *self = self.plus(more);
    }
}

/// Name, unit, help and number of what is counted beside tokens, time and money.
type Counter = (&'static str, &'static str, &'static str, fn(&Counts) -> u64);

const COUNTERS: [Counter; 5] = [
    ("tollgate.requests", "{request}", "Upstream attempts and refused calls, each once", |counts| counts.requests),
    ("tollgate.unpriced.requests", "{request}", "Those that may have cost something that nobody knows", |counts| {
        counts.unpriced
    }),
    (
        "tollgate.cached_input.tokens",
        "{token}",
        "Input tokens from the upstream's cache, part of the input",
        |counts| counts.cached_input,
    ),
    (
        "tollgate.cache_write.tokens",
        "{token}",
        "Input tokens written to the upstream's cache, part of the input",
        |counts| counts.cache_write,
    ),
    ("tollgate.reasoning.tokens", "{token}", "Output tokens spent on reasoning, part of the output", |counts| {
        counts.reasoning
    }),
];

const USAGE: &str = "Input and output tokens of each call, cached and reasoning ones included";
const DURATION: &str = "Time from the beginning of a call to its last byte";
const FIRST: &str = "Time from the beginning of a call to the first byte of its stream, as seen from the gate";
const COST: &str = "What the priced calls cost, as near as a float comes to the exact sum in the books";
