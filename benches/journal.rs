//! What the journal costs: processor time of a call, delay of its thread, and the time to start with a million entries.
//!
//! `cargo bench --bench journal -- [CALLS] [FOLDER]`; the folder should lie on the disk that is meant.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use tempfile::TempDir;
use tollgate::ledger::Ledger;
use tollgate::ledger::entry::Entry;
use tollgate::ledger::stats::StatsQuery;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let calls: u64 = words.first().map_or(Ok(1_000_000), |word| word.parse())?;
    let folder = words.get(1).map_or_else(TempDir::new, TempDir::new_in)?;
    let path = folder.path().join("ledger.sqlite");
    let mut out = std::io::stdout().lock();

    let few = calls.min(200_000);
    let memory = book(&Ledger::new(10_000), few)?;
    writeln!(out, "in memory      {memory}")?;
    let ledger = Ledger::open(10_000, path.clone(), None)?;
    let journal = book(&ledger, calls)?;
    ledger.close();
    drop(ledger);
    writeln!(out, "with a journal {journal}")?;
    let size = std::fs::metadata(&path)?.len();
    writeln!(out, "file           {} bytes an entry, {} MB", size / calls, size >> 20)?;

    let before = resident()?;
    let begun = Instant::now();
    let ledger = Ledger::open(10_000, path.clone(), None)?;
    let start = begun.elapsed();
    let booked = ledger.stats(&StatsQuery::default()).totals.totals.requests;
    anyhow::ensure!(booked == calls, "{booked} of {calls} entries are in the books");
    writeln!(
        out,
        "start          {} ms with {calls} entries, {} kB more memory",
        start.as_millis(),
        resident()? - before
    )?;
    ledger.close();
    drop(ledger);

    let begun = Instant::now();
    Ledger::open(10_000, spooled(&path, &folder)?, None)?;
    writeln!(out, "after a kill   {} ms with a full spool", begun.elapsed().as_millis())?;
    Ok(())
}

/// What booking costs.
struct Cost {
    calls: u64,
    processor: Duration,
    delays: Vec<Duration>,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
        let rank = |part: f64| self.delays[((self.delays.len() - 1) as f64 * part) as usize];
        write!(
            f,
            "{:.2} us of processor a call, all threads; its thread waits {:.1} us (p50), {:.1} us (p99), {:.1} us (p99.9)",
            micros(self.processor) / self.calls as f64,
            micros(rank(0.5)),
            micros(rank(0.99)),
            micros(rank(0.999)),
        )
    }
}

/// Books so many calls as fast as the writer takes them.
fn book(ledger: &Ledger, calls: u64) -> anyhow::Result<Cost> {
    let begun: Entry = serde_json::from_str(BEGUN)?;
    let ended: Entry = serde_json::from_str(ENDED)?;
    let begin = processor()?;
    let mut delays = Vec::with_capacity(usize::try_from(calls)?);
    for number in 0..calls {
        let id: std::sync::Arc<str> = format!("01KAY{number:021}").into();
        let (mut first, mut last) = (begun.clone(), ended.clone());
        (first.id, last.id) = (id.clone(), id);
        // A thousand hours, so that there are as many sums as in a month and more.
        first.time += jiff::SignedDuration::from_millis(i64::try_from(number * 3_600_000_000 / calls)?);
        last.time = first.time;
        last.upstream_id = Some(format!("chatcmpl-{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into());
        let before = Instant::now();
        ledger.begin(&first);
        ledger.post(last);
        delays.push(before.elapsed());
        while number % 256 == 0 && ledger.journal().pending > 4096 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    while ledger.journal().pending > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    delays.sort_unstable();
    Ok(Cost { calls, processor: processor()? - begin, delays })
}

/// A journal with as much in its spool as a killed process can leave, made by holding the writer up.
fn spooled(path: &Path, folder: &TempDir) -> anyhow::Result<PathBuf> {
    let held = rusqlite::Connection::open(path)?;
    let ledger = Ledger::open(10, path.to_owned(), None)?;
    held.execute_batch("BEGIN IMMEDIATE")?;
    let ended: Entry = serde_json::from_str(ENDED)?;
    for number in 0..5000 {
        let mut entry = ended.clone();
        entry.id = format!("01KAZ{number:021}").into();
        ledger.begin(&entry);
        ledger.post(entry);
    }
    let copy = folder.path().join("killed.sqlite");
    std::fs::copy(path, &copy)?;
    for file in std::fs::read_dir(folder.path())? {
        let file = file?.path();
        let name = file.file_name().and_then(|name| name.to_str()).context("a name")?.to_owned();
        if let Some(rest) = name.strip_prefix("ledger.sqlite-spool-") {
            std::fs::copy(&file, folder.path().join(format!("killed.sqlite-spool-{rest}")))?;
        }
    }
    held.execute_batch("ROLLBACK")?;
    Ok(copy)
}

/// User and system time of this process.
fn processor() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = text.rsplit(')').next().context("a shape")?.split_whitespace().collect();
    // In hundredths of a second on every Linux of today.
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// Kilobytes that are resident.
fn resident() -> anyhow::Result<i64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

const BEGUN: &str = r#"{"id":"x","session":null,"time":"2026-10-01T00:00:00Z","durationMs":0,"firstByteMs":null,
"client":{"address":"127.0.0.1","process":"python3.13","path":"/usr/bin/python3.13","agent":"OpenAI/Python 2.8.1","label":"team-a","key":null},
"ingress":"connect","host":"api.openai.com","endpoint":"/v1/chat/completions","stream":true,
"model":{"asked":"gpt-4o","sent":"gpt-4o","served":null},"route":{"kind":"origin","name":"api.openai.com"},"attempt":1,
"status":0,"outcome":"unknown","usage":null,"basis":"none","rawUsage":null,"tier":{"asked":null,"served":null},
"region":{"asked":null,"served":null},"media":{"size":null,"quality":null},"costUsd":null,"priceSource":null,"rates":null,
"repriced":null,"deferred":false,"afterClose":null,"upstreamId":null,"bytesUp":1024,"bytesDown":0,"error":null}"#;

const ENDED: &str = r#"{"id":"x","session":null,"time":"2026-10-01T00:00:00Z","durationMs":812,"firstByteMs":120,
"client":{"address":"127.0.0.1","process":"python3.13","path":"/usr/bin/python3.13","agent":"OpenAI/Python 2.8.1","label":"team-a","key":null},
"ingress":"connect","host":"api.openai.com","endpoint":"/v1/chat/completions","stream":true,
"model":{"asked":"gpt-4o","sent":"gpt-4o","served":"gpt-4o-2024-08-06"},"route":{"kind":"origin","name":"api.openai.com"},"attempt":1,
"status":200,"outcome":"ok","usage":{"input":19,"cachedInput":0,"audioInput":0,"output":10,"reasoning":0,"audioOutput":0},"basis":"reported",
"rawUsage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},
"tier":{"asked":null,"served":"default"},"region":{"asked":null,"served":null},"media":{"size":null,"quality":null},
"costUsd":"0.000147500000","priceSource":"built-in","rates":null,"repriced":null,"deferred":false,"afterClose":null,
"upstreamId":"chatcmpl-x","bytesUp":1024,"bytesDown":900,"error":null}"#;
