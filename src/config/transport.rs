//! `upstream` and `limits`: times, bounds, further roots and addresses.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::config::address::leads_home;
use crate::config::amount::{duration, size};
use crate::config::document::Shape;
use crate::config::field::{Field, Fields, shown};
use crate::config::files::Trust;
use crate::config::outer;
use crate::config::setup::UpstreamSetup;
use crate::net::host::{Host, HostPort};
use crate::net::limits::Limits;

/// Files of `upstream` as written, which their domain values do not keep.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// `upstream.ca`.
    pub(super) ca: Option<String>,
    /// `upstream.proxy.ca`.
    pub(super) proxy_ca: Option<String>,
}

/// Reads `upstream`.
pub(super) fn upstream(top: &Fields<'_>, own: &[SocketAddr]) -> (UpstreamSetup, Files) {
    let mut setup = UpstreamSetup::default();
    let fields = top.find("upstream").and_then(|field| field.fields(&UPSTREAM));
    let outer = outer::read(top, fields.as_ref(), own);
    let (outer, proxy_ca) = outer.map(|outer::Listed { proxy, ca }| (proxy, ca)).unzip();
    setup.outer = outer;
    let mut files = Files { ca: None, proxy_ca: proxy_ca.flatten() };
    let Some(fields) = fields else { return (setup, files) };
    let ca = Trust::read(&fields);
    setup.roots = ca.as_ref().map(|ca| Arc::clone(&ca.roots));
    set_duration(&fields, "connectTimeout", &mut setup.connect_timeout);
    set_duration(&fields, "firstByteTimeout", &mut setup.first_byte_timeout);
    set_duration(&fields, "idleTimeout", &mut setup.idle_timeout);
    if let Some(field) = fields.given("resolve") {
        setup.resolve = resolve(&field, own);
    }
    setup.name_servers = fields.given("nameServers").map(|field| name_servers(&field));
    files.ca = ca.map(|ca| ca.path);
    (setup, files)
}

/// Addresses, with port 53 where none is written.
fn name_servers(field: &Field<'_>) -> Vec<SocketAddr> {
    let items = field.items();
    if items.is_empty() && matches!(field.shape(), Shape::List(_)) {
        field.wrong_hint("must name at least one server", "leave it `null` to ask those of this machine");
    }
    let read = |field: &Field<'_>| {
        let text = field.filled_text()?;
        let port = |ip: IpAddr| SocketAddr::new(ip, 53);
        let server = text.parse().ok().or_else(|| text.parse().ok().map(port)).filter(|server| server.port() != 0);
        if server.is_none() {
            field.wrong(format!("must be an address such as `192.0.2.53` or `127.0.0.1:5353`, not `{}`", shown(text)));
        }
        server
    };
    items.iter().filter_map(read).collect()
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

const UPSTREAM: [&str; 7] =
    ["ca", "proxy", "connectTimeout", "firstByteTimeout", "idleTimeout", "resolve", "nameServers"];

const LIMITS: [&str; 7] =
    ["connections", "headerBytes", "headers", "bodyBytes", "headerTimeout", "handshakeTimeout", "drainTimeout"];

/// The HTTP library's own lower bound for a request head.
const LEAST_HEAD: u64 = 8 << 10;
