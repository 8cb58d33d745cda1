//! Tables for terminals, made of what a gate answered.

use std::io;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::Value;

/// A table without lines; columns from `first_number` on are aligned as numbers.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], first_number: usize) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if !header.is_empty() {
        table.set_header(header.iter().map(|name| name.to_uppercase()));
    }
    for row in rows {
        table.add_row(row.clone());
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        if at >= first_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_padding((0, 2));
    }
    table
}

/// A value as a cell: what strangers chose cannot move the cursor or colour the screen.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => {
            text.chars().map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter }).collect()
        }
        other => other.to_string(),
    }
}

/// Exact dollars without needless zeros, at least two decimals.
pub(crate) fn dollars(value: &Value) -> String {
    let text = cell(value);
    let (whole, part) = match text.split_once('.') {
        Some(parts) => parts,
        None if value.is_string() => (&*text, ""),
        None => return text,
    };
    format!("{whole}.{:0<2}", part.trim_end_matches('0'))
}

/// A reader that went away, as `head` does, is no error.
pub(crate) fn unless_closed(outcome: anyhow::Result<()>) -> anyhow::Result<()> {
    let closed = |error: &anyhow::Error| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    match outcome {
        Err(error) if closed(&error) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_cannot_steer_a_terminal() {
        assert_eq!(cell(&json!("a\u{1b}[31mb\n\u{9b}c")), "a\u{fffd}[31mb\u{fffd}\u{fffd}c");
        assert_eq!(cell(&json!(null)), "-");
        assert_eq!(cell(&json!(5)), "5");
    }

    #[test]
    fn dollars_stay_exact() {
        for (text, shown) in [("0.000517500000", "0.0005175"), ("3.000000000000", "3.00"), ("1.500000000000", "1.50")] {
            assert_eq!(dollars(&json!(text)), shown);
        }
        assert_eq!(dollars(&json!(null)), "-");
    }
}
