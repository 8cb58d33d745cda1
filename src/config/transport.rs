//! `upstream` and `limits`: times, bounds, further roots and addresses.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::address::leads_home;
use crate::config::amount::{duration, size};
use crate::config::field::{Field, Fields};
use crate::config::files::Trust;
use crate::config::setup::UpstreamSetup;
use crate::net::host::{Host, HostPort};
use crate::net::limits::Limits;

/// Reads `upstream`; also its `ca` as written.
pub(super) fn upstream(top: &Fields<'_>, own: &[SocketAddr]) -> (UpstreamSetup, Option<String>) {
    let mut setup = UpstreamSetup::default();
    let Some(fields) = top.find("upstream").and_then(|field| field.fields(&UPSTREAM)) else { return (setup, None) };
    fields.refuse("proxy");
    let ca = Trust::read(&fields);
    setup.roots = ca.as_ref().map(|ca| Arc::clone(&ca.roots));
    set_duration(&fields, "connectTimeout", &mut setup.connect_timeout);
    set_duration(&fields, "firstByteTimeout", &mut setup.first_byte_timeout);
    set_duration(&fields, "idleTimeout", &mut setup.idle_timeout);
    if let Some(field) = fields.given("resolve") {
        setup.resolve = resolve(&field, own);
    }
    (setup, ca.map(|ca| ca.path))
}

/// Reads `limits`.
pub(super) fn limits(top: &Fields<'_>) -> Limits {
    let mut limits = Limits::default();
    let Some(fields) = top.find("limits").and_then(|field| field.fields(&LIMITS)) else { return limits };
    set_count(&fields, "connections", &mut limits.connections);
    set_count(&fields, "headers", &mut limits.headers);
    set_size(&fields, "headerBytes", &mut limits.header_bytes, LEAST_HEAD);
    set_size(&fields, "bodyBytes", &mut limits.body_bytes, 1024);
    set_duration(&fields, "headerTimeout", &mut limits.header_timeout);
    set_duration(&fields, "handshakeTimeout", &mut limits.handshake_timeout);
    set_duration(&fields, "drainTimeout", &mut limits.drain_timeout);
    limits
}

/// Overwrites `place` where `key` holds a number from 1 up.
pub(super) fn set_count(fields: &Fields<'_>, key: &str, place: &mut usize) {
    let count = fields.find(key).and_then(|field| field.whole(1..=100_000_000));
    if let Some(count) = count.and_then(|count| usize::try_from(count).ok()) {
        *place = count;
    }
}

fn set_size(fields: &Fields<'_>, key: &str, place: &mut usize, least: u64) {
    if let Some(bytes) = fields.find(key).and_then(|field| size(&field, least)) {
        *place = bytes;
    }
}

fn set_duration(fields: &Fields<'_>, key: &str, place: &mut Duration) {
    if let Some(time) = fields.find(key).and_then(|field| duration(&field)) {
        *place = time;
    }
}

/// `{"api.openai.com:443": "127.0.0.1:9443"}`.
fn resolve(field: &Field<'_>, own: &[SocketAddr]) -> HashMap<HostPort, SocketAddr> {
    let mut addresses = HashMap::new();
    for (name, field) in field.members() {
        let Ok(at) = HostPort::parse_connect(name) else {
            field.wrong("must have a host with a port as its key, such as `api.openai.com:443`");
            continue;
        };
        let Some(text) = field.filled_text() else { continue };
        let Some(address) = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0) else {
            field.wrong("must be an address with a port such as `127.0.0.1:9443`");
            continue;
        };
        if leads_home(&HostPort { host: Host::Address(address.ip()), port: address.port() }, own) {
            field.wrong("must not be an address on which the gate itself listens");
        }
        if addresses.insert(at, address).is_some() {
            field.wrong("stands twice");
        }
    }
    addresses
}

const UPSTREAM: [&str; 6] = ["ca", "proxy", "connectTimeout", "firstByteTimeout", "idleTimeout", "resolve"];

const LIMITS: [&str; 7] =
    ["connections", "headerBytes", "headers", "bodyBytes", "headerTimeout", "handshakeTimeout", "drainTimeout"];

/// The HTTP library's own lower bound for a request head.
const LEAST_HEAD: u64 = 8 << 10;
