//! Whether a program may go past the books where it cannot go through the gate.

use std::time::Duration;

/// The owner's choice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Auditing {
    /// No call goes past the books: browsers are told no way around the gate, and nobody's connections are passed on
    /// unopened because he does not take the gate's certificate.
    pub mandatory: bool,
    /// `pinned.bypass`: for how long such a client is passed on unopened; `None` is never.
    pub bypass: Option<Duration>,
}

impl Auditing {
    /// For how long a client that does not take the gate's certificate is passed on unopened; `None` is never.
    pub fn bypass(&self) -> Option<Duration> {
        self.bypass.filter(|_| !self.mandatory)
    }
}

impl Default for Auditing {
    fn default() -> Self {
        Self { mandatory: false, bypass: Some(Duration::from_secs(600)) }
    }
}
