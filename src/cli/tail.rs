//! `tollgate tail`: the last entries of the books, and those to come.

use std::collections::HashSet;
use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{ColumnConstraint, Width};
use serde_json::Value;

use crate::admin::answer::escaped;
use crate::cli::books::{BooksArgs, CallArgs, pairs};
use crate::cli::listing::{cell, dollars, table, unless_closed};

/// List the last calls.
#[derive(Clone, Debug, clap::Args)]
pub struct TailArgs {
    /// Go on with new calls as they end
    #[arg(short, long)]
    pub follow: bool,
    /// How many calls to begin with
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Only some calls.
    #[command(flatten)]
    pub calls: CallArgs,
    /// The books that are read.
    #[command(flatten)]
    pub books: BooksArgs,
}

/// Prints the last entries, oldest first; with `--follow`, does not return before the gate or the reader goes.
///
/// # Errors
/// No books, or a question that is refused.
pub fn run(args: &TailArgs) -> anyhow::Result<()> {
    let mut watch = Watch::new(args);
    let mut out = io::stdout().lock();
    let mut follow = || {
        watch.print_last(&mut out)?;
        if !args.follow {
            return Ok(());
        }
        loop {
            std::thread::sleep(PAUSE);
            watch.print_new(&mut out)?;
        }
    };
    unless_closed(follow())
}

/// What was printed so far.
#[derive(Debug)]
pub struct Watch<'a> {
    args: &'a TailArgs,
    /// Where the books were when they were asked last.
    newest: Option<String>,
    /// The ids that were printed last.
    printed: HashSet<String>,
}

impl<'a> Watch<'a> {
    /// Nothing printed yet.
    pub fn new(args: &'a TailArgs) -> Self {
        Self { args, newest: None, printed: HashSet::new() }
    }

    /// Prints the header and the last entries.
    ///
    /// # Errors
    /// As [`run`], and whatever writing gives.
    pub fn print_last(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        let page = self.page(self.args.limit, None)?;
        self.newest = Some(page.newest);
        self.print(&page.entries, &HEADER, out)
    }

    /// Prints what was booked since the books were asked last.
    ///
    /// # Errors
    /// As [`run`], and whatever writing gives.
    pub fn print_new(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut page = self.page(PAGE, None)?;
        let newest = page.newest;
        let mut fresh: Vec<Value> = Vec::new();
        let mut printed = HashSet::new();
        loop {
            // What is booked while the pages are read may be met now and again the next time.
            fresh.extend(page.entries.into_iter().filter(|entry| {
                let id = entry["id"].to_string();
                !self.printed.contains(&id) && printed.insert(id)
            }));
            let Some(next) = page.next else { break };
            page = self.page(PAGE, Some(&next))?;
        }
        self.printed = printed;
        self.newest = Some(newest);
        self.print(&fresh, &[], out)
    }

    /// Prints entries, given newest first, oldest first.
    fn print(&self, entries: &[Value], header: &[&str], out: &mut dyn Write) -> anyhow::Result<()> {
        if self.args.json {
            entries.iter().rev().try_for_each(|entry| writeln!(out, "{}", escaped(&entry.to_string())))?;
        } else if !(entries.is_empty() && header.is_empty()) {
            let rows: Vec<Vec<String>> = entries.iter().rev().map(row).collect();
            let mut table = table(header, &rows, FIRST_NUMBER);
            // Later pieces stand under the same header, so that columns keep a width of their own.
            for (column, width) in table.column_iter_mut().zip(WIDTHS) {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
            }
            writeln!(out, "{}", table.trim_fmt())?;
        }
        Ok(out.flush()?)
    }

    /// One page, newest first, of what was booked since the books were asked last.
    fn page(&self, limit: u32, cursor: Option<&str>) -> anyhow::Result<Page> {
        let limit = limit.to_string();
        let mut asked = pairs([("limit", Some(limit.as_str())), ("cursor", cursor), ("after", self.newest.as_deref())]);
        asked.extend(self.args.calls.pairs());
        let mut page = self.args.books.entries(&asked)?;
        let text = |name: &str| page[name].as_str().map(str::to_owned);
        match (text("newest"), text("next"), page["entries"].take()) {
            (Some(newest), next, Value::Array(entries)) => Ok(Page { entries, next, newest }),
            _ => anyhow::bail!("the gate's answer is no page of entries"),
        }
    }
}

