//! What the meter found in a reply, gathered document by document.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::meter::extra::Extra;
use crate::meter::field::Field;
use crate::meter::scan::{Found, Scanner};
use crate::meter::sight::Sight;
use crate::meter::transcript::Transcript;
use crate::meter::usage::{self, Nonsense};
use crate::units::{Basis, Usage};

/// What was found in a reply.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Token counts that the upstream reported.
    pub usage: Option<Usage>,
    /// The usage object that the counts come from, or the one that was not believed, verbatim.
    pub raw_usage: Option<Box<RawValue>>,
    /// `Reported` if there is usage, `Estimated` where it had to be rounded, else `None`.
    pub basis: Basis,
    /// The model that the reply names, at most 128 bytes.
    pub served_model: Option<Box<str>>,
    /// The service tier that the reply names, at most 128 bytes.
    pub tier: Option<Box<str>>,
    /// The id of the reply object, at most 128 bytes.
    pub upstream_id: Option<Box<str>>,
    /// Whether the reply came to its own end: `[DONE]` or a last event, or a document with its closing brace.
    pub terminal: bool,
    /// The code or type of the first error in the reply, or `error`; never its message.
    pub error: Option<Box<str>>,
    /// Why the reading is not to be trusted fully.
    pub flaw: Option<&'static str>,
    /// What only some kinds of replies say.
    pub extra: Extra,
    /// What the reply says, where that was taken down and no usage that counts anything was told.
    pub transcript: Option<Box<Transcript>>,
}

/// A reading while it is being made.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) reading: Reading,
    sight: Sight,
    /// Tools that were used, by the last document that lists them.
    tools: Tools,
    /// The usage object that was weighed last.
    raw: Vec<u8>,
    /// Its seconds had a fraction.
    rounded: bool,
}

/// How often a model used the tools that are charged by their use.
#[derive(Clone, Copy, Debug, Default)]
struct Tools {
    /// As the reply counts them.
    told: Option<u64>,
    web_searches: u64,
    file_searches: u64,
    code_sessions: u64,
}

impl Draft {
    /// Before a reply that may hold this.
    pub(super) fn new(sight: Sight) -> Self {
        Self { sight, ..Self::default() }
    }

    /// Adds what one document of the reply says: the first id and model, the last tier, the last usage.
    pub(super) fn absorb(&mut self, document: &Scanner) {
        let reading = &mut self.reading;
        if self.sight == Sight::Runs && is_part_of_run(document) {
            return;
        }
        reading.extra.absorb(document, self.sight);
        if reading.upstream_id.is_none() {
            reading.upstream_id = document.find(Field::Id).and_then(name);
        }
        if reading.served_model.is_none() {
            reading.served_model = document.find(Field::Model).and_then(name);
        }
        if let Some(tier) = document.find(Field::Tier).and_then(name) {
            reading.tier = Some(tier);
        }
        if reading.error.is_none() {
            reading.error = error(document);
        }
        reading.terminal |= plain(document.top(Field::Kind)).is_some_and(is_last);
        match document.find(Field::Usage) {
            Some(Found::Raw(raw)) => self.weigh(raw),
            Some(Found::TooLong) => self.refuse(Nonsense::TooLong, b""),
            None => {}
        }
        self.look_at_tools(document);
    }

    fn look_at_tools(&mut self, document: &Scanner) {
        if let Some(list) = document.list().filter(|list| self.sight == Sight::Output && list.found.came) {
            let found = &list.found;
            self.tools = Tools {
                told: self.tools.told,
                web_searches: found.web_searches,
                file_searches: found.file_searches,
                code_sessions: found.code_sessions,
            };
        }
        let Some(Found::Raw(raw)) = document.find(Field::Tools) else { return };
        match usage::web_searches(raw) {
            Ok(told) => self.tools.told = told.or(self.tools.told),
            Err(nonsense) => self.reading.flaw = Some(nonsense.text()),
        }
    }

    /// The last usage that counts something wins; usage is never summed.
    fn weigh(&mut self, raw: &[u8]) {
        let usage = match usage::read(raw) {
            Ok(usage) => usage,
            Err(nonsense) => return self.refuse(nonsense, raw),
        };
        if usage == Usage::default() || !counts(&usage) && self.reading.usage.as_ref().is_some_and(counts) {
            return;
        }
        self.reading.usage = Some(usage);
        self.rounded = usage.seconds.is_some() && usage::is_rounded(raw);
        self.keep(raw);
    }

    /// The upstream's last word makes no sense, so what it said before is no longer its bill.
    fn refuse(&mut self, nonsense: Nonsense, raw: &[u8]) {
        self.reading.usage = None;
        self.reading.flaw = Some(nonsense.text());
        self.keep(raw);
    }

