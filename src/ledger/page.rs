//! Lists of entries, a page at a time.

use std::sync::Arc;

use jiff::Timestamp;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::ledger::entry::Entry;
use crate::ledger::ring::Kept;

/// Which entries to list.
#[derive(Clone, Debug)]
pub struct Query {
    /// Only those that began at or after this.
    pub since: Option<Timestamp>,
    /// At most so many; 0 lists none.
    pub limit: usize,
    /// Only those older than the page that gave this as `next`.
    pub cursor: Option<u64>,
    /// Only those with this model, under any of its names.
    pub model: Option<Box<str>>,
}

impl Query {
    /// Whether an entry is asked for, its place aside.
    pub(crate) fn wants(&self, entry: &Entry) -> bool {
        let named = |model: &str| {
            let names = [&entry.model.asked, &entry.model.sent, &entry.model.served];
            names.into_iter().any(|name| name.as_deref() == Some(model))
        };
        self.since.is_none_or(|since| entry.time >= since) && self.model.as_deref().is_none_or(named)
    }
}

impl Default for Query {
    fn default() -> Self {
        Self { since: None, limit: 100, cursor: None, model: None }
    }
}

/// Some entries, newest first: `{"entries":[...],"next":cursor}`.
#[derive(Clone, Debug)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Arc<Kept>>,
    /// The cursor of the page after this one; `None` where nothing older is listed.
    pub next: Option<u64>,
}

impl Serialize for Page {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries: Vec<&Entry> = self.entries.iter().map(|kept| &kept.entry).collect();
        let mut page = serializer.serialize_struct("Page", 2)?;
        page.serialize_field("entries", &entries)?;
        page.serialize_field("next", &self.next.map(|number| number.to_string()))?;
        page.end()
    }
}
