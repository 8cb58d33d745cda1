//! Names that strangers choose, held to a bounded length and a bounded number.

use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashSet;
use foldhash::fast::RandomState;

/// The names of one kind seen so far.
#[derive(Debug)]
pub(crate) struct Names {
    seen: DashSet<Arc<str>, RandomState>,
    admission: Mutex<()>,
    other: Arc<str>,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self { seen: DashSet::default(), admission: Mutex::new(()), other: OTHER.into() }
    }

    /// The name to book under: itself, shortened if need be, or `other` once there are too many.
    pub(crate) fn admit(&self, name: &str) -> Arc<str> {
        let name = shortened(name);
        if let Some(known) = self.seen.get(name) {
            return Arc::clone(&known);
        }
        let _one_at_a_time = self.admission.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.seen.get(name) {
            return Arc::clone(&known);
        }
        if self.seen.len() >= MOST {
            return Arc::clone(&self.other);
        }
        let name: Arc<str> = name.into();
        self.seen.insert(Arc::clone(&name));
        name
    }

    /// What stands for every name beyond the bound.
    pub(crate) fn other(&self) -> Arc<str> {
        Arc::clone(&self.other)
    }
}

/// The longest start of `name` that ends between characters and has at most 128 bytes.
pub(crate) fn shortened(name: &str) -> &str {
    let end = (0..=LONGEST.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}

/// Bytes of a name.
pub(crate) const LONGEST: usize = 128;

/// Different names of one kind.
const MOST: usize = 1000;

const OTHER: &str = "other";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened_between_characters() {
        let name = Names::new().admit(&"é".repeat(100));
        assert_eq!(name.len(), 128);
        let name = Names::new().admit(&format!("a{}", "é".repeat(100)));
        assert_eq!(name.len(), 127);
    }

    #[test]
    fn after_a_thousand_names_the_rest_is_other_and_the_known_stay() {
        let names = Names::new();
        names.admit("first");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let names = &names;
                scope.spawn(move || (0..500).for_each(|n| drop(names.admit(&format!("{}", thread * 250 + n)))));
            }
        });
        assert_eq!(names.seen.len(), 1000);
        assert_eq!(&*names.admit("new"), "other");
        assert_eq!(&*names.admit("first"), "first");
    }
}
