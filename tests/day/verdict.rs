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
    /// Begun, and never shown at its end.
    unshown: usize,
    /// Broken off before any usage was told.
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
    let by_id = by(entries, |entry| entry.upstream_id.as_deref().filter(|_| entry.usage.is_some()));
    let mut shown: HashMap<String, bool> = HashMap::new();
    for one in tried.iter().filter(|one| one.plan.method == "GET" && one.plan.fault.is_empty()) {
        let id = one.plan.path.rsplit('/').next().unwrap_or_default().to_owned();
        *shown.entry(id).or_default() |= matches!(one.saw, Saw::Whole { status: 200, .. });
    }
    for one in tried {
        let line = verdict.only(&lines, one, "billed");
        let entry = verdict.only(&booked, one, "booked");
        match line.filter(|_| one.plan.shown_at.is_some()) {
            Some(line) => verdict.settle_job(one, line, &by_id, shown.get(&line.id) == Some(&true)),
            None => verdict.settle(one, line, entry),
        }
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

    /// What goes on after its call: booked once, by the first reply that shows what it used.
    fn settle_job(&mut self, one: &Tried, line: &Billed, by_id: &HashMap<&str, Vec<&Entry>>, shown: bool) {
        let found = by_id.get(line.id.as_str()).map_or(&[][..], Vec::as_slice);
        match found {
            [entry] => self.compare(one, line, entry),
            [] if !shown => self.unshown += 1,
            _ => self.wrong.push(format!("shown, and booked {} times: {one:?}, {found:#?}", found.len())),
        }
    }

    fn settle(&mut self, one: &Tried, line: Option<&Billed>, entry: Option<&Entry>) {
        let finished = matches!(one.saw, Saw::Whole { status, .. } if status < 400) && !is_broken(&one.plan);
        self.finished += usize::from(finished);
        let Some(entry) = entry else {
            if finished || line.is_some() {
                self.wrong.push(format!("not booked: {one:?}, billed {line:?}"));
            }
            return;
        };
        let known = matches!(entry.basis, Basis::Reported | Basis::Counted);
        // A look at a job that shows nothing new has nothing to book.
        let looks = one.plan.method == "GET" || one.plan.shown_at.is_some();
        if looks {
            return;
        }
        if finished && (!known || !matches!(entry.outcome, Outcome::Ok | Outcome::ClientClosed)) {
            self.wrong.push(format!("the client has all of it, the books have not: {one:?}, {entry:#?}"));
        }
        match line {
            Some(line) if known => self.compare(one, line, entry),
            None if known => self.wrong.push(format!("booked, and nothing was billed: {one:?}, {entry:#?}")),
            Some(_) if entry.outcome == Outcome::Unknown => self.unknown += 1,
            // A fault of one call may take its neighbours on the same connection with it, and their replies.
            Some(line) if !line.completed || is_excused(one) => self.estimated += 1,
            Some(line) => self.wrong.push(format!("not exact, and nothing excuses it: {one:?}, {entry:#?}, {line:?}")),
            None => {}
        }
    }

    fn compare(&mut self, one: &Tried, line: &Billed, entry: &Entry) {
        let usage = entry.usage.unwrap_or_default();
        let booked = [
            usage.input,
            usage.cached_input,
            usage.output,
            usage.reasoning,
            usage.audio_input,
            usage.image_input,
            usage.image_output,
            usage.characters,
            usage.seconds,
            usage.trained,
        ]
        .map(|count| count.unwrap_or(0));
        let other = line.other;
        let billed = [
            line.input,
            line.cached,
            line.output,
            line.reasoning,
            other.audio_input,
            other.image_input,
            other.image_output,
            other.characters,
            other.seconds,
            other.trained,
        ];
        let apart: u128 = booked.iter().zip(billed).map(|(one, two)| u128::from(one.abs_diff(two))).sum();
        let (paid, owed) = (entry.cost.map(|cost| cost.0), cost(line));
        let paid = paid.or((other.trained > 0).then_some(0));
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

/// Whether the client saw, too, that the upstream broke off, or asked for nothing that would be told.
fn is_excused(one: &Tried) -> bool {
    let is_failed = matches!(one.saw, Saw::Broken | Saw::Whole { status: 500.., .. });
    is_failed || is_broken(&one.plan) || is_unheard(one)
}

/// Whether the client left while it was spoken to: no usage would come, so that nothing is worth reading on for.
fn is_unheard(one: &Tried) -> bool {
    one.saw == Saw::Left && one.plan.path == "/v1/audio/speech"
}

/// Whether the upstream itself breaks off before it tells its usage.
fn is_broken(plan: &Plan) -> bool {
    ["cut-after", "reset-stream", "error-after"].iter().any(|word| plan.fault.contains(word))
}

/// Pico-dollars of one line, by prices that are written down here once more; a training has none.
fn cost(line: &Billed) -> i128 {
    let other = line.other;
    // Pico-dollars a token, a character or a second: dollars a million, times a million.
    let apiece = match &*line.model {
        "gpt-image-1" => other.image_output * 40_000_000 + other.image_input * 10_000_000,
        "tts-1" => other.characters * 15_000_000,
        "sora-2" => other.seconds * 100_000_000_000,
        _ => 0,
    };
    let (input, cached, output) = match (&*line.model, line.endpoint, line.tier.as_deref().unwrap_or("default")) {
        ("gpt-4o-2024-08-06", "/v1/batches", _) => (1_250_000, 625_000, 5_000_000),
        ("gpt-4o-2024-08-06", _, "priority") => (4_250_000, 2_125_000, 17_000_000),
        ("gpt-4o-2024-08-06", ..) => (2_500_000, 1_250_000, 10_000_000),
        ("gpt-4o-mini-2024-07-18", ..) => (150_000, 75_000, 600_000),
        ("gpt-4.1-2025-04-14", ..) => (2_000_000, 500_000, 8_000_000),
        ("o4-mini-2025-04-16", ..) => (1_100_000, 275_000, 4_400_000),
        ("gpt-5-2025-08-07", ..) => (1_250_000, 125_000, 10_000_000),
        ("gpt-3.5-turbo-instruct:20230824-v2", ..) => (1_500_000, 1_500_000, 2_000_000),
        ("text-embedding-3-small", ..) => (20_000, 20_000, 0),
        ("databricks/dolly-v2-3b" | "local/chat", ..) => (1_000_000, 1_000_000, 2_000_000),
        ("gpt-4o-transcribe", ..) => (2_500_000, 2_500_000, 10_000_000),
        ("gpt-image-1", ..) => (5_000_000, 1_250_000, 0),
        ("tts-1" | "sora-2", ..) => (0, 0, 0),
        other => panic!("no price for {other:?}"),
    };
    let [fresh, from_cache, made] =
        [line.input - line.cached - other.image_input, line.cached, line.output].map(i128::from);
    fresh * input + from_cache * cached + made * output + i128::from(apiece)
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
        writeln!(f, "  broken off            {:>9}   estimated", self.estimated)?;
        writeln!(f, "  open at a kill        {:>9}   unknown, and shown as such", self.unknown)?;
        writeln!(f, "  begun, never shown    {:>9}   deferred", self.unshown)?;
        let missing = self.billed - self.exact - self.estimated - self.unknown - self.unshown;
        writeln!(f, "  anything else         {missing:>9}")?;
        write!(f, "difference between books and bill: {} tokens, ${}", self.tokens_apart, dollars(self.pico_apart))
    }
}
