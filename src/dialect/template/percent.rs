//! `'%s' % value`: Python's old way to put values into a text.

use std::iter::Peekable;
use std::str::Chars;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::{number, repr};

/// The filter that stands in for the operator: a tuple gives its values one by one, all else is one value.
///
/// # Errors
/// The values do not fit the format, or the text is over the bound of the work.
pub fn percent(state: &State<'_, '_>, format: &str, value: &Value) -> Result<String, Error> {
    let args: Vec<Value> = if value.is_tuple() { value.try_iter()?.collect() } else { vec![value.clone()] };
    let named = (value.kind() == ValueKind::Map).then(|| value.clone());
    // A map, a list or none may go unused, as in Python a map does.
    write(state, format, &args, named.as_ref())
}

/// A format filled with values; `named` is a map for `%(name)s`.
///
/// # Errors
/// As for [`percent`].
pub fn write(state: &State<'_, '_>, format: &str, args: &[Value], named: Option<&Value>) -> Result<String, Error> {
    let mut filler = Filler { state, args: args.iter(), named };
    let mut letters = format.chars().peekable();
    let mut written = String::new();
    while let Some(letter) = letters.next() {
        if letter == '%' {
            filler.field(&mut letters, &mut written)?;
        } else {
            written.push(letter);
        }
    }
    if filler.args.next().is_some() && named.is_none() {
        return Err(broken("not all arguments converted during string formatting"));
    }
    Ok(written)
}

struct Filler<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    args: std::slice::Iter<'a, Value>,
    named: Option<&'a Value>,
}

/// Flags, width and precision of a field.
#[derive(Default)]
struct Shape {
    left: bool,
    plus: bool,
    space: bool,
    zero: bool,
    other: bool,
    width: usize,
    precision: Option<usize>,
}

