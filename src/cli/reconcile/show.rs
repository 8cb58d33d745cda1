//! A comparison as a table and as JSON.

use std::io::{self, Write};

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use crate::cli::listing::{cell, dollars, table as plain_table};
use crate::cli::reconcile::compare::{Comparison, Sides, Table};
use crate::cli::reconcile::ours::Doubts;
use crate::cli::reconcile::theirs::Measure;
use crate::units::Cost;

/// Prints the lines, then what is known about their differences.
pub(crate) fn table(compared: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "one number where both agree, else theirs / ours / difference; days of UTC")?;
    for table in &compared.tables {
        let mut header = vec!["day"];
        header.extend(table.by_model.then_some("model"));
        let first_number = header.len();
        header.extend(table.measures.iter().map(|measure| measure.name()));
        let mut rows: Vec<Vec<String>> = table
            .lines
            .iter()
            .map(|((day, model), sides)| row(table, day.to_string(), model.as_deref(), sides))
            .collect();
        rows.push(row(table, "total".into(), None, &table.total()));
        writeln!(out, "\n{}", plain_table(&header, &rows, first_number).trim_fmt())?;
    }
    notes(compared, out)?;
    let (lines, differing) =
        compared.tables.iter().fold((0, 0), |(all, some), table| (all + table.lines.len(), some + table.differing()));
    if differing == 0 {
        writeln!(out, "\nequal: {lines} of {lines} lines")
    } else {
        writeln!(out, "\ndifferent: {differing} of {lines} lines")
    }
}

fn row(table: &Table, day: String, model: Option<&str>, sides: &Sides) -> Vec<String> {
    let mut cells = vec![day];
    if table.by_model {
        cells.push(model.map_or_else(String::new, |model| cell(&json!(model))));
    }
    cells.extend(table.measures.iter().map(|measure| match sides.of(*measure) {
        None => "-".into(),
        Some((theirs, ours)) if theirs == ours => amount(*measure, theirs),
        Some((theirs, ours)) => {
            let sign = if ours > theirs { "+" } else { "" };
            let [theirs, ours, difference] = [theirs, ours, ours - theirs].map(|number| amount(*measure, number));
            format!("{theirs} / {ours} / {sign}{difference}")
        }
    }));
    cells
}

fn amount(measure: Measure, number: i128) -> String {
    match measure {
        Measure::Cost => dollars(&json!(Cost(number))),
        _ => number.to_string(),
    }
}

/// What the books know that they do not know.
fn notes(compared: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    if !compared.doubts.is_empty() {
        writeln!(out)?;
    }
    for (day, doubts) in &compared.doubts {
        let told: Vec<String> = words(doubts)
            .into_iter()
            .filter(|(_, count, _)| *count > 0)
            .map(|(_, count, what)| format!("{count} {what}"))
            .collect();
        writeln!(out, "{day}: of our calls {}", told.join(", "))?;
    }
    for (route, count) in &compared.elsewhere {
        writeln!(out, "not compared: {count} that went elsewhere: {}", cell(&json!(route)))?;
    }
    for (endpoint, count) in &compared.outside {
        writeln!(out, "not compared: {count} of {endpoint}, which the export is not about")?;
    }
    let tunnels = &compared.tunnels;
    let some = |name: &str| tunnels[name].as_u64().filter(|count| *count > 0);
    if let Some(count) = some("connections") {
        let unmetered = some("unmeteredAi").unwrap_or(0);
        writeln!(
            out,
            "not in the books: {count} connections that were passed on unseen since the gate's start, {unmetered} of \
             them to known AI hosts"
        )?;
    }
    Ok(())
}

fn words(doubts: &Doubts) -> [(&'static str, u64, &'static str); 5] {
    [
        ("counted", doubts.counted, "with tokens that the gate counted"),
        ("estimated", doubts.estimated, "with estimated tokens"),
        ("unknown", doubts.unknown, "with tokens that nobody knows"),
        ("unpriced", doubts.unpriced, "without a known price"),
        ("overMidnight", doubts.over_midnight, "that ended on the next day"),
    ]
}

/// Prints everything as one JSON object; money as text, so that no reader rounds it.
pub(crate) fn json(compared: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    let tables: Vec<Value> = compared.tables.iter().map(table_json).collect();
    let doubts: Vec<Value> = compared.doubts.iter().map(|(day, doubts)| doubts_json(*day, doubts)).collect();
    let all = json!({
        "equal": compared.is_equal(),
        "tables": tables,
        "doubts": doubts,
        "elsewhere": compared.elsewhere,
        "outside": compared.outside,
        "tunnels": compared.tunnels,
    });
    writeln!(out, "{all}")
}

fn table_json(table: &Table) -> Value {
    let line = |((day, model), sides): (&(Date, Option<Box<str>>), &Sides)| {
        let mut line = sides_json(table, sides);
        line.insert("day".into(), json!(day.to_string()));
        line.insert("model".into(), json!(model));
        Value::Object(line)
    };
    json!({
        "measures": table.measures.iter().map(|measure| measure.name()).collect::<Vec<_>>(),
        "lines": table.lines.iter().map(line).collect::<Vec<_>>(),
        "total": sides_json(table, &table.total()),
    })
}

fn sides_json(table: &Table, sides: &Sides) -> Map<String, Value> {
    let value = |measure: Measure, number: i128| match measure {
        Measure::Cost => json!(Cost(number)),
        _ => i64::try_from(number).map_or_else(|_| json!(number.to_string()), |number| json!(number)),
    };
    let side = |of: &dyn Fn((i128, i128)) -> i128| -> Value {
        let told = table.measures.iter().filter_map(|measure| Some((*measure, of(sides.of(*measure)?))));
        told.map(|(measure, number)| (measure.name().to_owned(), value(measure, number))).collect::<Map<_, _>>().into()
    };
    let mut shown = Map::new();
    shown.insert("theirs".into(), if sides.theirs.is_some() { side(&|(theirs, _)| theirs) } else { Value::Null });
    shown.insert("ours".into(), if sides.ours.is_some() { side(&|(_, ours)| ours) } else { Value::Null });
    shown.insert("difference".into(), side(&|(theirs, ours)| ours - theirs));
    shown
}

fn doubts_json(day: Date, doubts: &Doubts) -> Value {
    let mut shown = Map::from_iter([("day".to_owned(), json!(day.to_string()))]);
    shown.extend(words(doubts).map(|(name, count, _)| (name.to_owned(), json!(count))));
    shown.into()
}
