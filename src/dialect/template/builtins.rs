//! Names of the engine that answer otherwise than the original's: tests, functions, and where the filters are.
//!
//! What the original has and no published template uses is left out, and refused where a template uses it: the filters
//! `filesizeformat`, `random`, `urlize`, `wordwrap` and `xmlattr`; the function `lipsum`; `block`, `extends`, `include`
//! and `import` (the original has no loader for the last three either); `varargs` and `kwargs` of macros; the unary `+`;
//! tuples without brackets in an expression; texts as pairs in a loop; methods of numbers; methods that give bytes or
//! tables (`encode`, `translate`, `maketrans`, `fromkeys`); the conversions `!r` and `!s`, `%` and fields within fields of
//! `str.format`; `%` behind a format that is no text in quotes but a variable.
//!
//! Operators belong to the engine. Where the original refuses values of different kinds, as `none < 1` or `1 in 'ab'`,
//! it compares them and goes on; a list can be a key of a map. A name of a map wins over its method in `map.items`, where
//! that is not called. A default of a macro's parameter does not see the parameters before it, the values of a `with` do.
//! `pprint`, ranges, namespaces and groups are written otherwise; a letter like `ǆ` has no title form of its own; `\N{...}`
//! stays as it is. `tests/fixtures/templates/gaps.jsonl` has an example of each, and a test holds the list to the truth.

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};

use super::adapt::{ADD, CONCAT, EACH, KEEP, PERCENT, PLACE};
use super::fault::Fault;
use super::lazy::{Cycler, Generator, Joiner, View};
use super::{arguments, filters, generators, percent, phrase, repr, tojson};

/// Puts the original's answers in place.
pub fn install(environment: &mut Environment<'_>) {
    environment.add_test("callable", is_callable);
    environment.add_test("iterable", is_iterable);
    environment.add_test("sequence", is_sequence);
    environment.add_function("cycler", cycler);
    environment.add_function("dict", dict);
    environment.add_function("joiner", joiner);
    environment.add_function("namespace", namespace);
    environment.add_function(EACH, each);
    environment.add_function(KEEP, keep);
    environment.add_function(PLACE, place);
    environment.add_filter(ADD, add);
    environment.add_filter(CONCAT, concat);
    environment.add_filter(PERCENT, percent::percent);
    environment.add_filter("tojson", tojson::tojson);
    filters::install(environment);
    generators::install(environment);
    phrase::install(environment);
}

