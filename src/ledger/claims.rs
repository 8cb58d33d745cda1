//! Which objects of upstreams have had their usage booked, so that nothing that is told twice is booked twice.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

/// What the books know of an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// Its usage is booked; it must not be booked again.
    Booked,
    /// Nothing; whoever asked may book its usage, and nobody else.
    Fresh,
    /// The call that began it, without its usage; whoever asked may book that, and nobody else.
    Open,
}

/// The objects seen last, up to a bound.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    hashers: [RandomState; 2],
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    booked: HashMap<u128, bool, RandomState>,
    order: VecDeque<u128>,
}

impl Claims {
    /// Takes the usage of an object for the caller to book.
    pub(crate) fn claim(&self, upstream_id: &str) -> Claim {
        let key = self.key(upstream_id);
        let mut inside = self.lock();
        match inside.booked.get(&key) {
            Some(true) => Claim::Booked,
            Some(false) => {
                inside.see(key, true);
                Claim::Open
            }
            None => {
                inside.see(key, true);
                Claim::Fresh
            }
        }
    }

    /// Remembers an object of an entry, and whether its usage is booked there.
    pub(crate) fn see(&self, upstream_id: &str, booked: bool) {
        let key = self.key(upstream_id);
        self.lock().see(key, booked);
    }

    /// Two hashes with keys of their own: no two objects of one gate share them by chance.
    fn key(&self, upstream_id: &str) -> u128 {
        let [one, two] = &self.hashers;
        u128::from(one.hash_one(upstream_id)) << 64 | u128::from(two.hash_one(upstream_id))
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn see(&mut self, key: u128, booked: bool) {
        if let Some(known) = self.booked.get_mut(&key) {
            *known |= booked;
            return;
        }
        self.booked.insert(key, booked);
        self.order.push_back(key);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.booked.remove(&oldest);
        }
    }
}

/// About 4 MB.
const MOST: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_of_an_object_is_given_to_one_caller_only() {
        let claims = Claims::default();
        assert_eq!([claims.claim("a"), claims.claim("a")], [Claim::Fresh, Claim::Booked]);
        claims.see("b", false);
        assert_eq!([claims.claim("b"), claims.claim("b")], [Claim::Open, Claim::Booked]);
        claims.see("c", true);
        claims.see("c", false);
        assert_eq!(claims.claim("c"), Claim::Booked);
    }

    #[test]
    fn only_a_bounded_number_is_remembered() {
        let claims = Claims::default();
        for number in 0..=MOST {
            claims.see(&number.to_string(), true);
        }
        assert_eq!(claims.lock().booked.len(), MOST);
        assert_eq!(claims.claim("0"), Claim::Fresh);
        assert_eq!(claims.claim("2"), Claim::Booked);
    }
}
