//! The filter `tojson`: JSON as Python's `json.dumps` writes it.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::number;

/// `value | tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
///
/// # Errors
/// The value has no form in JSON, an option is unknown, or the text is over the bound of the work.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands arguments over by value")]
pub fn tojson(
    state: &State<'_, '_>,
    value: &Value,
    ensure_ascii: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let indent: Option<Value> = kwargs.get("indent")?;
    let separators: Option<Vec<String>> = kwargs.get("separators")?;
    let indent = indent.filter(|value| !value.is_none()).map(|value| margin(&value)).transpose()?;
    let mut separators = separators.unwrap_or_default().into_iter();
    let between = if indent.is_some() { "," } else { ", " };
    let mut writer = Writer {
        state,
        text: String::new(),
        charged: 0,
        ascii: ensure_ascii.or(kwargs.get("ensure_ascii")?).is_some_and(|ascii| ascii.is_true()),
        sorted: kwargs.get::<Option<Value>>("sort_keys")?.is_some_and(|sorted| sorted.is_true()),
        between: separators.next().unwrap_or_else(|| between.to_owned()),
        colon: separators.next().unwrap_or_else(|| ": ".to_owned()),
        indent,
    };
    kwargs.assert_all_used()?;
    writer.write(value, 0)?;
    Ok(Value::from(writer.text))
}

fn margin(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    let width = value.as_i64().ok_or_else(|| broken("an indent must be a number or a text"))?;
    Ok(" ".repeat(usize::try_from(width).unwrap_or(0).min(MAX_INDENT)))
}

struct Writer<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    text: String,
    charged: usize,
    ascii: bool,
    sorted: bool,
    between: String,
    colon: String,
    indent: Option<String>,
}

impl Writer<'_, '_, '_> {
    fn write(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(broken("the value is nested too deeply for JSON"));
        }
        self.charge()?;
        match value.kind() {
            ValueKind::None => self.text.push_str("null"),
            ValueKind::Bool => self.text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.text.push_str(&written_number(value)),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq => self.sequence(value, depth)?,
            // It is no dict in the original either.
            ValueKind::Map if is_namespace(value) => return Err(broken("a namespace has no form in JSON")),
            ValueKind::Map => self.map(value, depth)?,
            kind => return Err(broken(&format!("a value of the kind `{kind}` has no form in JSON"))),
        }
        Ok(())
    }

    fn sequence(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.text.push('[');
        let mut first = true;
        for item in value.try_iter()? {
            self.separate(first, depth + 1);
            first = false;
            self.write(&item, depth + 1)?;
        }
        self.close(first, depth, ']');
        Ok(())
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let mut entries = Vec::new();
        for key in value.try_iter()? {
            entries.push((written_key(&key)?, value.get_item(&key)?));
        }
        if self.sorted {
            entries.sort_by(|one, other| one.0.cmp(&other.0));
        }
        self.text.push('{');
        let first = entries.is_empty();
        for (index, (key, item)) in entries.iter().enumerate() {
            self.separate(index == 0, depth + 1);
            self.string(key);
            self.text.push_str(&self.colon);
            self.write(item, depth + 1)?;
        }
        self.close(first, depth, '}');
        Ok(())
    }

    fn separate(&mut self, first: bool, depth: usize) {
        if !first {
            self.text.push_str(&self.between);
        }
        self.line(depth);
    }

    fn close(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.line(depth);
        }
        self.text.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if let Some(margin) = &self.indent {
            self.text.push('\n');
            (0..depth).for_each(|_| self.text.push_str(margin));
        }
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for letter in text.chars() {
            match letter {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                letter if letter < ' ' || (self.ascii && letter > '~') => self.escape(letter),
                letter => self.text.push(letter),
            }
        }
        self.text.push('"');
    }

    fn escape(&mut self, letter: char) {
        if letter == '\u{7f}' {
            return self.text.push(letter);
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            let _ = write!(self.text, "\\u{unit:04x}");
        }
    }

    /// Pays for what was written since the last time, before more is written.
    fn charge(&mut self) -> Result<(), Error> {
        let fresh = self.text.len() - self.charged;
        self.charged = self.text.len();
        self.state.consume_fuel(1 + fresh as u64 / BYTES_A_UNIT)
    }
}

fn is_namespace(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.type_name().contains("Namespace"))
}

fn written_number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    match f64::try_from(value.clone()).unwrap_or(f64::NAN) {
        number if number.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        number => number::write(number),
    }
}

fn written_key(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number => Ok(written_number(key)),
        _ => Err(broken("a key of a map has no form in JSON")),
    }
}

fn broken(message: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.to_owned())
}

/// Deeper values are refused, as Python does at some point.
const MAX_DEPTH: usize = 200;
/// The widest indent.
const MAX_INDENT: usize = 64;
/// How many bytes cost as much as a step of the template.
const BYTES_A_UNIT: u64 = 16;
