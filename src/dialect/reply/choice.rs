//! One choice of a stream on its way: what of its text goes out, and whether it has ended.

use super::plan::ReplyPlan;
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
}

/// How a choice ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// By a stop string that the server let pass.
    ByGate,
    /// By the server.
    ByServer,
}

impl Course {
    /// What goes out of the next piece of text; `Err` is the last of it, a stop string being met.
    pub(super) fn pass(&mut self, text: &str, plan: &ReplyPlan, stops: &Stops) -> Result<String, String> {
        let text = if !self.begun && plan.trims_start { text.trim_start() } else { text };
        if text.is_empty() {
            return Ok(String::new());
        }
        let passed = self.watch.feed(text, stops);
        let text = self.begin(plan) + &passed.text;
        self.letters += text.chars().count();
        if passed.stopped {
            self.ended = Some(Ended::ByGate);
            return Err(text);
        }
        Ok(text)
    }

    /// The server has ended it: what was held back.
    pub(super) fn finish(&mut self, plan: &ReplyPlan) -> String {
        self.ended = Some(Ended::ByServer);
        let held = self.watch.finish();
        let text = self.begin(plan) + &held;
        self.letters += text.chars().count();
        text
    }

    /// Whether text without stop strings goes through as it comes.
    pub(super) fn is_clear(&self, plan: &ReplyPlan) -> bool {
        self.ended.is_none() && self.watch.is_idle() && (self.begun || !plan.trims_start && plan.echo.is_none())
    }

    /// The text that stands before the first of its own.
    fn begin(&mut self, plan: &ReplyPlan) -> String {
        if std::mem::replace(&mut self.begun, true) {
            return String::new();
        }
        plan.echo.as_deref().unwrap_or_default().to_owned()
    }
}
