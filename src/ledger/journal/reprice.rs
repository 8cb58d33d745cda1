//! Reckons the costs of a journal anew, while no gate writes it.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use crate::ledger::entry::Entry;
use crate::ledger::journal::read::{ReadError, Reader};
use crate::ledger::journal::row::{self, Pico};
use crate::ledger::journal::start::{self, Finding, Time, Trouble};
use crate::ledger::journal::{cells, spool};
use crate::ledger::key::Registry;
use crate::ledger::totals::Totals;
use crate::policy::pricing::sale::Priced;
use crate::units::Cost;

/// What changed, or would.
#[derive(Clone, Debug, Default)]
pub struct Repricing {
    /// By the model that was asked for.
    pub models: BTreeMap<String, Change>,
    /// Entries that cost what they did.
    pub same: u64,
    /// Entries that had a cost and would have none now; they keep theirs.
    pub kept: u64,
}

/// What changed for one model.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Change {
    /// Entries with another cost.
    pub entries: u64,
    /// Those of them that had none before.
    pub unpriced: u64,
    /// What they cost before.
    pub before: Cost,
    /// What they cost now.
    pub after: Cost,
}

/// Why nothing was reckoned.
#[derive(Debug, thiserror::Error)]
#[error("the costs of the journal cannot be reckoned anew")]
pub struct RepriceError(#[source] Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Reading(#[from] ReadError),
    #[error(transparent)]
    Writing(#[from] Trouble),
}

impl RepriceError {
    /// Whether a gate writes the journal at this moment.
    pub fn is_in_use(&self) -> bool {
        matches!(self.0, Cause::Writing(Trouble::Taken(_)))
    }
}

/// Reckons the costs of all entries from `since` on by `price`, and keeps the first cost of each beside the new one.
///
/// What a killed gate left in the spool is booked first, as a gate would do at its start. An entry that would have no
/// price keeps its cost.
///
/// # Errors
/// A gate writes the journal, or it cannot be read or written; then nothing has changed.
pub fn reprice(
    path: &Path,
    (since, now): (Timestamp, Timestamp),
    price: &dyn Fn(&Entry) -> Option<Priced>,
) -> Result<Repricing, RepriceError> {
    let attempt = || {
        std::fs::metadata(path)?;
        let _lock = start::lock(path)?;
        let segments: Vec<_> = spool::found(path)?.into_iter().map(|(_, path)| path).collect();
        let mut opened = start::open(path, Finding::AsItIs, &segments, &Registry::new(), Time::First(0))?;
        change(&mut opened.store.connection, (since, now), price).map_err(Trouble::from)
    };
    attempt().map_err(|error: Trouble| RepriceError(error.into()))
}

/// As [`reprice`], but nothing is changed; a gate may write the journal meanwhile.
///
/// # Errors
/// It cannot be read.
pub fn look(
    path: &Path,
    since: Timestamp,
    price: &dyn Fn(&Entry) -> Option<Priced>,
) -> Result<Repricing, RepriceError> {
    let reader = Reader::open(path).map_err(|error| RepriceError(error.into()))?;
    let found = walk(reader.connection(), since, price, |_| Ok(()));
    found.map_err(|error| RepriceError(Trouble::from(error).into()))
}

/// An entry with another cost than before.
struct Found<'a> {
    seq: i64,
    cell: i64,
    entry: &'a Entry,
    priced: &'a Priced,
}

fn change(
    connection: &mut Connection,
    (since, now): (Timestamp, Timestamp),
    price: &dyn Fn(&Entry) -> Option<Priced>,
) -> rusqlite::Result<Repricing> {
    // Rolled back where it is dropped without a commit.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut sums: BTreeMap<i64, (Totals, Totals)> = BTreeMap::new();
    let repricing = walk(&transaction, since, price, |found| {
        write(&transaction, found, now)?;
        let (before, after) = sums.entry(found.cell).or_default();
        before.add(found.entry);
        after.add(&Entry { cost: Some(found.priced.cost), ..found.entry.clone() });
        Ok(())
    })?;
    for (cell, (before, after)) in &sums {
        cells::exchange(&transaction, *cell, before, after)?;
    }
    if !sums.is_empty() {
        let count: u64 = repricing.models.values().map(|change| change.entries).sum();
        let event = format!("the costs of {count} entries from {since} on were reckoned anew");
        transaction.execute("INSERT INTO events VALUES (?, ?)", params![now.as_millisecond(), event])?;
    }
    transaction.commit()?;
    Ok(repricing)
}

/// Goes through the entries from `since` on and calls `each` with those whose cost is another one today.
fn walk(
    connection: &Connection,
    since: Timestamp,
    price: &dyn Fn(&Entry) -> Option<Priced>,
    mut each: impl FnMut(&Found<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<Repricing> {
    let mut repricing = Repricing::default();
    let mut last = i64::MIN;
    loop {
        let part = part(connection, since, last)?;
        let Some((seq, ..)) = part.last() else { return Ok(repricing) };
        last = *seq;
        for (seq, cell, entry) in &part {
            let Some(priced) = price(entry) else {
                repricing.kept += u64::from(entry.cost.is_some());
                continue;
            };
            if entry.cost == Some(priced.cost) {
                repricing.same += 1;
                continue;
            }
            let model = entry.model.asked.as_deref().or(entry.model.served.as_deref()).unwrap_or("unknown");
            let change = repricing.models.entry(model.into()).or_default();
            change.entries += 1;
            change.unpriced += u64::from(entry.cost.is_none());
            change.before = change.before.plus(entry.cost.unwrap_or_default());
            change.after = change.after.plus(priced.cost);
            each(&Found { seq: *seq, cell: *cell, entry, priced: &priced })?;
        }
    }
}

/// The next entries after place `last`.
fn part(connection: &Connection, since: Timestamp, last: i64) -> rusqlite::Result<Vec<(i64, i64, Entry)>> {
    let select = format!("{} FROM entries WHERE seq > ? AND time_ms >= ? ORDER BY seq LIMIT ?", row::selection());
    let mut statement = connection.prepare_cached(&select)?;
    let rows = statement.query_map(params![last, since.as_millisecond(), PART], |row| {
        Ok((row.get(0)?, row.get(1)?, row::read(row)?))
    })?;
    rows.collect()
}

/// Writes the new cost; what the entry cost at first is kept.
fn write(connection: &Connection, found: &Found<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let Found { seq, entry, priced, .. } = found;
    let mut statement = connection.prepare_cached(
        "UPDATE entries SET cost_pico = ?2, price_source = ?3, rates = ?4, \
         repriced_pico = CASE WHEN repriced_ms IS NULL THEN ?5 ELSE repriced_pico END, \
         repriced_source = CASE WHEN repriced_ms IS NULL THEN ?6 ELSE repriced_source END, \
         repriced_ms = coalesce(repriced_ms, ?7) WHERE seq = ?1",
    )?;
    statement.execute(params![
        seq,
        Pico(priced.cost),
        priced.source,
        priced.rates.as_deref().map(serde_json::value::RawValue::get),
        entry.cost.map(Pico),
        entry.price_source,
        now.as_millisecond(),
    ])?;
    Ok(())
}

/// Entries that are in memory at a time.
const PART: i64 = if cfg!(test) { 3 } else { 2000 };