    fn keep(&mut self, raw: &[u8]) {
        self.raw.clear();
        self.raw.extend_from_slice(raw);
    }

    pub(super) fn finish(mut self) -> Reading {
        let used = |count: u64| (count > 0).then_some(count);
        self.reading.extra.tools = Usage {
            web_searches: self.tools.told.or(used(self.tools.web_searches)),
            file_searches: used(self.tools.file_searches),
            code_sessions: used(self.tools.code_sessions),
            ..Usage::default()
        };
        if let Some(usage) = self.reading.usage {
            self.reading.basis = if self.rounded { Basis::Estimated } else { Basis::Reported };
            if self.rounded {
                self.reading.flaw.get_or_insert(ROUNDED);
            }
            self.reading.usage = Some(usage.with_tools_of(&self.reading.extra.tools));
        }
        self.reading.raw_usage = serde_json::from_slice(&self.raw).ok();
        self.reading
    }
}

/// Whether this event type is the last of its stream.
pub(super) fn is_last(kind: &str) -> bool {
    LAST.contains(&kind)
}

/// Whether there is anything but zeros in it.
pub(super) fn counts(usage: &Usage) -> bool {
    usage.total() > 0 || usage.seconds.is_some_and(|seconds| seconds > 0)
}

/// Whether the document is about a step, a message or the thread of a run, all of which have ids of their own.
fn is_part_of_run(document: &Scanner) -> bool {
    plain(document.top(Field::Object)).is_some_and(|object| object.starts_with("thread") && object != "thread.run")
}

/// A string that is not empty, cut at 128 bytes.
pub(super) fn name(found: Found<'_>) -> Option<Box<str>> {
    let Found::Raw(raw) = found else { return None };
    let text: Cow<'_, str> = match plain(Some(found)) {
        Some(text) => text.into(),
        None => serde_json::from_slice::<String>(raw).ok()?.into(),
    };
    let end = (0..=text.len().min(LONGEST_NAME)).rev().find(|&end| text.is_char_boundary(end))?;
    (!text.is_empty()).then(|| text[..end].into())
}

/// The content of a string that has no escape in it.
pub(super) fn plain(found: Option<Found<'_>>) -> Option<&str> {
    let Some(Found::Raw(raw)) = found else { return None };
    let text = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    std::str::from_utf8(text).ok().filter(|text| !text.contains('\\'))
}

/// The label of the error that a document reports, in any of the forms that servers have for it.
fn error(document: &Scanner) -> Option<Box<str>> {
    match document.find(Field::Error) {
        Some(Found::Raw(raw)) if !FALSY.contains(&raw) => return Some(error_label(raw)),
        Some(Found::TooLong) => return Some(UNNAMED.into()),
        _ => {}
    }
    let says_so = |field| plain(document.top(field)) == Some(UNNAMED);
    if !says_so(Field::Kind) && !says_so(Field::Object) {
        return None;
    }
    let labels = [document.top(Field::Code), document.top(Field::Kind)];
    let mut raws = labels.into_iter().filter_map(|found| match found {
        Some(Found::Raw(raw)) => std::str::from_utf8(raw).ok(),
        _ => None,
    });
    Some(raws.find_map(label).unwrap_or(UNNAMED.into()))
}

fn error_label(raw: &[u8]) -> Box<str> {
    let Ok(fault) = serde_json::from_slice::<Fault<'_>>(raw) else { return UNNAMED.into() };
    let labels = [fault.code, fault.kind].into_iter().flatten();
    labels.map(RawValue::get).find_map(label).unwrap_or(UNNAMED.into())
}

/// A string that looks like an identifier, or a number. Anything else could be a message.
fn label(raw: &str) -> Option<Box<str>> {
    let text = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let text = text.or_else(|| raw.parse::<i64>().is_ok().then_some(raw))?;
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte));
    (plain && (1..=LONGEST_NAME).contains(&text.len())).then(|| text.into())
}

/// What names an error object.
#[derive(Deserialize)]
struct Fault<'a> {
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

const LONGEST_NAME: usize = 128;
const UNNAMED: &str = "error";
const ROUNDED: &str = "usage counts parts of a second, which were rounded up";
/// Values of `error` that say that there is none.
const FALSY: [&[u8]; 4] = [b"null", b"false", b"\"\"", b"{}"];
const LAST: [&str; 7] = [
    "image_edit.completed",
    "image_generation.completed",
    "response.completed",
    "response.failed",
    "response.incomplete",
    "speech.audio.done",
    "transcript.text.done",
];
