//! One reading of the configuration, and what it finds.

use std::cell::RefCell;
use std::path::Path;

use crate::config::mistake::Mistake;

/// One reading of the whole configuration: what may be looked up, and what was found wrong.
pub(super) struct Review<'a> {
    /// The environment, by name.
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    mistakes: RefCell<Vec<Mistake>>,
    warnings: RefCell<Vec<String>>,
}

impl<'a> Review<'a> {
    /// Starts with nothing found.
    pub(super) fn new(environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { environment, mistakes: RefCell::default(), warnings: RefCell::default() }
    }

    /// Notes a mistake that has no field.
    pub(super) fn note(&self, mistake: Mistake) {
        self.mistakes.borrow_mut().push(mistake);
    }

    /// Notes something that works, but perhaps not as meant.
    pub(super) fn warn(&self, warning: String) {
        self.warnings.borrow_mut().push(warning);
    }

    /// All warnings, or all mistakes in the order of the text, arguments last.
    pub(super) fn finish(self) -> Result<Vec<String>, Vec<Mistake>> {
        let mut mistakes = self.mistakes.into_inner();
        if mistakes.is_empty() {
            return Ok(self.warnings.into_inner());
        }
        // Of arguments the shorter names come first, so that `#2` is before `#10`.
        let order = |mistake: &Mistake| {
            let argument = if mistake.file.starts_with("--") { mistake.file.len() } else { 0 };
            (argument, mistake.file.clone(), mistake.line, mistake.column)
        };
        mistakes.sort_by_cached_key(order);
        Err(mistakes)
    }
}

/// Which text a field stands in.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// The text's name in messages.
    pub(super) file: &'a str,
    /// Where relative paths in it begin.
    pub(super) folder: &'a Path,
}
