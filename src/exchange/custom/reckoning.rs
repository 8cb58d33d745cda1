//! Counts what a call used where the server does not say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::dialect::endpoint::Dialect;
use crate::dialect::reply::texts::Texts;
use crate::tokens::clerks::Clerks;
use crate::tokens::kit::Kit;
use crate::tokens::prompt::input_tokens;
use crate::tokens::tally::{Tally, estimate};
use crate::tokens::tokenizer::Specials;
use crate::units::{Basis, Usage};

/// All that is needed to count a call that nobody reports.
#[derive(Clone, Debug)]
pub struct Reckoning {
    /// Where counting is done.
    pub clerks: Clerks,
    /// The model's tokenizer and template.
    pub kit: Kit,
    /// What the server took in.
    pub input: Input,
}

/// What a server took in.
#[derive(Clone, Debug)]
pub enum Input {
    /// The body that was sent, or the client's where that is the same.
    Body {
        /// The dialect of the body.
        dialect: Dialect,
        /// The body.
        body: Bytes,
    },
    /// Counted before it was sent.
    Known(Tally),
}

impl Input {
    /// The input of this body; one that is too large to be kept is guessed at once.
    pub fn of(dialect: Dialect, body: &Bytes) -> Self {
        if body.len() > LARGEST_KEPT {
            return Self::Known(Tally { tokens: (body.len() as u64).div_ceil(4), exact: false });
        }
        Self::Body { dialect, body: body.clone() }
    }
}

/// What was counted, and how sure it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counted {
    /// Input and output.
    pub usage: Usage,
    /// `Counted` or `Estimated`.
    pub basis: Basis,
}

/// What a model wrote, and whether that is all of it.
#[derive(Clone, Debug)]
pub struct Written {
    /// The texts.
    pub texts: Texts,
    /// The server came to its own end.
    pub whole: bool,
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

    /// Counts on another thread and hands the result to `then` there.
    pub fn hand(self, written: Written, then: impl FnOnce(Counted) + Send + 'static) {
        let clerks = self.clerks.clone();
        let busy = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&busy);
        let refused = clerks.hand(move || {
            let reckoning = if told.load(Ordering::Relaxed) { self.roughly() } else { self };
            then(reckoning.count(&written));
        });
        if let Err(work) = refused {
            busy.store(true, Ordering::Relaxed);
            work();
        }
    }

    /// The same without a tokenizer: cheap, and marked as a guess.
    fn roughly(mut self) -> Self {
        self.kit.tokenizer = None;
        self.kit.template = None;
        self
    }

    fn count(&self, written: &Written) -> Counted {
        let input = match &self.input {
            Input::Known(tally) => *tally,
            Input::Body { dialect, body } => input_tokens(*dialect, body, &self.kit),
        };
        let output = self.output(&written.texts);
        let exact = input.exact && output.exact && written.whole;
        let usage = Usage { input: Some(input.tokens), output: Some(output.tokens), ..Usage::default() };
        Counted { usage, basis: if exact { Basis::Counted } else { Basis::Estimated } }
    }

    fn output(&self, texts: &Texts) -> Tally {
        let sitting = self.kit.tokenizer.as_ref().map(|tokenizer| tokenizer.sitting());
        let count = |text: &str| match &sitting {
            Some(sitting) => sitting.count(text, Specials::Text),
            None => estimate(text),
        };
        let kept = texts.iter().map(count).fold(Tally { tokens: 0, exact: true }, Tally::plus);
        let left_out = Tally { tokens: texts.left_out().div_ceil(4), exact: texts.left_out() == 0 };
        kept.plus(left_out)
    }
}

/// Bytes of a body that are kept until the reply has ended, in case that it must be counted.
const LARGEST_KEPT: usize = 4 << 20;
