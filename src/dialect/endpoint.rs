//! Which operation of the API a method and a path stand for.

use std::fmt;

use http::Method;
use serde::{Serialize, Serializer};

/// An API form that names a model.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Dialect {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/completions`, the legacy form.
    Completion,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /v1/images/edits`, multipart or JSON.
    ImageEdit,
    /// `POST /v1/images/generations`.
    ImageGeneration,
    /// `POST /v1/images/variations`, multipart.
    ImageVariation,
    /// `POST /v1/moderations`.
    Moderation,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/audio/speech`.
    Speech,
    /// `POST /v1/audio/transcriptions`, multipart.
    Transcription,
    /// `POST /v1/audio/translations`, multipart.
    Translation,
}

impl Dialect {
    /// The path on api.openai.com below `/v1`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completion => "/completions",
            Self::Embeddings => "/embeddings",
            Self::ImageEdit => "/images/edits",
            Self::ImageGeneration => "/images/generations",
            Self::ImageVariation => "/images/variations",
            Self::Moderation => "/moderations",
            Self::Responses => "/responses",
            Self::Speech => "/audio/speech",
            Self::Transcription => "/audio/transcriptions",
            Self::Translation => "/audio/translations",
        }
    }

    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Chat,
        Self::Completion,
        Self::Embeddings,
        Self::ImageEdit,
        Self::ImageGeneration,
        Self::ImageVariation,
        Self::Moderation,
        Self::Responses,
        Self::Speech,
        Self::Transcription,
        Self::Translation,
    ];
}

/// What a request asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// A call that names a model in its body.
    Call(Dialect),
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/{id}`, the id percent-decoded.
    Model(String),
    /// Anything else under the host.
    Other,
}

impl Endpoint {
    /// Reads a method and a path as api.openai.com would.
    pub fn recognise(method: &Method, path: &str) -> Self {
        let Some(below) = path.strip_prefix("/v1") else { return Self::Other };
        let below = below.strip_suffix('/').unwrap_or(below);
        if *method == Method::POST {
            return match Dialect::ALL.into_iter().find(|dialect| dialect.path() == below) {
                Some(dialect) => Self::Call(dialect),
                None => Self::Other,
            };
        }
        if *method != Method::GET {
            return Self::Other;
        }
        if below == "/models" {
            return Self::Models;
        }
        match below.strip_prefix("/models/") {
            Some(id) if !id.is_empty() => percent_decoded(id).map_or(Self::Other, Self::Model),
            _ => Self::Other,
        }
    }

    /// A bounded name for the books: the path of the operation, or `other`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Call(Dialect::Chat) => "/v1/chat/completions",
            Self::Call(Dialect::Completion) => "/v1/completions",
            Self::Call(Dialect::Embeddings) => "/v1/embeddings",
            Self::Call(Dialect::ImageEdit) => "/v1/images/edits",
            Self::Call(Dialect::ImageGeneration) => "/v1/images/generations",
            Self::Call(Dialect::ImageVariation) => "/v1/images/variations",
            Self::Call(Dialect::Moderation) => "/v1/moderations",
            Self::Call(Dialect::Responses) => "/v1/responses",
            Self::Call(Dialect::Speech) => "/v1/audio/speech",
            Self::Call(Dialect::Transcription) => "/v1/audio/transcriptions",
            Self::Call(Dialect::Translation) => "/v1/audio/translations",
            Self::Models | Self::Model(_) => "/v1/models",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Decodes `%41`; `None` where the result is no UTF-8 or an escape is broken.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_told_apart_by_method_and_whole_path() {
        let of = |method: &str, path: &str| Endpoint::recognise(&method.parse().unwrap_or(Method::GET), path);
        assert_eq!(of("POST", "/v1/chat/completions"), Endpoint::Call(Dialect::Chat));
        assert_eq!(of("POST", "/v1/completions"), Endpoint::Call(Dialect::Completion));
        assert_eq!(of("POST", "/v1/embeddings/"), Endpoint::Call(Dialect::Embeddings));
        assert_eq!(of("GET", "/v1/chat/completions"), Endpoint::Other);
        assert_eq!(of("POST", "/v1/chat/completions/abc"), Endpoint::Other);
        assert_eq!(of("POST", "/chat/completions"), Endpoint::Other);
        assert_eq!(of("GET", "/v1/models"), Endpoint::Models);
        assert_eq!(of("GET", "/v1/models/ft%3Agpt-4o%3aa%2Fb"), Endpoint::Model("ft:gpt-4o:a/b".into()));
        assert_eq!(of("DELETE", "/v1/models/x"), Endpoint::Other);
        assert_eq!(of("GET", "/v1/models/%zz"), Endpoint::Other);
    }
}
