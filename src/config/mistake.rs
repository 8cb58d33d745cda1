//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::policy::pricing::problem::PriceError;

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

/// What is wrong with a text: the first mistakes in full, and how many more there are, so that a long bad text is told in
/// few words.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mistakes {
    /// In the order of the text, arguments last.
    pub first: Vec<Mistake>,
    /// How many more there are.
    pub more: usize,
}

impl Mistakes {
    /// Notes one more; where there are too many, the last in the order of the text is only counted.
    pub(super) fn note(&mut self, mut mistake: Mistake) {
        let at = self.first.partition_point(|noted| order(noted) <= order(&mistake));
        if at >= MOST {
            self.more += 1;
            return;
        }
        mistake.message = cut(mistake.message);
        mistake.hint = mistake.hint.map(cut);
        self.first.insert(at, mistake);
        if self.first.len() > MOST {
            self.first.truncate(MOST);
            self.more += 1;
        }
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self { first: vec![mistake], more: 0 }
    }
}

/// Where a mistake comes among others: of arguments the shorter names come first, so that `#2` is before `#10`.
fn order(mistake: &Mistake) -> (usize, &str, usize, usize) {
    let argument = if mistake.file.starts_with("--") { mistake.file.len() } else { 0 };
    (argument, &mistake.file, mistake.line, mistake.column)
}

/// A message that quotes what was written may be as long as that.
pub(super) fn cut(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(LONGEST) {
        message.truncate(end);
        message.push_str("...");
    }
    message
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
    /// What is wrong, in the order of the text.
    #[error("{}", lines(.0))]
    Mistakes(Mistakes),
}

/// One mistake a line, each with its hint.
fn lines(mistakes: &Mistakes) -> String {
    let line = |mistake: &Mistake| match &mistake.hint {
        Some(hint) => format!("{mistake} (hint: {hint})"),
        None => mistake.to_string(),
    };
    let more = (mistakes.more > 0).then(|| format!("and {} more", mistakes.more));
    mistakes.first.iter().map(line).chain(more).collect::<Vec<_>>().join("\n")
}

/// Mistakes, or warnings, that are told in full.
pub(super) const MOST: usize = 20;

/// Characters of a message.
const LONGEST: usize = 500;
