//! What watches the bytes of a reply and reads usage from them.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::dialect::endpoint::Dialect;
use crate::dialect::sse::{Event, Splitter};
use crate::meter::captions::Captions;
use crate::meter::list::List;
use crate::meter::reading::{Draft, Reading, is_last};
use crate::meter::scan::Scanner;
use crate::meter::scribe::Scribe;
use crate::meter::sight::Sight;

mod captions;
pub mod conversation;
pub mod extra;
pub mod field;
pub mod frames;
mod letters;
pub mod list;
mod mend;
pub mod reading;
pub mod scan;
pub mod scribe;
pub mod sight;
mod skim;
mod spoken;
pub mod transcript;
pub mod usage;

/// Watches one reply. It never fails: what it cannot read is passed over or flagged.
#[derive(Debug)]
pub struct Meter {
    form: Form,
    watch: Watch,
}

/// How a reply is written.
#[derive(Debug)]
enum Form {
    /// One JSON document.
    Document,
    /// Server-sent events.
    Events(Splitter),
    /// Text.
    Text(Captions),
}

impl Meter {
    /// For a reply that is one JSON document.
    pub fn json() -> Self {
        Self { form: Form::Document, watch: Watch::default() }
    }

    /// For a stream of server-sent events.
    pub fn stream() -> Self {
        Self { form: Form::Events(Splitter::new()), watch: Watch::default() }
    }

    /// For a reply that is text.
    pub fn text() -> Self {
        Self { form: Form::Text(Captions::default()), watch: Watch::default() }
    }

    /// The same, with an eye on what such a reply may hold beside its usage.
    #[must_use]
    pub fn seeing(mut self, sight: Sight) -> Self {
        if let Some(list) = List::of(sight) {
            self.watch.scanner = Scanner::listing(list);
        }
        self.watch.draft = Draft::new(sight);
        self
    }

    /// The same, that also takes down what a reply in this dialect says, until its usage is known.
    #[must_use]
    pub fn taking_down(mut self, dialect: Dialect) -> Self {
        let streamed = matches!(self.form, Form::Events(_));
        self.watch.scribe = Some(if streamed { Scribe::stream(dialect) } else { Scribe::document(dialect) });
        self
    }

    /// Takes the next bytes of the upstream's own body, without any content coding.
    pub fn feed(&mut self, bytes: &Bytes) {
        let Self { form, watch } = self;
        match form {
            Form::Document => {
                watch.scanner.feed(bytes);
                if let Some(scribe) = &mut watch.scribe {
                    scribe.keep(bytes);
                }
            }
            Form::Events(splitter) => splitter.feed(bytes.clone(), |event| watch.event(&event)),
            Form::Text(captions) => captions.feed(bytes),
        }
    }

    /// Takes the next event of a stream that the caller splits; not to be mixed with [`Meter::feed`].
    pub fn event(&mut self, event: &Event) {
        self.watch.event(event);
    }

    /// At the end of the body, or where it broke off.
    pub fn finish(self) -> Reading {
        let Self { form, mut watch } = self;
        match form {
            Form::Document => {
                watch.draft.absorb(&watch.scanner);
                watch.draft.reading.terminal = watch.scanner.is_complete();
            }
            Form::Events(splitter) => {
                if let Some(event) = splitter.finish() {
                    watch.event(&event);
                }
            }
            Form::Text(captions) => watch.draft.reading.extra.captions = captions.end(),
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
