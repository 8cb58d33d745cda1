//! A spreadsheet shows every cell as the text that it is.

use super::*;
use crate::ledger::entry::Repriced;
use crate::ledger::tests::entry;

/// Rows and cells as RFC 4180 has them; `None` where the text is not CSV.
fn parsed(text: &str) -> Option<Vec<Vec<String>>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut letters = text.chars().peekable();
    loop {
        if letters.next_if_eq(&'"').is_some() {
            loop {
                match letters.next()? {
                    '"' if letters.next_if_eq(&'"').is_some() => cell.push('"'),
                    '"' => break,
                    letter => cell.push(letter),
                }
            }
        } else {
            while let Some(letter) = letters.next_if(|letter| !matches!(letter, ',' | '\r' | '\n' | '"')) {
                cell.push(letter);
            }
        }
        row.push(std::mem::take(&mut cell));
        match (letters.next()?, letters.peek()) {
            (',', _) => {}
            ('\r', Some('\n')) => {
                letters.next();
                rows.push(std::mem::take(&mut row));
                if letters.peek().is_none() {
                    return Some(rows);
                }
            }
            _ => return None,
        }
    }
}

/// Every way of beginning, before something that a spreadsheet computes.
fn hostile() -> Vec<String> {
    let begins =
        ["", " ", "\t", "\r", "\n", "\r\n", "\0", "\u{a0}", "\u{feff}", "\u{200b}", "\u{202e}", "\u{1b}[31m", "\u{7f}"];
    let calls = ["=HYPERLINK(\"http://x\",\"y\")", "+1+1", "-2+3", "@SUM(A1:A9)", "|calc", "%0A=1", "＝1+1", "＠x"];
    let mut names: Vec<String> =
        begins.iter().flat_map(|begin| calls.iter().map(move |call| format!("{begin}{call}"))).collect();
    names.extend(["\t", "\r", "\0", "\n", "\u{9b}x", "=cmd|' /C calc'!A0"].map(Into::into));
    names.extend(
        ["a;=1+1", "a\t=1+1", "a\n=1+1", "a\r\n -1", "a; @x;+1", "\"=1", "a\"\n=1", "'\n=1", "a;\u{200b}=1"]
            .map(Into::into),
    );
    names
}

#[test]
fn no_cell_of_any_column_can_be_read_as_a_formula() {
    let names = hostile();
    assert!(names.len() > 60);
    for name in &names {
        let mut entry = entry(name, "2026-11-22T12:00:00Z");
        let (shared, own) = (|| Some(name.as_str().into()), || Some(name.as_str().into()));
        entry.client.label = shared();
        entry.client.agent = shared();
        entry.client.process = shared();
        entry.client.path = shared();
        entry.model.served = shared();
        entry.region.served = shared();
        entry.host = name.as_str().into();
        entry.error = own();
        entry.upstream_id = own();
        entry.tier.asked = own();
        entry.media.size = own();
        let written = line(&entry).unwrap();
        let rows = parsed(&written).unwrap_or_else(|| panic!("no CSV: {written:?}"));
        assert_eq!((rows.len(), rows[0].len()), (1, COLUMNS.len()), "{written:?}");
        for cell in &rows[0] {
            let pieces = cell.split([';', '\t', '\r', '\n']);
            for piece in pieces.chain([cell.as_str()]) {
                let bare =
                    piece.trim_start_matches(|letter: char| !letter.is_ascii_graphic() && !FORMULA.contains(&letter));
                assert!(!bare.starts_with(FORMULA), "{piece:?} of {name:?}");
            }
            assert!(!cell.starts_with(['\t', '\r', '\0']), "{cell:?}");
        }
        let shown = &rows[0][COLUMNS.iter().position(|column| *column == "model.asked").unwrap()];
        let steers = |letter: char| letter.is_control() && !['\t', '\r', '\n'].contains(&letter);
        assert_eq!(
            shown.replace('\'', ""),
            name.replace('\'', "").replace(steers, "\u{fffd}"),
            "nothing else is changed"
        );
    }
}

#[test]
fn cells_that_are_no_risk_stay_as_they_are() {
    for (text, written) in [
        ("gpt-4o", "gpt-4o"),
        ("ft:gpt-4o:org::id", "ft:gpt-4o:org::id"),
        ("2026-11-22T12:00:00Z", "2026-11-22T12:00:00Z"),
        ("a,b", "\"a,b\""),
        ("a,-b", "\"a,-b\""),
        ("a\"b", "\"a\"\"b\""),
        ("a\nb", "\"a\nb\""),
        ("=1+1", "\"'=1+1\""),
        ("a\n=1", "\"a\n'=1\""),
        ("", ""),
    ] {
        assert_eq!(safe(text), written, "{text:?}");
    }
}

#[test]
fn every_member_of_an_entry_has_a_column_but_those_that_are_objects() {
    let mut entry = entry("m", "2026-11-22T12:00:00Z");
    entry.repriced = Some(Repriced { time: entry.time, cost: entry.cost, price_source: None });
    let entry = serde_json::to_value(&entry).unwrap();
    let mut paths = Vec::new();
    for (name, value) in entry.as_object().unwrap() {
        match value.as_object() {
            Some(inner) => paths.extend(inner.keys().map(|inner| format!("{name}.{inner}"))),
            None => paths.push(name.clone()),
        }
    }
    paths.retain(|path| !["rawUsage", "rates"].contains(&path.as_str()));
    assert_eq!(paths, COLUMNS);
}
