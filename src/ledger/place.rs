//! Where an entry stands in the lists: by the time when it began, then by its id.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::ledger::entry::Entry;

/// The place of an entry, the same in memory and in the journal, before and after a restart.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// When the attempt began.
    pub time: Timestamp,
    /// Its id.
    pub id: Arc<str>,
}

impl Place {
    /// That of an entry.
    pub(crate) fn of(entry: &Entry) -> Self {
        Self { time: entry.time, id: Arc::clone(&entry.id) }
    }

    /// Whether an entry stands before this place in a list that begins with the newest, or at it.
    pub(crate) fn is_reached_by(&self, entry: &Entry) -> bool {
        (entry.time, &*entry.id) >= (self.time, &*self.id)
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn read(text: &str) -> Option<Self> {
        let (time, id) = text.split_once('.')?;
        let usual = id.len() <= LONGEST && id.bytes().all(|byte| byte.is_ascii_graphic());
        let time = time.parse().ok().and_then(|time| Timestamp::from_nanosecond(time).ok())?;
        usual.then(|| Self { time, id: id.into() })
    }
}

impl fmt::Display for Place {
    /// Nanoseconds since 1970, and the id: a cursor of `/entries`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time.as_nanosecond(), self.id)
    }
}

/// Bytes of an id that somebody may name.
const LONGEST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_as_it_was_written_and_nothing_else_is_one() {
        for (time, id) in [("2026-11-22T12:00:00.123456789Z", "01ABC-2"), ("1969-12-31T23:59:59.5Z", "a.b")] {
            let place = Place { time: time.parse().unwrap(), id: id.into() };
            assert_eq!(Place::read(&place.to_string()), Some(place));
        }
        for text in
            ["", "5", "x.1", "1.a b", "1.é", "99999999999999999999999999999999.1", &format!("1.{}", "a".repeat(201))]
        {
            assert_eq!(Place::read(text), None, "{text}");
        }
    }
}
