//! How operations, providers, routes and outcomes are called outside.

use crate::dialect::azure::is_azure_host;
use crate::dialect::endpoint::{Dialect, Endpoint, Job, Socket};
use crate::ledger::entry::Outcome;
use crate::policy::Policy;
use crate::policy::routing::DuplicateKind;
use crate::policy::target::RouteKind;
use crate::units::Basis;

/// The operation in the words of the conventions, or in their manner where they have none.
pub fn operation(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Call(Dialect::Chat | Dialect::Compaction | Dialect::Responses) => "chat",
        Endpoint::Call(Dialect::Completion) => "text_completion",
        Endpoint::Call(Dialect::Decision) => "decision",
        Endpoint::Call(Dialect::Embeddings) => "embeddings",
        Endpoint::Call(Dialect::ImageEdit) => "image_edit",
        Endpoint::Call(Dialect::ImageGeneration) => "image_generation",
        Endpoint::Call(Dialect::ImageVariation) => "image_variation",
        Endpoint::Call(Dialect::InputTokens) => "count_tokens",
        Endpoint::Call(Dialect::Moderation) => "moderation",
        Endpoint::Call(Dialect::Speech) => "speech",
        Endpoint::Call(Dialect::Transcription) => "transcription",
        Endpoint::Call(Dialect::Translation) => "translation",
        Endpoint::Call(Dialect::Video | Dialect::VideoExtension) | Endpoint::Job(Job::Video) => "video_generation",
        Endpoint::Job(Job::Batch) => "batch",
        Endpoint::Job(Job::FineTuning) => "fine_tuning",
        Endpoint::Job(Job::Response) | Endpoint::Socket(Socket::Responses) => "chat",
        Endpoint::Job(Job::Run) => "invoke_agent",
        Endpoint::Models | Endpoint::Model(_) => "models",
        Endpoint::Opening(_) => "realtime_opening",
        Endpoint::Other => "other",
        Endpoint::Socket(Socket::Live | Socket::Realtime) => "realtime",
    }
}

/// Who answers there, in the words of the conventions.
pub fn provider(route: Option<(RouteKind, &str)>, policy: &Policy) -> &'static str {
    let is_azure = match route {
        None => return OPENAI,
        Some((RouteKind::Custom, name)) => match policy.routing.customs.get(name) {
            Some(model) if model.is_on_azure() => true,
            _ => return "custom",
        },
        Some((RouteKind::Duplicate, name)) => policy
            .routing
            .duplicates
            .iter()
            .any(|duplicate| &*duplicate.name == name && matches!(duplicate.kind, DuplicateKind::Azure { .. })),
        Some((RouteKind::Origin, host)) => is_azure_host(host.split(':').next().unwrap_or(host)),
    };
    if is_azure { "azure.ai.openai" } else { OPENAI }
}

/// What went wrong, as `error.type`: the status of a failed reply, else how the call ended; `None` where nothing did.
pub fn error_type(outcome: Outcome, status: u16) -> Option<String> {
    match outcome {
        Outcome::Ok => None,
        Outcome::Refused | Outcome::UpstreamError if status != 0 => Some(status.to_string()),
        other => Some(outcome_name(other).into()),
    }
}

/// The outcome as the books write it.
pub fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::ClientClosed => "client_closed",
        Outcome::Ok => "ok",
        Outcome::Refused => "refused",
        Outcome::Timeout => "timeout",
        Outcome::Unknown => "unknown",
        Outcome::UpstreamCut => "upstream_cut",
        Outcome::UpstreamError => "upstream_error",
    }
}

/// The basis as the books write it.
pub fn basis_name(basis: Basis) -> &'static str {
    match basis {
        Basis::Reported => "reported",
        Basis::Counted => "counted",
        Basis::Estimated => "estimated",
        Basis::None => "none",
    }
}

/// `custom/NAME`, `duplicate/NAME`, `origin/HOST`, or `none`.
pub fn route_name(route: Option<(RouteKind, &str)>) -> String {
    match route {
        Some((RouteKind::Custom, name)) => format!("custom/{name}"),
        Some((RouteKind::Duplicate, name)) => format!("duplicate/{name}"),
        Some((RouteKind::Origin, name)) => format!("origin/{name}"),
        None => "none".into(),
    }
}

const OPENAI: &str = "openai";
