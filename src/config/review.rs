//! One reading of the configuration, and what it finds.

use std::cell::{Cell, RefCell};
use std::path::Path;

use crate::config::mistake::{MOST, Mistake, Mistakes, cut};

/// One reading of the whole configuration: what may be looked up, and what was found wrong.
pub(super) struct Review<'a> {
    /// The environment, by name.
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    mistakes: RefCell<Mistakes>,
    warnings: RefCell<Vec<String>>,
    more_warnings: Cell<usize>,
}

impl<'a> Review<'a> {
    /// Starts with nothing found.
    pub(super) fn new(environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { environment, mistakes: RefCell::default(), warnings: RefCell::default(), more_warnings: Cell::new(0) }
    }

    /// Notes a mistake that has no field.
    pub(super) fn note(&self, mistake: Mistake) {
        self.mistakes.borrow_mut().note(mistake);
    }

    /// Notes something that works, but perhaps not as meant.
    pub(super) fn warn(&self, warning: String) {
        let mut warnings = self.warnings.borrow_mut();
        if warnings.len() < MOST {
            warnings.push(cut(warning));
        } else {
            self.more_warnings.set(self.more_warnings.get() + 1);
        }
    }

    /// The warnings, the last of which may say how many more there are, or the mistakes in the order of the text.
    pub(super) fn finish(self) -> Result<Vec<String>, Mistakes> {
        let mistakes = self.mistakes.into_inner();
        if !mistakes.first.is_empty() {
            return Err(mistakes);
        }
        let mut warnings = self.warnings.into_inner();
        if self.more_warnings.get() > 0 {
            warnings.push(format!("and {} more", self.more_warnings.get()));
        }
        Ok(warnings)
    }
}

/// Which text a field stands in.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// The text's name in messages.
    pub(super) file: &'a str,
    /// Where relative paths in it begin.
    pub(super) folder: &'a Path,
    /// Whether it may make the gate read files and variables of the environment: its author is the owner, and not just
    /// anyone who may send lines.
    pub(super) may_look: bool,
}
