//! Filters that answer otherwise than the engine's own.

use minijinja::filters;
use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};

use super::arguments::{by_name, is_true, named};
use super::{methods, number, percent, repr};

/// Puts them in place.
pub fn install(environment: &mut Environment<'_>) {
    for name in ["default", "d"] {
        environment.add_filter(name, default);
    }
    environment.add_filter("dictsort", dictsort);
    environment.add_filter("float", float);
    environment.add_filter("format", format);
    environment.add_filter("int", int);
    environment.add_filter("join", join);
    environment.add_filter("list", list);
    environment.add_filter("replace", replace);
    environment.add_filter("sort", sort);
    environment.add_filter("string", string);
    environment.add_filter("trim", trim);
}

type Args = Rest<ValueOrKwargs>;

fn default(value: Value, args: Args) -> Result<Value, Error> {
    let [other, boolean] = by_name(["default_value", "boolean"], args)?;
    let absent = value.is_undefined() || is_true(boolean.as_ref()) && !value.is_true();
    Ok(if absent { other.unwrap_or(Value::from("")) } else { value })
}

fn dictsort(state: &State<'_, '_>, value: &Value, args: Args) -> Result<Value, Error> {
    let names = ["case_sensitive", "by", "reverse"];
    state.consume_fuel(value.len().unwrap_or(0) as u64 * STEPS_TO_SORT)?;
    filters::dictsort(value, named(names, by_name(names, args)?))
}

fn sort(state: &State<'_, '_>, value: &Value, args: Args) -> Result<Value, Error> {
    let names = ["reverse", "case_sensitive", "attribute"];
    let kwargs: Kwargs = named(names, by_name(names, args)?);
    let items: Vec<Value> = some(value)?.try_iter()?.collect();
    state.consume_fuel(items.len() as u64)?;
    if !kwargs.has("attribute") {
        let rank = |item: &Value| match item.kind() {
            ValueKind::Bool | ValueKind::Number => Some(ValueKind::Number),
            kind @ (ValueKind::String | ValueKind::Seq) => Some(kind),
            _ => None,
        };
        let first = items.first().map(rank);
        if items.len() > 1 && items.iter().any(|item| rank(item).is_none() || Some(rank(item)) != first) {
            return Err(broken("values of these kinds have no order"));
        }
    }
    filters::sort(state, Value::from(items), kwargs)
}

fn list(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    filters::list(state, some(value)?.clone())
}

fn string(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    match value.as_str() {
        Some(_) => Ok(value),
        None => repr::text(state, &value).map(Value::from),
    }
}

fn join(state: &mut State<'_, '_>, value: &Value, args: Args) -> Result<Value, Error> {
    let [separator, attribute] = by_name(["d", "attribute"], args)?;
    let mut value = some(value)?.clone();
    if let Some(attribute) = attribute.filter(|attribute| !attribute.is_none()) {
        let kwargs: Kwargs = named(["attribute"], [Some(attribute)]);
        value = Value::from(filters::map(state, value, Rest(vec![ValueOrKwargs::from(Value::from(kwargs))]))?);
    }
    let separator = separator.map(|separator| repr::text(state, &separator)).transpose()?.unwrap_or_default();
    let mut joined = String::new();
    for (index, item) in value.try_iter()?.enumerate() {
        let item = repr::text(state, &item)?;
        state.consume_fuel(1 + (separator.len() + item.len()) as u64 / 64)?;
        joined.push_str(if index == 0 { "" } else { &separator });
        joined.push_str(&item);
    }
    Ok(Value::from(joined))
}

fn replace(state: &mut State<'_, '_>, value: &Value, args: Args) -> Result<Value, Error> {
    let [old, new, count] = by_name(["old", "new", "count"], args)?;
    let (Some(old), Some(new)) = (old, new) else { return Err(Error::from(ErrorKind::MissingArgument)) };
    let text = Value::from(repr::text(state, value)?);
    let mut parts = vec![Value::from(repr::text(state, &old)?), Value::from(repr::text(state, &new)?)];
    parts.extend(count.filter(|count| !count.is_none()));
    methods::call(state, &text, "replace", &parts)
}

fn trim(state: &mut State<'_, '_>, value: &Value, args: Args) -> Result<Value, Error> {
    let [letters] = by_name(["chars"], args)?;
    let letters = letters.filter(|letters| !letters.is_none());
    let text = if value.as_str().is_some() { value.clone() } else { Value::from(repr::text(state, value)?) };
    methods::call(state, &text, "strip", &letters.into_iter().collect::<Vec<_>>())
}

fn format(state: &State<'_, '_>, value: &Value, args: Args) -> Result<String, Error> {
    let format = repr::text(state, value)?;
    let args: Vec<Value> = args.0.into_iter().map(Value::from).collect();
    match args.as_slice() {
        [names] if names.is_kwargs() => percent::write(state, &format, &[], Some(names)),
        args => percent::write(state, &format, args, None),
    }
}

fn int(value: &Value, args: Args) -> Result<Value, Error> {
    let [other, base] = by_name(["default", "base"], args)?;
    let other = other.unwrap_or(Value::from(0));
    let base = base.map_or(Some(10), |base| base.as_i64().and_then(|base| u32::try_from(base).ok()));
    let base =
        base.filter(|base| *base == 0 || (2..=36).contains(base)).ok_or_else(|| broken("not a base of numbers"))?;
    let truncated = |float: Option<f64>| float.and_then(number::truncated).map_or(other.clone(), Value::from);
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Bool => Value::from(i64::from(value.is_true())),
        ValueKind::Number if value.is_integer() => value.clone(),
        ValueKind::Number => truncated(f64::try_from(value.clone()).ok()),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            number::integer(text, base).map_or_else(|| truncated(number::float(text)), Value::from)
        }
        _ => other,
    })
}

fn float(value: &Value, args: Args) -> Result<Value, Error> {
    let [other] = by_name(["default"], args)?;
    let found = match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Bool => Some(if value.is_true() { 1.0 } else { 0.0 }),
        ValueKind::String => number::float(value.as_str().unwrap_or_default()),
        _ => f64::try_from(value.clone()).ok(),
    };
    Ok(found.map(Value::from).or(other).unwrap_or(Value::from(0.0)))
}

/// The value, unless it is `None`, which cannot be gone through.
fn some(value: &Value) -> Result<&Value, Error> {
    if value.is_none() { Err(broken("`none` cannot be gone through")) } else { Ok(value) }
}

fn broken(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// What it costs to sort an entry.
const STEPS_TO_SORT: u64 = 8;
