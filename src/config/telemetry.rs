//! `telemetry`: where metrics and spans are sent, if anywhere.

use std::sync::Arc;
use std::time::Duration;

use crate::config::address::Address;
use crate::config::amount::duration;
use crate::config::extras::headers_with_key;
use crate::config::field::{Field, Fields};
use crate::config::files::Trust;
use crate::config::listen::Listen;
use crate::config::setup::CollectorSetup;
use crate::policy::target::Destination;

/// Reads `telemetry.otlp`; also its `ca` as written.
pub(super) fn collector(top: &Fields<'_>, listen: &Listen) -> (Option<CollectorSetup>, Option<String>) {
    let otlp = top.find("telemetry").and_then(|field| field.fields(&["otlp"])).and_then(|fields| fields.given("otlp"));
    let Some(fields) = otlp.and_then(|field| field.fields(&KEYS)) else { return (None, None) };
    let ca = Trust::read(&fields);
    let endpoint = fields.required("endpoint").and_then(|field| endpoint(&field, listen));
    let headers = fields.given("headers").map(|field| headers_with_key(&field)).unwrap_or_default();
    let interval = fields.given("interval").and_then(|field| interval(&field)).unwrap_or(INTERVAL);
    let service = fields.given("service").and_then(|field| service(&field)).unwrap_or(SERVICE);
    let setup = endpoint.map(|(address, base_path)| CollectorSetup {
        destination: Destination {
            scheme: address.scheme,
            at: address.at,
            dialled: None,
            roots: ca.as_ref().map(|ca| Arc::clone(&ca.roots)),
        },
        base_path: base_path.into(),
        headers,
        interval,
        service: service.into(),
    });
    (setup, ca.map(|ca| ca.path))
}

/// What stands before `/v1/traces` and `/v1/metrics`.
fn endpoint(field: &Field<'_>, listen: &Listen) -> Option<(Address, String)> {
    let address = Address::read(field, &listen.own())?;
    let path = address.path.path().trim_end_matches('/').to_owned();
    if address.path.query().is_some() {
        field.wrong("must have no query");
        return None;
    }
    if path.ends_with("/v1/traces") || path.ends_with("/v1/metrics") {
        field.wrong_hint("must be what stands before `/v1/traces`", "leave that end of it out");
        return None;
    }
    Some((address, path))
}

fn interval(field: &Field<'_>) -> Option<Duration> {
    let interval = duration(field)?;
    if !(LEAST..=MOST).contains(&interval) {
        field.wrong("must be from 1s to 1h");
        return None;
    }
    Some(interval)
}

fn service<'a>(field: &Field<'a>) -> Option<&'a str> {
    let name = field.filled_text()?;
    if name.len() > LONGEST_NAME {
        field.wrong(format!("must have at most {LONGEST_NAME} bytes"));
        return None;
    }
    Some(name)
}

const KEYS: [&str; 5] = ["endpoint", "headers", "interval", "service", "ca"];
const INTERVAL: Duration = Duration::from_secs(10);
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(3600);
const LONGEST_NAME: usize = 128;
const SERVICE: &str = "tollgate";
