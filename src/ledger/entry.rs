//! One line in the books: one upstream attempt.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::dialect::endpoint::Endpoint;
use crate::policy::target::Route;
use crate::units::{Basis, Cost, Usage};

/// One upstream attempt, or one call that was refused before any.
///
/// Prompts and replies are never part of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Unique; sorts by time.
    pub id: Arc<str>,
    /// The entry of the connection that this one is a turn of.
    pub session: Option<Arc<str>>,
    /// When the attempt began.
    pub time: Timestamp,
    /// From the beginning to the last byte.
    pub duration_ms: u64,
    /// From the beginning to the first byte of the reply; `None` if there was no reply.
    pub first_byte_ms: Option<u64>,
    /// Who called.
    pub client: Client,
    /// The way in.
    pub ingress: Ingress,
    /// The host that the client asked for.
    pub host: Arc<str>,
    /// The operation.
    pub endpoint: Endpoint,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// The model under its names.
    pub model: Model,
    /// Which rule chose the upstream; `None` if the call was refused before.
    pub route: Option<Route>,
    /// 1 for the first upstream tried, 0 if none was.
    pub attempt: u32,
    /// The status that the upstream gave, or the gate's own; 0 where the client left before either.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Token counts; `None` is unknown.
    pub usage: Option<Usage>,
    /// How the counts are known.
    pub basis: Basis,
    /// The upstream's usage object, verbatim.
    pub raw_usage: Option<Box<RawValue>>,
    /// Service tiers.
    pub tier: Tier,
    /// Regions.
    pub region: Region,
    /// What was made, where its form decides about its price.
    pub media: Media,
    /// `costUsd`: exact dollars; `None` is unpriced.
    #[serde(rename = "costUsd")]
    pub cost: Option<Cost>,
    /// Where the price came from.
    pub price_source: Option<Arc<str>>,
    /// The rates that the cost was reckoned with, as JSON.
    pub rates: Option<Arc<RawValue>>,
    /// What the cost was before it was reckoned anew; the first of them where that happened several times.
    pub repriced: Option<Repriced>,
    /// The usage of what this call began is told by a later call, and booked there.
    pub deferred: bool,
    /// What became of the upstream after its client had left.
    pub after_close: Option<AfterClose>,
    /// The upstream's id of the reply object.
    pub upstream_id: Option<Box<str>>,
    /// Bytes of the request body.
    pub bytes_up: u64,
    /// Bytes of the reply body as the upstream sent it.
    pub bytes_down: u64,
    /// What went wrong, without any secret or content.
    pub error: Option<Box<str>>,
}

/// Who called.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Client {
    /// The peer's address.
    pub address: IpAddr,
    /// The name of the program, where it is known.
    pub process: Option<Arc<str>>,
    /// The path of the program, where it is known.
    pub path: Option<Arc<str>>,
    /// The `user-agent` header, at most 128 bytes.
    pub agent: Option<Arc<str>>,
    /// The label that the client or the way in carried.
    pub label: Option<Arc<str>>,
    /// A fingerprint of the key that the client sent, made with a key of this installation.
    pub key: Option<Arc<str>>,
}

/// The way in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ingress {
    /// The gate's own address used as the API's base URL.
    BaseUrl,
    /// CONNECT, intercepted.
    Connect,
    /// An absolute URL sent to the proxy.
    Forward,
    /// SOCKS5, intercepted.
    Socks5,
    /// A connection that the system led to the gate, intercepted.
    Transparent,
}

/// A model under its names, each at most 128 bytes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Model {
    /// What the client asked for.
    pub asked: Option<Arc<str>>,
    /// What was sent upstream.
    pub sent: Option<Arc<str>>,
    /// What the reply names.
    pub served: Option<Arc<str>>,
}

/// Service tiers.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Tier {
    /// What the client asked for.
    pub asked: Option<Box<str>>,
    /// What the reply names.
    pub served: Option<Box<str>>,
}

/// Regions, such as `eu`, at most 128 bytes each; `None` is the global service.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Region {
    /// That of the host that the client asked for.
    pub asked: Option<Arc<str>>,
    /// That of the host that served, or the one that the reply names.
    pub served: Option<Arc<str>>,
}

/// What was made, at most 128 bytes each.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Media {
    /// Such as `1024x1536` or `720p`.
    pub size: Option<Box<str>>,
    /// Such as `low`.
    pub quality: Option<Box<str>>,
}

/// What a cost was before it was reckoned anew.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repriced {
    /// When it was reckoned anew.
    pub time: Timestamp,
    /// `costUsd`: the cost before; `None` is unpriced.
    #[serde(rename = "costUsd")]
    pub cost: Option<Cost>,
    /// Where the price came from before.
    pub price_source: Option<Arc<str>>,
}

/// What became of the upstream after its client had left.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterClose {
    /// It was closed at once.
    Cancelled,
    /// It was read to its end, or to its usage.
    Drained,
    /// It was read on, but not to its end: too long, too slow, or one too many.
    GivenUp,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The client went away before the end.
    ClientClosed,
    /// The whole reply was passed on with a status below 400.
    Ok,
    /// The gate refused the call before any upstream was asked.
    Refused,
    /// The upstream was too slow.
    Timeout,
    /// Nobody can say.
    Unknown,
    /// The upstream broke off in the middle of its reply.
    UpstreamCut,
    /// The upstream could not be reached or answered with a status of 400 or more.
    UpstreamError,
}

impl Outcome {
    /// The outcome of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// As it is written in the books.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Unknown => "unknown",
            Self::UpstreamCut => "upstream_cut",
            Self::UpstreamError => "upstream_error",
        }
    }

    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ClientClosed,
        Self::Ok,
        Self::Refused,
        Self::Timeout,
        Self::Unknown,
        Self::UpstreamCut,
        Self::UpstreamError,
    ];
}
