//! The tables of a run, in plain text.

use std::io::{self, Write};

use crate::engines::{BUILT_IN, CRATE_TIKTOKEN, CRATE_TOKENIZERS, JSON, PYTHON_TIKTOKEN, PYTHON_TOKENIZERS, Speed};
use crate::kept::Kept;

/// The date, and how much is done.
pub(crate) fn heading(out: &mut dyn Write, rounds: usize) -> io::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let now = jiff::Timestamp::now().strftime("%F %R UTC").to_string();
    writeln!(out, "\n{now} on {cores} cores, {rounds} rounds; median (least..most)\n")
}

/// Speeds, each beside the same vocabulary's in the reference libraries.
pub(crate) fn speeds(out: &mut dyn Write, speeds: &[Speed]) -> io::Result<()> {
    let head = ["text", "counted by", "MB/s", "at once again", "tokens"];
    writeln!(out, "{:<30}{:<24}{:<26}{:<26}{:<14}first time beside", head[0], head[1], head[2], head[3], head[4])?;
    for speed in speeds {
        let (first, again) = (rates(speed, 0), rates(speed, 1));
        let tokens = if speed.tokens.1 { speed.tokens.0.to_string() } else { format!("about {}", speed.tokens.0) };
        let beside = beside(speed, speeds);
        writeln!(out, "{:<30}{:<24}{first:<26}{again:<26}{tokens:<14}{beside}", speed.text, speed.engine)?;
    }
    Ok(())
}

/// Bytes for a microsecond: the median, the least and the most.
fn rates(speed: &Speed, time: usize) -> String {
    let mut rates: Vec<u64> =
        speed.nanos.iter().map(|nanos| speed.bytes as u64 * 100_000 / nanos[time].max(1)).collect();
    rates.sort_unstable();
    let (least, most) = (hundredths(rates[0]), hundredths(rates[rates.len() - 1]));
    format!("{} ({least}..{most})", hundredths(rates[rates.len() / 2]))
}

/// How many times as fast as the others of its vocabulary, round by round.
fn beside(speed: &Speed, speeds: &[Speed]) -> String {
    let others = match speed.engine {
        BUILT_IN => [CRATE_TIKTOKEN, PYTHON_TIKTOKEN],
        JSON => [CRATE_TOKENIZERS, PYTHON_TOKENIZERS],
        _ => return String::new(),
    };
    let others = speeds.iter().filter(|other| other.text == speed.text && others.contains(&other.engine));
    let told: Vec<String> = others
        .map(|other| {
            let pairs = other.nanos.iter().zip(&speed.nanos);
            let mut ratios: Vec<u64> = pairs.map(|(other, own)| other[0] * 100 / own[0].max(1)).collect();
            ratios.sort_unstable();
            format!("{} {}", other.engine, hundredths(ratios[ratios.len() / 2]))
        })
        .collect();
    told.join(", ")
}

/// Memory of the tokenizers kept.
pub(crate) fn memory(out: &mut dyn Write, rows: &[Kept]) -> io::Result<()> {
    writeln!(out, "\n{:<24}{:<12}{:<16}{:<18}time to load", "tokenizers asked for", "kept", "files", "memory")?;
    for Kept { models, held, file_bytes, resident_kb, load_ms } in rows {
        let (files, memory) = (format!("{} kB", file_bytes / 1000), format!("{} MB", resident_kb / 1024));
        writeln!(out, "{models:<24}{held:<12}{files:<16}{memory:<18}{load_ms} ms")?;
    }
    Ok(())
}

/// Something that is missing above.
pub(crate) fn note(out: &mut dyn Write, missing: &str) -> io::Result<()> {
    writeln!(out, "{missing}")
}

fn hundredths(value: u64) -> String {
    format!("{}.{:02}", value / 100, value % 100)
}
