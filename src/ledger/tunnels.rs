//! What was passed on unseen: connections and bytes.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// The counters of tunnels.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    connections: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    unmetered_ai: AtomicU64,
    mtls: AtomicU64,
    pinned: AtomicU64,
    bypassed: AtomicU64,
    webrtc_calls: AtomicU64,
    upgrades: AtomicU64,
}

/// Something that the books cannot see into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gap {
    /// A tunnel of a client that did not take the gate's certificate, to a host whose connections are opened.
    Bypassed,
    /// A tunnel to a host that knows the client by its certificate.
    Mtls,
    /// A client that did not take the gate's certificate.
    Pinned,
    /// A tunnel to a known AI host.
    UnmeteredAi,
    /// A WebSocket to a path that nobody knows.
    Upgrade,
    /// A call whose sound goes by WebRTC, past the gate.
    WebRtc,
}

impl Tunnels {
    pub(crate) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn gap(&self, gap: Gap) {
        let count = match gap {
            Gap::Bypassed => &self.bypassed,
            Gap::Mtls => &self.mtls,
            Gap::Pinned => &self.pinned,
            Gap::UnmeteredAi => &self.unmetered_ai,
            Gap::Upgrade => &self.upgrades,
            Gap::WebRtc => &self.webrtc_calls,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self, bytes_up: u64, bytes_down: u64) {
        self.bytes_up.fetch_add(bytes_up, Ordering::Relaxed);
        self.bytes_down.fetch_add(bytes_down, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Tunnelled {
        Tunnelled {
            connections: self.connections.load(Ordering::Relaxed),
            bytes_up: self.bytes_up.load(Ordering::Relaxed),
            bytes_down: self.bytes_down.load(Ordering::Relaxed),
            unmetered_ai: self.unmetered_ai.load(Ordering::Relaxed),
            mtls: self.mtls.load(Ordering::Relaxed),
            pinned: self.pinned.load(Ordering::Relaxed),
            bypassed: self.bypassed.load(Ordering::Relaxed),
            webrtc_calls: self.webrtc_calls.load(Ordering::Relaxed),
            upgrades: self.upgrades.load(Ordering::Relaxed),
        }
    }
}

/// What was passed on unseen since the gate started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tunnelled {
    /// Tunnels opened.
    pub connections: u64,
    /// Bytes from clients, of tunnels that ended.
    pub bytes_up: u64,
    /// Bytes to clients, of tunnels that ended.
    pub bytes_down: u64,
    /// Tunnels to known AI hosts, whose calls are not metered.
    pub unmetered_ai: u64,
    /// Those of them that lead to a host that knows the client by its certificate.
    pub mtls: u64,
    /// Connections that ended because the client did not take the gate's certificate.
    pub pinned: u64,
    /// Tunnels to hosts whose connections are opened, of clients that did not take it; they are unmetered too.
    pub bypassed: u64,
    /// Calls that were set up, and whose sound then goes by WebRTC.
    pub webrtc_calls: u64,
    /// WebSockets whose events nobody knows; they are among the tunnels, with their bytes.
    pub upgrades: u64,
}
