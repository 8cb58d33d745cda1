//! Filters whose results Python gives out one by one.

use std::borrow::Cow;

use minijinja::filters;
use minijinja::value::{Kwargs, Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};

use super::arguments::{by_name, named};
use super::lazy::Generator;

/// Puts them in place. Those that map and select take `None` for nothing, as the original does.
pub fn install(environment: &mut Environment<'_>) {
    environment.add_filter("batch", batch);
    environment.add_filter("map", map);
    environment.add_filter("reject", reject);
    environment.add_filter("rejectattr", rejectattr);
    environment.add_filter("select", select);
    environment.add_filter("selectattr", selectattr);
    environment.add_filter("slice", slice);
    environment.add_filter("unique", unique);
}

type Name<'a> = Option<Cow<'a, str>>;
type Args = Rest<ValueOrKwargs>;

fn map(state: &mut State<'_, '_>, value: Value, args: Args) -> Result<Value, Error> {
    filters::map(state, value, args).map(Generator::of)
}

fn select(state: &mut State<'_, '_>, value: Value, test: Name<'_>, args: Args) -> Result<Value, Error> {
    filters::select(state, value, test, args).map(Generator::of)
}

fn reject(state: &mut State<'_, '_>, value: Value, test: Name<'_>, args: Args) -> Result<Value, Error> {
    filters::reject(state, value, test, args).map(Generator::of)
}

fn selectattr(
    state: &mut State<'_, '_>,
    value: Value,
    name: Cow<'_, str>,
    test: Name<'_>,
    args: Args,
) -> Result<Value, Error> {
    filters::selectattr(state, value, name, test, args).map(Generator::of)
}

fn rejectattr(
    state: &mut State<'_, '_>,
    value: Value,
    name: Cow<'_, str>,
    test: Name<'_>,
    args: Args,
) -> Result<Value, Error> {
    filters::rejectattr(state, value, name, test, args).map(Generator::of)
}

fn unique(state: &State<'_, '_>, value: Value, args: Args) -> Result<Value, Error> {
    let names = ["case_sensitive", "attribute"];
    let kwargs: Kwargs = named(names, by_name(names, args)?);
    generator(&filters::unique(state, some(value)?, kwargs)?)
}

fn batch(state: &State<'_, '_>, value: Value, count: usize, fill_with: Option<Value>) -> Result<Value, Error> {
    generator(&filters::batch(state, some(value)?, count, fill_with)?)
}

fn slice(state: &State<'_, '_>, value: Value, count: usize, fill_with: Option<Value>) -> Result<Value, Error> {
    generator(&filters::slice(state, some(value)?, count, fill_with)?)
}

fn generator(items: &Value) -> Result<Value, Error> {
    Ok(Generator::of(items.try_iter()?.collect()))
}

/// The value, unless it is `None`, which cannot be gone through.
fn some(value: Value) -> Result<Value, Error> {
    match value.is_none() {
        true => Err(Error::new(ErrorKind::InvalidOperation, "`none` cannot be gone through")),
        false => Ok(value),
    }
}
