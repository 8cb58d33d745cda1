//! Which operation of the API a method and a path stand for.

use std::fmt;

use http::Method;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::paths;

/// An API form that names a model.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Dialect {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/responses/compact`.
    Compaction,
    /// `POST /v1/completions`, the legacy form.
    Completion,
    /// `POST /v1/decisions`.
    Decision,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /v1/images/edits`, multipart or JSON.
    ImageEdit,
    /// `POST /v1/images/generations`.
    ImageGeneration,
    /// `POST /v1/images/variations`, multipart.
    ImageVariation,
    /// `POST /v1/responses/input_tokens`: counts and generates nothing.
    InputTokens,
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
    /// `POST /v1/videos`, `/v1/videos/edits` and `/v1/videos/{id}/remix`, multipart or JSON.
    Video,
    /// `POST /v1/videos/extensions`, multipart or JSON.
    VideoExtension,
}

impl Dialect {
    /// The path on api.openai.com below `/v1`; the first where there are several.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Compaction => "/responses/compact",
            Self::Completion => "/completions",
            Self::Decision => "/decisions",
            Self::Embeddings => "/embeddings",
            Self::ImageEdit => "/images/edits",
            Self::ImageGeneration => "/images/generations",
            Self::ImageVariation => "/images/variations",
            Self::InputTokens => "/responses/input_tokens",
            Self::Moderation => "/moderations",
            Self::Responses => "/responses",
            Self::Speech => "/audio/speech",
            Self::Transcription => "/audio/transcriptions",
            Self::Translation => "/audio/translations",
            Self::Video => "/videos",
            Self::VideoExtension => "/videos/extensions",
        }
    }

    /// Whether the API charges nothing for it.
    pub fn is_free(self) -> bool {
        matches!(self, Self::InputTokens | Self::Moderation)
    }

    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Chat,
        Self::Compaction,
        Self::Completion,
        Self::Decision,
        Self::Embeddings,
        Self::ImageEdit,
        Self::ImageGeneration,
        Self::ImageVariation,
        Self::InputTokens,
        Self::Moderation,
        Self::Responses,
        Self::Speech,
        Self::Transcription,
        Self::Translation,
        Self::Video,
        Self::VideoExtension,
    ];
}

/// Something made by an earlier call, whose usage may be told only when it is asked for again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Job {
    /// `/v1/batches` and below.
    Batch,
    /// `/v1/fine_tuning/jobs` and below.
    FineTuning,
    /// `GET /v1/responses/{id}`, and its cancelling.
    Response,
    /// Runs of assistants: `/v1/threads/runs`, `/v1/threads/{id}/runs` and below.
    Run,
    /// `/v1/videos` and below.
    Video,
}

impl Job {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Batch, Self::FineTuning, Self::Response, Self::Run, Self::Video];
}

/// What leads to a realtime conversation and carries nothing of it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Opening {
    /// `POST /v1/realtime/calls` and below: the media flows by WebRTC, past the gate.
    Call,
    /// `POST /v1/realtime/client_secrets`.
    Secret,
    /// `POST /v1/realtime/sessions` and `/v1/realtime/transcription_sessions`.
    Session,
}

impl Opening {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Call, Self::Secret, Self::Session];
}

/// A conversation in both directions on one connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Socket {
    /// `/v1/live/sessions`.
    Live,
    /// `/v1/realtime`.
    Realtime,
    /// `/v1/responses`.
    Responses,
}

impl Socket {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Live, Self::Realtime, Self::Responses];

    /// The conversation that a WebSocket to this path of api.openai.com carries.
    pub fn recognise(path: &str) -> Option<Self> {
        match path.strip_suffix('/').unwrap_or(path) {
            "/v1/live/sessions" => Some(Self::Live),
            "/v1/realtime" => Some(Self::Realtime),
            "/v1/responses" => Some(Self::Responses),
            _ => None,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// A call that names a model in its body.
    Call(Dialect),
    /// Something that an earlier call made, or the making of what names no model and lives on: batches, runs, trainings.
    Job(Job),
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/{id}`, the id percent-decoded.
    Model(String),
    /// The way to a realtime conversation; free.
    Opening(Opening),
    /// Anything else under the host.
    Other,
    /// A WebSocket.
    Socket(Socket),
}

