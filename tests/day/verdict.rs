//! The books against the bill and against what the clients saw: what differs, and whether anything excuses it.

use std::collections::HashMap;
use std::fmt;

use tollgate::ledger::entry::{Entry, Outcome};
use tollgate::units::Basis;

use crate::caller::Saw;
use crate::plan::Plan;
use crate::upstream::books::Billed;

/// One attempt of a client.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Names it to the gate and to the stand-in.
    pub label: String,
    /// What was asked.
    pub plan: Plan,
    /// What came.
    pub saw: Saw,
}

/// The end of the day.
#[derive(Debug, Default)]
pub struct Verdict {
    tried: usize,
    billed: usize,
    exact: usize,
    /// Read to its end by the client.
    finished: usize,
    /// Open when the gate was killed; nobody can say what they cost.
    unknown: usize,
    /// Broken by the upstream before it told its usage.
    estimated: usize,
    tokens: u128,
    pico: i128,
    /// Tokens that the exact entries have too many or too few.
    tokens_apart: u128,
    /// The same for money.
    pico_apart: u128,
    /// What nothing excuses.
    pub wrong: Vec<String>,
}

/// Holds all three against each other.
pub fn judge(tried: &[Tried], entries: &[Entry], bill: &[Billed]) -> Verdict {
    let mut verdict = Verdict { tried: tried.len(), billed: bill.len(), ..Verdict::default() };
    let lines = by(bill, |line| Some(line.call.as_str()));
    let booked = by(entries, |entry| entry.client.label.as_deref());
    for one in tried {
        let line = verdict.only(&lines, one, "billed");
        let entry = verdict.only(&booked, one, "booked");
        verdict.settle(one, line, entry);
    }
    verdict
}

fn by<'a, T>(all: &'a [T], name: impl Fn(&'a T) -> Option<&'a str>) -> HashMap<&'a str, Vec<&'a T>> {
    let mut found: HashMap<&str, Vec<&T>> = HashMap::new();
    for one in all {
        found.entry(name(one).unwrap_or("")).or_default().push(one);
    }
    found
}

impl Verdict {
    fn only<'a, T: fmt::Debug>(&mut self, all: &HashMap<&str, Vec<&'a T>>, one: &Tried, what: &str) -> Option<&'a T> {
        let found = all.get(one.label.as_str()).map_or(&[][..], Vec::as_slice);
        if found.len() > 1 {
            self.wrong.push(format!("{} is {what} {} times: {found:#?}", one.label, found.len()));
        }
        found.first().copied()
    }

    fn settle(&mut self, one: &Tried, line: Option<&Billed>, entry: Option<&Entry>) {
        let finished = matches!(one.saw, Saw::Whole { status, .. } if status < 400);
        self.finished += usize::from(finished);
        let Some(entry) = entry else {
            if finished || line.is_some() {
                self.wrong.push(format!("not booked: {one:?}, billed {line:?}"));
            }
            return;
        };
        let known = entry.basis == Basis::Reported;
        if finished && (!known || !matches!(entry.outcome, Outcome::Ok | Outcome::ClientClosed)) {
            self.wrong.push(format!("the client has all of it, the books have not: {one:?}, {entry:#?}"));
        }
        match line {
            Some(line) if known => self.compare(one, line, entry),
            None if known => self.wrong.push(format!("booked, and nothing was billed: {one:?}, {entry:#?}")),
            Some(_) if entry.outcome == Outcome::Unknown => self.unknown += 1,
            Some(_) if is_broken(&one.plan) => self.estimated += 1,
            Some(line) => self.wrong.push(format!("not exact, and nothing excuses it: {one:?}, {entry:#?}, {line:?}")),
            None => {}
        }
    }

    fn compare(&mut self, one: &Tried, line: &Billed, entry: &Entry) {
        let usage = entry.usage.unwrap_or_default();
        let booked = [usage.input, usage.cached_input, usage.output, usage.reasoning].map(|count| count.unwrap_or(0));
        let billed = [line.input, line.cached, line.output, line.reasoning];
        let apart: u128 = booked.iter().zip(billed).map(|(one, two)| u128::from(one.abs_diff(two))).sum();
        let (paid, owed) = (entry.cost.map(|cost| cost.0), cost(line));
        self.exact += 1;
        self.tokens += u128::from(line.input) + u128::from(line.output);
        self.pico += owed;
        self.tokens_apart += apart;
        self.pico_apart += paid.unwrap_or(0).abs_diff(owed);
        if apart > 0 || paid != Some(owed) {
            self.wrong.push(format!("booked {booked:?} for {paid:?}, billed {billed:?} for {owed}: {one:?}"));
        }
    }
}

/// Whether the upstream itself breaks off before it tells its usage.
fn is_broken(plan: &Plan) -> bool {
    ["cut-after", "reset-stream", "error-after"].iter().any(|word| plan.fault.contains(word))
}

/// Pico-dollars of one line, by prices that are written down here once more.
fn cost(line: &Billed) -> i128 {
    // Pico-dollars a token: dollars a million, times a million.
    let (input, cached, output) = match (&*line.model, line.tier.as_deref().unwrap_or("default")) {
        ("gpt-4o-2024-08-06", "default") => (2_500_000, 1_250_000, 10_000_000),
        ("gpt-4o-2024-08-06", "priority") => (4_250_000, 2_125_000, 17_000_000),
        ("gpt-4o-mini-2024-07-18", _) => (150_000, 75_000, 600_000),
        ("gpt-4.1-2025-04-14", _) => (2_000_000, 500_000, 8_000_000),
        ("o4-mini-2025-04-16", _) => (1_100_000, 275_000, 4_400_000),
        ("gpt-5-2025-08-07", _) => (1_250_000, 125_000, 10_000_000),
        ("gpt-3.5-turbo-instruct:20230824-v2", _) => (1_500_000, 1_500_000, 2_000_000),
        ("text-embedding-3-small", _) => (20_000, 20_000, 0),
        ("databricks/dolly-v2-3b" | "local/chat", _) => (1_000_000, 1_000_000, 2_000_000),
        other => panic!("no price for {other:?}"),
    };
    let [fresh, from_cache, made] = [line.input - line.cached, line.cached, line.output].map(i128::from);
    fresh * input + from_cache * cached + made * output
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = |pico: u128| format!("{}.{:012}", pico / 1_000_000_000_000, pico % 1_000_000_000_000);
        writeln!(f, "attempts of clients     {:>9}", self.tried)?;
        writeln!(f, "  read to the end       {:>9}", self.finished)?;
        writeln!(f, "billed                  {:>9}", self.billed)?;
        writeln!(
            f,
            "  booked exactly        {:>9}   {} tokens, ${}",
            self.exact,
            self.tokens,
            dollars(self.pico.unsigned_abs())
        )?;
        writeln!(f, "  cut by the upstream   {:>9}   estimated", self.estimated)?;
        writeln!(f, "  open at a kill        {:>9}   unknown, and shown as such", self.unknown)?;
        let missing = self.billed - self.exact - self.estimated - self.unknown;
        writeln!(f, "  anything else         {missing:>9}")?;
        write!(f, "difference between books and bill: {} tokens, ${}", self.tokens_apart, dollars(self.pico_apart))
    }
}
