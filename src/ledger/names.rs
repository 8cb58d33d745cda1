//! Names that strangers choose, held to a bounded length and a bounded number.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use dashmap::DashSet;
use foldhash::fast::RandomState;

use crate::policy::routing::glob_matches;

/// The names of one kind seen so far.
#[derive(Debug)]
pub(crate) struct Names {
    seen: DashSet<Arc<str>, RandomState>,
    admission: Mutex<()>,
    other: Arc<str>,
    /// Patterns of names that must not be lost.
    kept: OnceLock<Vec<Box<str>>>,
    /// Names that fit them, up to a bound.
    keepsakes: DashSet<Arc<str>, RandomState>,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self {
            seen: DashSet::default(),
            admission: Mutex::new(()),
            other: OTHER.into(),
            kept: OnceLock::new(),
            keepsakes: DashSet::default(),
        }
    }

    /// Names that fit one of these patterns are never taken together with others; to be said once, before there are
    /// any. Of those that fit a pattern with `*`, only so many are kept, and `*` alone keeps none: it takes all.
    pub(crate) fn keep<'a>(&self, globs: impl Iterator<Item = &'a str>) {
        let (wide, exact): (Vec<&str>, Vec<&str>) = globs.partition(|glob| glob.contains('*'));
        for name in exact {
            let name: Arc<str> = shortened(name).into();
            self.seen.insert(Arc::clone(&name));
            self.keepsakes.insert(name);
        }
        let wide = wide.into_iter().filter(|glob| glob.bytes().any(|byte| byte != b'*')).map(Into::into);
        let _ = self.kept.set(wide.collect());
    }

    fn is_kept(&self, name: &str) -> bool {
        let fits = || self.kept.get().is_some_and(|globs| globs.iter().any(|glob| glob_matches(glob, name)));
        self.keepsakes.contains(name) || self.keepsakes.len() < MOST_KEPT && fits()
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
        let is_kept = self.is_kept(name);
        if self.seen.len() >= MOST && !is_kept {
            return Arc::clone(&self.other);
        }
        let name: Arc<str> = name.into();
        if is_kept {
            self.keepsakes.insert(Arc::clone(&name));
        }
        self.seen.insert(Arc::clone(&name));
        name
    }

    /// What an old name is folded into: itself where it is kept, else what stands for every name beyond the bound.
    pub(crate) fn folded(&self, name: &Arc<str>) -> Arc<str> {
        Arc::clone(if self.keepsakes.contains(name) { name } else { &self.other })
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

/// Different names of one kind that fit patterns and are kept beyond that.
const MOST_KEPT: usize = 100;

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

    #[test]
    fn names_that_budgets_look_at_are_never_lost() {
        let names = Names::new();
        names.keep(["boss", "team-*", "*"].into_iter());
        (0..1500).for_each(|n| drop(names.admit(&n.to_string())));
        for name in ["boss", "team-a"] {
            assert_eq!(&*names.admit(name), name);
            assert_eq!(&*names.folded(&name.into()), name);
        }
        assert_eq!((&*names.admit("late"), &*names.folded(&"7".into())), ("other", "other"));
        (0..500).for_each(|n| drop(names.admit(&format!("team-{n}"))));
        assert!(names.seen.len() <= MOST + MOST_KEPT, "{}", names.seen.len());
        assert_eq!(&*names.admit("boss"), "boss");
    }
}
