//! Values that Python gives out one by one: they can be gone through once, and are true even where they are empty.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Error;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value};

/// What filters such as `map` and `selectattr` give.
#[derive(Debug)]
pub struct Generator {
    items: Mutex<std::vec::IntoIter<Value>>,
}

impl Generator {
    /// A generator of these.
    pub fn of(items: Vec<Value>) -> Value {
        Value::from_object(Self { items: Mutex::new(items.into_iter()) })
    }

    /// What is still to come.
    pub fn rest(&self) -> Vec<Value> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).as_slice().to_vec()
    }

    /// The same, taken out.
    pub fn take(&self) -> Vec<Value> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).by_ref().collect()
    }

    fn next(&self) -> Option<Value> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let generator = Arc::clone(self);
        Enumerator::Iter(Box::new(std::iter::from_fn(move || generator.next())))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Python writes the address, which no template can want.
        f.write_str("<generator object>")
    }
}

/// What `dict.keys()`, `.values()` and `.items()` give.
#[derive(Debug)]
pub struct View {
    name: &'static str,
    items: Vec<Value>,
}

impl View {
    /// A view of these, with Python's name of its kind.
    pub fn of(name: &'static str, items: Vec<Value>) -> Value {
        Value::from_object(Self { name, items })
    }

    /// What is seen.
    pub fn items(&self) -> &[Value] {
        &self.items
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items.clone())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:?})", self.name, self.items)
    }
}

/// `joiner(separator)`: nothing when it is first called, then the separator.
#[derive(Debug)]
pub struct Joiner {
    separator: Value,
    used: Mutex<bool>,
}

impl Joiner {
    /// A joiner that was not called yet.
    pub fn of(separator: Value) -> Value {
        Value::from_object(Self { separator, used: Mutex::new(false) })
    }
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut minijinja::State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let () = minijinja::value::from_args(args)?;
        let used = std::mem::replace(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner), true);
        Ok(if used { self.separator.clone() } else { Value::from("") })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<joiner object>")
    }
}

/// `cycler(...)`: one of its values after the other, and again.
#[derive(Debug)]
pub struct Cycler {
    items: Vec<Value>,
    at: Mutex<usize>,
}

impl Cycler {
    /// A cycler that stands at its first value; `items` must not be empty.
    pub fn of(items: Vec<Value>) -> Value {
        Value::from_object(Self { items, at: Mutex::new(0) })
    }

    /// What it goes through.
    pub fn items(&self) -> &[Value] {
        &self.items
    }
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        (key.as_str() == Some("current")).then(|| self.items[at].clone())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut minijinja::State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let () = minijinja::value::from_args(args)?;
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        match method {
            "next" => {
                let current = self.items[*at].clone();
                *at = (*at + 1) % self.items.len();
                Ok(current)
            }
            "reset" => {
                *at = 0;
                Ok(Value::from(()))
            }
            _ => Err(Error::from(minijinja::ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<cycler object>")
    }
}
