//! Where a call goes: custom model, duplicate, or the host that the client asked for.

use std::collections::HashMap;
use std::sync::Arc;

use crate::dialect::endpoint::Dialect;
use crate::net::secret::Secret;
use crate::policy::pricing::Price;
use crate::policy::target::Destination;

/// The owner's decisions about where calls go.
#[derive(Debug, Default)]
pub struct Routing {
    /// Custom models by exact name.
    pub customs: HashMap<Arc<str>, Arc<CustomModel>>,
    /// Other hosts that serve OpenAI's API, by ascending priority as configured.
    pub duplicates: Vec<Arc<Duplicate>>,
}

/// A model name with its own endpoint: one line of the custom-models document.
#[derive(Debug)]
pub struct CustomModel {
    /// The exact name that clients ask for; also sent as `model`.
    pub name: Arc<str>,
    /// `endpointUrl` taken apart: where to connect.
    pub destination: Destination,
    /// `endpointUrl` taken apart: path and query, verbatim.
    pub path: http::uri::PathAndQuery,
    /// `apiKey`; `None` sends no credential.
    pub api_key: Option<Secret>,
    /// `type`, given or inferred from the URL.
    pub dialect: ModelType,
    /// `tokenPricing`; `None` where the line has none.
    pub price: Option<Price>,
    /// `modelUrl`, where tokenizer and configuration come from.
    pub model_url: Option<String>,
    /// `maxSequenceLength`.
    pub max_sequence_length: Option<u64>,
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

/// Another host that serves OpenAI's own API.
#[derive(Debug)]
pub struct Duplicate {
    /// The owner's name for it.
    pub name: Arc<str>,
    /// Where to connect.
    pub destination: Destination,
    /// Path of the configured URL without its final slash; empty for none.
    pub base_path: String,
    /// Exact or Azure.
    pub kind: DuplicateKind,
    /// The key, and the header that carries it.
    pub credential: crate::policy::target::Credential,
    /// Globs (`*`) of the models that it serves; `None` serves all.
    pub models: Option<Vec<Box<str>>>,
    /// Lower is tried first.
    pub priority: u32,
    /// Share among those of one priority; at least 1.
    pub weight: u32,
}

/// How a duplicate differs from api.openai.com.
#[derive(Debug)]
pub enum DuplicateKind {
    /// In nothing but host and key.
    Exact,
    /// Azure's forms.
    Azure {
        /// `v1` and its like, or a dated version that needs deployment paths.
        version: AzureVersion,
        /// Deployments by the model name that clients ask for.
        deployments: HashMap<Arc<str>, Deployment>,
    },
}

/// Which of Azure's URL forms is used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AzureVersion {
    /// `/openai/deployments/D/...?api-version=DATE`.
    Dated(Box<str>),
    /// `/openai/v1/...`; the text is sent as `api-version` unless it is `v1`.
    V1(Box<str>),
}

/// A deployment on Azure.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deployment {
    /// Its name, chosen by the owner.
    pub deployment: Arc<str>,
    /// The base model behind it, for pricing.
    pub model: Option<Arc<str>>,
}
