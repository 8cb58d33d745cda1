//! Which clients have refused the gate's certificate, how often, and which of them are passed on unopened for a while.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::net::host::Host;

/// What all workers know of such clients; cheap to clone, and every clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Pinned(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    records: Mutex<HashMap<Client, Record>>,
    /// How many there are, so that nothing is locked as long as nobody refuses.
    count: AtomicUsize,
}

/// A client as far as it is told from others, and the host that it wants.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Client {
    /// The file of its program, or its address where no program is known.
    pub program: Arc<str>,
    /// Whether nobody else can be meant by that: a program of this machine that could not be found may be any.
    pub known: bool,
    /// Its label, which tells programs apart that share an interpreter.
    pub label: Option<Arc<str>>,
    /// The host.
    pub host: Host,
}

impl Client {
    /// Whether both may be the same.
    fn may_be(&self, other: &Self) -> bool {
        let named_alike = self.program == other.program || !self.known || !other.known;
        named_alike && self.label == other.label && self.host == other.host
    }
}

#[derive(Debug)]
struct Record {
    first: Instant,
    refusals: u32,
    bypassed_until: Option<Instant>,
}

/// What a refusal comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It may be chance.
    Single,
    /// It is the last of so many that the client will not take the certificate; a bypass begins, if it was asked for.
    Settled,
    /// That was said already.
    Again,
}

impl Pinned {
    /// Notes that a client refused the certificate, `bypass` being what it gets if it does not stop.
    pub fn refused(&self, client: &Client, now: Instant, bypass: Option<Duration>) -> Refusal {
        let mut records = self.0.records.lock().unwrap_or_else(PoisonError::into_inner);
        if !records.contains_key(client) && records.len() >= MOST {
            records.retain(|_, record| !record.is_over(now));
            // As long as too many are remembered, whoever comes new gets no bypass.
            if records.len() >= MOST {
                return Refusal::Single;
            }
        }
        let record = records.entry(client.clone()).or_insert_with(|| Record::new(now));
        if record.is_over(now) {
            *record = Record::new(now);
        }
        record.refusals = record.refusals.saturating_add(1);
        let refusal = match record.refusals {
            ..ENOUGH => Refusal::Single,
            ENOUGH => Refusal::Settled,
            _ => Refusal::Again,
        };
        if refusal == Refusal::Settled {
            record.bypassed_until = bypass.and_then(|bypass| now.checked_add(bypass));
        }
        self.0.count.store(records.len(), Ordering::Release);
        refusal
    }

    /// Notes that a client took the certificate: what it refused before was no principle.
    pub fn accepted(&self, client: &Client) {
        let mut records = self.0.records.lock().unwrap_or_else(PoisonError::into_inner);
        // A bypass runs to its end: connections that began before it may still speak.
        records.retain(|other, record| record.bypassed_until.is_some() || !client.may_be(other));
        self.0.count.store(records.len(), Ordering::Release);
    }

    /// Whether the client is passed on unopened at this moment.
    pub fn bypasses(&self, client: &Client, now: Instant) -> bool {
        let records = self.0.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.get(client).and_then(|record| record.bypassed_until).is_some_and(|until| now < until)
    }

    /// Forgets a client whose bypass has ended; whether there was one that has.
    pub fn end(&self, client: &Client, now: Instant) -> bool {
        let mut records = self.0.records.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = records.get(client).is_some_and(|record| record.bypassed_until.is_some() && record.is_over(now));
        if ended {
            records.remove(client);
        }
        self.0.count.store(records.len(), Ordering::Release);
        ended
    }

    /// Whether nobody refuses.
    pub fn is_empty(&self) -> bool {
        self.0.count.load(Ordering::Acquire) == 0
    }
}

impl Record {
    fn new(first: Instant) -> Self {
        Self { first, refusals: 0, bypassed_until: None }
    }

    fn is_over(&self, now: Instant) -> bool {
        match self.bypassed_until {
            Some(until) => now >= until,
            None => now.saturating_duration_since(self.first) >= WINDOW,
        }
    }
}

/// Refusals without a success between them, after which they are no chance any more.
pub const ENOUGH: u32 = 3;

