//! The table of a run, in plain text, with the targets beside the figures.

use std::fs;
use std::io::{self, Write};

use crate::Scale;
use crate::memory::Idle;
use crate::rounds::{Figures, Row};

/// The date, the machine, and how much is done.
pub(crate) fn heading(out: &mut dyn Write, scale: Scale) -> io::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let Scale { rounds, calls, streams, .. } = scale;
    writeln!(out, "\n{} on {cores} cores, {}", jiff::Timestamp::now().strftime("%F %R UTC"), processor())?;
    writeln!(out, "{rounds} rounds of {calls} small calls and {streams} streams; median (least..most)\n")
}

/// CPU time, beside nginx's.
pub(crate) fn cpu(out: &mut dyn Write, figures: &Figures) -> io::Result<()> {
    writeln!(out, "{:<40}{:<24}{:<24}{:<22}target", "CPU, microseconds per", "gate", "nginx", "gate / nginx")?;
    for row in &figures.rows {
        let (gate, nginx) = (spread(&row.gate, micros), spread(&row.nginx, micros));
        let target = if row.nginx.is_empty() { "" } else { "0.90" };
        writeln!(out, "{:<40}{gate:<24}{nginx:<24}{:<22}{target}", row.case.name, spread(&ratios(row), hundredths))?;
    }
    Ok(())
}

/// Memory of a fresh gate, and of the one that carried the load.
pub(crate) fn memory(out: &mut dyn Write, idle: &Idle, calls: u64, after: u64) -> io::Result<()> {
    let each = |with: u64| format!("{} B", with.saturating_sub(idle.alone) * 1024 / (idle.connections.max(1) as u64));
    let count = idle.connections;
    writeln!(out, "\n{:<60}{:<16}target", "memory", "gate")?;
    writeln!(out, "{:<60}{:<16}25600 kB", "fresh", format!("{} kB", idle.alone))?;
    let opened = format!("each of {count} idle TLS connections, no call yet");
    writeln!(out, "{opened:<60}{:<16}32768 B", each(idle.opened))?;
    let used = format!("each of {count} idle TLS connections, after a call");
    writeln!(out, "{used:<60}{:<16}32768 B", each(idle.used))?;
    let loaded = format!("another gate, after {calls} calls");
    writeln!(out, "{loaded:<60}{after} kB")
}

/// Gate over nginx in hundredths, pair by pair.
fn ratios(row: &Row) -> Vec<u64> {
    row.gate.iter().zip(&row.nginx).map(|(gate, nginx)| gate * 100 / (*nginx).max(1)).collect()
}

/// The median, the least and the most.
fn spread(values: &[u64], shown: fn(u64) -> String) -> String {
    let mut values = values.to_vec();
    values.sort_unstable();
    let (Some(least), Some(most)) = (values.first(), values.last()) else { return "-".into() };
    format!("{} ({}..{})", shown(values[values.len() / 2]), shown(*least), shown(*most))
}

fn micros(nanos: u64) -> String {
    format!("{}.{:02}", nanos / 1000, nanos % 1000 / 10)
}

fn hundredths(ratio: u64) -> String {
    format!("{}.{:02}", ratio / 100, ratio % 100)
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    name.map_or_else(|| "processor unknown".into(), |(_, name)| name.to_owned())
}
