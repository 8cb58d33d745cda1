//! Lists of entries, a page at a time.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::ledger::entry::Entry;
use crate::ledger::filter::Want;
use crate::ledger::place::Place;
use crate::ledger::ring::Kept;

/// Which entries to list.
#[derive(Clone, Debug)]
pub struct Query {
    /// Only those that began at or after this.
    pub since: Option<Timestamp>,
    /// Only those that began before this.
    pub until: Option<Timestamp>,
    /// At most so many; 0 lists none.
    pub limit: usize,
    /// Only those older than the page that gave this as `next`.
    pub cursor: Option<Place>,
    /// Only those that were posted after the page that gave this as `newest`; only what is in memory is searched.
    pub after: Option<Mark>,
    /// Only those that fulfil all of these.
    pub wants: Vec<Want>,
}

impl Query {
    /// Whether an entry is asked for, in what was posted after [`Query::after`].
    pub(crate) fn takes(&self, entry: &Entry) -> bool {
        self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time < until)
            && !self.cursor.as_ref().is_some_and(|place| place.is_reached_by(entry))
            && self.wants.iter().all(|want| want.fits(entry))
    }
}

impl Default for Query {
    fn default() -> Self {
        Self { since: None, until: None, limit: 100, cursor: None, after: None, wants: Vec::new() }
    }
}

/// A moment in the order in which one process posts its entries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// Which process: when its books were opened, in milliseconds since 1970.
    pub books: i64,
    /// How many entries it had posted.
    pub posted: u64,
}

impl Mark {
    /// Reads what [`fmt::Display`] writes.
    pub fn read(text: &str) -> Option<Self> {
        let (books, posted) = text.split_once('.')?;
        Some(Self { books: books.parse().ok()?, posted: posted.parse().ok()? })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.books, self.posted)
    }
}

/// Some entries, newest first: `{"entries":[...],"next":cursor,"newest":mark}`.
#[derive(Clone, Debug)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Arc<Kept>>,
    /// The cursor of the page after this one; `None` where nothing older is listed.
    pub next: Option<Place>,
    /// The moment of the page in the order of posting; what comes later is found with [`Query::after`].
    pub newest: Mark,
    /// Why entries may be missing, where the journal could not be read.
    pub missing: Option<Box<str>>,
}

impl Page {
    /// Puts lists together, each of them newest first and one entry longer than the page if it can be.
    pub(crate) fn of(limit: usize, newest: Mark, recent: Vec<Arc<Kept>>, older: Vec<Arc<Kept>>) -> Self {
        let mut entries = recent;
        if !older.is_empty() {
            let known: HashSet<Arc<str>> = entries.iter().map(|kept| Arc::clone(&kept.entry.id)).collect();
            entries.extend(older.into_iter().filter(|kept| !known.contains(&kept.entry.id)));
            entries.sort_by(|a, b| b.place().cmp(&a.place()));
        }
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = if more { entries.last().map(|last| Place::of(&last.entry)) } else { None };
        Self { entries, next, newest, missing: None }
    }
}

impl Page {
    /// Its JSON without the entries: `{"next":cursor,"newest":mark}`.
    pub(crate) fn end(&self) -> String {
        let next = self.next.as_ref().map(Place::to_string);
        let mut end = json!({ "next": next, "newest": self.newest.to_string() });
        if let Some(missing) = &self.missing {
            end["missing"] = json!(missing);
        }
        end.to_string()
    }
}

impl Serialize for Page {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries: Vec<&Entry> = self.entries.iter().map(|kept| &kept.entry).collect();
        let members = if self.missing.is_some() { 4 } else { 3 };
        let mut page = serializer.serialize_struct("Page", members)?;
        page.serialize_field("entries", &entries)?;
        page.serialize_field("next", &self.next.as_ref().map(Place::to_string))?;
        page.serialize_field("newest", &self.newest.to_string())?;
        if let Some(missing) = &self.missing {
            page.serialize_field("missing", missing)?;
        }
        page.end()
    }
}
