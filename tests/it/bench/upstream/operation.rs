//! Which operation a path asks for, and in whose form: OpenAI's, Azure's or a custom server's.

use std::collections::HashMap;

use http::{HeaderMap, Method, Uri};
use serde_json::Value;

use super::fault::Fault;
use super::words;
use tollgate::dialect::endpoint::Dialect;
use tollgate::tokens::kit::Kit;
use tollgate::tokens::prompt::input_tokens;
use tollgate::tokens::tokenizer::{Specials, Tokenizer};

/// A request that was understood.
pub struct Ask {
    /// Whose form the path has.
    pub form: Form,
    /// The deployment in the path.
    pub deployment: Option<String>,
    /// What is asked for.
    pub operation: Operation,
    /// The body, decoded; of a form its fields as texts; `Null` if it is neither.
    pub document: Value,
    /// The model that the request names.
    pub model: String,
    /// The model that the reply names.
    pub served: String,
    /// Numbers the reply, for ids that tests can foresee.
    pub number: u64,
    /// What shall go wrong.
    pub fault: Fault,
}

/// Whose form a path has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Form {
    /// `/v1/...`.
    OpenAi,
    /// `/openai/...?api-version=...`.
    AzureDated(String),
    /// `/openai/v1/...`.
    AzureV1,
    /// Another path that ends like an operation.
    Custom,
}

