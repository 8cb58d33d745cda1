//! The hourly sums as rows of the journal, and back.

use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::dialect::endpoint::Endpoint;
use crate::ledger::journal::row::{Pico, whole};
use crate::ledger::journal::words::Word;
use crate::ledger::key::Key;
use crate::ledger::totals::{ByBasis, Totals};
use crate::policy::target::RouteKind;

/// The columns of the sums, in the order of [`totals`].
macro_rules! sums {
    () => {
        "entries, errors, input, cached_input, cache_write, output, reasoning, total, cost_pico, unpriced, reported, \
         counted, estimated, none"
    };
}

/// The row of a key, made where there is none; the sums of a new one are zero.
pub(super) fn cell_of(connection: &Connection, key: &Key) -> Result<i64> {
    let (kind, name) = key.route.as_ref().map_or(("", ""), |(kind, name)| (kind.word(), name));
    let here =
        params![key.hour, key.model, kind, name, key.client, key.has_process, key.label, key.endpoint, key.status];
    let mut find = connection.prepare_cached(
        "SELECT cell FROM hours WHERE hour = ? AND model = ? AND route_kind = ? AND route_name = ? AND client = ? \
         AND client_is_process = ? AND label = ? AND endpoint = ? AND status = ?",
    )?;
    if let Some(cell) = find.query_row(here, |row| row.get(0)).optional()? {
        return Ok(cell);
    }
    let mut make = connection.prepare_cached(
        "INSERT INTO hours (hour, model, route_kind, route_name, client, client_is_process, label, endpoint, status, entries, \
         errors, input, cached_input, cache_write, output, reasoning, total, cost_pico, unpriced, reported, counted, \
         estimated, none) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
    )?;
    make.insert(here)
}

/// Adds sums to those of a row.
pub(super) fn add(connection: &Connection, cell: i64, more: &Totals) -> Result<()> {
    let mut sums = sums(connection, cell)?;
    sums.merge(more);
    set(connection, cell, &sums)
}

/// The sums of a row.
pub(super) fn sums(connection: &Connection, cell: i64) -> Result<Totals> {
    let mut find = connection.prepare_cached(concat!("SELECT ", sums!(), " FROM hours WHERE cell = ?"))?;
    find.query_row([cell], |row| totals(row, 0))
}

/// Replaces the sums of a row.
pub(super) fn set(connection: &Connection, cell: i64, sums: &Totals) -> Result<()> {
    let mut change = connection.prepare_cached(
        "UPDATE hours SET entries = ?2, errors = ?3, input = ?4, cached_input = ?5, cache_write = ?6, output = ?7, \
         reasoning = ?8, total = ?9, cost_pico = ?10, unpriced = ?11, reported = ?12, counted = ?13, estimated = ?14, \
         none = ?15 WHERE cell = ?1",
    )?;
    change.execute(params![
        cell,
        whole(sums.requests),
        whole(sums.errors),
        whole(sums.input_tokens),
        whole(sums.cached_input_tokens),
        whole(sums.cache_write_tokens),
        whole(sums.output_tokens),
        whole(sums.reasoning_tokens),
        whole(sums.total_tokens),
        Pico(sums.cost),
        whole(sums.unpriced_requests),
        whole(sums.by_basis.reported),
        whole(sums.by_basis.counted),
        whole(sums.by_basis.estimated),
        whole(sums.by_basis.none),
    ])?;
    Ok(())
}

/// Calls `take` with every row whose hour lies in `first..past`, in the order in which they were made.
pub(super) fn visit(
    connection: &Connection,
    (first, past): (i64, i64),
    mut take: impl FnMut(i64, Key, Totals),
) -> Result<()> {
    let mut statement = connection.prepare(concat!(
        "SELECT cell, hour, model, route_kind, route_name, client, client_is_process, label, endpoint, status, ",
        sums!(),
        " FROM hours WHERE hour >= ? AND hour < ? ORDER BY cell"
    ))?;
    let mut rows = statement.query([first, past])?;
    while let Some(row) = rows.next()? {
        take(row.get(0)?, key(row)?, totals(row, 10)?);
    }
    Ok(())
}

/// The key of a cell.
pub(super) fn key_of(connection: &Connection, cell: i64) -> Result<Key> {
    let mut find = connection.prepare_cached(
        "SELECT cell, hour, model, route_kind, route_name, client, client_is_process, label, endpoint, status FROM hours \
         WHERE cell = ?",
    )?;
    find.query_row([cell], key)
}

/// The key of a row that begins as [`visit`] selects it.
fn key(row: &Row<'_>) -> Result<Key> {
    let wrong = |at: usize, name: &str| rusqlite::Error::InvalidColumnType(at, name.into(), Type::Text);
    let kind = row.get_ref(3)?.as_str()?;
    let route = match kind {
        "" => None,
        kind => Some((RouteKind::read(kind).ok_or_else(|| wrong(3, "route_kind"))?, row.get(4)?)),
    };
    let endpoint = Endpoint::named(row.get_ref(8)?.as_str()?).ok_or_else(|| wrong(8, "endpoint"))?;
    let text = |at: usize| row.get::<_, Arc<str>>(at);
    Ok(Key {
        hour: row.get(1)?,
        model: text(2)?,
        route,
        client: text(5)?,
        has_process: row.get(6)?,
        label: text(7)?,
        endpoint: endpoint.name(),
        status: row.get(9)?,
    })
}

/// The sums of a row from column `at` on.
fn totals(row: &Row<'_>, at: usize) -> Result<Totals> {
    let count = |place: usize| row.get::<_, u64>(at + place);
    Ok(Totals {
        requests: count(0)?,
        errors: count(1)?,
        input_tokens: count(2)?,
        cached_input_tokens: count(3)?,
        cache_write_tokens: count(4)?,
        output_tokens: count(5)?,
        reasoning_tokens: count(6)?,
        total_tokens: count(7)?,
        cost: row.get::<_, Pico>(at + 8)?.0,
        unpriced_requests: count(9)?,
        by_basis: ByBasis { reported: count(10)?, counted: count(11)?, estimated: count(12)?, none: count(13)? },
    })
}
