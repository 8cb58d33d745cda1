//! Hands every posted entry to one listener that may be slow, dead or absent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};

use crate::ledger::ring::Kept;

/// The way from the books to a listener.
#[derive(Debug, Default)]
pub(crate) struct Tap(OnceLock<Pipe>);

#[derive(Debug)]
struct Pipe {
    sender: SyncSender<Arc<Kept>>,
    tally: Arc<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    sent: AtomicU64,
    lost: AtomicU64,
    missed: AtomicU64,
}

/// What became of the entries that were handed out, or should have been.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Handed {
    /// The listener passed them on.
    pub sent: u64,
    /// The listener could not pass them on.
    pub lost: u64,
    /// The listener was too slow to take them.
    pub missed: u64,
}

impl Tap {
    /// Begins to hand out entries; `None` where somebody listens already.
    pub(crate) fn open(&self, room: usize) -> Option<Posted> {
        let (sender, receiver) = sync_channel(room);
        let tally = Arc::<Tally>::default();
        self.0.set(Pipe { sender, tally: Arc::clone(&tally) }).ok()?;
        Some(Posted { receiver, tally })
    }

    /// What became of them so far; `None` where nobody listens.
    pub(crate) fn handed(&self) -> Option<Handed> {
        self.0.get().map(|pipe| pipe.tally.now())
    }

    /// Hands out an entry; one that finds no room is only counted, as nobody here waits.
    pub(crate) fn hand(&self, kept: &Arc<Kept>) {
        if let Some(pipe) = self.0.get()
            && pipe.sender.try_send(Arc::clone(kept)).is_err()
        {
            pipe.tally.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The entries posted since the listener asked for them, up to a bound.
#[derive(Debug)]
pub struct Posted {
    receiver: Receiver<Arc<Kept>>,
    tally: Arc<Tally>,
}

impl Posted {
    /// The next entry, if there is one now.
    pub fn next(&self) -> Option<Arc<Kept>> {
        self.receiver.try_recv().ok()
    }

    /// Says what became of some of them.
    pub fn tell(&self, sent: u64, lost: u64) {
        self.tally.sent.fetch_add(sent, Ordering::Relaxed);
        self.tally.lost.fetch_add(lost, Ordering::Relaxed);
    }

    /// What became of all so far.
    pub fn handed(&self) -> Handed {
        self.tally.now()
    }
}

impl Tally {
    fn now(&self) -> Handed {
        Handed {
            sent: self.sent.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;
    use crate::ledger::tests::entry;

    #[test]
    fn what_finds_no_room_is_counted_and_holds_nobody_up() {
        let ledger = Ledger::new(10);
        ledger.post(entry("before", "2026-11-22T12:00:00Z"));
        let posted = ledger.listen(3).unwrap();
        assert!(ledger.listen(3).is_none(), "one listener");
        for number in 0..5 {
            ledger.post(entry(&number.to_string(), "2026-11-22T12:00:00Z"));
        }
        let asked = || posted.next().map(|kept| kept.entry.model.asked.as_deref().unwrap().to_owned());
        assert_eq!([asked(), asked(), asked(), asked()], [Some("0".into()), Some("1".into()), Some("2".into()), None]);
        posted.tell(2, 1);
        assert_eq!(posted.handed(), Handed { sent: 2, lost: 1, missed: 2 });
        assert_eq!(ledger.handed(), Some(posted.handed()));
        drop(posted);
        ledger.post(entry("after", "2026-11-22T12:00:00Z"));
    }
}
