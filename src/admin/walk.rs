//! A list of entries of any length, read page by page as fast as its reader takes it.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::admin::answer::escaped;
use crate::admin::desk::Desk;
use crate::admin::parameters::Format;
use crate::ledger::entry::Entry;
use crate::ledger::page::{Page, Query};
use crate::ledger::{Ledger, csv};

/// A list on its way.
#[derive(Debug)]
pub(crate) struct Walk {
    ledger: Ledger,
    desk: Desk,
    format: Format,
    /// What to ask for after `page`.
    query: Query,
    /// How many entries may follow `page`.
    left: usize,
    page: Option<Page>,
    begun: bool,
}

impl Walk {
    /// Reads the first page; `None` if that is impossible.
    pub(crate) async fn begin(ledger: Ledger, desk: Desk, query: Query, format: Format) -> Option<Self> {
        let left = query.limit;
        let mut walk = Self { ledger, desk, format, query, left, page: None, begun: false };
        walk.read().await?;
        Some(walk)
    }

    /// Why entries may be missing from the first page.
    pub(crate) fn missing(&self) -> Option<&str> {
        self.page.as_ref()?.missing.as_deref()
    }

    /// The cursor of what follows a list that is one page.
    pub(crate) fn only_page_leads_to(&self) -> Option<String> {
        let next = self.page.as_ref()?.next.as_ref();
        next.filter(|_| self.left == 0).map(ToString::to_string)
    }

    /// The list as bytes; it breaks off where it cannot be continued, so that nobody takes a part for the whole.
    pub(crate) fn body(self) -> Body {
        if let Some(page) = self.page.as_ref().filter(|page| self.left == 0 || page.next.is_none()) {
            return self.text(page, false).into();
        }
        Body::from_stream(stream::try_unfold(self, Self::step))
    }

    async fn step(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let Some(page) = self.page.take() else { return Ok(None) };
        let more = self.left > 0 && page.next.is_some();
        let text = self.text(&page, more);
        self.begun = true;
        if more {
            self.query.cursor = page.next;
            drop(page.entries);
            self.read().await.ok_or_else(|| io::Error::other("the books could not be read"))?;
            if let Some(missing) = self.missing() {
                return Err(io::Error::other(missing.to_owned()));
            }
        }
        Ok(Some((Bytes::from(text), self)))
    }

    async fn read(&mut self) -> Option<()> {
        let limit = self.left.min(PAGE);
        self.left -= limit;
        let (ledger, query) = (self.ledger.clone(), Query { limit, ..self.query.clone() });
        self.page = Some(self.desk.ask(move || ledger.entries(&query)).await?);
        Some(())
    }

    /// A page in its form; `more` pages follow or none.
    fn text(&self, page: &Page, more: bool) -> String {
        let entries = page.entries.iter().map(|kept| &kept.entry);
        match self.format {
            Format::Csv => {
                let header = if self.begun { String::new() } else { csv::header() };
                header + &entries.filter_map(csv::line).collect::<String>()
            }
            Format::Json => self.members(page, more),
            Format::JsonLines => entries.filter_map(line).collect(),
        }
    }

    /// A part of `{"entries":[...],"next":cursor,"newest":mark}`.
    fn members(&self, page: &Page, more: bool) -> String {
        let entries: Vec<String> = page.entries.iter().filter_map(|kept| object(&kept.entry)).collect();
        let mut text = String::from(match (self.begun, entries.is_empty()) {
            (false, _) => "{\"entries\":[",
            (true, false) => ",",
            (true, true) => "",
        });
        text.push_str(&entries.join(","));
        if !more {
            let end = page.end();
            text.push_str("],");
            text.push_str(escaped(&end).trim_start_matches('{'));
        }
        text
    }
}

/// An entry as one line of JSON; an upstream's own usage object is kept verbatim and may span lines.
pub(crate) fn line(entry: &Entry) -> Option<String> {
    Some(object(entry)?.replace(['\n', '\r'], " ") + "\n")
}

fn object(entry: &Entry) -> Option<String> {
    serde_json::to_string(entry).ok().map(|text| escaped(&text))
}

/// Entries that are in memory at once.
const PAGE: usize = 1000;
