//! Names of entries: unique, and in the order of their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;

/// Where one process gets its entry ids from; threads may share it or have one each with a seed of its own.
#[derive(Debug)]
pub struct Ids {
    seed: u64,
    issued: AtomicU32,
}

impl Ids {
    /// `seed` is a random number of this process; its lower 48 bits keep processes apart.
    pub fn new(seed: u64) -> Self {
        Self { seed: seed & SEED_MASK, issued: AtomicU32::new(0) }
    }

    /// A new id: 26 characters that sort by `now` to the millisecond, then by the order of asking.
    pub fn issue(&self, now: Timestamp) -> Arc<str> {
        let time = u128::try_from(now.as_millisecond()).unwrap_or(0) & u128::from(SEED_MASK);
        let order = u128::from(self.issued.fetch_add(1, Ordering::Relaxed));
        let bits = time << 80 | order << 48 | u128::from(self.seed);
        let digit = |place: u32| char::from(DIGITS[(bits >> (5 * place) & 31) as usize]);
        (0..LENGTH).rev().map(digit).collect::<String>().into()
    }
}

/// Crockford's digits: they sort as their values do and are hard to confuse.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Digits of five bits that 128 bits need.
const LENGTH: u32 = 26;

const SEED_MASK: u64 = (1 << 48) - 1;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    #[test]
    fn ids_sort_by_time_and_then_by_order() {
        let ids = Ids::new(u64::MAX);
        let issued: Vec<_> = [0, 1, 1, 1, 1_795_000_000_000, 1_795_000_000_000, 1_795_000_000_001]
            .map(|time| ids.issue(at(time)))
            .into();
        assert!(issued.is_sorted());
        assert!(issued.iter().all(|id| id.len() == 26));
        assert!(Ids::new(0).issue(at(1_795_000_000_002)) > issued[6], "the seed does not matter before the time");
    }

    #[test]
    fn ids_are_unique_across_threads_and_processes() {
        let shared = Ids::new(1);
        let other = Ids::new(2);
        let issue = |ids: &Ids| (0..2000).map(|_| ids.issue(at(5))).collect::<Vec<_>>();
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads = [&shared, &shared, &other].map(|ids| scope.spawn(move || issue(ids)));
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 6000);
    }
}
