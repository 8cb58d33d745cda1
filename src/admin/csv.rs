//! Entries as CSV that a spreadsheet shows and never computes.

use serde_json::Value;

use crate::ledger::page::Page;

/// A header line and one line an entry, CRLF between them.
pub(crate) fn write(page: &Page) -> String {
    let mut text = COLUMNS.join(",") + "\r\n";
    for kept in &page.entries {
        let Ok(entry) = serde_json::to_value(&kept.entry) else { continue };
        let cells: Vec<String> = COLUMNS.iter().map(|column| cell(find(&entry, column))).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
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

/// Quotes where needed; a leading quote mark keeps a spreadsheet from reading a formula.
fn safe(text: &str) -> String {
    let begins = text.trim_start().starts_with(['=', '+', '-', '@', '|', '%', '＝', '＋', '－', '＠']);
    let guarded = if begins || text.starts_with(['\t', '\r', '\n']) { format!("'{text}") } else { text.into() };
    if guarded.contains([',', '"', '\r', '\n', ';', '\t', '\'']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

/// Paths into an entry; `rawUsage` is left out, as a cell is no place for an object.
const COLUMNS: [&str; 40] = [
    "id",
    "time",
    "durationMs",
    "firstByteMs",
    "client.address",
    "client.process",
    "client.agent",
    "client.label",
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
    "usage.cacheWrite",
    "usage.audioInput",
    "usage.imageInput",
    "usage.output",
    "usage.reasoning",
    "usage.audioOutput",
    "usage.imageOutput",
    "usage.requests",
    "usage.seconds",
    "basis",
    "tier.asked",
    "tier.served",
    "costUsd",
    "priceSource",
    "upstreamId",
    "bytesUp",
    "bytesDown",
    "error",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_can_be_read_as_a_formula() {
        for (text, written) in [
            ("gpt-4o", "gpt-4o"),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            (" =1", "\"' =1\""),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("＝1", "\"'＝1\""),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\n=1", "\"a\n=1\""),
            ("", ""),
        ] {
            assert_eq!(safe(text), written, "{text:?}");
        }
    }
}
