//! The parameters of `/stats` and `/entries`, read strictly.

use axum::response::Response;
use jiff::Timestamp;

use crate::admin::answer::bad_parameter;
use crate::ledger::key::By;
use crate::ledger::page::Query;
use crate::ledger::since;
use crate::ledger::stats::StatsQuery;

/// Names and values as they stand in a query.
pub(crate) type Pairs = Vec<(String, String)>;

/// In which form entries are listed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Format {
    /// One header line and one line an entry.
    Csv,
    /// `{"entries":[...],"next":cursor}`.
    #[default]
    Json,
    /// One JSON object a line.
    JsonLines,
}

/// What is wrong with a parameter.
#[derive(Debug)]
pub(crate) struct BadParameter {
    name: String,
    problem: String,
}

impl BadParameter {
    fn new(name: &str, problem: impl Into<String>) -> Self {
        Self { name: name.into(), problem: problem.into() }
    }

    pub(crate) fn answer(&self) -> Response {
        bad_parameter(&self.name, &format!("`{}` {}", self.name, self.problem))
    }
}

/// Reads the query of `/stats`.
pub(crate) fn stats(pairs: &Pairs, now: Timestamp) -> Result<StatsQuery, BadParameter> {
    let mut query = StatsQuery::default();
    for (name, value) in once_each(pairs)? {
        match name {
            "since" => query.since = instant(name, value, now)?,
            "until" => query.until = instant(name, value, now)?,
            "by" => query.by = dimensions(value)?,
            _ => return Err(BadParameter::new(name, "is not one of since, until, by")),
        }
    }
    Ok(query)
}

/// Reads the query of `/entries`.
pub(crate) fn entries(pairs: &Pairs, now: Timestamp) -> Result<(Query, Format), BadParameter> {
    let (mut query, mut format) = (Query::default(), Format::default());
    for (name, value) in once_each(pairs)? {
        match name {
            "since" => query.since = instant(name, value, now)?,
            "limit" => query.limit = limit(value)?,
            "cursor" if value.is_empty() => {}
            "cursor" => query.cursor = Some(number(value).ok_or_else(|| BadParameter::new(name, "is no cursor"))?),
            "model" if value.is_empty() => {}
            "model" => query.model = Some(value.into()),
            "format" => format = form(value)?,
            _ => return Err(BadParameter::new(name, "is not one of since, limit, cursor, model, format")),
        }
    }
    Ok((query, format))
}

fn once_each(pairs: &Pairs) -> Result<impl Iterator<Item = (&str, &str)>, BadParameter> {
    for (at, (name, _)) in pairs.iter().enumerate() {
        if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(BadParameter::new(name, "is given twice"));
        }
    }
    Ok(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// An empty value is an absent one, as in `until=`.
fn instant(name: &str, value: &str, now: Timestamp) -> Result<Option<Timestamp>, BadParameter> {
    if value.is_empty() {
        return Ok(None);
    }
    since::read(value, now).map(Some).map_err(|error| BadParameter::new(name, format!("is {error}")))
}

fn dimensions(value: &str) -> Result<Vec<By>, BadParameter> {
    let mut found = Vec::new();
    for name in value.split(',').filter(|name| !name.is_empty()) {
        let Some(by) = By::named(name) else {
            let known = By::ALL.map(By::name).join(", ");
            return Err(BadParameter::new("by", format!("takes only {known}")));
        };
        if !found.contains(&by) {
            found.push(by);
        }
    }
    Ok(found)
}

fn limit(value: &str) -> Result<usize, BadParameter> {
    let count = number(value).and_then(|count| usize::try_from(count).ok());
    count
        .filter(|count| (1..=MOST_ENTRIES).contains(count))
        .ok_or_else(|| BadParameter::new("limit", format!("is not a number from 1 to {MOST_ENTRIES}")))
}

fn form(value: &str) -> Result<Format, BadParameter> {
    match value {
        "csv" => Ok(Format::Csv),
        "json" => Ok(Format::Json),
        "jsonl" => Ok(Format::JsonLines),
        _ => Err(BadParameter::new("format", "is not one of json, jsonl, csv")),
    }
}

fn number(value: &str) -> Option<u64> {
    if value.bytes().all(|byte| byte.is_ascii_digit()) { value.parse().ok() } else { None }
}

/// Entries of one page.
const MOST_ENTRIES: usize = 10_000;