impl Endpoint {
    /// Reads a method and a path as api.openai.com would.
    pub fn recognise(method: &Method, path: &str) -> Self {
        let Some(below) = path.strip_prefix("/v1") else { return Self::Other };
        let below = below.strip_suffix('/').unwrap_or(below);
        if *method == Method::POST
            && let Some(dialect) = paths::dialect(below)
        {
            return Self::Call(dialect);
        }
        if let Some(job) = paths::job(method, below) {
            return Self::Job(job);
        }
        if *method == Method::POST {
            return paths::opening(below).map_or(Self::Other, Self::Opening);
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
            Self::Call(Dialect::Compaction) => "/v1/responses/compact",
            Self::Call(Dialect::Completion) => "/v1/completions",
            Self::Call(Dialect::Decision) => "/v1/decisions",
            Self::Call(Dialect::Embeddings) => "/v1/embeddings",
            Self::Call(Dialect::ImageEdit) => "/v1/images/edits",
            Self::Call(Dialect::ImageGeneration) => "/v1/images/generations",
            Self::Call(Dialect::ImageVariation) => "/v1/images/variations",
            Self::Call(Dialect::InputTokens) => "/v1/responses/input_tokens",
            Self::Call(Dialect::Moderation) => "/v1/moderations",
            Self::Call(Dialect::Responses) => "/v1/responses",
            Self::Call(Dialect::Speech) => "/v1/audio/speech",
            Self::Call(Dialect::Transcription) => "/v1/audio/transcriptions",
            Self::Call(Dialect::Translation) => "/v1/audio/translations",
            Self::Call(Dialect::Video) => "/v1/videos",
            Self::Call(Dialect::VideoExtension) => "/v1/videos/extensions",
            Self::Job(Job::Batch) => "/v1/batches",
            Self::Job(Job::FineTuning) => "/v1/fine_tuning/jobs",
            Self::Job(Job::Response) => "/v1/responses/{id}",
            Self::Job(Job::Run) => "/v1/threads/runs",
            Self::Job(Job::Video) => "/v1/videos/{id}",
            Self::Models | Self::Model(_) => "/v1/models",
            Self::Opening(Opening::Call) => "/v1/realtime/calls",
            Self::Opening(Opening::Secret) => "/v1/realtime/client_secrets",
            Self::Opening(Opening::Session) => "/v1/realtime/sessions",
            Self::Other => "other",
            Self::Socket(Socket::Live) => "/v1/live/sessions",
            Self::Socket(Socket::Realtime) => "/v1/realtime",
            Self::Socket(Socket::Responses) => "/v1/responses+ws",
        }
    }

    /// The operation of this name; the id of a model is not part of it.
    pub fn named(name: &str) -> Option<Self> {
        let calls = Dialect::ALL.into_iter().map(Self::Call);
        let jobs = Job::ALL.into_iter().map(Self::Job);
        let sockets = Socket::ALL.into_iter().map(Self::Socket);
        let openings = Opening::ALL.into_iter().map(Self::Opening);
        let others = openings.chain(sockets);
        calls.chain(jobs).chain(others).chain([Self::Models, Self::Other]).find(|endpoint| endpoint.name() == name)
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

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| de::Error::custom(format!("`{name}` is no endpoint")))
    }
}

/// Decodes `%41`; `None` where the result is no UTF-8 or an escape is broken.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
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
    fn every_operation_is_found_by_its_name() {
        let calls = Dialect::ALL.map(Endpoint::Call).into_iter();
        let others = Job::ALL.map(Endpoint::Job).into_iter().chain(Socket::ALL.map(Endpoint::Socket));
        let others = others.chain(Opening::ALL.map(Endpoint::Opening));
        for endpoint in calls.chain(others).chain([Endpoint::Models, Endpoint::Other]) {
            assert_eq!(Endpoint::named(endpoint.name()), Some(endpoint));
        }
        assert_eq!(Endpoint::named("/v1/nothing"), None);
    }

    #[test]
    fn a_conversation_is_found_by_its_whole_path() {
        assert_eq!(Socket::recognise("/v1/realtime"), Some(Socket::Realtime));
        assert_eq!(Socket::recognise("/v1/responses/"), Some(Socket::Responses));
        assert_eq!(Socket::recognise("/v1/live/sessions"), Some(Socket::Live));
        for path in ["/v1/realtime/calls", "/realtime", "/v1/responses/resp_1", "/v1/live", "/"] {
            assert_eq!(Socket::recognise(path), None, "{path}");
        }
    }

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
