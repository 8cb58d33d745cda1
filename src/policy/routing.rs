//! Where a call goes: custom model, duplicate, or the host that the client asked for.

use std::collections::HashMap;
use std::sync::Arc;

use http::uri::PathAndQuery;

use crate::dialect::azure;
use crate::dialect::endpoint::{Endpoint, Socket};
use crate::policy::custom::CustomModel;
use crate::policy::refusal::Refusal;
use crate::policy::target::{Credential, Destination, Route, RouteKind, Target};

/// The owner's decisions about where calls go.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    /// Custom models by exact name.
    pub customs: HashMap<Arc<str>, Arc<CustomModel>>,
    /// Other hosts that serve OpenAI's API, by ascending priority as configured.
    pub duplicates: Vec<Arc<Duplicate>>,
}

impl Routing {
    /// The places where a call is tried, in order; never empty.
    ///
    /// # Errors
    /// A custom model that does not speak the call's dialect, or an address that cannot be formed.
    pub fn plan(&self, ask: &Ask<'_>) -> Result<Vec<Target>, Refusal> {
        if let (Endpoint::Call(dialect), Some(model)) = (ask.endpoint, ask.model)
            && let Some(custom) = self.customs.get(model)
        {
            return custom.target(*dialect).map(|target| vec![target]);
        }
        if let (Endpoint::Socket(_), Some(model)) = (ask.endpoint, ask.model)
            && let Some(custom) = self.customs.get(model)
        {
            // Sent on, the call would be answered by a model that bears the name by chance.
            return Err(custom.refusal(ask.endpoint));
        }
        let serving: Vec<&Duplicate> = self
            .duplicates
            .iter()
            .map(|duplicate| &**duplicate)
            .filter(|duplicate| duplicate.serves(ask.model))
            .collect();
        if serving.is_empty() {
            return Ok(vec![ask.origin.clone()]);
        }
        in_order(serving, ask.draw).into_iter().map(|duplicate| duplicate.target(ask)).collect()
    }
}

/// What routing needs to know of a call.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The operation.
    pub endpoint: &'a Endpoint,
    /// The model that the body or the path names.
    pub model: Option<&'a str>,
    /// Path and query as the client sent them.
    pub path: &'a PathAndQuery,
    /// The host that the client asked for, as a target.
    pub origin: &'a Target,
    /// A random number: decides between duplicates of one priority.
    pub draw: u64,
}

/// Lower priority first; within one priority drawn by weight without repetition.
fn in_order(mut waiting: Vec<&Duplicate>, mut draw: u64) -> Vec<&Duplicate> {
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(lowest) = waiting.iter().map(|duplicate| duplicate.priority).min() {
        let peers = || waiting.iter().enumerate().filter(|(_, duplicate)| duplicate.priority == lowest);
        let total: u64 = peers().map(|(_, duplicate)| u64::from(duplicate.weight.max(1))).sum();
        let mut left = draw % total;
        let chosen = peers().find(|(_, duplicate)| {
            let weight = u64::from(duplicate.weight.max(1));
            let hit = left < weight;
            left = left.saturating_sub(weight);
            hit
        });
        let Some((at, _)) = chosen else { break };
        order.push(waiting.remove(at));
        // The product's upper half is the one in which every bit of the draw has had its say.
        draw = draw.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }
    order
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
    pub credential: Credential,
    /// Globs (`*`) of the models that it serves; `None` serves all.
    pub models: Option<Vec<Box<str>>>,
    /// Lower is tried first.
    pub priority: u32,
    /// Share among those of one priority; at least 1.
    pub weight: u32,
}

impl Duplicate {
    /// Whether calls for `model` may go here; what names no model goes only to a duplicate without limits.
    pub fn serves(&self, model: Option<&str>) -> bool {
        match (&self.models, model) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(globs), Some(model)) => globs.iter().any(|glob| glob_matches(glob, model)),
        }
    }

    /// The deployment that answers for `model`, where this is Azure and one is named.
    pub fn deployment(&self, model: &str) -> Option<&Deployment> {
        match &self.kind {
            DuplicateKind::Azure { deployments, .. } => deployments.get(model),
            DuplicateKind::Exact => None,
        }
    }

    fn target(&self, ask: &Ask<'_>) -> Result<Target, Refusal> {
        let asked = ask.path.as_str();
        let dialect = match ask.endpoint {
            Endpoint::Call(dialect) => Some(*dialect),
            _ => None,
        };
        let mapped = ask.model.and_then(|model| self.deployment(model));
        let deployment = mapped.map(|mapped| &*mapped.deployment).or(ask.model);
        let path = match &self.kind {
            DuplicateKind::Exact => asked.to_owned(),
            DuplicateKind::Azure { version, .. } if *ask.endpoint == Endpoint::Socket(Socket::Realtime) => {
                azure::realtime(asked, deployment, version.sent(), matches!(version, AzureVersion::Dated(_)))
            }
            DuplicateKind::Azure { version: AzureVersion::Dated(version), .. } => {
                azure::dated(asked, dialect, deployment, version)
            }
            DuplicateKind::Azure { version, .. } => azure::v1(asked, version.sent()),
        };
        let path = format!("{}{path}", self.base_path);
        let dated = match &self.kind {
            DuplicateKind::Azure { version: AzureVersion::Dated(version), .. } => Some(version),
            _ => None,
        };
        let renamed = mapped.filter(|mapped| Some(&*mapped.deployment) != ask.model);
        Ok(Target {
            destination: self.destination.clone(),
            path: PathAndQuery::try_from(path.as_str()).map_err(|_| Refusal::Path(asked.to_owned()))?,
            credential: self.credential.clone(),
            route: Route { kind: RouteKind::Duplicate, name: Arc::clone(&self.name) },
            model: renamed
                .filter(|_| azure::body_names_deployment(dated.is_some(), dialect))
                .map(|mapped| Arc::clone(&mapped.deployment)),
            base_model: mapped.and_then(|mapped| mapped.model.clone()),
            drops_empty_chunks: matches!(self.kind, DuplicateKind::Azure { .. }),
            takes_include_usage: dated.is_none_or(|version| azure::takes_include_usage(version)),
            own_price: None,
            custom: None,
            bridge: None,
        })
    }
}

/// Whether `text` fits a pattern in which `*` stands for any run of characters.
pub(crate) fn glob_matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
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

impl AzureVersion {
    /// What is sent as `api-version`.
    fn sent(&self) -> Option<&str> {
        match self {
            Self::Dated(version) => Some(version),
            Self::V1(version) => (**version != *"v1").then_some(version),
        }
    }
}

/// A deployment on Azure.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deployment {
    /// Its name, chosen by the owner.
    pub deployment: Arc<str>,
    /// The base model behind it, for pricing.
    pub model: Option<Arc<str>>,
}

#[cfg(test)]
mod tests;
