//! Memory of a fresh gate: alone, and with idle intercepted connections.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;

use crate::Scale;
use crate::certificate::CA;
use crate::client::{Form, Way, load, open, trusting};
use crate::gate::GateUnderTest;

/// Memory of a fresh gate, in units of 1024 bytes.
pub(crate) struct Idle {
    /// Before any connection.
    pub(crate) alone: u64,
    /// Idle connections.
    pub(crate) connections: usize,
    /// With as many connections that have shaken hands.
    pub(crate) opened: u64,
    /// With as many connections that have made one call.
    pub(crate) used: u64,
}

/// Measures a gate that is started for this alone.
pub(crate) async fn measure(scale: Scale, folder: &Path, upstream: SocketAddr) -> anyhow::Result<Idle> {
    let gate = GateUnderTest::start(&folder.join("idle"), upstream, &folder.join(CA))?;
    let way = Way::Connect(gate.proxy, trusting(&gate.ca)?);
    let alone = gate.process.resident_kb()?;
    let count = scale.idle.min(descriptors()?.saturating_sub(SPARE));
    let mut connections = open(&way, count).await?;
    let opened = gate.process.resident_kb()?;
    // One after the other, so that one upstream connection serves them all.
    for connection in &mut connections {
        load(std::slice::from_mut(connection), Form::Small, 1).await?;
    }
    let used = gate.process.resident_kb()?;
    Ok(Idle { alone, connections: count, opened, used })
}

/// Files that a process may have open.
fn descriptors() -> anyhow::Result<usize> {
    let text = std::fs::read_to_string("/proc/self/limits")?;
    let line = text.lines().find(|line| line.starts_with("Max open files")).context("no limit of open files")?;
    let soft = line.split_whitespace().nth(3).unwrap_or_default();
    Ok(soft.parse().unwrap_or(usize::MAX))
}

/// Descriptors that the gate needs for other things.
const SPARE: usize = 64;
