//! How the gate tells its parts to stop.

use tokio::sync::watch;

/// What a part should be doing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Serve.
    Serving,
    /// Another gate takes what is new: accept nothing, and end what is open with its next answer.
    Yielding,
    /// Take nothing new, finish what is open.
    Draining,
    /// Stop at once.
    Halting,
}

/// The side that decides.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<Phase>);

/// The side that listens; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<Phase>);

/// Both sides.
pub fn shutdown() -> (Stopper, Stopping) {
    let (sender, receiver) = watch::channel(Phase::Serving);
    (Stopper(sender), Stopping(receiver))
}

impl Stopper {
    /// Goes to a later phase; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }

    /// The side that listens to it.
    pub fn stopping(&self) -> Stopping {
        Stopping(self.0.subscribe())
    }
}

impl Stopping {
    /// Whether `phase` or a later one has come.
    pub fn is_in(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }

    /// Waits until `phase` or a later one has come, or the gate is gone.
    pub async fn reached(&self, phase: Phase) {
        let mut receiver = self.0.clone();
        let _ = receiver.wait_for(|now| *now >= phase).await;
    }
}
