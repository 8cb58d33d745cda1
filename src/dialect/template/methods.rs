//! Methods of Python's values that templates call and the engine does not have.

use minijinja::value::{Kwargs, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat;

/// Calls a method; what it may produce is paid for before it is produced.
///
/// # Errors
/// There is no such method, its arguments do not fit, or its result is over the bound of the work.
pub fn call(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => on_text(state, (value, text), method, args),
        None if value.kind() == ValueKind::Map => on_map(state, value, method, args),
        None if value.kind() == ValueKind::Seq => on_list(state, value, method, args),
        None => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn on_text(
    state: &mut State<'_, '_>,
    (value, text): (&Value, &str),
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let longest = args.iter().filter_map(Value::as_str).map(str::len).max().unwrap_or(0);
    match method {
        "strip" | "lstrip" | "rstrip" => {
            let (letters,): (Option<&str>,) = from_args(args)?;
            Ok(Value::from(strip(text, method, letters)))
        }
        "split" | "rsplit" => {
            let (separator, most, kwargs): (Option<&str>, Option<i64>, Kwargs) = from_args(args)?;
            let separator = separator.or(kwargs.get("sep")?);
            let most = most.or(kwargs.get("maxsplit")?);
            kwargs.assert_all_used()?;
            pay(state, text.len().saturating_mul(16))?;
            split(text, separator, most, method == "rsplit").map(Value::from)
        }
        "removeprefix" => from_args::<(&str,)>(args).map(|(lead,)| text.strip_prefix(lead).unwrap_or(text).into()),
        "removesuffix" => from_args::<(&str,)>(args).map(|(tail,)| text.strip_suffix(tail).unwrap_or(text).into()),
        "partition" => {
            let (by,): (&str,) = from_args(args)?;
            Ok(three(text.split_once(by).map_or([text, "", ""], |(before, after)| [before, by, after])))
        }
        "rpartition" => {
            let (by,): (&str,) = from_args(args)?;
            Ok(three(text.rsplit_once(by).map_or(["", "", text], |(before, after)| [before, by, after])))
        }
        "index" | "rindex" => {
            let found = pycompat::unknown_method_callback(
                state,
                value,
                if method == "index" { "find" } else { "rfind" },
                args,
            )?;
            if found == Value::from(-1) { Err(broken("substring not found")) } else { Ok(found) }
        }
        "title" => from_args::<()>(args).map(|()| title(text).into()),
        "casefold" => from_args::<()>(args).map(|()| text.to_lowercase().into()),
        "swapcase" => from_args::<()>(args).map(|()| text.chars().flat_map(swap).collect::<String>().into()),
        "ljust" | "rjust" | "center" | "zfill" => pad(state, text, method, args),
        "replace" => {
            let (old, _, _): (&str, &str, Option<i64>) = from_args(args)?;
            pay(state, text.matches(old).count().saturating_mul(longest))?;
            pycompat::unknown_method_callback(state, value, method, args)
        }
        "join" => join(state, text, args),
        "format" => {
            let sizes = args.iter().map(|arg| arg.as_str().map_or(256, str::len)).max().unwrap_or(0);
            pay(state, text.len().saturating_mul(sizes))?;
            if has_wide_field(text) {
                return Err(broken("a field of a format is too wide"));
            }
            pycompat::unknown_method_callback(state, value, method, args)
        }
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

/// Each letter after something that is none in its large form, all others in their small one.
fn title(text: &str) -> String {
    let mut inside = false;
    let mut titled = String::with_capacity(text.len());
    for letter in text.chars() {
        if inside {
            titled.extend(letter.to_lowercase());
        } else {
            titled.extend(letter.to_uppercase());
        }
        inside = letter.is_alphabetic();
    }
    titled
}

fn three(parts: [&str; 3]) -> Value {
    Value::from(parts.map(str::to_owned).to_vec())
}

fn on_map(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match method {
        "copy" => from_args::<()>(args).map(|()| value.clone()),
        "items" | "keys" | "values" => {
            pay(state, value.len().unwrap_or(0).saturating_mul(16))?;
            pycompat::unknown_method_callback(state, value, method, args)
        }
        // The sandbox of the original lets no template change a value.
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn on_list(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match method {
        "copy" => from_args::<()>(args).map(|()| value.clone()),
        "index" => {
            let (wanted,): (&Value,) = from_args(args)?;
            pay(state, value.len().unwrap_or(0).saturating_mul(64))?;
            let found = value.try_iter()?.position(|item| item == *wanted);
            found.map(Value::from).ok_or_else(|| broken("the value is not in the list"))
        }
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn strip<'a>(text: &'a str, method: &str, letters: Option<&str>) -> &'a str {
    let goes = |letter: char| letters.map_or_else(|| is_space(letter), |letters| letters.contains(letter));
    match method {
        "lstrip" => text.trim_start_matches(goes),
        "rstrip" => text.trim_end_matches(goes),
        _ => text.trim_matches(goes),
    }
}

/// White space as Python has it: Unicode's, and the four separators of ASCII.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

fn split(text: &str, separator: Option<&str>, most: Option<i64>, right: bool) -> Result<Vec<String>, Error> {
    let most = most.and_then(|most| usize::try_from(most).ok()).map_or(usize::MAX, |most| most.saturating_add(1));
    let mut parts: Vec<&str> = match separator {
        Some("") => return Err(broken("empty separator")),
        Some(separator) if right => text.rsplitn(most, separator).collect(),
        Some(separator) => text.splitn(most, separator).collect(),
        None => words(text, most, right),
    };
    if right {
        parts.reverse();
    }
    Ok(parts.into_iter().map(str::to_owned).collect())
}

/// Words between white space; the last one is all the rest.
fn words(text: &str, most: usize, right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_matches(is_space);
    while !rest.is_empty() {
        let gap = if right { rest.rfind(is_space) } else { rest.find(is_space) };
        let Some(gap) = gap.filter(|_| parts.len() + 1 < most) else {
            parts.push(rest);
            break;
        };
        let (before, after) = rest.split_at(gap);
        let (part, left) = if right { (after.trim_start_matches(is_space), before) } else { (before, after) };
        parts.push(part);
        rest = left.trim_matches(is_space);
    }
    parts
}

fn swap(letter: char) -> Vec<char> {
    if letter.is_uppercase() { letter.to_lowercase().collect() } else { letter.to_uppercase().collect() }
}

fn pad(state: &State<'_, '_>, text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, filler): (i64, Option<&str>) = from_args(args)?;
    let filler = filler.unwrap_or(if method == "zfill" { "0" } else { " " });
    let length = text.chars().count();
    let missing = usize::try_from(width).unwrap_or(0).saturating_sub(length);
    pay(state, missing.saturating_mul(filler.len()))?;
    let left = match method {
        "ljust" => 0,
        "center" => missing / 2 + (missing & (length + missing) & 1),
        _ => missing,
    };
    let (sign, digits) = match text.strip_prefix(['+', '-']).filter(|_| method == "zfill") {
        Some(digits) => text.split_at(text.len() - digits.len()),
        None => ("", text),
    };
    Ok(Value::from([sign, &filler.repeat(left), digits, &filler.repeat(missing - left)].concat()))
}

fn join(state: &State<'_, '_>, separator: &str, args: &[Value]) -> Result<Value, Error> {
    let (items,): (&Value,) = from_args(args)?;
    let mut joined = String::new();
    for (index, item) in items.try_iter()?.enumerate() {
        let item = item.as_str().ok_or_else(|| broken("`join` takes texts only"))?;
        pay(state, separator.len() + item.len() + 16)?;
        joined.push_str(if index == 0 { "" } else { separator });
        joined.push_str(item);
    }
    Ok(Value::from(joined))
}

/// Whether a format asks for more than four digits of width or precision.
fn has_wide_field(format: &str) -> bool {
    format.split(|letter: char| !letter.is_ascii_digit()).any(|digits| digits.len() > 4)
}

fn pay(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes as u64 / 64)
}

fn broken(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
