//! One line in the books: one upstream attempt.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::dialect::endpoint::Endpoint;
use crate::policy::target::Route;
use crate::units::{Basis, Cost, Usage};

/// One upstream attempt, or one call that was refused before any.
///
/// Prompts and replies are never part of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Unique; sorts by time.
    pub id: Arc<str>,
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
    /// `costUsd`: exact dollars; `None` is unpriced.
    #[serde(rename = "costUsd")]
    pub cost: Option<Cost>,
    /// Where the price came from.
    pub price_source: Option<Arc<str>>,
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
#[derive(Clone, Debug, Serialize)]
pub struct Client {
    /// The peer's address.
    pub address: IpAddr,
    /// The program, where it is known.
    pub process: Option<Arc<str>>,
    /// The `user-agent` header, at most 128 bytes.
    pub agent: Option<Arc<str>>,
    /// The label that the client or the way in carried.
    pub label: Option<Arc<str>>,
}

/// The way in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ingress {
    /// The gate's own address used as the API's base URL.
    BaseUrl,
    /// CONNECT, intercepted.
    Connect,
    /// An absolute URL sent to the proxy.
    Forward,
}

/// A model under its names, each at most 128 bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Model {
    /// What the client asked for.
    pub asked: Option<Arc<str>>,
    /// What was sent upstream.
    pub sent: Option<Arc<str>>,
    /// What the reply names.
    pub served: Option<Arc<str>>,
}

/// Service tiers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tier {
    /// What the client asked for.
    pub asked: Option<Box<str>>,
    /// What the reply names.
    pub served: Option<Box<str>>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
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
