//! Tests and filters of the engine that answer otherwise than the original's.

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State};

/// Puts the original's answers in place.
pub fn install(environment: &mut Environment<'_>) {
    environment.add_test("iterable", is_iterable);
    environment.add_test("sequence", is_sequence);
    environment.add_filter("indent", indent);
}

/// What Python's `iter` takes: no `None`, on which templates rely to see whether there are tools.
fn is_iterable(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable
    )
}

/// What has a length and can be indexed: texts and maps too.
fn is_sequence(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Map => true,
        ValueKind::Iterable => value.len().is_some(),
        _ => false,
    }
}

/// `indent(width=4, first=False, blank=False)`; a newline at the end stays.
fn indent(state: &State<'_, '_>, value: &Value, options: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let options: Vec<Value> = options.0.into_iter().map(Value::from).collect();
    let (width, first, blank, named): (Option<Value>, Option<bool>, Option<bool>, Kwargs) = from_args(&options)?;
    let width = width.or(named.get("width")?).unwrap_or(Value::from(4));
    let first = first.or(named.get("first")?).unwrap_or(false);
    let blank = blank.or(named.get("blank")?).unwrap_or(false);
    named.assert_all_used()?;
    let text = value.to_string();
    let lines = lines(&text);
    let margin = margin(state, &width, lines.len())?;
    let mut written = if first { margin.clone() } else { String::new() };
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            written.push('\n');
            written.push_str(if blank || !line.is_empty() { &margin } else { "" });
        }
        written.push_str(line);
    }
    Ok(written)
}

/// What stands before each of so many lines, paid for all of them.
fn margin(state: &State<'_, '_>, width: &Value, lines: usize) -> Result<String, Error> {
    let columns = match width.as_str() {
        Some(text) => text.len(),
        None => usize::try_from(width.as_i64().ok_or_else(|| Error::from(ErrorKind::InvalidOperation))?).unwrap_or(0),
    };
    state.consume_fuel(columns.saturating_mul(lines) as u64 / 64 + lines as u64 / 4)?;
    Ok(width.as_str().map_or_else(|| " ".repeat(columns), str::to_owned))
}

/// The lines of a text by Python's `splitlines`; after a newline at the end there is one more, and it is empty.
fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(is_line_end) {
        lines.push(&rest[..end]);
        let letter = rest[end..].chars().next().map_or(1, char::len_utf8);
        let length = if rest[end..].starts_with("\r\n") { 2 } else { letter };
        rest = &rest[end + length..];
    }
    lines.push(rest);
    lines
}

fn is_line_end(letter: char) -> bool {
    matches!(letter, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
