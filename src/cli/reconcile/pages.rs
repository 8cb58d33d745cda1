//! Reads what `GET /v1/organization/usage/...` and `/v1/organization/costs` answer: pages of buckets of results.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::reconcile::decimal::Decimal;
use crate::cli::reconcile::theirs::{Family, Measure, Row, Theirs};

#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct Bucket {
    start_time: i64,
    end_time: i64,
    results: Vec<Box<RawValue>>,
}

/// A result: every member as it is written.
type Members = BTreeMap<String, Box<RawValue>>;

/// Reads one JSON value or several: pages, buckets, and lists of them.
///
/// # Errors
/// Anything else, with its place.
pub(crate) fn read(file: &Path, text: &str, into: &mut Theirs<'_>) -> anyhow::Result<()> {
    let text = text.trim_start_matches('\u{feff}');
    let values = serde_json::Deserializer::from_str(text).into_iter::<Box<RawValue>>();
    for (at, value) in values.enumerate() {
        let place = format!("`{}`, value {}", file.display(), at + 1);
        let value = value.map_err(|error| anyhow::anyhow!("{place}: no JSON: {error}"))?;
        one(value.get(), &place, into)?;
    }
    Ok(())
}

fn one(text: &str, place: &str, into: &mut Theirs<'_>) -> anyhow::Result<()> {
    if text.starts_with('[') {
        let items: Vec<Box<RawValue>> = serde_json::from_str(text)?;
        for (at, item) in items.iter().enumerate() {
            one(item.get(), &format!("{place}, item {}", at + 1), into)?;
        }
        return Ok(());
    }
    if let Ok(page) = serde_json::from_str::<Page>(text) {
        let mut family = None;
        for (at, item) in page.data.iter().enumerate() {
            family = bucket(item.get(), &format!("{place}, `data[{at}]`"), into)?.or(family);
        }
        if let Some(family) = family {
            into.page(family, page.has_more);
        }
        return Ok(());
    }
    bucket(text, place, into).map(|_| ())
}

/// Reads a bucket and gives the family of its rows.
fn bucket(text: &str, place: &str, into: &mut Theirs<'_>) -> anyhow::Result<Option<Family>> {
    let bucket: Bucket = serde_json::from_str(text).map_err(|error| {
        anyhow::anyhow!("{place}: neither a page (`data`) nor a bucket (`start_time`, `end_time`, `results`): {error}")
    })?;
    let instant = |second: i64| {
        Timestamp::from_second(second).map_err(|_| anyhow::anyhow!("{place}: `{second}` is no time in seconds"))
    };
    let (start, end) = (instant(bucket.start_time)?, instant(bucket.end_time)?);
    let wrong = |what: &str| anyhow::anyhow!("{place}: {what}");
    into.bucket(start, end).map_err(wrong)?;
    let mut found = None;
    for (at, raw) in bucket.results.iter().enumerate() {
        let wrong = |what: &str| anyhow::anyhow!("{place}, `results[{at}]`: {what}");
        let members: Members = serde_json::from_str(raw.get()).map_err(|error| wrong(&error.to_string()))?;
        let Some(family) = family(&members).map_err(|what| wrong(&what))? else { continue };
        found = Some(family);
        let numbers = numbers(&members, family).map_err(|what| wrong(&what))?;
        let (model, project) = (model(&members, family), text_of(&members, "project_id"));
        into.row(Row { family, start, end, model, project, numbers }, raw.get()).map_err(wrong)?;
    }
    Ok(found)
}

/// What the result is about; `None` for what books of calls know nothing of, such as bytes that are stored.
fn family(members: &Members) -> Result<Option<Family>, String> {
    let object = text_of(members, "object").ok_or("it has no `object`")?;
    let name = object.strip_suffix(".result").unwrap_or(&object);
    let name = name.strip_prefix("organization.").unwrap_or(name);
    let name = name.strip_prefix("usage.").unwrap_or(name);
    match Family::named(name) {
        Some(family) => Ok(Some(family)),
        None if BESIDE.contains(&name) => Ok(None),
        None => Err(format!("`{object}` is no result of a usage or cost export")),
    }
}

fn model(members: &Members, family: Family) -> Option<Box<str>> {
    match family {
        Family::Costs => text_of(members, "line_item").map(|item| model_of(&item).into()),
        _ => text_of(members, "model"),
    }
}

/// The model of a line item such as `gpt-4o-2024-08-06, cached input`.
pub(crate) fn model_of(line_item: &str) -> &str {
    line_item.split_once(", ").map_or(line_item, |(model, _)| model).trim()
}

fn numbers(members: &Members, family: Family) -> Result<Vec<(Measure, Decimal)>, String> {
    if family == Family::Costs {
        return cost(members).map(|amount| vec![(Measure::Cost, amount)]);
    }
    let mut numbers = Vec::new();
    for (measure, needed, names) in family.columns() {
        let found = names.iter().find_map(|name| Some((*name, members.get(*name)?)));
        match found.filter(|(_, raw)| raw.get() != "null") {
            Some((name, raw)) => numbers.push((*measure, count(name, raw.get())?)),
            None if *needed => return Err(format!("it has no `{}`", names[0])),
            None => {}
        }
    }
    Ok(numbers)
}

fn count(name: &str, text: &str) -> Result<Decimal, String> {
    let number = Decimal::parse(text).filter(|number| number.whole().is_some());
    number.ok_or_else(|| format!("`{name}` is {text}, which is no count"))
}

fn cost(members: &Members) -> Result<Decimal, String> {
    #[derive(Deserialize)]
    struct Amount {
        value: Box<RawValue>,
        currency: Option<String>,
    }
    let amount = members.get("amount").filter(|raw| raw.get() != "null").ok_or("it has no `amount`")?;
    let Amount { value, currency } =
        serde_json::from_str(amount.get()).map_err(|error| format!("`amount` is no `{{value, currency}}`: {error}"))?;
    let currency = currency.unwrap_or_else(|| "usd".into());
    if !currency.eq_ignore_ascii_case("usd") {
        return Err(format!("the amount is in `{currency}`; books are in US dollars"));
    }
    let text = value.get().trim_matches('"');
    Decimal::parse(text).ok_or_else(|| format!("the amount {text} is no decimal"))
}

/// A text that is neither null nor empty.
fn text_of(members: &Members, name: &str) -> Option<Box<str>> {
    let text: Option<Box<str>> = serde_json::from_str(members.get(name)?.get()).ok()?;
    text.filter(|text| !text.is_empty())
}

/// Results that have no part in the books of calls.
const BESIDE: [&str; 4] = ["code_interpreter_sessions", "file_searches", "vector_stores", "web_searches"];