/// An operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operation {
    /// `chat/completions`.
    Chat,
    /// `completions`.
    Completion,
    /// `responses`.
    Responses,
    /// `embeddings`.
    Embeddings,
    /// `models`, or one of them.
    Models(Option<String>),
    /// Upload to `files`.
    Files,
    /// `audio/transcriptions`.
    Transcription,
    /// `audio/translations`.
    Translation,
    /// `audio/speech`.
    Speech,
    /// `images/generations`, `images/edits` or `images/variations`.
    Images(&'static str),
    /// `videos`, or below it `edits`, `extensions` or a remix.
    Videos(&'static str),
    /// `decisions`.
    Decision,
    /// `responses/compact`.
    Compaction,
    /// `responses/input_tokens`.
    InputTokens,
    /// `moderations`.
    Moderation,
    /// `batches`.
    Batch,
    /// `fine_tuning/jobs`.
    Training,
    /// A run of an assistant, or one that goes on.
    Run,
    /// `realtime/client_secrets`, `realtime/sessions` or `realtime/calls`.
    Realtime(&'static str),
    /// An object that was made before.
    Show(String),
    /// All objects whose ids begin so.
    List(&'static str),
    /// The end of one that is under way.
    Cancel(String),
}

/// Why a path is not understood.
#[derive(Debug, Eq, PartialEq)]
pub enum Lost {
    /// No such operation.
    Unknown,
    /// A dated Azure path without `api-version`.
    NoApiVersion,
}

impl Operation {
    /// Its path in OpenAI's own form.
    pub fn endpoint(&self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completion => "/v1/completions",
            Self::Responses => "/v1/responses",
            Self::Embeddings => "/v1/embeddings",
            Self::Models(_) => "/v1/models",
            Self::Files => "/v1/files",
            Self::Transcription => "/v1/audio/transcriptions",
            Self::Translation => "/v1/audio/translations",
            Self::Speech => "/v1/audio/speech",
            Self::Images(path) | Self::Realtime(path) => path,
            Self::Videos("extensions") => "/v1/videos/extensions",
            Self::Videos(_) => "/v1/videos",
            Self::Decision => "/v1/decisions",
            Self::Compaction => "/v1/responses/compact",
            Self::InputTokens => "/v1/responses/input_tokens",
            Self::Moderation => "/v1/moderations",
            Self::Batch => "/v1/batches",
            Self::Training => "/v1/fine_tuning/jobs",
            Self::Run => "/v1/threads/runs",
            Self::Show(_) | Self::List(_) | Self::Cancel(_) => "",
        }
    }

    /// Whether it answers without being told a model.
    pub fn needs_no_model(&self) -> bool {
        let answers =
            [Self::Chat, Self::Completion, Self::Embeddings, Self::Transcription, Self::Translation, Self::Speech];
        !answers.contains(self)
    }

    /// Whether Azure has it too.
    fn is_on_azure(&self) -> bool {
        !matches!(self, Self::Moderation | Self::Images("/v1/images/variations"))
    }

    fn find(method: &Method, path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').collect();
        if *method == Method::GET {
            return Self::get(path, &segments);
        }
        if *method != Method::POST {
            return None;
        }
        Some(match segments[..] {
            ["chat", "completions"] => Self::Chat,
            ["completions"] => Self::Completion,
            ["responses"] => Self::Responses,
            ["responses", "compact"] => Self::Compaction,
            ["responses", "input_tokens"] => Self::InputTokens,
            ["decisions"] => Self::Decision,
            ["embeddings"] => Self::Embeddings,
            ["moderations"] => Self::Moderation,
            ["files"] => Self::Files,
            ["audio", "transcriptions"] => Self::Transcription,
            ["audio", "translations"] => Self::Translation,
            ["audio", "speech"] => Self::Speech,
            ["images", "generations"] => Self::Images("/v1/images/generations"),
            ["images", "edits"] => Self::Images("/v1/images/edits"),
            ["images", "variations"] => Self::Images("/v1/images/variations"),
            ["videos"] => Self::Videos(""),
            ["videos", "edits"] => Self::Videos("edits"),
            ["videos", "extensions"] => Self::Videos("extensions"),
            ["videos", _, "remix"] => Self::Videos("remix"),
            ["batches"] => Self::Batch,
            ["fine_tuning", "jobs"] => Self::Training,
            ["threads", "runs"] | ["threads", _, "runs"] | ["threads", _, "runs", _, "submit_tool_outputs"] => {
                Self::Run
            }
            ["realtime", "client_secrets"] => Self::Realtime("/v1/realtime/client_secrets"),
            ["realtime", "sessions"] => Self::Realtime("/v1/realtime/sessions"),
            ["realtime", "calls"] => Self::Realtime("/v1/realtime/calls"),
            ["batches" | "responses", id, "cancel"]
            | ["fine_tuning", "jobs", id, "cancel"]
            | ["threads", _, "runs", id, "cancel"] => Self::Cancel(id.to_owned()),
            _ => return None,
        })
    }

    fn get(path: &str, segments: &[&str]) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("models") {
            let one = rest.strip_prefix('/').map(percent_decoded);
            return (rest.is_empty() || one.is_some()).then_some(Self::Models(one));
        }
        Some(match *segments {
            ["batches"] => Self::List("batch_"),
            ["fine_tuning", "jobs"] => Self::List("ftjob-"),
            ["threads", _, "runs"] => Self::List("run_"),
            ["videos"] => Self::List("video_"),
            ["chat", "completions"] => Self::List("chatcmpl-"),
            ["batches" | "responses" | "videos", id]
            | ["fine_tuning", "jobs", id]
            | ["chat", "completions", id]
            | ["threads", _, "runs", id] => Self::Show(id.to_owned()),
            _ => return None,
        })
    }
}

impl Form {
    /// Whether Azure's peculiarities apply.
    pub fn is_azure(&self) -> bool {
        matches!(self, Self::AzureDated(_) | Self::AzureV1)
    }
}

impl Ask {
    /// Whether the reply shall be a stream.
    pub fn streams(&self) -> bool {
        self.document["stream"] == true || self.document["stream"] == "true"
    }

    /// What the input counts as: by the tokenizer where that is asked for, else so many words.
    pub fn input(&self, words: u64) -> u64 {
        if !self.fault.tokens {
            return words;
        }
        let dialect = match self.operation {
            Operation::Completion => Dialect::Completion,
            Operation::Embeddings => Dialect::Embeddings,
            Operation::Responses => Dialect::Responses,
            _ => Dialect::Chat,
        };
        let mut document = self.document.clone();
        document["model"] = self.served.clone().into();
        let kit = Kit { tokenizer: self.tokenizer().map(Into::into), ..Kit::default() };
        input_tokens(dialect, document.to_string().as_bytes(), &kit).tokens
    }

    /// What one word of the reply counts as, with the blank before it.
    pub fn cost(&self, word: &str) -> u64 {
        match self.tokenizer().filter(|_| self.fault.tokens) {
            Some(tokenizer) => tokenizer.count(word, Specials::Text).tokens,
            None => 1,
        }
    }

    fn tokenizer(&self) -> Option<Tokenizer> {
        Tokenizer::built_in(&self.served)
    }

    /// The time of the reply, in seconds.
    pub fn created(&self) -> u64 {
        1_750_000_000 + self.number
    }

    /// The id of the reply object.
    pub fn id(&self, prefix: &str) -> String {
        format!("{prefix}standin{:012}", self.number)
    }

    /// The tier that serves the call.
    pub fn tier(&self) -> &str {
        words::tier(&self.document["service_tier"])
    }
}

/// Finds the form, the deployment and the operation of a path.
pub fn find(method: &Method, uri: &Uri) -> Result<(Form, Option<String>, Operation), Lost> {
    let path = uri.path();
    if let Some(rest) = path.strip_prefix("/openai/v1/") {
        let operation = Operation::find(method, rest).filter(Operation::is_on_azure).ok_or(Lost::Unknown)?;
        return Ok((Form::AzureV1, None, operation));
    }
    if let Some(rest) = path.strip_prefix("/openai/") {
        let version = query(uri).remove("api-version").ok_or(Lost::NoApiVersion)?;
        let (deployment, rest) = match rest.strip_prefix("deployments/").and_then(|rest| rest.split_once('/')) {
            Some((deployment, rest)) => (Some(percent_decoded(deployment)), rest),
            None => (None, rest),
        };
        let operation = Operation::find(method, rest).filter(Operation::is_on_azure).ok_or(Lost::Unknown)?;
        return Ok((Form::AzureDated(version), deployment, operation));
    }
    if let Some(operation) = path.strip_prefix("/v1/").and_then(|rest| Operation::find(method, rest)) {
        return Ok((Form::OpenAi, None, operation));
    }
    let ends = ["chat/completions", "completions", "embeddings"];
    let end = ends.into_iter().find(|end| path.ends_with(&format!("/{end}"))).ok_or(Lost::Unknown)?;
    let operation = Operation::find(method, end).ok_or(Lost::Unknown)?;
    Ok((Form::Custom, None, operation))
}

/// Whether a key was given, in a way that the form takes.
pub fn has_key(form: &Form, headers: &HeaderMap) -> bool {
    match form {
        Form::Custom => true,
        Form::OpenAi => headers.contains_key("authorization") || headers.contains_key("api-key"),
        Form::AzureDated(_) | Form::AzureV1 => headers.contains_key("api-key") != headers.contains_key("authorization"),
    }
}

/// The parameters of a query, decoded.
pub fn query(uri: &Uri) -> HashMap<String, String> {
    let pairs = uri.query().unwrap_or("").split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), percent_decoded(value))).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let decoded = hex.filter(|_| first == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(decoded.unwrap_or(first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap()
}
