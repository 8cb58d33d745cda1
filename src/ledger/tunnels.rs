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
}

impl Tunnels {
    pub(crate) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unmetered_ai(&self) {
        self.unmetered_ai.fetch_add(1, Ordering::Relaxed);
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
}
