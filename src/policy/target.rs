//! One place where a call can be tried: address, credential, and what must change on the way.

use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dialect::azure;
use crate::dialect::bridge::Bridge;
use crate::dialect::endpoint::Endpoint;
use crate::net::host::HostPort;
use crate::net::secret::{Secret, masked_query};
use crate::policy::custom::CustomModel;
use crate::policy::pricing::rate::Price;
use crate::policy::pricing::sale::Sale;
use crate::policy::region;
use crate::units::Usage;

/// How the bytes travel.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS, always verified.
    Https,
}

impl Scheme {
    /// The port where none is written.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// The scheme as written in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Certificates that are trusted for one upstream beside the machine's own.
#[derive(Debug, Eq, PartialEq)]
pub struct ExtraRoots {
    /// The certificates, DER.
    pub certificates: Vec<Vec<u8>>,
}

/// Where connections go: what a kept connection may be reused for.
#[derive(Clone, Debug)]
pub struct Destination {
    /// How the bytes travel.
    pub scheme: Scheme,
    /// The host and port to dial and to verify.
    pub at: HostPort,
    /// The address to dial, where it is not the one that the name leads to; the name is verified all the same.
    pub dialled: Option<SocketAddr>,
    /// Roots trusted for this destination beside the machine's.
    pub roots: Option<Arc<ExtraRoots>>,
}

impl Destination {
    /// The URL of `path` there, without a port that goes without saying.
    pub fn url(&self, path: &str) -> String {
        if self.at.port == self.scheme.default_port() {
            return format!("{}://{}{path}", self.scheme.name(), self.at.host);
        }
        format!("{}://{}{path}", self.scheme.name(), self.at)
    }
}

/// What authenticates a call at its target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Credential {
    /// `api-key: K`.
    ApiKey(Secret),
    /// `Authorization: Bearer K`.
    Bearer(Secret),
    /// The client's own headers; only for the host that the client asked for.
    Clients,
    /// The key that the client sent, as `api-key`, and nothing else of who the client is.
    ClientsApiKey,
    /// The key that the client sent, as a bearer, and nothing else of who the client is.
    ClientsBearer,
    /// No credential at all.
    None,
}

impl Credential {
    /// The configured key, where there is one.
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            Self::ApiKey(secret) | Self::Bearer(secret) => Some(secret),
            Self::Clients | Self::ClientsApiKey | Self::ClientsBearer | Self::None => None,
        }
    }
}

/// Which rule chose a target.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteKind {
    /// A custom model's own endpoint.
    Custom,
    /// Another host that serves OpenAI's API.
    Duplicate,
    /// The host that the client asked for.
    Origin,
}

impl RouteKind {
    /// As the books show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Duplicate => "duplicate",
            Self::Origin => "origin",
        }
    }
}

/// A route's kind and name, as the books show it.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
pub struct Route {
    /// Which rule chose it.
    pub kind: RouteKind,
    /// The name of the custom model or duplicate, or the host.
    pub name: Arc<str>,
}

/// One place where a call can be tried.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where to connect.
    pub destination: Destination,
    /// What to ask for there.
    pub path: PathAndQuery,
    /// What authenticates the call there.
    pub credential: Credential,
    /// Which rule chose it.
    pub route: Route,
    /// The model name to write into the body or form, where it must change.
    pub model: Option<Arc<str>>,
    /// The model to price by, where the owner's configuration knows better than the reply.
    pub base_model: Option<Arc<str>>,
    /// Azure's first chunk with empty `choices` is withheld from the client.
    pub drops_empty_chunks: bool,
    /// Whether the target takes `stream_options.include_usage`.
    pub takes_include_usage: bool,
    /// Price per token of the custom model, before any table.
    pub own_price: Option<Price>,
    /// The custom model, where it is one.
    pub custom: Option<Arc<CustomModel>>,
    /// The translation that the custom model's endpoint needs.
    pub bridge: Option<Bridge>,
}

impl Target {
    /// The host that the client asked for, with the client's own headers.
    pub fn origin(scheme: Scheme, at: HostPort, path: PathAndQuery) -> Self {
        let name = at.host.to_string().into();
        Self {
            destination: Destination { scheme, at, dialled: None, roots: None },
            path,
            credential: Credential::Clients,
            route: Route { kind: RouteKind::Origin, name },
            model: None,
            base_model: None,
            drops_empty_chunks: false,
            takes_include_usage: true,
            own_price: None,
            custom: None,
            bridge: None,
        }
    }

    /// Whether Azure serves it, whose deployments may bear any name.
    pub fn is_on_azure(&self) -> bool {
        // Only Azure's streams have such chunks.
        self.drops_empty_chunks || self.destination.at.host.name().is_some_and(azure::is_azure_host)
    }

    /// A call for `asked` there as something to be priced, before anything is known of its reply.
    pub fn sale<'a>(&'a self, asked: Option<&'a str>, endpoint: &'a Endpoint, time: Timestamp) -> Sale<'a> {
        let deployment = self.is_on_azure().then(|| self.model.as_deref().or(asked)).flatten();
        Sale {
            own: self.own_price.as_ref(),
            base_model: self.base_model.as_deref(),
            served: None,
            asked,
            deployment,
            endpoint,
            tier: None,
            region: self.destination.at.host.name().and_then(region::of_host),
            size: None,
            quality: None,
            time,
            usage: &Usage::NOTHING,
        }
    }

    /// The URL that is asked for there, fit to be shown: values of its query may be keys.
    pub fn url(&self) -> String {
        self.destination.url(&masked_query(self.path.as_str()))
    }
}