struct Page {
    entries: Vec<Value>,
    next: Option<String>,
    newest: String,
}

fn row(entry: &Value) -> Vec<String> {
    let time = cell(&entry["time"]);
    let second = time.split_once('.').map_or_else(|| time.clone(), |(second, _)| format!("{second}Z"));
    let route = match (&entry["route"]["kind"], &entry["route"]["name"]) {
        (Value::Null, _) => "-".into(),
        (kind, name) => format!("{}/{}", cell(kind), cell(name)),
    };
    vec![
        second,
        cell(&entry["status"]),
        cell(&entry["outcome"]),
        cell(&entry["model"]["asked"]),
        route,
        cell(&entry["usage"]["input"]),
        cell(&entry["usage"]["output"]),
        dollars(&entry["costUsd"]),
        cell(&entry["durationMs"]),
    ]
}

const HEADER: [&str; 9] = ["time", "status", "outcome", "model", "route", "input", "output", "cost usd", "ms"];

const FIRST_NUMBER: usize = 5;

/// Least widths, padding included.
const WIDTHS: [u16; 9] = [22, 8, 16, 24, 28, 9, 9, 14, 8];

/// Entries asked for at once while following.
const PAGE: u32 = 1000;

const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::stats::tests::surface;
    use crate::ledger::Ledger;
    use crate::ledger::tests::entry;

    fn args(admin: &str) -> TailArgs {
        TailArgs { follow: false, limit: 2, json: true, calls: CallArgs::default(), books: BooksArgs::at(admin) }
    }

    fn post(ledger: &Ledger, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let mut entry = entry("gpt-4o", "2026-11-22T12:00:00.5Z");
            entry.id = format!("{number:05}").into();
            ledger.post(entry);
        }
    }

    fn ids(out: &[u8]) -> Vec<u32> {
        let lines = std::str::from_utf8(out).unwrap().lines();
        let id = |line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().parse().unwrap();
        lines.map(id).collect()
    }

    #[test]
    fn following_prints_every_new_entry_once_and_in_order() {
        let ledger = Ledger::new(5000);
        let args = args(&surface(ledger.clone()));
        let mut watch = Watch::new(&args);
        let mut out = Vec::new();
        post(&ledger, 0..5);
        watch.print_last(&mut out).unwrap();
        watch.print_new(&mut out).unwrap();
        post(&ledger, 5..6);
        watch.print_new(&mut out).unwrap();
        post(&ledger, 6..3000);
        watch.print_new(&mut out).unwrap();
        watch.print_new(&mut out).unwrap();
        assert_eq!(ids(&out), (3..3000).collect::<Vec<_>>());
    }

    #[test]
    fn following_begins_with_nothing_and_goes_on() {
        let ledger = Ledger::new(1000);
        let args = args(&surface(ledger.clone()));
        let mut watch = Watch::new(&args);
        let mut out = Vec::new();
        watch.print_last(&mut out).unwrap();
        post(&ledger, 0..3);
        watch.print_new(&mut out).unwrap();
        assert_eq!(ids(&out), [0, 1, 2]);
    }

    #[test]
    fn entries_are_printed_as_a_table() {
        let ledger = Ledger::new(10);
        post(&ledger, 0..1);
        let args = TailArgs { json: false, ..args(&surface(ledger.clone())) };
        let mut watch = Watch::new(&args);
        let mut out = Vec::new();
        watch.print_last(&mut out).unwrap();
        post(&ledger, 1..2);
        watch.print_new(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        let words: Vec<&str> = lines[1].split_whitespace().collect();
        let expected =
            ["2026-11-22T12:00:00Z", "200", "ok", "gpt-4o", "origin/api.openai.com", "19", "10", "0.0001475", "12"];
        assert_eq!(words, expected);
        assert_eq!(lines[1], lines[2], "the columns of later pieces stand under those of the first");
    }
}
