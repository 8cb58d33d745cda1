//! A failed command as the user reads it: the error, its causes, hints, and the exit code.

use std::fmt;
use std::io;

use crate::ca::error::CaError;
use crate::cli::ask::AskError;
use crate::config::mistake::ConfigError;
use crate::gate::error::GateError;
use crate::gate::succession::TakeOverError;
use crate::ledger::journal::archive::ArchiveError;

/// Why a command failed.
#[derive(Debug)]
pub struct Problem {
    error: anyhow::Error,
    hints: Vec<String>,
    /// 1 for a failure, 2 for wrong usage or configuration; 126 and 127 for a program that cannot be run.
    pub code: u8,
}

impl Problem {
    /// Wrong usage or configuration.
    pub fn usage(error: impl Into<anyhow::Error>, hints: impl IntoIterator<Item = String>) -> Self {
        Self { error: error.into(), hints: hints.into_iter().collect(), code: 2 }
    }

    /// A failure that the user can do something about.
    pub fn failed(error: impl Into<anyhow::Error>, hints: impl IntoIterator<Item = String>) -> Self {
        Self { code: 1, ..Self::usage(error, hints) }
    }

    /// What went wrong when the books were asked.
    pub fn from_asking(error: anyhow::Error) -> Self {
        let gate = error.downcast_ref::<AskError>().and_then(AskError::hint);
        let file = error.downcast_ref::<ArchiveError>().map(|_| JOURNAL);
        let hint = gate.or(file).map(str::to_owned);
        Self { error, hints: hint.into_iter().collect(), code: 1 }
    }

    /// What another process of this program has said on standard error; `otherwise` if that was nothing.
    pub fn retold(told: &str, otherwise: &str) -> Self {
        let hints = told.lines().filter_map(|line| line.strip_prefix("hint: ")).map(str::to_owned).collect();
        // Further errors stand below the first as its causes do.
        let lines = told.lines().skip_while(|line| !line.starts_with("error: "));
        let mut said: Vec<&str> =
            lines.filter_map(|line| line.strip_prefix("error: ").or_else(|| line.strip_prefix("  "))).collect();
        let innermost = said.pop().unwrap_or(otherwise).to_owned();
        let error =
            said.iter().rev().fold(anyhow::Error::msg(innermost), |inner, outer| inner.context((*outer).to_owned()));
        Self { error, hints, code: 1 }
    }

    /// Whoever read the output has read enough.
    pub fn is_broken_pipe(&self) -> bool {
        self.error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self { error, hints: Vec::new(), code: 1 }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<CaError> for Problem {
    fn from(error: CaError) -> Self {
        let hint = error.hint();
        Self::usage(error, hint)
    }
}

impl From<GateError> for Problem {
    fn from(error: GateError) -> Self {
        let hint = error.hint();
        Self::usage(error, hint)
    }
}

impl From<TakeOverError> for Problem {
    fn from(error: TakeOverError) -> Self {
        GateError::from(error).into()
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        Self::usage(error, None)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Several mistakes are several errors, each with its own hint.
        if let Some(ConfigError::Mistakes(mistakes)) = self.error.downcast_ref() {
            for mistake in &mistakes.first {
                writeln!(f, "error: {mistake}")?;
                if let Some(hint) = &mistake.hint {
                    writeln!(f, "hint: {hint}")?;
                }
            }
            if mistakes.more > 0 {
                writeln!(f, "error: and {} more", mistakes.more)?;
            }
            return Ok(());
        }
        let mut causes = self.error.chain();
        if let Some(first) = causes.next() {
            writeln!(f, "error: {first}")?;
        }
        for cause in causes {
            writeln!(f, "  {cause}")?;
        }
        for hint in &self.hints {
            writeln!(f, "hint: {hint}")?;
        }
        Ok(())
    }
}

const JOURNAL: &str = "`ledger.path` in the configuration of a gate says where its journal is";
