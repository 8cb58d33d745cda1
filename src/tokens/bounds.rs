//! How much of a text is counted, and what follows from that for the rest.

use std::time::{Duration, Instant};

use super::tally::Tally;

/// How far counting goes.
#[derive(Clone, Copy)]
pub(crate) struct Bounds<'a> {
    /// Bytes of text.
    pub bytes: usize,
    /// When it stops.
    pub until: Instant,
    /// Tells the time.
    pub clock: &'a dyn Fn() -> Instant,
}

impl Bounds<'static> {
    /// So many bytes, and the common time from now on.
    pub(crate) fn of(bytes: usize) -> Self {
        Self { bytes, until: Instant::now() + LONGEST_WORK, clock: &Instant::now }
    }
}

impl Bounds<'_> {
    /// Whether the time is up.
    pub(crate) fn is_over(&self) -> bool {
        (self.clock)() > self.until
    }

    /// The time that is left.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since((self.clock)())
    }
}

/// What was counted of a text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Part {
    /// Tokens of these bytes.
    pub tokens: u64,
    /// Bytes that were counted.
    pub bytes: usize,
    /// These are all, and every one was counted exactly.
    pub whole: bool,
    /// Tokens that come on top, whatever the text.
    pub fixed: u64,
}

impl Part {
    /// The whole text, of so many bytes: the rest is taken to be like what was counted.
    pub(crate) fn of(self, bytes: usize) -> Tally {
        let (tokens, counted) = (u128::from(self.tokens), self.bytes as u128);
        let all = match (counted, self.bytes >= bytes) {
            (_, true) => tokens,
            (0, false) => (bytes as u128).div_ceil(4),
            (_, false) => (tokens * bytes as u128).div_ceil(counted),
        };
        let all = u64::try_from(all).unwrap_or(u64::MAX);
        Tally { tokens: all.saturating_add(self.fixed), exact: self.whole }
    }
}

/// Work on one text: nobody waits longer for a number.
const LONGEST_WORK: Duration = Duration::from_secs(2);
