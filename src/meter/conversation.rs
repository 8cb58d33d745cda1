//! What the events of a conversation over a WebSocket say about turns and what they used.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::endpoint::Socket;
use crate::meter::field::Field;
use crate::meter::reading::{Draft, Reading, name, plain};
use crate::meter::scan::Scanner;

/// Reads the events of one connection, both ways.
#[derive(Debug)]
pub struct Conversation {
    socket: Socket,
    scanner: Scanner,
    /// The model of the session, as the upstream names it, or else as the client asked for it.
    model: Option<Box<str>>,
    /// The model that writes down what the client says.
    transcriber: Option<Box<str>>,
    asked: Asked,
    /// Seconds of the session so far.
    lasted: Draft,
}

/// What the client asked for in its last request for a turn.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The model.
    pub model: Option<Box<str>>,
    /// The service tier.
    pub tier: Option<Box<str>>,
}

/// What an event of the upstream says.
#[derive(Debug)]
pub enum Told {
    /// A turn has begun, with the id of its response.
    Begun(Option<Box<str>>),
    /// A turn has ended, by itself or by an error.
    Ended {
        /// Its model, usage and so on.
        reading: Box<Reading>,
        /// Whether the upstream says that it failed.
        failed: bool,
    },
    /// A request brought an error, in the place of a turn or of its end.
    Failed(Box<Reading>),
    /// The session has lasted for some seconds; see [`Conversation::lasted`].
    Lasted,
    /// Something that the client said was written down, by a model of its own.
    Transcribed(Box<Reading>),
}

impl Conversation {
    /// Before the first event.
    pub fn new(socket: Socket) -> Self {
        Self {
            socket,
            scanner: Scanner::new(),
            model: None,
            transcriber: None,
            asked: Asked::default(),
            lasted: Draft::default(),
        }
    }

    /// What the client asked for last.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Takes an event of the client.
    pub fn said(&mut self, event: &[u8]) {
        if !CREATE.find(event).is_some_and(|_| self.socket == Socket::Responses) && SESSION.find(event).is_none() {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Request<'_>>(event) else { return };
        match event.kind.as_deref() {
            Some("response.create") => {
                // Some clients put what they ask for into a member of its own.
                let inner = event.response.unwrap_or_default();
                let model = event.model.or(inner.model);
                if model.is_some() {
                    self.asked.model = model.as_deref().map(cut);
                }
                self.asked.tier = event.service_tier.or(inner.service_tier).as_deref().map(cut);
            }
            Some("session.start" | "session.update" | "transcription_session.update") => {
                if let Some(session) = event.session {
                    self.configure(&session);
                }
            }
            _ => {}
        }
    }

    /// Takes an event of the upstream.
    pub fn heard(&mut self, event: &[u8]) -> Option<Told> {
        let wanted = [&RESPONSE, &USAGE, &SESSION, &ERROR];
        if wanted.into_iter().all(|word| word.find(event).is_none()) {
            return None;
        }
        self.read(event, false)
    }

    /// The seconds that the session has lasted, where the upstream counts them.
    ///
    /// Every count includes those before it, so that the last one is all of it.
    pub fn lasted(&mut self) -> Option<Reading> {
        let mut reading = std::mem::take(&mut self.lasted).finish();
        reading.served_model.clone_from(&self.model);
        (reading.usage.is_some() || reading.flaw.is_some()).then_some(reading)
    }

    fn read(&mut self, event: &[u8], nested: bool) -> Option<Told> {
        self.scanner.restart();
        self.scanner.feed(event);
        let kind = plain(self.scanner.top(Field::Kind))?;
        match kind {
            "response.created" => Some(Told::Begun(self.scanner.inner(Field::Id).and_then(name))),
            "response.completed" | "response.done" | "response.failed" | "response.incomplete" => {
                let failed = kind == "response.failed" || has_failed(event);
                let mut reading = self.reading();
                if reading.served_model.is_none() && self.socket == Socket::Realtime {
                    reading.served_model.clone_from(&self.model);
                }
                if failed {
                    reading.error.get_or_insert("failed".into());
                }
                Some(Told::Ended { reading: Box::new(reading), failed })
            }
            "conversation.item.input_audio_transcription.completed" => {
                let mut reading = self.reading();
                reading.upstream_id = item(event);
                reading.served_model.clone_from(&self.transcriber);
                let known = reading.usage.is_some() || reading.flaw.is_some();
                known.then(|| Told::Transcribed(Box::new(reading)))
            }
            "session.usage.updated" => {
                self.lasted.absorb(&self.scanner);
                Some(Told::Lasted)
            }
            "response.event" if !nested => {
                let delegated = serde_json::from_slice::<Delegated<'_>>(event).ok()?;
                self.read(delegated.event.get().as_bytes(), true)
            }
            "error" if self.socket == Socket::Responses || nested => Some(Told::Failed(Box::new(self.reading()))),
            kind if kind.starts_with("session.") || kind.starts_with("transcription_session.") => {
                if let Some(session) = serde_json::from_slice::<Request<'_>>(event).ok()?.session {
                    self.configure(&session);
                }
                None
            }
            _ => None,
        }
    }

