//! Upstreams that are read to their usage after the client has gone.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::exchange::metered::Parts;
use crate::ledger::entry::AfterClose;

/// Where exchanges go that lost their client; one for each worker, stays on its thread.
#[derive(Clone, Debug)]
pub struct Drains {
    queue: mpsc::UnboundedSender<Job>,
    open: Rc<Cell<usize>>,
}

/// What is left of an exchange.
pub enum Job {
    /// The reply has begun.
    Reply(Box<Parts>),
    /// The upstream has been asked and has not answered yet; the future gives the reply that is left to be read.
    Waiting(Pin<Box<dyn Future<Output = Option<Box<Parts>>>>>),
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reply(_) => "Reply",
            Self::Waiting(_) => "Waiting",
        })
    }
}

impl Drains {
    /// The queue, and the task that works it off on the same thread.
    pub fn new() -> (Self, impl Future<Output = ()> + 'static) {
        let (queue, mut jobs) = mpsc::unbounded_channel();
        let drains = Self { queue, open: Rc::default() };
        let open = Rc::clone(&drains.open);
        let work = async move {
            while let Some(job) = jobs.recv().await {
                let place = Place(Rc::clone(&open));
                tokio::task::spawn_local(async move {
                    let _place = place;
                    drain(job).await;
                });
            }
        };
        (drains, work)
    }

    /// Hands over what is left of an exchange; beyond the bound it is given up at once, and booked.
    pub fn push(&self, job: Job) {
        if self.open.get() >= MAX_OPEN {
            return give_up(job, "too many abandoned replies were being read already");
        }
        self.open.set(self.open.get() + 1);
        if let Err(refused) = self.queue.send(job) {
            self.open.set(self.open.get() - 1);
            give_up(refused.0, "the gate was stopping");
        }
    }

    /// How many are being read.
    pub fn open(&self) -> usize {
        self.open.get()
    }
}

/// One of the places among those that are read; free again also when its task panics.
struct Place(Rc<Cell<usize>>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

async fn drain(job: Job) {
    let parts = match job {
        // Where the time runs out its receipt books the end.
        Job::Waiting(rest) => timeout(MAX_TIME, rest).await.ok().flatten(),
        Job::Reply(parts) => Some(parts),
    };
    if let Some(parts) = parts {
        read(parts).await;
    }
}

async fn read(mut parts: Box<Parts>) {
    let mut left = MAX_BYTES;
    let read = timeout(MAX_TIME, async {
        while let Some(count) = poll_fn(|cx| parts.poll_drained(cx)).await {
            left = left.saturating_sub(count);
            if left == 0 {
                return Some("the rest of the reply was too long to be read for its usage");
            }
        }
        None
    });
    let note = read.await.unwrap_or(Some("the rest of the reply took too long to be read for its usage"));
    let after = if note.is_some() { AfterClose::GivenUp } else { AfterClose::Drained };
    parts.leave(after, note);
}

fn give_up(job: Job, why: &str) {
    if let Job::Reply(mut parts) = job {
        parts.leave(AfterClose::GivenUp, Some(why));
    }
}

const MAX_BYTES: usize = 8 << 20;
const MAX_OPEN: usize = 64;
const MAX_TIME: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[test]
    fn no_more_than_the_bound_are_read_at_once_and_the_rest_is_given_up() {
        let (drains, _work) = Drains::new();
        let alive = Rc::new(());
        for _ in 0..MAX_OPEN + 3 {
            let held = Rc::clone(&alive);
            drains.push(Job::Waiting(Box::pin(async move {
                pending::<()>().await;
                drop(held);
                None
            })));
        }
        assert_eq!(drains.open(), MAX_OPEN);
        assert_eq!(Rc::strong_count(&alive), MAX_OPEN + 1);
    }

    #[test]
    fn a_drain_that_is_over_makes_room_also_when_it_panics() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let local = tokio::task::LocalSet::new();
        let (drains, work) = Drains::new();
        local.spawn_local(work);
        drains.push(Job::Waiting(Box::pin(async { None })));
        drains.push(Job::Waiting(Box::pin(async { panic!("a bug") })));
        local.block_on(&runtime, async {
            let over = timeout(Duration::from_secs(10), async {
                while drains.open() > 0 {
                    tokio::task::yield_now().await;
                }
            });
            over.await.unwrap();
        });
    }
}
