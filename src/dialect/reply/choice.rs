//! One choice of a stream on its way: what of its text goes out, and whether it has ended.

use serde_json::Value;

use super::plan::ReplyPlan;
use super::probabilities::Probabilities;
use super::stops::{StopWatch, Stops};

/// One choice of a stream on its way.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Its role has gone out.
    pub(super) opened: bool,
    /// How it ended.
    pub(super) ended: Option<Ended>,
    /// Letters of its text that have gone out.
    pub(super) letters: usize,
    begun: bool,
    watch: StopWatch,
    probabilities: Probabilities,
}

/// How a choice ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// By a stop string that the server let pass.
    ByGate,
    /// By the server.
    ByServer,
}

/// The next piece of a choice, as it came.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// Its text.
    pub(super) text: &'a str,
    /// The log probabilities of that text.
    pub(super) logprobs: Value,
    /// The server says that it is the last.
    pub(super) ends: bool,
}

/// What of a choice goes out.
#[derive(Debug)]
pub(super) struct Shown {
    /// Text before any stop string.
    pub(super) text: String,
    /// The log probabilities of that text.
    pub(super) logprobs: Value,
}

impl Course {
    /// Takes the next piece and gives what goes out; a stop string ends the choice.
    pub(super) fn pass(&mut self, piece: Piece<'_>, plan: &ReplyPlan, stops: &Stops) -> Shown {
        let passed = self.watch.feed(piece.text, stops);
        let mut text = passed.text;
        let unknown = self.probabilities.push(piece.logprobs);
        if passed.stopped {
            self.ended = Some(Ended::ByGate);
        } else if piece.ends {
            text += &self.watch.finish();
            self.ended = Some(Ended::ByServer);
        }
        let bytes = text.len();
        // A stop string is looked for before white space is left out, since a server would have met it there.
        if !self.begun && plan.trims_start {
            text = text.trim_start().to_owned();
        }
        let silent = text.is_empty() && self.ended.is_none();
        if !silent && !std::mem::replace(&mut self.begun, true) {
            text.insert_str(0, plan.echo.as_deref().unwrap_or_default());
        }
        self.letters += text.chars().count();
        let logprobs = match self.ended {
            Some(Ended::ByGate) => self.probabilities.within(bytes),
            // Those of a token that is no text by itself go out with the next one.
            None if silent => self.probabilities.later(bytes),
            None if !self.watch.is_idle() => self.probabilities.within(bytes),
            _ => self.probabilities.all(),
        };
        Shown { text, logprobs: if logprobs.is_null() { unknown } else { logprobs } }
    }

    /// Whether text without stop strings goes through as it comes.
    pub(super) fn is_clear(&self, plan: &ReplyPlan) -> bool {
        let free = self.begun || !plan.trims_start && plan.echo.is_none();
        free && self.ended.is_none() && self.watch.is_idle() && self.probabilities.is_empty()
    }
}
