//! Values as Python's `str` and `repr` write them.

use std::fmt::Write as _;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::number;

/// `str(value)`, paid for.
///
/// # Errors
/// It is nested too deeply, or over the bound of the work.
pub fn text(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    let mut written = String::new();
    match value.kind() {
        ValueKind::Undefined => {}
        _ => Writer { state, charged: 0, text: &mut written }.write(value, 0)?,
    }
    Ok(written)
}

/// `repr(value)`, paid for.
///
/// # Errors
/// As for [`text`].
pub fn repr(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let mut written = String::new();
    Writer { state, charged: 0, text: &mut written }.write(value, 0)?;
    Ok(written)
}

struct Writer<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    text: &'a mut String,
    charged: usize,
}

impl Writer<'_, '_, '_> {
    fn write(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, "the value is nested too deeply to be written"));
        }
        self.charge()?;
        match value.kind() {
            ValueKind::Undefined => self.text.push_str("Undefined"),
            ValueKind::Number if !value.is_integer() => {
                self.text.push_str(&number::write(f64::try_from(value.clone())?));
            }
            ValueKind::String => quote(value.as_str().unwrap_or_default(), self.text),
            ValueKind::Seq if value.is_tuple() => {
                let close = if value.len() == Some(1) { ",)" } else { ")" };
                self.items("(", value, close, depth)?;
            }
            ValueKind::Seq => self.items("[", value, "]", depth)?,
            ValueKind::Map => self.map(value, depth)?,
            _ => {
                let _ = write!(self.text, "{value}");
            }
        }
        Ok(())
    }

    fn items(&mut self, open: &str, value: &Value, close: &str, depth: usize) -> Result<(), Error> {
        self.text.push_str(open);
        for (index, item) in value.try_iter()?.enumerate() {
            self.text.push_str(if index == 0 { "" } else { ", " });
            self.write(&item, depth + 1)?;
        }
        self.text.push_str(close);
        Ok(())
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.text.push('{');
        for (index, key) in value.try_iter()?.enumerate() {
            self.text.push_str(if index == 0 { "" } else { ", " });
            self.write(&key, depth + 1)?;
            self.text.push_str(": ");
            self.write(&value.get_item(&key)?, depth + 1)?;
        }
        self.text.push('}');
        Ok(())
    }

    /// Pays for what was written since the last time, before more is written.
    fn charge(&mut self) -> Result<(), Error> {
        let fresh = self.text.len() - self.charged;
        self.charged = self.text.len();
        self.state.consume_fuel(1 + fresh as u64 / BYTES_A_UNIT)
    }
}

/// A text in quotes; what cannot be printed is escaped.
fn quote(text: &str, written: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    written.push(quote);
    for letter in text.chars() {
        match letter {
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\\' => written.push_str("\\\\"),
            letter if letter == quote => written.extend(['\\', letter]),
            letter if is_printable(letter) => written.push(letter),
            letter => {
                let _ = match u32::from(letter) {
                    code @ 0..=0xff => write!(written, "\\x{code:02x}"),
                    code @ 0x100..=0xffff => write!(written, "\\u{code:04x}"),
                    code => write!(written, "\\U{code:08x}"),
                };
            }
        }
    }
    written.push(quote);
}

/// `str.isprintable` of a letter, which Rust's own `Debug` asks in the same words of Unicode.
pub fn is_printable(letter: char) -> bool {
    if letter.is_ascii() {
        return !letter.is_ascii_control();
    }
    // A mark that joins with the letter before is escaped only where it stands alone.
    let mut pair = [0; 5];
    pair[0] = b'a';
    let length = 1 + letter.encode_utf8(&mut pair[1..]).len();
    std::str::from_utf8(&pair[..length]).is_ok_and(|pair| !pair.escape_debug().any(|letter| letter == '\\'))
}

/// Deeper values are not written.
const MAX_DEPTH: usize = 200;
/// How many bytes cost as much as a step of the template.
const BYTES_A_UNIT: u64 = 16;
