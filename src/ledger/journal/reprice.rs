//! Reckons the costs of what is booked anew, and keeps what they were before.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};
use serde_json::value::RawValue;

use crate::ledger::entry::{Entry, Repriced};
use crate::ledger::journal::row::{self, Pico};
use crate::ledger::journal::start::{self, Finding, Time, Trouble};
use crate::ledger::journal::{cells, spool};
use crate::ledger::key::Registry;
use crate::ledger::totals::Totals;
use crate::units::Cost;

/// What an entry costs by another table.
#[derive(Clone, Debug)]
pub struct NewPrice {
    /// `None` is unpriced.
    pub cost: Option<Cost>,
    /// Where the price comes from.
    pub source: Option<Arc<str>>,
    /// The rates that it was reckoned with, as JSON.
    pub rates: Option<Arc<RawValue>>,
}

/// What has changed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RepriceSummary {
    /// Entries of the period.
    pub entries: u64,
    /// Those whose cost or price source is another one now.
    pub changed: u64,
    /// What the entries of the period cost before.
    pub before: Cost,
    /// What they cost now.
    pub after: Cost,
}

/// Reckons the entries that began at or after `since` anew, or all of them: `price` says what each costs now, or `None`
/// to leave it as it is. All of it is written, or nothing.
///
/// # Errors
/// There is no such journal, it cannot be written, or a gate writes it: that gate would go on showing the old sums.
pub fn reprice(
    path: &Path,
    since: Option<Timestamp>,
    price: impl FnMut(&Entry) -> Option<NewPrice>,
) -> Result<RepriceSummary, RepriceError> {
    let reprice = || -> Result<RepriceSummary, Trouble> {
        std::fs::metadata(path)?;
        let _lock = start::lock(path)?;
        let left = spool::left(path)?.ended;
        let mut opened = start::open(path, Finding::AsItIs, &left, &Registry::new(), Time::First(0))?;
        Ok(apply(&mut opened.store.connection, since, Timestamp::now(), price)?)
    };
    reprice().map_err(|source| RepriceError { path: path.display().to_string(), source })
}

/// Why nothing was reckoned anew.
#[derive(Debug, thiserror::Error)]
#[error("the costs in `{path}` cannot be reckoned anew")]
pub struct RepriceError {
    path: String,
    source: Trouble,
}

impl RepriceError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        matches!(self.source, Trouble::Taken(_)).then(|| "stop that gate first, and start it again after".into())
    }
}

fn apply(
    connection: &mut Connection,
    since: Option<Timestamp>,
    now: Timestamp,
    mut price: impl FnMut(&Entry) -> Option<NewPrice>,
) -> rusqlite::Result<RepriceSummary> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut summary = RepriceSummary::default();
    let mut sums: BTreeMap<i64, Change> = BTreeMap::new();
    for seq in places(&transaction, since)? {
        let (mut entry, cell) = one(&transaction, seq)?;
        summary.entries += 1;
        summary.before = summary.before.plus(entry.cost.unwrap_or_default());
        if let Some(new) = price(&entry)
            && (new.cost, &new.source) != (entry.cost, &entry.price_source)
        {
            let before = sums_of(&entry);
            change(&mut entry, new, now);
            store(&transaction, seq, &entry)?;
            summary.changed += 1;
            sums.entry(cell).or_default().note(&before, &sums_of(&entry));
        }
        summary.after = summary.after.plus(entry.cost.unwrap_or_default());
    }
    for (cell, change) in sums {
        let mut totals = cells::sums(&transaction, cell)?;
        totals.cost = totals.cost.plus(Cost(change.cost));
        totals.unpriced_requests = totals.unpriced_requests.saturating_add_signed(change.unpriced);
        cells::set(&transaction, cell, &totals)?;
    }
    transaction.commit()?;
    Ok(summary)
}

/// How the sums of an hour change.
#[derive(Default)]
struct Change {
    cost: i128,
    unpriced: i64,
}

impl Change {
    fn note(&mut self, before: &Totals, after: &Totals) {
        self.cost = self.cost.saturating_add(after.cost.0.saturating_sub(before.cost.0));
        self.unpriced += i64::from(after.unpriced_requests > 0) - i64::from(before.unpriced_requests > 0);
    }
}

fn sums_of(entry: &Entry) -> Totals {
    let mut sums = Totals::default();
    sums.add(entry);
    sums
}

fn places(connection: &Connection, since: Option<Timestamp>) -> rusqlite::Result<Vec<i64>> {
    let since = since.map_or(i64::MIN, Timestamp::as_millisecond);
    let mut statement = connection.prepare("SELECT seq FROM entries WHERE time_ms >= ? ORDER BY seq")?;
    statement.query_map([since], |row| row.get(0))?.collect()
}

fn one(connection: &Connection, seq: i64) -> rusqlite::Result<(Entry, i64)> {
    let mut statement = connection.prepare_cached(&format!("{} FROM entries WHERE seq = ?", row::selection()))?;
    statement.query_row([seq], |found| Ok((row::read(found)?, found.get(1)?)))
}

fn change(entry: &mut Entry, new: NewPrice, now: Timestamp) {
    let first = entry.repriced.take();
    entry.repriced = Some(match first {
        Some(first) => Repriced { time: now, ..first },
        None => Repriced { time: now, cost: entry.cost, price_source: entry.price_source.take() },
    });
    (entry.cost, entry.price_source, entry.rates) = (new.cost, new.source, new.rates);
}

fn store(connection: &Connection, seq: i64, entry: &Entry) -> rusqlite::Result<()> {
    let before = entry.repriced.as_ref();
    let mut statement = connection.prepare_cached(
        "UPDATE entries SET cost_pico = ?2, price_source = ?3, rates = ?4, repriced_ms = ?5, repriced_pico = ?6, \
         repriced_source = ?7 WHERE seq = ?1",
    )?;
    statement.execute(params![
        seq,
        entry.cost.map(Pico),
        entry.price_source,
        entry.rates.as_deref().map(RawValue::get),
        before.map(|before| before.time.as_millisecond()),
        before.and_then(|before| before.cost).map(Pico),
        before.and_then(|before| before.price_source.as_ref()),
    ])?;
    Ok(())
}
