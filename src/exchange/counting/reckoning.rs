//! Counts what a call used where the server does not say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dialect::endpoint::Dialect;
use crate::dialect::reply::texts::Texts;
use crate::exchange::counting::hidden::Hidden;
use crate::exchange::counting::input::Input;
use crate::exchange::counting::yardstick::{Served, Yardstick};
use crate::meter::reading::Reading;
use crate::meter::transcript::Transcript;
use crate::tokens::clerks::Clerks;
use crate::tokens::kit::Kit;
use crate::tokens::prompt::input_tokens_of;
use crate::tokens::tally::{Tally, estimate};
use crate::tokens::tokenizer::Specials;
use crate::units::{Basis, Usage};

/// All that is needed to count a call that nobody reports.
#[derive(Clone, Debug)]
pub struct Reckoning {
    /// Where counting is done.
    pub clerks: Clerks,
    /// What it is done with.
    pub yardstick: Yardstick,
    /// What the server took in.
    pub input: Input,
}

/// What was counted, and how sure it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counted {
    /// Input and output.
    pub usage: Usage,
    /// `Counted` or `Estimated`.
    pub basis: Basis,
}

impl Counted {
    /// Puts what was counted in the place of what was not reported, beside the tools that the reply shows.
    pub fn fill(self, reading: &mut Reading) {
        reading.usage = Some(self.usage.with_tools_of(&reading.extra.tools));
        reading.basis = self.basis;
    }
}

/// What a model wrote, and whether that is all of it.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The texts.
    pub transcript: Transcript,
    /// The server came to its own end, and all of it was read.
    pub whole: bool,
    /// The model that wrote it, where its name decides about the counting.
    pub served: Option<Served>,
}

impl Written {
    /// With a document's texts. Slow for a long one.
    #[must_use]
    pub fn read(self) -> Self {
        Self { transcript: self.transcript.read(), ..self }
    }
}

impl Reckoning {
    /// Counts on another thread, and only roughly where too much waits there already.
    pub async fn counted(self, written: Written) -> Counted {
        let rough = self.clone();
        let texts = Arc::new(written);
        let shared = Arc::clone(&texts);
        if let Some(result) = self.clerks.clone().ask_soon(move || self.count(&shared))
            && let Ok(counted) = result.await
        {
            return counted;
        }
        rough.roughly().count(&texts)
    }

    /// Hands the work to another thread, where `then` may count what was written; it gets both back. Where too much
    /// waits there already it is called at once, with what counts only roughly.
    pub fn hand(self, written: Written, then: impl FnOnce(&Self, Written) + Send + 'static) {
        let clerks = self.clerks.clone();
        let busy = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&busy);
        let refused = clerks.hand(move || {
            if told.load(Ordering::Relaxed) {
                let written = Written { transcript: written.transcript.unlooked(), ..written };
                return then(&self.roughly(), written);
            }
            then(&self, written.read());
        });
        if let Err(work) = refused {
            busy.store(true, Ordering::Relaxed);
            work();
        }
    }

    /// The same without a tokenizer: cheap, and marked as a guess.
    fn roughly(self) -> Self {
        Self { yardstick: Yardstick::Kit(Kit::default()), input: self.input.roughly(), ..self }
    }

    /// Counts what was written and what was taken in.
    pub fn count(&self, written: &Written) -> Counted {
        let served = written.served.as_ref().filter(|_| matches!(self.yardstick, Yardstick::Model));
        let kit = match &self.yardstick {
            Yardstick::Kit(kit) => kit.clone(),
            Yardstick::Model => served.map(Served::kit).unwrap_or_default(),
        };
        let (input, hidden) = self.input(&kit, served);
        let Transcript { texts, doubtful, unread, .. } = &written.transcript;
        let output = output(texts, &kit);
        let certain = match self.yardstick {
            Yardstick::Kit(_) => true,
            Yardstick::Model => !doubtful && served.is_some_and(|served| served.certain && !served.thinks()),
        };
        let exact = input.exact && output.exact && written.whole && certain && !hidden.doubtful && !unread;
        let repeated = input.tokens.saturating_mul(hidden.echoes);
        let usage = Usage {
            input: Some(input.tokens),
            output: (!unread).then(|| output.tokens.saturating_sub(repeated)),
            ..Usage::default()
        };
        Counted { usage, basis: if exact { Basis::Counted } else { Basis::Estimated } }
    }

    fn input(&self, kit: &Kit, served: Option<&Served>) -> (Tally, Hidden) {
        let (dialect, body) = match &self.input {
            Input::Known(tally) => return (*tally, Hidden::default()),
            Input::Body { dialect, body } => (*dialect, body),
        };
        let hidden = match self.yardstick {
            Yardstick::Model if dialect != Dialect::Embeddings => Hidden::of(body),
            _ => Hidden::default(),
        };
        (input_tokens_of(dialect, body, kit, served.map(Served::base)), hidden)
    }
}

fn output(texts: &Texts, kit: &Kit) -> Tally {
    let sitting = kit.tokenizer.as_ref().map(|tokenizer| tokenizer.sitting());
    let count = |text: &str| match &sitting {
        Some(sitting) => sitting.count(text, Specials::Text),
        None => estimate(text),
    };
    let kept = texts.iter().map(count).fold(Tally { tokens: 0, exact: true }, Tally::plus);
    let left_out = Tally { tokens: texts.left_out().div_ceil(4), exact: texts.left_out() == 0 };
    kept.plus(left_out)
}

#[cfg(test)]
mod tests;
