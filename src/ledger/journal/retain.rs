//! Removes what is older than the owner wants to keep, a little at a time.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use crate::ledger::key::{hour_of, hour_start};

/// Decides what is too old.
#[derive(Debug)]
pub(super) struct Retention {
    keep: SignedDuration,
    /// The two clocks when it began: where they drift apart, the calendar is not to be believed.
    started: (Timestamp, Instant),
    /// How long it waits before it believes a clock that makes everything too old.
    doubt: Duration,
}

impl Retention {
    /// Keeps entries for `keep`; `newest` is when the last of them began.
    pub(super) fn new(keep: Duration, newest: Option<Timestamp>) -> Self {
        let now = Timestamp::now();
        let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
        let all_gone = newest.is_some_and(|newest| now.duration_since(newest) > keep);
        let doubt = if all_gone { DOUBT } else { Duration::ZERO };
        Self { keep, started: (now, Instant::now()), doubt }
    }

    /// What began before this is too old; `None` while the clock is in doubt.
    pub(super) fn limit(&self, now: Timestamp) -> Option<Timestamp> {
        let (wall, steady) = self.started;
        let passed = steady.elapsed();
        let drift = now.duration_since(wall) - SignedDuration::try_from(passed).ok()?;
        if drift.abs() > DRIFT || passed < self.doubt {
            return None;
        }
        now.checked_sub(self.keep).ok()
    }
}

/// Removes some entries from before `limit`, and the sums of their hours after the last of them; whether more is to do.
pub(super) fn step(connection: &mut Connection, limit: Timestamp) -> rusqlite::Result<bool> {
    let transaction = connection.transaction()?;
    let gone = transaction.execute(
        "DELETE FROM entries WHERE seq IN (SELECT seq FROM entries WHERE time_ms < ? ORDER BY time_ms LIMIT ?)",
        (limit.as_millisecond(), STEP),
    )?;
    let more = i64::try_from(gone).is_ok_and(|gone| gone >= STEP);
    if !more {
        transaction.execute("DELETE FROM hours WHERE hour < ?", [first_kept(limit)])?;
    }
    transaction.commit()?;
    if gone > 0 {
        // Gives the room back, at most so many pages at a time.
        let mut pages = connection.prepare("PRAGMA incremental_vacuum(500)")?;
        let mut rows = pages.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(more)
}

/// The first hour that is kept: that of the limit itself, as long as some of it is.
pub(super) fn first_kept(limit: Timestamp) -> i64 {
    let hour = hour_of(limit);
    debug_assert!(hour_start(hour) <= limit, "an hour begins before it goes on");
    hour
}

/// Entries that are removed at a time.
const STEP: i64 = if cfg!(test) { 3 } else { 500 };

/// The clocks drift apart while a machine sleeps, but hardly for a month.
const DRIFT: SignedDuration = SignedDuration::from_hours(30 * 24);

const DOUBT: Duration = Duration::from_secs(86_400);