/// In which time they must come.
const WINDOW: Duration = Duration::from_secs(600);

/// Clients, each with a host, that are remembered.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn client(program: &str) -> Client {
        Client { program: program.into(), known: true, label: None, host: "api.openai.com".parse().unwrap() }
    }

    const TEN: Option<Duration> = Some(Duration::from_secs(10));

    #[test]
    fn three_refusals_begin_a_bypass_that_ends_by_itself() {
        let (pinned, begun) = (Pinned::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert!(pinned.is_empty());
        for (second, refusal) in [(0, Refusal::Single), (1, Refusal::Single), (2, Refusal::Settled)] {
            assert!(!pinned.bypasses(&client("a"), at(second)));
            assert_eq!(pinned.refused(&client("a"), at(second), TEN), refusal, "{second}");
        }
        assert!(pinned.bypasses(&client("a"), at(2)) && pinned.bypasses(&client("a"), at(11)));
        assert!(!pinned.bypasses(&client("a"), at(12)));
        // Nobody else, and no other host.
        let other_host = Client { host: "eu.api.openai.com".parse().unwrap(), ..client("a") };
        let other_label = Client { label: Some("x".into()), ..client("a") };
        for other in [client("b"), other_host, other_label] {
            assert!(!pinned.bypasses(&other, at(3)), "{other:?}");
        }
        assert!(!pinned.end(&client("a"), at(11)) && pinned.end(&client("a"), at(12)));
        assert!(pinned.is_empty() && !pinned.end(&client("a"), at(13)));
        assert_eq!(pinned.refused(&client("a"), at(14), TEN), Refusal::Single);
    }

    #[test]
    fn a_success_between_or_too_long_a_time_makes_refusals_chance() {
        let (pinned, begun) = (Pinned::default(), Instant::now());
        for _ in 0..10 {
            assert_eq!(pinned.refused(&client("a"), begun, TEN), Refusal::Single);
            assert_eq!(pinned.refused(&client("a"), begun, TEN), Refusal::Single);
            pinned.accepted(&client("a"));
            assert!(pinned.is_empty());
        }
        for round in 0..10 {
            let at = begun + WINDOW * round;
            assert_eq!(pinned.refused(&client("a"), at, TEN), Refusal::Single);
            assert_eq!(pinned.refused(&client("a"), at + WINDOW / 2, TEN), Refusal::Single);
        }
        // Of another client or host it says nothing.
        pinned.accepted(&client("b"));
        pinned.accepted(&Client { label: Some("x".into()), ..client("a") });
        assert!(!pinned.is_empty());
        // A success of nobody knows whom may be its own, and its own makes the refusals of nobody knows whom chance.
        let unknown = Client { known: false, ..client("127.0.0.1") };
        pinned.accepted(&unknown);
        assert!(pinned.is_empty());
        pinned.refused(&unknown, begun, TEN);
        pinned.accepted(&client("a"));
        assert!(pinned.is_empty());
    }

    #[test]
    fn it_is_said_once_in_a_while_where_there_is_no_bypass() {
        let (pinned, begun) = (Pinned::default(), Instant::now());
        let said = |at| pinned.refused(&client("a"), at, None);
        assert_eq!([0; 5].map(|_| said(begun)), {
            use Refusal::{Again, Settled, Single};
            [Single, Single, Settled, Again, Again]
        });
        assert!(!pinned.bypasses(&client("a"), begun));
        assert_eq!(said(begun + WINDOW), Refusal::Single);
    }

    #[test]
    fn no_crowd_makes_it_remember_without_end_or_forget_a_bypass() {
        let (pinned, now) = (Pinned::default(), Instant::now());
        for _ in 0..ENOUGH {
            pinned.refused(&client("first"), now, TEN);
        }
        for number in 0..3 * MOST {
            assert_eq!(pinned.refused(&client(&number.to_string()), now, TEN), Refusal::Single);
        }
        assert_eq!(pinned.0.records.lock().unwrap().len(), MOST);
        assert!(pinned.bypasses(&client("first"), now));
        // Those whose time is over make room.
        pinned.refused(&client("new"), now + WINDOW, TEN);
        assert_eq!(pinned.0.records.lock().unwrap().len(), 1);
    }
}
