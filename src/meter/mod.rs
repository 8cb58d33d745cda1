//! What watches the bytes of a reply and reads usage from them.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::dialect::endpoint::Dialect;
use crate::dialect::sse::{Event, Splitter};
use crate::meter::reading::{Draft, Reading, is_last};
use crate::meter::scan::Scanner;
use crate::meter::scribe::Scribe;

mod letters;
mod mend;
pub mod reading;
pub mod scan;
pub mod scribe;
mod skim;
mod spoken;
pub mod transcript;
pub mod usage;

/// Watches one reply. It never fails: what it cannot read is passed over or flagged.
#[derive(Debug)]
pub struct Meter {
    /// `None` for a reply that is one document.
    splitter: Option<Splitter>,
    watch: Watch,
}

impl Meter {
    /// For a reply that is one JSON document.
    pub fn json() -> Self {
        Self { splitter: None, watch: Watch::default() }
    }

    /// For a stream of server-sent events.
    pub fn stream() -> Self {
        Self { splitter: Some(Splitter::new()), watch: Watch::default() }
    }

    /// The same, that also takes down what a reply in this dialect says, until its usage is known.
    #[must_use]
    pub fn taking_down(mut self, dialect: Dialect) -> Self {
        let streamed = self.splitter.is_some();
        self.watch.scribe = Some(if streamed { Scribe::stream(dialect) } else { Scribe::document(dialect) });
        self
    }

    /// Takes the next bytes of the upstream's own body, without any content coding.
    pub fn feed(&mut self, bytes: &Bytes) {
        let Self { splitter, watch } = self;
        match splitter {
            None => {
                watch.scanner.feed(bytes);
                if let Some(scribe) = &mut watch.scribe {
                    scribe.keep(bytes);
                }
            }
            Some(splitter) => splitter.feed(bytes.clone(), |event| watch.event(&event)),
        }
    }

    /// Takes the next event of a stream that the caller splits; not to be mixed with [`Meter::feed`].
    pub fn event(&mut self, event: &Event) {
        self.watch.event(event);
    }

    /// At the end of the body, or where it broke off.
    pub fn finish(self) -> Reading {
        let Self { splitter, mut watch } = self;
        let Some(splitter) = splitter else {
            watch.draft.absorb(&watch.scanner);
            watch.draft.reading.terminal = watch.scanner.is_complete();
            return watch.finish();
        };
        if let Some(event) = splitter.finish() {
            watch.event(&event);
        }
        watch.finish()
    }
}

/// Reads those events that can say something new.
#[derive(Debug, Default)]
struct Watch {
    scanner: Scanner,
    draft: Draft,
    /// How many events were read for a model and an id. Some streams never name them.
    tries: u8,
    /// The bytes behind the last `"service_tier"` key that was read.
    tier: Box<[u8]>,
    /// Takes down what is said, as long as nobody has told what it costs.
    scribe: Option<Scribe>,
}

impl Watch {
    fn event(&mut self, event: &Event) {
        if event.is_opaque() {
            self.draft.reading.flaw = Some("an event was too large to be read");
            return;
        }
        let Some(data) = event.data() else { return };
        if data.starts_with(b"[DONE]") {
            self.draft.reading.terminal = true;
            return;
        }
        if event.raw.starts_with(b"event") && event.name().is_some_and(is_last) {
            self.draft.reading.terminal = true;
        }
        if self.wants(&data) {
            self.scanner.restart();
            self.scanner.feed(&data);
            self.draft.absorb(&self.scanner);
            if self.draft.reading.usage.is_some_and(|usage| reading::counts(&usage)) {
                self.scribe = None;
            }
        }
        if let Some(scribe) = &mut self.scribe {
            scribe.event(&data);
        }
    }

    fn finish(self) -> Reading {
        let mut reading = self.draft.finish();
        let known = reading.usage.is_some_and(|usage| reading::counts(&usage));
        reading.transcript = self.scribe.filter(|_| !known).map(|scribe| Box::new(scribe.finish()));
        reading
    }

    /// A cheap look that lets most events of a stream go by unread.
    fn wants(&mut self, data: &[u8]) -> bool {
        // No shortcuts: each of these remembers what it saw.
        let named = self.lacks_a_name();
        let tier = self.brings_a_tier(data);
        named || tier || has_usage(data) || ERROR.find(data).is_some()
    }

    fn lacks_a_name(&mut self) -> bool {
        let Reading { served_model, upstream_id, .. } = &self.draft.reading;
        let lacks = served_model.is_none() || upstream_id.is_none();
        let tries = lacks && self.tries < MOST_TRIES;
        self.tries += u8::from(tries);
        tries
    }

    fn brings_a_tier(&mut self, data: &[u8]) -> bool {
        let Some(at) = TIER.find(data) else { return false };
        let behind = &data[at + TIER.needle().len()..];
        if !self.tier.is_empty() && behind.starts_with(&self.tier) {
            return false;
        }
        let near = &behind[..behind.len().min(LONGEST_TIER)];
        let end = near.iter().position(|byte| matches!(byte, b',' | b'}'));
        self.tier = end.map_or_else(Box::default, |end| near[..=end].into());
        true
    }
}

/// Whether there is a `usage` member that is not null.
fn has_usage(data: &[u8]) -> bool {
    USAGE.find_iter(data).any(|at| {
        let behind = data[at + USAGE.needle().len()..].trim_ascii_start();
        behind.strip_prefix(b":").is_some_and(|value| !value.trim_ascii_start().starts_with(b"n"))
    })
}

/// A model and an id are in the first events or nowhere.
const MOST_TRIES: u8 = 16;
const LONGEST_TIER: usize = 64;

static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));
static TIER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"service_tier\""));
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));

#[cfg(test)]
mod tests;