/// Functions, and macros, which are maps of what is known about them.
fn is_callable(value: &Value) -> bool {
    let known = |name| value.get_attr(name).is_ok_and(|found| !found.is_undefined());
    value.kind() == ValueKind::Plain
        || value.kind() == ValueKind::Map
            && value.len() == Some(3)
            && ["name", "arguments", "caller"].into_iter().all(known)
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
        ValueKind::Iterable => value.len().is_some() && value.downcast_object_ref::<View>().is_none(),
        _ => false,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the engine hands arguments over by value")]
fn joiner(separator: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let separator = separator.or(kwargs.get("sep")?);
    kwargs.assert_all_used()?;
    Ok(Joiner::of(separator.unwrap_or(Value::from(", "))))
}

fn cycler(items: Rest<Value>) -> Result<Value, Error> {
    match items.is_empty() {
        true => Err(Error::new(ErrorKind::MissingArgument, "at least one item has to be provided")),
        false => Ok(Cycler::of(items.0)),
    }
}

/// A dict of a map or of pairs, and of names.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands arguments over by value")]
fn dict(state: &State<'_, '_>, given: Option<ValueOrKwargs>, names: Kwargs) -> Result<Value, Error> {
    let mut pairs = Vec::new();
    let given = given.map(Value::from).filter(|given| !given.is_undefined());
    for item in given.iter().flat_map(Value::try_iter).flatten() {
        state.consume_fuel(1)?;
        let map = given.as_ref().filter(|given| given.kind() == ValueKind::Map);
        pairs.push(match map {
            Some(map) => (item.clone(), map.get_item(&item)?),
            None => pair(&item)?,
        });
    }
    for name in names.args() {
        pairs.push((Value::from(name), names.get(name)?));
    }
    Ok(Value::from_pairs(pairs))
}

fn pair(item: &Value) -> Result<(Value, Value), Error> {
    let mut both = item.try_iter()?;
    match (both.next(), both.next(), both.next()) {
        (Some(key), Some(value), None) => Ok((key, value)),
        _ => Err(Error::new(ErrorKind::CannotUnpack, "each item of a dict has to be a key and a value")),
    }
}

fn namespace(state: &State<'_, '_>, given: Option<ValueOrKwargs>, names: Kwargs) -> Result<Value, Error> {
    minijinja::functions::namespace(Some(ValueOrKwargs::from(dict(state, given, names)?)))
}

/// The sum of these: what is added to a text that is marked as safe is escaped.
fn add(state: &State<'_, '_>, parts: &Value) -> Result<Value, Error> {
    let mut parts = parts.try_iter()?;
    let first = parts.next().unwrap_or_default();
    parts.try_fold(first, |sum, part| add_two(state, sum, part))
}

fn add_two(state: &State<'_, '_>, one: Value, other: Value) -> Result<Value, Error> {
    if one.is_undefined() || other.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let (Some(text), Some(more), true) = (one.as_str(), other.as_str(), one.is_safe() || other.is_safe()) else {
        let none = arguments::named([], []);
        return minijinja::filters::sum(state, Value::from(vec![other]), None, Some(one), none);
    };
    state.consume_fuel((text.len() + more.len()) as u64 / 8)?;
    let part = |value: &Value, text: &str| if value.is_safe() { text.to_owned() } else { phrase::escaped(text) };
    Ok(Value::from_safe_string(part(&one, text) + &part(&other, more)))
}

/// All of these as one text.
fn concat(state: &State<'_, '_>, parts: &Value) -> Result<String, Error> {
    let mut whole = String::new();
    for part in parts.try_iter()? {
        match part.as_str() {
            Some(text) => {
                // What would be more than can be paid for is not put together.
                state.consume_fuel(text.len() as u64 / 128)?;
                whole.push_str(text);
            }
            None => whole.push_str(&repr::text(state, &part)?),
        }
    }
    Ok(whole)
}

/// What a loop goes through: anything that has values, and nothing that is undefined.
fn each(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::None => Err(Error::new(ErrorKind::InvalidOperation, "`none` cannot be gone through")),
        // Where a loop stands is known of what has a length.
        _ => Ok(value.downcast_object_ref::<Generator>().map(|items| Value::from(items.take())).unwrap_or(value)),
    }
}

/// A value that is to be kept in a variable: not so deep that the stack would end before it.
fn keep(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    check(state, &value, true, 0)?;
    Ok(value)
}

/// A value that is to be placed in a namespace: the same, and it must not be able to hold itself.
fn place(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    check(state, &value, false, 0)?;
    Ok(value)
}

fn check(state: &State<'_, '_>, value: &Value, namespaces: bool, depth: usize) -> Result<(), Error> {
    let Some(object) = value.as_object() else { return Ok(()) };
    if depth > MAX_DEPTH || !namespaces && object.type_name().contains("Namespace") {
        return Err(Fault::Unbounded("its values are nested too deeply").into_error());
    }
    state.consume_fuel(1 + value.len().unwrap_or(0) as u64 / VALUES_A_FUEL)?;
    let parts = match value.kind() {
        ValueKind::Map => entries(value)?,
        ValueKind::Seq => value.try_iter()?.collect(),
        _ => parts(value),
    };
    parts.iter().try_for_each(|part| check(state, part, namespaces, depth + 1))
}

/// The keys and values of a map.
fn entries(map: &Value) -> Result<Vec<Value>, Error> {
    let mut entries = Vec::new();
    for key in map.try_iter()? {
        entries.push(map.get_item(&key)?);
        entries.push(key);
    }
    Ok(entries)
}

/// What an object holds that is neither a list nor a map.
fn parts(value: &Value) -> Vec<Value> {
    let of = |object: Option<Vec<Value>>| object.unwrap_or_default();
    let cycler = value.downcast_object_ref::<Cycler>().map(|cycler| cycler.items().to_vec());
    let view = value.downcast_object_ref::<View>().map(|view| view.items().to_vec());
    of(cycler.or(view).or_else(|| value.downcast_object_ref::<Generator>().map(Generator::rest)))
}

/// How deeply kept values may be nested; JSON is read to 128.
const MAX_DEPTH: usize = 200;
/// How many values are looked at for a step of the template.
const VALUES_A_FUEL: u64 = 4;
