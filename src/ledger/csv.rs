//! Entries as CSV that a spreadsheet shows and never computes.

use serde_json::Value;

use crate::ledger::entry::Entry;

/// The line with the names of the columns.
pub fn header() -> String {
    COLUMNS.join(",") + END
}

/// An entry as one line; `None` where it cannot be written, which is known of no entry.
pub fn line(entry: &Entry) -> Option<String> {
    let entry = serde_json::to_value(entry).ok()?;
    let cells: Vec<String> = COLUMNS.iter().map(|column| cell(find(&entry, column))).collect();
    Some(cells.join(",") + END)
}

/// The value at a dotted path.
fn find<'a>(entry: &'a Value, column: &str) -> &'a Value {
    column.split('.').fold(entry, |value, name| value.get(name).unwrap_or(&Value::Null))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => safe(text),
        other => other.to_string(),
    }
}

/// A text as a cell: in quotes where needed, and with a quote mark before whatever a spreadsheet could take for a formula.
///
/// That is at its beginning, and behind everything that some spreadsheet's settings take for the end of a cell. Letters
/// that steer a terminal or end a text are replaced.
fn safe(text: &str) -> String {
    let mut guarded = String::with_capacity(text.len() + 2);
    let mut begins = true;
    for (at, letter) in text.char_indices() {
        if begins && is_risky(&text[at..]) {
            guarded.push('\'');
        }
        begins = ends_cell(letter);
        guarded.push(if letter.is_control() && !begins { char::REPLACEMENT_CHARACTER } else { letter });
    }
    if guarded.contains(|letter: char| matches!(letter, ',' | '"' | '\'' | ' ') || is_end_or_control(letter)) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

/// Whether the beginning of a cell is read as a formula, now or once what cannot be seen is taken away.
fn is_risky(text: &str) -> bool {
    let unseen = |letter: char| letter.is_whitespace() || letter.is_control() || UNSEEN.contains(&letter);
    text.starts_with(char::is_control) || text.trim_start_matches(unseen).starts_with(FORMULA)
}

fn is_end_or_control(letter: char) -> bool {
    letter.is_control() || ends_cell(letter)
}

/// Whether a letter can end a cell where the settings of a spreadsheet say so; a comma in quotes never does.
fn ends_cell(letter: char) -> bool {
    matches!(letter, ';' | '\t' | '\r' | '\n')
}

/// What begins a formula, in a spreadsheet or in what it hands its cells to; also in full width.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '|', '%', '＝', '＋', '－', '＠'];

/// Letters without a shape that are not white space: soft hyphen, direction marks, joiners, byte-order mark.
const UNSEEN: [char; 17] = [
    '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}',
    '\u{202d}', '\u{202e}', '\u{2060}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}', '\u{feff}',
];

const END: &str = "\r\n";

/// Paths into an entry; `rawUsage` and `rates` are left out, as a cell is no place for an object.
const COLUMNS: [&str; 61] = [
    "id",
    "session",
    "time",
    "durationMs",
    "firstByteMs",
    "client.address",
    "client.process",
    "client.path",
    "client.agent",
    "client.label",
    "client.key",
    "ingress",
    "host",
    "endpoint",
    "stream",
    "model.asked",
    "model.sent",
    "model.served",
    "route.kind",
    "route.name",
    "attempt",
    "status",
    "outcome",
    "usage.input",
    "usage.cachedInput",
    "usage.cachedAudio",
    "usage.cachedImage",
    "usage.cacheWrite",
    "usage.cacheWrite12h",
    "usage.audioInput",
    "usage.imageInput",
    "usage.output",
    "usage.reasoning",
    "usage.audioOutput",
    "usage.imageOutput",
    "usage.requests",
    "usage.seconds",
    "usage.characters",
    "usage.images",
    "usage.trained",
    "usage.webSearches",
    "usage.fileSearches",
    "usage.codeSessions",
    "basis",
    "tier.asked",
    "tier.served",
    "region.asked",
    "region.served",
    "media.size",
    "media.quality",
    "costUsd",
    "priceSource",
    "repriced.time",
    "repriced.costUsd",
    "repriced.priceSource",
    "deferred",
    "afterClose",
    "upstreamId",
    "bytesUp",
    "bytesDown",
    "error",
];

#[cfg(test)]
mod tests;
