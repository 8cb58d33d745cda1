//! A recognised request: what its body names, and the same body with single values changed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::coding::{Coding, CodingError, decode};
use super::endpoint::Dialect;
use super::facts::Facts;
use super::json::{self, JsonError};
use super::multipart::{self, Repeated};
use super::splice::{self, Splice};

/// A request that names a model, with its body as it came.
#[derive(Clone)]
pub struct Call {
    /// The operation.
    pub dialect: Dialect,
    /// The model asked for; `None` where the body names none or cannot be read.
    pub model: Option<Arc<str>>,
    /// The client wants events.
    pub stream: bool,
    /// The client itself asked for `stream_options.include_usage`.
    pub asks_usage: bool,
    /// `service_tier` as asked for.
    pub tier: Option<Box<str>>,
    /// What else decides about its price.
    pub facts: Facts,
    /// The body as received.
    received: Bytes,
    /// The body without its coding; the same bytes as `received` where there is none to undo.
    text: Bytes,
    decoded: bool,
    model_at: Option<Place>,
    /// The edit that asks for usage, where that makes sense and is not asked for yet.
    usage: Option<Splice>,
}

impl Call {
    /// Reads a body as received, with the values of its `content-type` and `content-encoding` headers.
    ///
    /// `limit` bounds a compressed body once decoded, in bytes. A body that is no JSON object and no form, or whose
    /// coding is not known, is no error: it is a call that names no model and is sent on untouched.
    pub fn read(
        dialect: Dialect,
        body: Bytes,
        content_type: Option<&str>,
        content_encoding: Option<&str>,
        limit: usize,
    ) -> Result<Self, CallError> {
        let coding = Coding::parse(content_encoding);
        let mut call = Self::opaque(dialect, body);
        match coding {
            Coding::Identity => {}
            Coding::Unknown => return Ok(call),
            _ => {
                call.text = decode(coding, &call.received, limit)?.into();
                call.decoded = true;
            }
        }
        match content_type.filter(|value| starts_with_ignoring_case(value.trim_start(), "multipart/")) {
            Some(content_type) => call.read_form(content_type)?,
            None => call.read_json()?,
        }
        Ok(call)
    }

    /// The body without its content coding; as received where the coding is not known.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// The body to send: as received where no edit applies, else decoded and with the edits in place.
    pub fn body(&self, edits: &Edits<'_>) -> Outgoing {
        let model = edits.model.and_then(|name| self.renamed(name));
        let usage = self.usage.as_ref().filter(|_| edits.include_usage);
        let adds_usage = usage.is_some();
        if model.is_none() && !adds_usage {
            return Outgoing::untouched(self.received.clone());
        }
        let splices: Vec<&Splice> = model.iter().chain(usage).collect();
        let pieces = splice::apply(&self.text, splices);
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        Outgoing { pieces, length, decoded: self.decoded, edited: true, adds_usage }
    }

    fn opaque(dialect: Dialect, body: Bytes) -> Self {
        Self {
            dialect,
            model: None,
            stream: false,
            asks_usage: false,
            tier: None,
            facts: Facts::default(),
            text: body.clone(),
            received: body,
            decoded: false,
            model_at: None,
            usage: None,
        }
    }

    fn read_json(&mut self) -> Result<(), CallError> {
        let doc = self.text.clone();
        let members = json::members(&doc, &["model", "stream", "stream_options", "service_tier"]);
        let [model, stream, options, tier] = match members {
            Ok(members) => members.map(|member| member.map(|member| member.value)),
            Err(JsonError::Duplicate(key)) => return Err(CallError::Duplicate { key }),
            Err(JsonError::NotJson | JsonError::NotObject) => return Ok(()),
        };
        if let Some(at) = model
            && let Some(name) = json::text(&doc[at.clone()])
        {
            self.model = Some(name.into());
            self.model_at = Some(Place { at, form: false });
        }
        self.tier = tier.and_then(|at| json::text(&doc[at]).map(Into::into));
        self.facts = Facts::of_json(self.dialect, &doc);
        let Some(stream) = stream.filter(|at| &doc[at.clone()] == b"true") else { return Ok(()) };
        self.stream = true;
        if matches!(self.dialect, Dialect::Chat | Dialect::Completion) {
            (self.asks_usage, self.usage) = usage_edit(&doc, stream.end, options)?;
        }
        Ok(())
    }

