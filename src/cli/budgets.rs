//! The budgets of a running gate as a table.

use std::io::{self, Write};

use serde_json::Value;

use crate::cli::listing::{cell, dollars, table};

/// Writes the answer of `/budgets`; nothing where there is no budget.
pub(crate) fn show(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<Vec<String>> = answer["budgets"].as_array().map_or(&[][..], Vec::as_slice).iter().map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let header =
        ["budget", "value", "state", "then", "resets", "limit usd", "spent usd", "reserved usd", "unpriced", "refused"];
    writeln!(out, "\n{}", table(&header, &rows, 5).trim_fmt())
}

fn row(budget: &Value) -> Vec<String> {
    let text = |name: &str| cell(&budget[name]);
    let money = |name: &str| dollars(&budget[name]);
    vec![
        text("name"),
        text("value"),
        text("state"),
        text("then"),
        text("resets"),
        money("limitUsd"),
        money("spentUsd"),
        money("reservedUsd"),
        text("unpricedRequests"),
        text("refusedRequests"),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn budgets_are_a_table_and_none_is_nothing() {
        let shown = |answer: Value| {
            let mut out = Vec::new();
            show(&answer, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(json!({"budgets": []})), "");
        let budget = json!({
            "name": "team", "value": "a\u{1b}b", "state": "open", "then": "refuse", "resets": "2026-11-26T00:00:00Z",
            "limitUsd": "50.000000000000", "spentUsd": "1.250000000000", "reservedUsd": "0.000000000000",
            "unpricedRequests": 2, "refusedRequests": 0,
        });
        let expected = "
BUDGET  VALUE  STATE  THEN    RESETS                LIMIT USD  SPENT USD  RESERVED USD  UNPRICED  REFUSED
team    a\u{fffd}b    open   refuse  2026-11-26T00:00:00Z      50.00       1.25          0.00         2        0
";
        assert_eq!(shown(json!({ "budgets": [budget] })), expected);
    }
}
