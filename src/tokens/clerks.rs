//! Threads that render and count, off the request path.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

/// Threads that render and count; cheap to clone. They start with the first work, and end with the last clone.
#[derive(Clone, Debug)]
pub struct Clerks(Arc<Office>);

impl Clerks {
    /// At most so many threads, at least one.
    ///
    /// Few: each keeps a cache of pieces for every encoding that it counted with, about a megabyte.
    pub fn new(threads: usize) -> Self {
        Self(Arc::new(Office { desk: Arc::default(), threads: threads.max(1) }))
    }

    /// Has `work` done on another thread, however many wait before it; `None` only beyond all reason. The receiver fails
    /// if it panicked.
    pub fn ask<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<oneshot::Receiver<T>> {
        self.asked(work, MOST_ASKED)
    }

    /// The same; `None` where so much waits already that a rough answer is better than a late one.
    pub fn ask_soon<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<oneshot::Receiver<T>> {
        self.asked(work, MOST_WAITING)
    }

    fn asked<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        most: usize,
    ) -> Option<oneshot::Receiver<T>> {
        let (done, result) = oneshot::channel();
        let work = move || {
            // Nobody may be waiting any more.
            if !done.is_closed() {
                let _ = done.send(work());
            }
        };
        self.put(work, most).ok().map(|()| result)
    }

    /// Has `work` done on another thread; gives it back where too much waits already, so that it can be done roughly.
    ///
    /// # Errors
    /// The work itself.
    pub fn hand<W: FnOnce() + Send + 'static>(&self, work: W) -> Result<(), W> {
        self.put(work, MOST_WAITING)
    }

    fn put<W: FnOnce() + Send + 'static>(&self, work: W, most: usize) -> Result<(), W> {
        let desk = &self.0.desk;
        let mut pile = desk.pile();
        if pile.closed || pile.waiting.len() >= most {
            return Err(work);
        }
        if pile.idle <= pile.waiting.len() && pile.threads.len() < self.0.threads {
            let theirs = Arc::clone(desk);
            match thread::Builder::new().name("clerk".into()).spawn(move || theirs.work()) {
                Ok(thread) => pile.threads.push(thread),
                Err(_) if pile.threads.is_empty() => return Err(work),
                Err(_) => {}
            }
        }
        pile.waiting.push_back(Box::new(work));
        drop(pile);
        desk.bell.notify_one();
        Ok(())
    }

    /// Does what waits, then ends the threads. Whatever is asked after that is refused.
    pub fn finish(&self) {
        let threads = self.0.desk.close();
        for thread in threads {
            // Work that finishes its own clerks cannot wait for itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Default for Clerks {
    fn default() -> Self {
        Self::new(thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS))
    }
}

/// What all clones share; the threads share only the desk, so that it can be told when the last clone goes.
#[derive(Debug)]
struct Office {
    desk: Arc<Desk>,
    threads: usize,
}

impl Drop for Office {
    fn drop(&mut self) {
        self.desk.close();
    }
}

#[derive(Default)]
struct Desk {
    pile: Mutex<Pile>,
    bell: Condvar,
}

#[derive(Default)]
struct Pile {
    waiting: VecDeque<Box<dyn FnOnce() + Send>>,
    threads: Vec<JoinHandle<()>>,
    idle: usize,
    closed: bool,
}

impl Desk {
    fn pile(&self) -> MutexGuard<'_, Pile> {
        self.pile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) -> Vec<JoinHandle<()>> {
        let mut pile = self.pile();
        pile.closed = true;
        let threads = std::mem::take(&mut pile.threads);
        drop(pile);
        self.bell.notify_all();
        threads
    }

    fn work(&self) {
        while let Some(work) = self.next() {
            // A panic has been reported by its hook; the receiver learns of it as its sender is gone.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    fn next(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let mut pile = self.pile();
        loop {
            if let Some(work) = pile.waiting.pop_front() {
                return Some(work);
            }
            if pile.closed {
                return None;
            }
            pile.idle += 1;
            pile = self.bell.wait(pile).unwrap_or_else(PoisonError::into_inner);
            pile.idle -= 1;
        }
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pile = self.pile();
        f.debug_struct("Desk").field("waiting", &pile.waiting.len()).field("threads", &pile.threads.len()).finish()
    }
}

const MOST_THREADS: usize = 4;

/// Work may hold a request's body, so that what waits is bounded; beyond it a rough answer is better than a late one.
const MOST_WAITING: usize = 256;

/// Calls that cannot be sent before their work is done. Their bodies are held by their exchanges all the same, which
/// are bounded by the connections; this is more than the default allows of those.
const MOST_ASKED: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn work_is_done_on_another_thread() {
        let clerks = Clerks::default();
        let here = thread::current().id();
        let there = clerks.ask(|| thread::current().id()).unwrap().blocking_recv().unwrap();
        assert_ne!(there, here);
    }

    #[test]
    fn a_panic_fails_its_own_work_only() {
        let clerks = Clerks::new(1);
        let broken = clerks.ask(|| std::panic::panic_any(())).unwrap();
        assert!(broken.blocking_recv().is_err());
        assert_eq!(clerks.ask(|| 7).unwrap().blocking_recv().unwrap(), 7);
        assert_eq!(clerks.0.desk.pile().threads.len(), 1, "the same thread goes on");
    }

    #[test]
    fn what_cannot_wait_is_given_back() {
        let clerks = Clerks::new(1);
        let (open, gate) = mpsc::channel::<()>();
        let (begun, busy) = mpsc::channel();
        let holding = clerks.ask(move || {
            begun.send(()).unwrap();
            let _ = gate.recv();
        });
        busy.recv().unwrap();
        for _ in 0..MOST_WAITING {
            assert!(clerks.hand(|| ()).is_ok());
        }
        let mut done = false;
        let refused = clerks.hand(|| ());
        if let Err(work) = refused {
            work();
            done = true;
        }
        assert!(done && clerks.ask_soon(|| ()).is_none());
        let mut patient = clerks.ask(|| 7).expect("a call that cannot go without it waits");
        assert!(patient.try_recv().is_err());
        open.send(()).unwrap();
        assert_eq!(patient.blocking_recv().unwrap(), 7);
        holding.unwrap().blocking_recv().unwrap();
    }

    #[test]
    fn finishing_does_what_waits_and_refuses_more() {
        let clerks = Clerks::new(2);
        let (done, seen) = mpsc::channel();
        for number in 0..100 {
            let done = done.clone();
            assert!(clerks.hand(move || done.send(number).unwrap()).is_ok());
        }
        clerks.finish();
        assert_eq!(seen.try_iter().count(), 100);
        assert!(clerks.ask(|| ()).is_none());
        clerks.finish();
    }

    #[test]
    fn the_threads_end_with_the_last_clone() {
        let clerks = Clerks::new(1);
        clerks.ask(|| ()).unwrap().blocking_recv().unwrap();
        let threads = std::mem::take(&mut clerks.0.desk.pile().threads);
        drop(clerks.clone());
        assert!(!threads[0].is_finished());
        drop(clerks);
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
