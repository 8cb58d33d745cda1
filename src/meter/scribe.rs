//! Takes down what a reply says while it goes by, cheaply: most events are looked at only where their text is.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use serde_json::Value;

use crate::dialect::endpoint::Dialect;
use crate::meter::letters;
use crate::meter::skim::text_end;
use crate::meter::spoken::{self, Sure};
use crate::meter::transcript::Transcript;

/// Takes down what one reply says. What it gets wrong, or cannot read, makes the transcript doubtful.
#[derive(Debug)]
pub struct Scribe {
    dialect: Dialect,
    transcript: Transcript,
}

impl Scribe {
    /// For a stream of events in this dialect.
    pub fn stream(dialect: Dialect) -> Self {
        Self { dialect, transcript: Transcript::default() }
    }

    /// For a document in this dialect.
    pub fn document(dialect: Dialect) -> Self {
        let transcript = match dialect {
            // Nobody wrote what is in the others.
            Dialect::Chat | Dialect::Completion | Dialect::Responses => Transcript::of_document(dialect),
            _ => Transcript::default(),
        };
        Self { dialect, transcript }
    }

    /// The next bytes of the document.
    pub fn keep(&mut self, piece: &Bytes) {
        self.transcript.keep(piece);
    }

    /// The data of the next event.
    pub fn event(&mut self, data: &[u8]) {
        let taken = match self.dialect {
            Dialect::Chat => self.chat(data),
            Dialect::Completion => self.completion(data),
            Dialect::Responses => self.response(data),
            _ => return,
        };
        if taken.is_none() {
            self.thoroughly(data);
        }
    }

    /// What has been taken down.
    pub fn finish(self) -> Transcript {
        self.transcript
    }

    /// A chunk of a chat, if it is of the common form; `None` where it must be read as a whole.
    fn chat(&mut self, data: &[u8]) -> Option<()> {
        let Some(delta) = Place::of(&DELTA, data) else { return Some(()) };
        let mut walk = Walk { data, at: delta.value };
        let (mut said, mut sure) = (&b""[..], Sure::Yes);
        walk.take(b"{")?;
        while walk.take(b"}").is_none() {
            let key = walk.text()?;
            walk.take(b":")?;
            if walk.take(b"null").is_none() {
                let text = if key == b"tool_calls" { walk.arguments()? } else { walk.text()? };
                match key {
                    b"role" => {}
                    _ if text.is_empty() => {}
                    _ if !said.is_empty() => return None,
                    b"content" | b"refusal" => said = text,
                    b"tool_calls" | b"reasoning" | b"reasoning_content" => (said, sure) = (text, Sure::No),
                    _ => return None,
                }
            }
            walk.take(b",");
        }
        self.choice(data, delta.key..walk.at, &DELTA, said, sure)
    }

    /// A chunk of a completion, if it is of the common form.
    fn completion(&mut self, data: &[u8]) -> Option<()> {
        let Some(text) = Place::of(&TEXT, data) else { return Some(()) };
        let mut walk = Walk { data, at: text.value };
        let said = walk.text()?;
        self.choice(data, text.key..walk.at, &TEXT, said, Sure::Yes)
    }

    /// An event of a response, if it is of the common form.
    fn response(&mut self, data: &[u8]) -> Option<()> {
        let mut walk = Walk { data, at: Place::of(&KIND, data)?.value };
        let kind = walk.text().filter(|kind| kind.starts_with(b"response."))?;
        let Some(sure) = spoken::adds(kind) else {
            return if TELLING.contains(&kind) { None } else { Some(()) };
        };
        walk.at = Place::of(&DELTA, data)?.value;
        let said = walk.text()?;
        walk.at = Place::of(&OUTPUT_INDEX, data)?.value;
        let index = walk.number()?;
        self.say(index, said, sure);
        Some(())
    }

    /// Takes down what the only choice of a chunk says; `None` where it is not the only one, or has no index that can
    /// be seen at a glance.
    fn choice(&mut self, data: &[u8], span: Range<usize>, key: &Finder<'_>, said: &[u8], sure: Sure) -> Option<()> {
        let after = &data[span.end..];
        if Place::of(key, after).is_some() {
            return None;
        }
        let index = match number_before(&data[..span.start]) {
            Some(index) => index,
            None => {
                let mut walk = Walk { data: after, at: Place::of(&INDEX, after)?.value };
                walk.number()?
            }
        };
        self.say(index, said, sure);
        Some(())
    }

    /// Adds the text of a string that is still as it was written.
    fn say(&mut self, index: u32, raw: &[u8], sure: Sure) {
        if raw.is_empty() {
            return;
        }
        self.transcript.doubtful |= sure == Sure::No;
        let text = letters::text(raw);
        self.transcript.doubtful |= text.is_none();
        self.transcript.say(index, &text.unwrap_or_else(|| String::from_utf8_lossy(raw)));
    }

    fn thoroughly(&mut self, data: &[u8]) {
        match serde_json::from_slice::<Value>(data) {
            Ok(event) => spoken::event(self.dialect, &event, &mut self.transcript),
            Err(_) => self.transcript.doubtful = true,
        }
    }
}

/// Where a member of an object stands.
#[derive(Clone, Copy)]
struct Place {
    /// The opening quote of its key.
    key: usize,
    /// Its value, or the space before it.
    value: usize,
}

impl Place {
    /// The first member of this name, at any depth. Within a text its quotes would be escaped.
    fn of(name: &Finder<'_>, data: &[u8]) -> Option<Self> {
        name.find_iter(data).find_map(|key| {
            let behind = key + name.needle().len();
            let colon = behind + data[behind..].iter().position(|byte| !byte.is_ascii_whitespace())?;
            let is_key = data[colon] == b':' && (key == 0 || data[key - 1] != b'\\');
            is_key.then_some(Self { key, value: colon + 1 })
        })
    }
}

/// Goes through JSON, step by step, as long as it is as expected.
struct Walk<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// These bytes come next, maybe after some space.
    fn take(&mut self, bytes: &[u8]) -> Option<()> {
        let rest = self.data.get(self.at..)?.trim_ascii_start();
        rest.starts_with(bytes).then(|| self.at = self.data.len() - rest.len() + bytes.len())
    }

    /// A string, without its quotes.
    fn text(&mut self) -> Option<&'a [u8]> {
        self.take(b"\"")?;
        let rest = &self.data[self.at..];
        let end = text_end(rest, false).ok()?;
        self.at += end;
        Some(&rest[..end - 1])
    }

    fn number(&mut self) -> Option<u32> {
        self.take(b"")?;
        let rest = &self.data[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    }

    /// The arguments of the only call in a list, where nothing else is new.
    fn arguments(&mut self) -> Option<&'a [u8]> {
        self.take(b"[{\"index\":")?;
        self.number()?;
        self.take(b",\"function\":{\"arguments\":")?;
        let text = self.text()?;
        self.take(b"}}]")?;
        Some(text)
    }
}

/// The number of a choice that is written right before this place, as OpenAI writes it.
fn number_before(data: &[u8]) -> Option<u32> {
    let rest = data.strip_suffix(b",")?;
    let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (rest, digits) = rest.split_at(rest.len() - digits);
    rest.ends_with(b"{\"index\":").then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

/// Events of a response that add no text and yet say something.
const TELLING: [&[u8]; 4] =
    [b"response.output_item.added", b"response.completed", b"response.incomplete", b"response.failed"];

static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\""));
static INDEX: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"index\""));
static KIND: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"type\""));
static OUTPUT_INDEX: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"output_index\""));
static TEXT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"text\""));

#[cfg(test)]
mod tests;
