//! Methods of Python's values that templates call.

use minijinja::value::{Kwargs, Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat;

use super::lazy::View;
use super::{repr, text};

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
    // Each goes through the text at least once.
    pay(state, text.len())?;
    if let Some(holds) = text::predicate(method) {
        return from_args::<()>(args).map(|()| (!text.is_empty() && text.chars().all(holds)).into());
    }
    match method {
        "strip" | "lstrip" | "rstrip" => {
            let (letters,): (Option<&str>,) = from_args(args)?;
            Ok(Value::from(text::strip(text, method, letters)))
        }
        "split" | "rsplit" => {
            let (separator, most, kwargs): (Option<&str>, Option<i64>, Kwargs) = from_args(args)?;
            let separator = separator.or(kwargs.get("sep")?);
            let most = most.or(kwargs.get("maxsplit")?);
            kwargs.assert_all_used()?;
            pay(state, text.len().saturating_mul(16))?;
            text::split(text, separator, most, method == "rsplit").map(Value::from)
        }
        "splitlines" => {
            let (keep, kwargs): (Option<Value>, Kwargs) = from_args(args)?;
            let keep = keep.or(kwargs.get("keepends")?).is_some_and(|keep| keep.is_true());
            kwargs.assert_all_used()?;
            pay(state, text.len().saturating_mul(16))?;
            let mut lines = text::lines(text);
            lines.pop_if(|(line, _)| line.is_empty());
            Ok(lines
                .into_iter()
                .map(|(line, end)| if keep { format!("{line}{end}") } else { line.to_owned() })
                .collect())
        }
        "removeprefix" => from_args::<(&str,)>(args).map(|(lead,)| text.strip_prefix(lead).unwrap_or(text).into()),
        "removesuffix" => from_args::<(&str,)>(args).map(|(tail,)| text.strip_suffix(tail).unwrap_or(text).into()),
        "partition" | "rpartition" => partition(text, method, args),
        "find" | "rfind" | "index" | "rindex" | "count" => search(state, text, method, args),
        "startswith" | "endswith" => ends(text, method, args),
        "title" => from_args::<()>(args).map(|()| text::title(text).into()),
        "istitle" => from_args::<()>(args).map(|()| text::is_title(text).into()),
        "isprintable" => from_args::<()>(args).map(|()| text.chars().all(repr::is_printable).into()),
        "isidentifier" => from_args::<()>(args).map(|()| {
            let head = |letter: char| letter == '_' || letter.is_alphabetic();
            let named = text.starts_with(head) && text.chars().all(|letter| head(letter) || letter.is_numeric());
            named.into()
        }),
        "casefold" => from_args::<()>(args).map(|()| text::casefold(text).into()),
        "swapcase" => from_args::<()>(args).map(|()| text::swapcase(text).into()),
        "expandtabs" => {
            let (columns, kwargs): (Option<i64>, Kwargs) = from_args(args)?;
            let columns = usize::try_from(columns.or(kwargs.get("tabsize")?).unwrap_or(8)).unwrap_or(0);
            kwargs.assert_all_used()?;
            pay(state, text.matches('\t').count().saturating_mul(columns))?;
            Ok(text::expandtabs(text, columns).into())
        }
        "ljust" | "rjust" | "center" | "zfill" => pad(state, text, method, args),
        "replace" => replace(state, text, args),
        "join" => join(state, text, args),
        "format" => format(state, value, text, args),
        "format_map" => {
            let (map,): (&Value,) = from_args(args)?;
            let named: Result<Kwargs, Error> = map
                .try_iter()?
                .map(|key| Ok((key.as_str().unwrap_or_default().to_owned(), map.get_item(&key)?)))
                .collect();
            format(state, value, text, &[named?.into()])
        }
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn partition(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (by,): (&str,) = from_args(args)?;
    if by.is_empty() {
        return Err(broken("empty separator"));
    }
    let (found, absent) = match method {
        "partition" => (text.split_once(by), [text, "", ""]),
        _ => (text.rsplit_once(by), ["", "", text]),
    };
    let parts = found.map_or(absent, |(before, after)| [before, by, after]);
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

/// `find`, `index` and `count`, within a part of the text where one is given.
fn search(state: &State<'_, '_>, text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
    let window = text::window(text, start, end);
    if method == "count" {
        pay(state, text.len())?;
        return Ok(window.map_or(0, |(part, _)| part.matches(wanted).count()).into());
    }
    let found = window.and_then(|(part, before)| {
        let at = if method.starts_with('r') { part.rfind(wanted) } else { part.find(wanted) };
        at.map(|at| before + part[..at].chars().count())
    });
    match found {
        Some(at) => Ok(at.into()),
        None if method.ends_with("find") => Ok((-1).into()),
        None => Err(broken("substring not found")),
    }
}

/// `startswith` and `endswith`: one text, or one of a tuple.
fn ends(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted, start, end): (&Value, Option<i64>, Option<i64>) = from_args(args)?;
    let Some((part, _)) = text::window(text, start, end) else { return Ok(false.into()) };
    let holds = |wanted: &Value| match wanted.as_str() {
        Some(wanted) if method == "startswith" => Ok(part.starts_with(wanted)),
        Some(wanted) => Ok(part.ends_with(wanted)),
        None => Err(broken("the first argument must be a text or a tuple of texts")),
    };
    if !wanted.is_tuple() {
        return holds(wanted).map(Value::from);
    }
    for wanted in wanted.try_iter()? {
        if holds(&wanted)? {
            return Ok(true.into());
        }
    }
    Ok(false.into())
}

fn on_map(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let entries = |name, entry: fn(&Value, Value) -> Result<Value, Error>| {
        let () = from_args(args)?;
        pay(state, value.len().unwrap_or(0).saturating_mul(64))?;
        let items: Result<Vec<Value>, Error> = value.try_iter()?.map(|key| entry(value, key)).collect();
        Ok(View::of(name, items?))
    };
    match method {
        "copy" => from_args::<()>(args).map(|()| value.clone()),
        "keys" => entries("dict_keys", |_, key| Ok(key)),
        "values" => entries("dict_values", |map, key| map.get_item(&key)),
        "items" => entries("dict_items", |map, key| {
            let item = map.get_item(&key)?;
            Ok(Value::from(Tuple::from([key, item])))
        }),
        // The sandbox of the original lets no template change a value.
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn on_list(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match method {
        "copy" if !value.is_tuple() => from_args::<()>(args).map(|()| value.clone()),
        "index" => {
            let (wanted, start): (&Value, Option<usize>) = from_args(args)?;
            let start = start.unwrap_or(0);
            pay(state, value.len().unwrap_or(0).saturating_mul(64))?;
            let found = value.try_iter()?.skip(start).position(|item| item == *wanted);
            found.map(|at| Value::from(start + at)).ok_or_else(|| broken("the value is not in the list"))
        }
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn pad(state: &State<'_, '_>, text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, filler): (i64, Option<&str>) = from_args(args)?;
    let filler = filler.unwrap_or(if method == "zfill" { "0" } else { " " });
    if filler.chars().count() != 1 {
        return Err(broken("the fill character must be exactly one character long"));
    }
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

/// `replace(old, new, count)`; a count below zero is none.
fn replace(state: &State<'_, '_>, text: &str, args: &[Value]) -> Result<Value, Error> {
    let (old, new, count): (&str, &str, Option<i64>) = from_args(args)?;
    let most = usize::try_from(count.unwrap_or(-1)).unwrap_or(usize::MAX);
    pay(state, text.matches(old).take(most).count().saturating_mul(new.len()))?;
    Ok(text.replacen(old, new, most).into())
}

fn join(state: &State<'_, '_>, separator: &str, args: &[Value]) -> Result<Value, Error> {
    let (items,): (&Value,) = from_args(args)?;
    if items.is_none() {
        return Err(broken("`join` takes something that can be gone through"));
    }
    let mut joined = String::new();
    for (index, item) in items.try_iter()?.enumerate() {
        let item = item.as_str().ok_or_else(|| broken("`join` takes texts only"))?;
        pay(state, separator.len() + item.len() + 16)?;
        joined.push_str(if index == 0 { "" } else { separator });
        joined.push_str(item);
    }
    Ok(Value::from(joined))
}

fn format(state: &mut State<'_, '_>, value: &Value, text: &str, args: &[Value]) -> Result<Value, Error> {
    let sizes = args.iter().map(|arg| arg.as_str().map_or(256, str::len)).max().unwrap_or(0);
    pay(state, text.len().saturating_mul(sizes))?;
    if has_wide_field(text) {
        return Err(broken("a field of a format is too wide"));
    }
    pycompat::unknown_method_callback(state, value, "format", args)
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