    fn read_form(&mut self, content_type: &str) -> Result<(), CallError> {
        let Some(boundary) = multipart::boundary(content_type) else { return Ok(()) };
        let [model, stream] = multipart::fields(&self.text, &boundary, &["model", "stream"])?;
        if let Some(at) = model
            && let Ok(name) = std::str::from_utf8(&self.text[at.clone()])
        {
            self.model = Some(name.into());
            self.model_at = Some(Place { at, form: true });
        }
        self.stream = stream.is_some_and(|at| self.text[at].eq_ignore_ascii_case(b"true"));
        self.facts = Facts::of_form(self.dialect, &self.text, &boundary);
        Ok(())
    }

    /// The edit that writes `name`; `None` where no model was read, where it is the same, and where it would break
    /// the form.
    fn renamed(&self, name: &str) -> Option<Splice> {
        let place = self.model_at.as_ref()?;
        if self.model.as_deref() == Some(name) {
            return None;
        }
        let with = match place.form {
            true if name.contains(['\r', '\n']) => return None,
            true => name.to_owned(),
            false => serde_json::Value::from(name).to_string(),
        };
        Some(Splice { at: place.at.clone(), with: with.into() })
    }
}

impl fmt::Debug for Call {
    /// Without the body, so that no prompt gets into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("dialect", &self.dialect)
            .field("model", &self.model)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// What to change in a body on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edits<'a> {
    /// The name to send instead of the model that was read.
    pub model: Option<&'a str>,
    /// Ask for usage at the end of a stream (chat and legacy completions).
    pub include_usage: bool,
}

/// A body to send.
#[derive(Clone)]
pub struct Outgoing {
    /// The bytes in order, none of them empty. What is large is shared with the body as received.
    pub pieces: Vec<Bytes>,
    /// Their sum.
    pub length: u64,
    /// The content coding is gone, so `content-encoding` must go too.
    pub decoded: bool,
    /// Not the bytes as received.
    pub edited: bool,
    /// It asks for usage and the client did not, so the usage event is not for the client.
    pub adds_usage: bool,
}

impl Outgoing {
    fn untouched(body: Bytes) -> Self {
        let length = body.len() as u64;
        let pieces = if body.is_empty() { Vec::new() } else { vec![body] };
        Self { pieces, length, decoded: false, edited: false, adds_usage: false }
    }
}

impl fmt::Debug for Outgoing {
    /// Without the bytes, so that no prompt gets into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("length", &self.length).field("edited", &self.edited).finish_non_exhaustive()
    }
}

/// Why a call is refused; each is the client's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The body is too large once decoded, or not what its coding promises.
    #[error(transparent)]
    Coding(#[from] CodingError),
    /// A key or field that decides about the call is there twice: routed by one, it could be served by the other.
    #[error("`{key}` is given twice")]
    Duplicate {
        /// The key or field.
        key: &'static str,
    },
}

impl From<Repeated> for CallError {
    fn from(Repeated(key): Repeated) -> Self {
        Self::Duplicate { key }
    }
}

/// Where the model's name stands, and in which notation.
#[derive(Clone, Debug)]
struct Place {
    at: Range<usize>,
    form: bool,
}

/// Whether usage is asked for, and if not, the edit that asks for it.
///
/// There is no edit where `stream_options` or its member is of a kind that the API does not know: what is wrong with
/// it is for the upstream to say.
fn usage_edit(
    doc: &[u8],
    stream_end: usize,
    options: Option<Range<usize>>,
) -> Result<(bool, Option<Splice>), CallError> {
    let Some(options) = options else {
        let edit = Splice::fixed(stream_end..stream_end, r#","stream_options":{"include_usage":true}"#);
        return Ok((false, Some(edit)));
    };
    let value = &doc[options.clone()];
    if value == b"null" {
        return Ok((false, Some(Splice::fixed(options, r#"{"include_usage":true}"#))));
    }
    let include = match json::members(value, &["include_usage"]) {
        Ok([include]) => include,
        Err(JsonError::Duplicate(key)) => return Err(CallError::Duplicate { key }),
        Err(JsonError::NotJson | JsonError::NotObject) => return Ok((false, None)),
    };
    let Some(include) = include else {
        let inside = options.start + 1;
        let empty = value.get(1..).unwrap_or_default().trim_ascii_start().starts_with(b"}");
        let with = if empty { r#""include_usage":true"# } else { r#""include_usage":true,"# };
        return Ok((false, Some(Splice::fixed(inside..inside, with))));
    };
    Ok(match &value[include.value.clone()] {
        b"true" => (true, None),
        b"false" | b"null" => {
            let at = options.start + include.value.start..options.start + include.value.end;
            (false, Some(Splice::fixed(at, "true")))
        }
        _ => (false, None),
    })
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests;
