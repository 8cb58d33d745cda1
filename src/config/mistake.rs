//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::policy::price_table::PriceError;

/// One thing to change in the configuration. It never holds the text of a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// The file as its owner names it, or the argument (`--model #1`).
    pub file: String,
    /// From 1; 0 where the argument is the place.
    pub line: usize,
    /// From 1, in characters; 0 where the argument is the place.
    pub column: usize,
    /// The key: `models[2].endpointUrl`; empty for the file as a whole.
    pub path: String,
    /// What is wrong, one clause.
    pub message: String,
    /// What may have been meant.
    pub hint: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "{}: {}", self.file, self.message);
        }
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// Why no configuration could be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was asked for, or found, cannot be read.
    #[error("cannot read the configuration `{}`", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A price table that cannot be read.
    #[error(transparent)]
    Prices(#[from] PriceError),
    /// Everything that is wrong, in the order of the text.
    #[error("{}", lines(.0))]
    Mistakes(Vec<Mistake>),
}

/// One mistake a line, each with its hint.
fn lines(mistakes: &[Mistake]) -> String {
    let line = |mistake: &Mistake| match &mistake.hint {
        Some(hint) => format!("{mistake} (hint: {hint})"),
        None => mistake.to_string(),
    };
    mistakes.iter().map(line).collect::<Vec<_>>().join("\n")
}
