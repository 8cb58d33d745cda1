//! CPU per call and memory of the gate under load, beside nginx where it is installed.
//!
//! `cargo bench --bench load`, or `cargo bench --bench load -- --quick` for a glance; see `benches/README.md`.

#[path = "load/certificate.rs"]
mod certificate;
#[path = "load/client.rs"]
mod client;
#[path = "load/figures.rs"]
mod figures;
#[path = "load/gate.rs"]
mod gate;
#[path = "load/memory.rs"]
mod memory;
#[path = "load/nginx.rs"]
mod nginx;
#[path = "load/process.rs"]
mod process;
#[path = "load/rounds.rs"]
mod rounds;
#[path = "load/standin.rs"]
mod standin;

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

use crate::certificate::Papers;
use crate::gate::GateUnderTest;
use crate::nginx::Nginx;
use crate::rounds::Programs;
use crate::standin::StandIn;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, folder] = words.as_slice()
        && first == standin::ARGUMENT
    {
        return standin::serve(folder.as_ref());
    }
    let scale = if words.iter().any(|word| word == "--quick") { Scale::QUICK } else { Scale::FULL };
    let only = words.iter().find_map(|word| word.strip_prefix("--only=")).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime
        .block_on(async { tokio::time::timeout(LONGEST, measure(scale, only)).await.context("the run took too long")? })
}

/// How much is done.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// Rounds, each of every case on every program.
    pub(crate) rounds: usize,
    /// Small calls in one measurement.
    pub(crate) calls: usize,
    /// Streams in one measurement.
    pub(crate) streams: usize,
    /// Idle connections whose memory is measured.
    pub(crate) idle: usize,
}

impl Scale {
    const FULL: Self = Self { rounds: 5, calls: 20_000, streams: 800, idle: 1000 };
    const QUICK: Self = Self { rounds: 2, calls: 3000, streams: 120, idle: 200 };
}

async fn measure(scale: Scale, only: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let papers = Papers::write(folder.path())?;
    let standin = StandIn::start(folder.path())?;
    let mut out = std::io::stdout();
    figures::heading(&mut out, scale)?;

    let idle = memory::measure(scale, folder.path(), standin.address).await?;
    let gate = GateUnderTest::start(&folder.path().join("gate"), standin.address, &papers.ca)?;
    let nginx = Nginx::start(folder.path(), standin.address).await?;
    let programs = Programs { gate: &gate, nginx: nginx.as_ref(), papers: &papers };
    let figures = rounds::run(scale, &programs, only).await?;
    let after = gate.process.resident_kb()?;
    let booked = gate.booked().await?;

    figures::cpu(&mut out, &figures)?;
    if nginx.is_none() {
        writeln!(out, "nginx not installed: no ratio")?;
    }
    figures::memory(&mut out, &idle, figures.gate_calls, after)?;
    anyhow::ensure!(booked == figures.gate_calls, "{} calls were made, {booked} are in the books", figures.gate_calls);
    writeln!(out, "\nbooks: all {booked} calls are in the ledger")?;
    Ok(())
}

/// An address of this machine, at a port that is free now.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A run ends by then, whatever hangs.
const LONGEST: Duration = Duration::from_secs(600);
