//! Custom models: a name with its own endpoint, one line of the custom-models document.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::uri::PathAndQuery;

use crate::dialect::azure;
use crate::dialect::bridge::Bridge;
use crate::dialect::endpoint::{Dialect, Endpoint};
use crate::net::secret::Secret;
use crate::policy::pricing::rate::Price;
use crate::policy::refusal::Refusal;
use crate::policy::target::{Credential, Destination, Route, RouteKind, Target};

/// A model name with its own endpoint: one line of the custom-models document.
#[derive(Debug)]
pub struct CustomModel {
    /// The exact name that clients ask for; also sent as `model`.
    pub name: Arc<str>,
    /// `endpointUrl` taken apart: where to connect.
    pub destination: Destination,
    /// `endpointUrl` taken apart: path and query, verbatim.
    pub path: PathAndQuery,
    /// `apiKey`, sent as a bearer and to Azure's hosts as `api-key`.
    pub api_key: ModelKey,
    /// `type`.
    pub kind: ModelType,
    /// How `type` is known.
    pub kind_from: KindFrom,
    /// `tokenPricing`; `None` where the line has none.
    pub price: Option<Price>,
    /// `modelUrl`, where tokenizer and configuration come from, without one final slash.
    pub model_url: Box<str>,
    /// Whether the line says so itself; else it is the hub's page of the name.
    pub model_url_given: bool,
    /// `maxSequenceLength`.
    pub max_sequence_length: Option<u64>,
    /// `maxOutputTokens`: the most that one call may ask for.
    pub max_output_tokens: Option<u64>,
    /// `stop`: texts that end an answer, beside those of the call and of the template.
    pub stop: Vec<Box<str>>,
    /// `chatTemplate`: Jinja, in the place of the model's own.
    pub chat_template: Option<Box<str>>,
    /// `headers`: sent with every call.
    pub headers: Vec<(HeaderName, Secret)>,
    /// `normalize`: bring replies into OpenAI's form.
    pub normalize: bool,
    /// `timeout`: from the request to the first byte of the reply, in the place of the common one.
    pub timeout: Option<Duration>,
}

impl CustomModel {
    /// A line with nothing but its name and its endpoint.
    pub fn new(name: &str, destination: Destination, path: PathAndQuery) -> Self {
        Self {
            name: name.into(),
            destination,
            path,
            api_key: ModelKey::None,
            kind: ModelType::Completion,
            kind_from: KindFrom::Assumed,
            price: None,
            model_url: format!("https://huggingface.co/{name}").into(),
            model_url_given: false,
            max_sequence_length: None,
            max_output_tokens: None,
            stop: Vec::new(),
            chat_template: None,
            headers: Vec::new(),
            normalize: true,
            timeout: None,
        }
    }

    /// The one place where a call in `dialect` for this model goes.
    ///
    /// # Errors
    /// The endpoint neither speaks the dialect nor can be spoken to by translation.
    pub fn target(self: &Arc<Self>, dialect: Dialect) -> Result<Target, Refusal> {
        let bridge = match (dialect, self.kind) {
            (Dialect::Chat, ModelType::Completion) => Some(Bridge::ChatOverCompletion),
            (Dialect::Completion, ModelType::ChatCompletion) => Some(Bridge::CompletionOverChat),
            _ if self.kind.dialect() == dialect => None,
            _ => return Err(self.refusal(&Endpoint::Call(dialect))),
        };
        let on_azure = self.is_on_azure();
        let version = self.path.query().and_then(azure::api_version).filter(|_| on_azure);
        Ok(Target {
            destination: self.destination.clone(),
            path: self.path.clone(),
            credential: self.credential(),
            route: Route { kind: RouteKind::Custom, name: Arc::clone(&self.name) },
            model: None,
            base_model: None,
            drops_empty_chunks: on_azure,
            takes_include_usage: version.is_none_or(azure::takes_include_usage),
            own_price: self.price.clone(),
            custom: Some(Arc::clone(self)),
            bridge,
        })
    }

    /// What is said to a call for an operation that its endpoint does not have.
    pub fn refusal(&self, asked: &Endpoint) -> Refusal {
        Refusal::Type { model: Arc::clone(&self.name), has: self.kind.name(), asked: asked.name() }
    }

    /// Whether the endpoint is on one of Azure's hosts.
    pub fn is_on_azure(&self) -> bool {
        self.destination.at.host.name().is_some_and(azure::is_azure_host)
    }

    fn credential(&self) -> Credential {
        match (&self.api_key, self.is_on_azure()) {
            (ModelKey::None, _) => Credential::None,
            (ModelKey::Clients, false) => Credential::ClientsBearer,
            (ModelKey::Clients, true) => Credential::ClientsApiKey,
            (ModelKey::Own(secret), false) => Credential::Bearer(secret.clone()),
            (ModelKey::Own(secret), true) => Credential::ApiKey(secret.clone()),
        }
    }
}

/// The key that a custom model's endpoint gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ModelKey {
    /// The key that the client sent: the line has `"<OPENAI>"`, or none and an endpoint of OpenAI's.
    Clients,
    /// None at all.
    None,
    /// The line's own.
    Own(Secret),
}

impl ModelKey {
    /// Whose key it is, in a word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Clients => "client",
            Self::None => "none",
            Self::Own(_) => "own",
        }
    }
}

/// How the `type` of a custom model is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KindFrom {
    /// Nothing says it; `completion` was assumed.
    Assumed,
    /// The line says so.
    Line,
    /// The path of the endpoint says so.
    Path,
}

impl KindFrom {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Assumed => "assumed",
            Self::Line => "line",
            Self::Path => "path",
        }
    }

    /// For people.
    pub fn explained(self) -> &'static str {
        match self {
            Self::Assumed => "assumed: neither `type` nor the path says it",
            Self::Line => "said by the line",
            Self::Path => "told by the path",
        }
    }
}

/// The `type` of a custom model.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ModelType {
    /// `chat-completion`.
    ChatCompletion,
    /// `completion`.
    Completion,
    /// `text-embedding`.
    TextEmbedding,
}

impl ModelType {
    /// As it is written in a line.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChatCompletion => "chat-completion",
            Self::Completion => "completion",
            Self::TextEmbedding => "text-embedding",
        }
    }

    /// The dialect that such an endpoint speaks.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::ChatCompletion => Dialect::Chat,
            Self::Completion => Dialect::Completion,
            Self::TextEmbedding => Dialect::Embeddings,
        }
    }
}
