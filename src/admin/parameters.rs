//! The parameters of `/stats` and `/entries`, read strictly.

use axum::response::Response;
use jiff::Timestamp;

use crate::admin::answer::bad_parameter;
use crate::ledger::filter::{Want, WantError};
use crate::ledger::key::By;
use crate::ledger::names::shortened;
use crate::ledger::page::{Mark, Query};
use crate::ledger::place::Place;
use crate::ledger::since;
use crate::ledger::stats::StatsQuery;

/// Names and values as they stand in a query.
pub type Pairs = Vec<(String, String)>;

/// In which form entries are listed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// One header line and one line an entry.
    Csv,
    /// `{"entries":[...],"next":cursor}`.
    #[default]
    Json,
    /// One JSON object a line.
    JsonLines,
}

/// What is wrong with a parameter.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` {problem}")]
pub struct BadParameter {
    name: String,
    problem: String,
}

impl BadParameter {
    fn new(name: &str, problem: impl Into<String>) -> Self {
        Self { name: name.into(), problem: problem.into() }
    }

    pub(crate) fn answer(&self) -> Response {
        bad_parameter(&self.name, &self.to_string())
    }
}

/// Reads the query of `/stats`.
///
/// # Errors
/// A parameter that is unknown, given twice, or cannot have its value.
pub fn stats(pairs: &Pairs, now: Timestamp) -> Result<StatsQuery, BadParameter> {
    let mut query = StatsQuery::default();
    for (name, value) in once_each(pairs)? {
        match name {
            "since" => query.since = instant(name, value, now)?,
            "until" => query.until = instant(name, value, now)?,
            "by" => query.by = dimensions(value)?,
            _ => {
                let Some(by) = By::named(name) else {
                    let known = By::ALL.map(By::name).join(", ");
                    return Err(BadParameter::new(name, format!("is not one of since, until, by, {known}")));
                };
                if !value.is_empty() {
                    let group = by.group(value).map_err(|problem| BadParameter::new(name, problem))?;
                    query.only.push((by, group));
                }
            }
        }
    }
    Ok(query)
}

/// Reads the query of `/entries`.
///
/// # Errors
/// As [`stats`].
pub fn entries(pairs: &Pairs, now: Timestamp) -> Result<(Query, Format), BadParameter> {
    let (mut query, mut format, mut most) = (Query::default(), Format::default(), None);
    for (name, value) in once_each(pairs)?.filter(|(_, value)| !value.is_empty()) {
        match name {
            "since" => query.since = instant(name, value, now)?,
            "until" => query.until = instant(name, value, now)?,
            "limit" => most = Some(value),
            "cursor" => {
                let place = Place::read(value).ok_or_else(|| BadParameter::new(name, "is no cursor"))?;
                query.cursor = Some(place);
            }
            "after" => {
                let mark = Mark::read(value).ok_or_else(|| BadParameter::new(name, "is no `newest` of a page"))?;
                query.after = Some(mark);
            }
            "format" => format = form(value)?,
            _ => query.wants.push(Want::read(name, value).map_err(|error| unwanted(name, error))?),
        }
    }
    if let Some(value) = most {
        query.limit = limit(value, format)?;
    }
    Ok((query, format))
}

fn unwanted(name: &str, error: WantError) -> BadParameter {
    let known = Want::NAMES.join(", ");
    match error {
        WantError::Name => {
            BadParameter::new(name, format!("is not one of since, until, limit, cursor, after, format, {known}"))
        }
        other => BadParameter::new(name, other.to_string()),
    }
}

/// The pairs, of which there are few and none twice.
fn once_each(pairs: &Pairs) -> Result<impl Iterator<Item = (&str, &str)>, BadParameter> {
    if let Some((name, _)) = pairs.get(MOST_PARAMETERS) {
        return Err(BadParameter::new(shortened(name), format!("is one too many: {MOST_PARAMETERS} are taken")));
    }
    for (at, (name, _)) in pairs.iter().enumerate() {
        if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(BadParameter::new(shortened(name), "is given twice"));
        }
    }
    Ok(pairs.iter().map(|(name, value)| (shortened(name), value.as_str())))
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

fn limit(value: &str, format: Format) -> Result<usize, BadParameter> {
    let streamed = format != Format::Json;
    if streamed && value == "all" {
        return Ok(usize::MAX);
    }
    let most = if streamed { usize::MAX } else { MOST_ENTRIES };
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let count = value.parse().ok().filter(|count| digits && (1..=most).contains(count));
    count.ok_or_else(|| {
        let known = if streamed {
            "neither `all` nor a number from 1".into()
        } else {
            format!("not a number from 1 to {most}")
        };
        BadParameter::new("limit", format!("is {known}"))
    })
}

fn form(value: &str) -> Result<Format, BadParameter> {
    match value {
        "csv" => Ok(Format::Csv),
        "json" => Ok(Format::Json),
        "jsonl" => Ok(Format::JsonLines),
        _ => Err(BadParameter::new("format", "is not one of json, jsonl, csv")),
    }
}

/// Entries of one page of JSON; the other forms may be as long as the books.
const MOST_ENTRIES: usize = 10_000;

const MOST_PARAMETERS: usize = 32;
