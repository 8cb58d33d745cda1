//! Arguments of a filter, which Python takes by place or by name.

use minijinja::value::{Kwargs, Rest, Value, ValueOrKwargs, from_args};
use minijinja::{Error, ErrorKind};

/// The arguments in the order of their names; `None` for one that is not given.
///
/// # Errors
/// There is one more, one of another name, or one twice.
pub fn by_name<const N: usize>(names: [&str; N], given: Rest<ValueOrKwargs>) -> Result<[Option<Value>; N], Error> {
    let given: Vec<Value> = given.0.into_iter().map(Value::from).collect();
    let (places, kwargs): (&[Value], Kwargs) = from_args(&given)?;
    if places.len() > N {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let mut found = [const { None }; N];
    for (at, name) in names.iter().enumerate() {
        // One that is given by its place stays unused by its name, which is an error then.
        found[at] = match places.get(at) {
            Some(value) => Some(value.clone()),
            None if kwargs.has(name) => Some(kwargs.get(name)?),
            None => None,
        };
    }
    kwargs.assert_all_used()?;
    Ok(found)
}

/// Those that are given, all by name.
pub fn named<const N: usize>(names: [&str; N], values: [Option<Value>; N]) -> Kwargs {
    names.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Whether an argument is given and true.
pub fn is_true(value: Option<&Value>) -> bool {
    value.is_some_and(Value::is_true)
}
