//! A gate on a journal of a million entries: its memory, its time to start, and how fast it answers.
//!
//! `cargo bench --bench books`, or `cargo bench --bench books -- --quick` for a tenth of the entries; see
//! `benches/README.md`.

#[path = "books/fill.rs"]
mod fill;
#[path = "load/process.rs"]
mod process;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::process::Process;

fn main() -> anyhow::Result<()> {
    let quick = std::env::args().any(|word| word == "--quick");
    let entries = if quick { 100_000 } else { 1_000_000 };
    let folder = tempfile::tempdir()?;
    let mut out = io::stdout();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let now = jiff::Timestamp::now().strftime("%F %R UTC").to_string();
    writeln!(out, "\n{now} on {cores} cores, {entries} entries over {} days\n", fill::DAYS)?;
    let journal = folder.path().join("ledger.sqlite");
    let begun = Instant::now();
    fill::fill(&journal, entries)?;
    let size = fs::metadata(&journal)?.len();
    writeln!(out, "{:<46}{} s, {} MB", "booked one by one, file", begun.elapsed().as_secs(), size >> 20)?;
    for (name, path) in [("without entries", "empty.sqlite"), ("with all entries", "ledger.sqlite")] {
        let (gate, took) = Gate::start(folder.path(), path)?;
        let kb = gate.process.resident_kb()?;
        let cpu = gate.process.cpu_nanos()? / 1_000_000;
        writeln!(out, "{:<46}{took} ms ({cpu} ms of CPU), {} MB", format!("ready {name}, memory"), kb >> 10)?;
        if path == "ledger.sqlite" {
            ask(&gate, entries, &mut out)?;
        }
    }
    Ok(())
}

/// Asks what people ask, each seven times.
fn ask(gate: &Gate, entries: u32, out: &mut dyn Write) -> anyhow::Result<()> {
    let deep = gate.get("/entries?limit=1&until=40d")?;
    let deep: serde_json::Value = serde_json::from_slice(&deep)?;
    let cursor = deep["next"].as_str().context("no cursor")?.to_owned();
    for path in [
        "/stats?since=30d&by=model,day",
        "/stats?since=59d&by=model,label,client",
        "/stats?by=hour",
        "/stats?since=30d&label=team-3&by=model",
        "/entries?limit=100",
        "/entries?limit=100&until=40d",
        &format!("/entries?limit=100&cursor={cursor}"),
        "/entries?limit=100&until=40d&model=model-7&label=team-1",
        "/entries?limit=100&outcome=timeout&model=model-1",
    ] {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..7 {
            let begun = Instant::now();
            bytes = gate.get(path)?.len();
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        let shown = path.replace(&cursor, "(40 days back)");
        writeln!(out, "{shown:<46} {} ({}..{}) ms, {} kB", ms(times[3]), ms(times[0]), ms(times[6]), bytes >> 10)?;
    }
    writeln!(out, "{:<46} {} MB", "memory after these", gate.process.resident_kb()? >> 10)?;
    let begun = Instant::now();
    let lines = gate.get("/entries?format=jsonl&limit=all")?;
    let count = lines.iter().filter(|byte| **byte == b'\n').count();
    // Each chunk ends with a line of its own.
    anyhow::ensure!(count >= entries as usize, "{count} lines");
    let took = begun.elapsed().as_secs();
    writeln!(out, "{:<46} {took} s, {} MB", "all entries as JSON lines", lines.len() >> 20)?;
    writeln!(out, "{:<46} {} MB", "memory after that", gate.process.resident_kb()? >> 10)?;
    Ok(())
}

fn ms(time: Duration) -> String {
    format!("{}.{}", time.as_millis(), time.as_micros() % 1000 / 100)
}

/// The release program on a journal.
struct Gate {
    process: Process,
    admin: SocketAddr,
}

impl Gate {
    /// Starts it; gives the milliseconds until it was ready for calls.
    fn start(folder: &Path, journal: &str) -> anyhow::Result<(Self, u128)> {
        let config = folder.join("tollgate.json5");
        let text = format!(
            r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1, ledger: {{ path: "{journal}" }} }}"#
        );
        fs::write(&config, text)?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(["serve", "--config"]).arg(&config).current_dir(folder).stderr(log);
        let begun = Instant::now();
        let mut process = Process::start(&mut command).context("the gate does not start")?;
        let admin = process.line("admin    http://")?.parse()?;
        let gate = Self { process, admin };
        gate.get("/readyz")?;
        Ok((gate, begun.elapsed().as_millis()))
    }

    /// The body of an answer, which must be one.
    fn get(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.admin)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no head")?;
        anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer[..end]));
        Ok(answer.split_off(end + 4))
    }
}
