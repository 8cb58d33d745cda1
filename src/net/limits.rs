//! Bounds on what clients can make the gate do and hold.

use std::time::Duration;

/// Bounds on what a client can make the gate hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Client connections open at once.
    pub connections: usize,
    /// Bytes of a request head.
    pub header_bytes: usize,
    /// Fields of a request head.
    pub headers: usize,
    /// Bytes of a request body that must be read whole to be routed; others stream.
    pub body_bytes: usize,
    /// Time for a whole request head.
    pub header_timeout: Duration,
    /// Time for a TLS handshake with a client.
    pub handshake_timeout: Duration,
    /// `ledger.entries`: entries kept in memory.
    pub entries: usize,
    /// How long open exchanges may go on after a stop was asked for.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_bytes: 64 << 10,
            headers: 100,
            body_bytes: 128 << 20,
            header_timeout: Duration::from_secs(15),
            handshake_timeout: Duration::from_secs(10),
            entries: 10_000,
            drain_timeout: Duration::from_secs(600),
        }
    }
}