impl Filler<'_, '_, '_> {
    fn field(&mut self, letters: &mut Peekable<Chars<'_>>, written: &mut String) -> Result<(), Error> {
        let mut shape = Shape::default();
        let mut value = None;
        if letters.next_if_eq(&'(').is_some() {
            let name: String = letters.by_ref().take_while(|letter| *letter != ')').collect();
            let named = self.named.ok_or_else(|| broken("format requires a mapping"))?;
            value = Some(named.get_item(&Value::from(name)).ok().filter(|found| !found.is_undefined()));
        }
        while let Some(flag) = letters.next_if(|letter| "-+ 0#".contains(*letter)) {
            match flag {
                '-' => shape.left = true,
                '+' => shape.plus = true,
                ' ' => shape.space = true,
                '0' => shape.zero = true,
                _ => shape.other = true,
            }
        }
        shape.width = self.amount(letters)?.unwrap_or(0);
        if letters.next_if_eq(&'.').is_some() {
            shape.precision = Some(self.amount(letters)?.unwrap_or(0));
        }
        while letters.next_if(|letter| "hlL".contains(*letter)).is_some() {}
        let conversion = letters.next().ok_or_else(|| broken("incomplete format"))?;
        if conversion == '%' {
            written.push('%');
            return Ok(());
        }
        let value = match value {
            Some(named) => named.ok_or_else(|| broken("the name of a format is not in its map"))?,
            None => self.next()?,
        };
        self.state.consume_fuel(4 + shape.width.saturating_add(shape.precision.unwrap_or(0)) as u64 / 64)?;
        let (sign, text) = self.converted(conversion, &shape, &value)?;
        self.state.consume_fuel(text.len() as u64 / 64)?;
        shape.pad(&sign, &text, !"srac".contains(conversion), written);
        Ok(())
    }

    fn next(&mut self) -> Result<Value, Error> {
        self.args.next().cloned().ok_or_else(|| broken("not enough arguments for format string"))
    }

    /// A number of digits, or `*` for the next argument.
    fn amount(&mut self, letters: &mut Peekable<Chars<'_>>) -> Result<Option<usize>, Error> {
        if letters.next_if_eq(&'*').is_some() {
            let width = self.next()?.as_i64().ok_or_else(|| broken("* wants int"))?;
            return Ok(Some(usize::try_from(width).unwrap_or(0)));
        }
        let mut digits = String::new();
        while let Some(digit) = letters.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        match digits.is_empty() {
            true => Ok(None),
            false => digits.parse().map(Some).map_err(|_| broken("width too big")),
        }
    }

    /// The sign and the rest of what stands for a value.
    fn converted(&self, conversion: char, shape: &Shape, value: &Value) -> Result<(String, String), Error> {
        let number = || value.is_number() || value.kind() == ValueKind::Bool;
        match conversion {
            's' | 'r' | 'a' => {
                let whole =
                    if conversion == 's' { repr::text(self.state, value)? } else { repr::repr(self.state, value)? };
                let most = shape.precision.unwrap_or(usize::MAX);
                Ok((String::new(), whole.chars().take(most).collect()))
            }
            'c' => match (value.as_str(), value.as_i64()) {
                (Some(text), _) if text.chars().count() == 1 => Ok((String::new(), text.to_owned())),
                (None, Some(code)) => {
                    let letter = u32::try_from(code).ok().and_then(char::from_u32);
                    Ok((String::new(), letter.ok_or_else(|| broken("%c arg not in range"))?.to_string()))
                }
                _ => Err(broken("%c requires int or char")),
            },
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' if number() => {
                let float = !value.is_integer() && value.is_number();
                if float && "xXo".contains(conversion) {
                    return Err(broken("an integer is required"));
                }
                let whole = if float { number::truncated(f64::try_from(value.clone())?) } else { integer(value) };
                let whole = whole.ok_or_else(|| broken("a number is too large for a format"))?;
                let (sign, size) = (shape.sign(whole < 0), whole.unsigned_abs());
                let (lead, digits) = match conversion {
                    'x' => ("0x", format!("{size:x}")),
                    'X' => ("0X", format!("{size:X}")),
                    'o' => ("0o", format!("{size:o}")),
                    _ => ("", size.to_string()),
                };
                let digits = format!("{digits:0>width$}", width = shape.precision.unwrap_or(0).min(MAX_DIGITS));
                Ok((sign + if shape.other { lead } else { "" }, digits))
            }
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' if number() => {
                let float = match integer(value) {
                    Some(whole) if value.kind() == ValueKind::Bool => whole as f64,
                    _ => f64::try_from(value.clone())?,
                };
                let precision = shape.precision.unwrap_or(6).min(MAX_DIGITS);
                let digits = number::fixed(float.abs(), conversion.to_ascii_lowercase(), precision);
                let digits = if conversion.is_ascii_uppercase() { digits.to_uppercase() } else { digits };
                Ok((shape.sign(float.is_sign_negative() && !float.is_nan()), digits))
            }
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'f' | 'F' | 'e' | 'E' | 'g' | 'G' => {
                Err(broken("a number is required for a format"))
            }
            _ => Err(broken("unsupported format character")),
        }
    }
}

impl Shape {
    fn sign(&self, negative: bool) -> String {
        match (negative, self.plus, self.space) {
            (true, ..) => "-".to_owned(),
            (_, true, _) => "+".to_owned(),
            (_, _, true) => " ".to_owned(),
            _ => String::new(),
        }
    }

    fn pad(&self, sign: &str, text: &str, is_number: bool, written: &mut String) {
        let missing = self.width.saturating_sub(sign.chars().count() + text.chars().count());
        let zeros = if self.zero && !self.left && is_number { missing } else { 0 };
        let (before, behind) = if self.left { (0, missing) } else { (missing - zeros, 0) };
        written.extend(std::iter::repeat_n(' ', before));
        written.push_str(sign);
        written.extend(std::iter::repeat_n('0', zeros));
        written.push_str(text);
        written.extend(std::iter::repeat_n(' ', behind));
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        _ => i128::try_from(value.clone()).ok(),
    }
}

fn broken(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// The most digits of a precision.
const MAX_DIGITS: usize = 400;