    fn reading(&self) -> Reading {
        let mut draft = Draft::default();
        draft.absorb(&self.scanner);
        draft.finish()
    }

    /// Takes over the models that a session names; what it does not name stays.
    fn configure(&mut self, session: &Session<'_>) {
        if let Some(model) = &session.model {
            self.model = Some(cut(model));
        }
        let audio = session.audio.as_ref().and_then(|audio| audio.input.as_ref());
        let transcription = audio.and_then(|input| input.transcription.as_ref());
        let model = transcription.or(session.input_audio_transcription.as_ref()).and_then(|it| it.model.as_ref());
        if let Some(model) = model {
            self.transcriber = Some(cut(model));
        }
    }
}

/// Whether the response of this event has the status `failed`.
fn has_failed(event: &[u8]) -> bool {
    let ended = serde_json::from_slice::<Ended<'_>>(event).ok();
    ended.and_then(|ended| ended.response.status).is_some_and(|status| status == "failed")
}

/// What was written down: its item, and the part of it where that is not the first.
fn item(event: &[u8]) -> Option<Box<str>> {
    let item: Item<'_> = serde_json::from_slice(event).ok()?;
    let id = item.item_id?;
    Some(match item.content_index.unwrap_or(0) {
        0 => cut(&id),
        part => format!("{}:{part}", cut(&id)).into(),
    })
}

/// A name at most as long as the books take.
fn cut(text: &str) -> Box<str> {
    let end = (0..=text.len().min(LONGEST_NAME)).rev().find(|&end| text.is_char_boundary(end));
    text[..end.unwrap_or(0)].into()
}

/// An event of a client, or one that tells of the session.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    service_tier: Option<Cow<'a, str>>,
    #[serde(borrow)]
    response: Option<Create<'a>>,
    #[serde(borrow)]
    session: Option<Session<'a>>,
}

#[derive(Default, Deserialize)]
struct Create<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    service_tier: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Session<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    audio: Option<Audio<'a>>,
    /// Where the first versions of the API had it.
    #[serde(borrow)]
    input_audio_transcription: Option<Transcription<'a>>,
}

#[derive(Deserialize)]
struct Audio<'a> {
    #[serde(borrow)]
    input: Option<Input<'a>>,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    transcription: Option<Transcription<'a>>,
}

#[derive(Deserialize)]
struct Transcription<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delegated<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
}

#[derive(Deserialize)]
struct Ended<'a> {
    #[serde(borrow)]
    response: Status<'a>,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    item_id: Option<Cow<'a, str>>,
    content_index: Option<u32>,
}

const LONGEST_NAME: usize = 128;

/// What every event that matters has in it; most events, and all that carry audio, have none of these.
static RESPONSE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"response\""));
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));
static SESSION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"session."));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));
static CREATE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"response.create"));

#[cfg(test)]
mod tests;
