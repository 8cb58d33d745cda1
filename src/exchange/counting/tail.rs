//! The end of a reply whose usage nobody reported: it is counted before the last bytes, or after them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::exchange::counting::reckoning::{Counted, Reckoning, Written};

/// Counts a reply that may not end before its usage is known.
pub struct Tail {
    reckoning: Reckoning,
    counting: Option<Pin<Box<dyn Future<Output = Counted>>>>,
    counted: Option<Counted>,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("counted", &self.counted).finish_non_exhaustive()
    }
}

impl Tail {
    /// Counts with `reckoning`.
    pub fn new(reckoning: Reckoning) -> Self {
        Self { reckoning, counting: None, counted: None }
    }

    /// Begins to count, while the reply waits.
    pub fn begin(&mut self, written: Written) {
        self.counting = Some(Box::pin(self.reckoning.clone().counted(written)));
    }

    /// Whether counting goes on, or has brought its result.
    pub fn is_begun(&self) -> bool {
        self.counting.is_some() || self.counted.is_some()
    }

    /// What was counted; pending while it is.
    pub fn poll_counted(&mut self, cx: &mut Context<'_>) -> Poll<Option<Counted>> {
        if let Some(counting) = &mut self.counting {
            self.counted = Some(ready!(counting.as_mut().poll(cx)));
            self.counting = None;
        }
        Poll::Ready(self.counted)
    }

    /// What was counted; `None` while it is.
    pub fn result(&self) -> Option<Counted> {
        self.counted
    }
}
