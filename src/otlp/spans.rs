//! One span for each entry of the books: what was called and what it took, nothing of what was said.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use crate::dialect::endpoint::Endpoint;
use crate::ledger::conventions as names;
use crate::ledger::entry::{Entry, Outcome};
use crate::ledger::words::{basis_name, error_type, operation, outcome_name, provider, route_name};
use crate::otlp::attributes::{Attributes, SCHEMA, scope};
use crate::policy::Policy;
use crate::policy::target::{Route, RouteKind};

/// The request that carries some spans.
pub(crate) fn request(resource: Resource, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let spans = ScopeSpans { scope: Some(scope()), spans, schema_url: SCHEMA.into() };
    let all = ResourceSpans { resource: Some(resource), scope_spans: vec![spans], schema_url: SCHEMA.into() };
    ExportTraceServiceRequest { resource_spans: vec![all] }
}

/// The span of an entry.
///
/// Its ids are made of the entry's own, so that a span that is sent twice is one span: the attempts of one call, and the
/// turns of one connection, are one trace.
pub(crate) fn span(entry: &Entry, policy: &Policy) -> Span {
    let start = nanos(entry.time);
    let length = Duration::from_millis(entry.duration_ms).as_nanos();
    let failed = entry.outcome != Outcome::Ok;
    Span {
        trace_id: hashed("trace", entry.session.as_deref().unwrap_or_else(|| call_of(entry)))[..16].to_vec(),
        span_id: span_id(&entry.id),
        parent_span_id: entry.session.as_deref().map(span_id).unwrap_or_default(),
        name: name(entry),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(u64::try_from(length).unwrap_or(u64::MAX)),
        attributes: attributes(entry, policy),
        status: failed.then(|| Status {
            message: entry.error.as_deref().unwrap_or_default().into(),
            code: StatusCode::Error.into(),
        }),
        ..Span::default()
    }
}

/// `chat gpt-4o`; an operation without a model bears its path.
fn name(entry: &Entry) -> String {
    match &entry.model.asked {
        Some(model) => format!("{} {model}", operation(&entry.endpoint)),
        None if matches!(entry.endpoint, Endpoint::Models | Endpoint::Other) => entry.endpoint.name().into(),
        None => operation(&entry.endpoint).into(),
    }
}

fn attributes(entry: &Entry, policy: &Policy) -> Vec<opentelemetry_proto::tonic::common::v1::KeyValue> {
    let mut all = Attributes::default();
    let route = entry.route.as_ref().map(|Route { kind, name }| (*kind, &**name));
    all.text(names::OPERATION, operation(&entry.endpoint));
    all.text(names::PROVIDER, provider(route, policy));
    all.some_text(names::REQUEST_MODEL, entry.model.asked.as_deref());
    all.some_text(names::RESPONSE_MODEL, entry.model.served.as_deref());
    all.some_text(names::RESPONSE_ID, entry.upstream_id.as_deref());
    all.flag(names::REQUEST_STREAM, entry.stream);
    all.seconds(names::TIME_TO_FIRST_CHUNK, entry.first_byte_ms.filter(|_| entry.stream));
    all.some_text(names::REQUEST_TIER, entry.tier.asked.as_deref());
    all.some_text(names::RESPONSE_TIER, entry.tier.served.as_deref());
    all.some_text(names::SERVER_ADDRESS, server(entry, policy).as_deref());
    all.number(names::HTTP_STATUS, Some(entry.status.into()).filter(|status| *status != 0));
    all.some_text(names::ERROR_TYPE, error_type(entry.outcome, entry.status).as_deref());
    if let Some(usage) = &entry.usage {
        all.number(names::INPUT_TOKENS, usage.input);
        all.number(names::OUTPUT_TOKENS, usage.output);
        all.number(names::CACHE_READ_TOKENS, usage.cached_input);
        all.number(names::CACHE_WRITE_TOKENS, usage.cache_write);
        all.number(names::REASONING_TOKENS, usage.reasoning);
    }
    all.text("tollgate.id", &*entry.id);
    all.some_text("tollgate.session", entry.session.as_deref());
    all.text("tollgate.endpoint", entry.endpoint.name());
    all.text("tollgate.route", route_name(route));
    all.number("tollgate.attempt", Some(entry.attempt.into()));
    all.some_text("tollgate.label", entry.client.label.as_deref());
    all.some_text("tollgate.process", entry.client.process.as_deref());
    all.some_text("user_agent.original", entry.client.agent.as_deref());
    all.text("tollgate.outcome", outcome_name(entry.outcome));
    all.text("tollgate.basis", basis_name(entry.basis));
    all.some_text("tollgate.cost_usd", entry.cost.map(|cost| cost.to_string()).as_deref());
    all.some_text("tollgate.price_source", entry.price_source.as_deref());
    all.done()
}

/// The host that was called.
fn server(entry: &Entry, policy: &Policy) -> Option<String> {
    let Route { kind, name } = entry.route.as_ref()?;
    let destination = match kind {
        RouteKind::Custom => &policy.routing.customs.get(name)?.destination,
        RouteKind::Duplicate => {
            &policy.routing.duplicates.iter().find(|duplicate| duplicate.name == *name)?.destination
        }
        RouteKind::Origin => return Some(entry.host.to_string()),
    };
    Some(destination.at.host.to_string())
}

/// The id that all attempts of one call begin with.
fn call_of(entry: &Entry) -> &str {
    let end = format!("-{}", entry.attempt);
    if entry.attempt > 1 { entry.id.strip_suffix(&*end).unwrap_or(&entry.id) } else { &entry.id }
}

fn span_id(id: &str) -> Vec<u8> {
    hashed("span", id)[..8].to_vec()
}

fn hashed(what: &str, id: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, format!("{what} {id}").as_bytes()).as_ref());
    bytes
}

/// Since 1970; what lies before is 0.
pub(crate) fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::entry;

    #[test]
    fn attempts_of_one_call_and_turns_of_one_connection_are_one_trace() {
        let with = |id: &str, attempt, session: Option<&str>| {
            let mut entry = entry("gpt-4o", "2026-11-22T12:00:00Z");
            (entry.id, entry.attempt, entry.session) = (id.into(), attempt, session.map(Into::into));
            span(&entry, &Policy::default())
        };
        let (first, second, other) = (with("a-1", 1, None), with("a-1-2", 2, None), with("b", 1, None));
        assert_eq!(first.trace_id, second.trace_id);
        assert_ne!(first.span_id, second.span_id);
        assert_ne!(first.trace_id, other.trace_id);
        assert!(first.parent_span_id.is_empty());
        let (connection, turn) = (with("c", 1, None), with("c.1", 1, Some("c")));
        assert_eq!((&turn.trace_id, &turn.parent_span_id), (&connection.trace_id, &connection.span_id));
        assert_eq!((first.trace_id.len(), first.span_id.len()), (16, 8));
        assert_eq!(with("a-1", 1, None), first, "the same entry is the same span");
    }
}
