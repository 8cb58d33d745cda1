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

/// Speeds, each beside the same vocabulary's in the reference library.
pub(crate) fn speeds(out: &mut dyn Write, speeds: &[Speed]) -> io::Result<()> {
    let head = ["text", "counted by", "MB/s", "first", "tokens"];
    writeln!(out, "{:<30}{:<24}{:<26}{:<9}{:<18}times as fast as", head[0], head[1], head[2], head[3], head[4])?;
    for speed in speeds {
        let rate = |nanos: u64| speed.bytes as u64 * 100_000 / nanos.max(1);
        let mut rates: Vec<u64> = speed.nanos.iter().map(|nanos| rate(*nanos)).collect();
        let first = hundredths(rates[0]);
        rates.sort_unstable();
        let (least, most) = (hundredths(rates[0]), hundredths(rates[rates.len() - 1]));
        let spread = format!("{} ({least}..{most})", hundredths(rates[rates.len() / 2]));
        let tokens = if speed.tokens.1 { speed.tokens.0.to_string() } else { format!("about {}", speed.tokens.0) };
        let beside = beside(speed, speeds);
        writeln!(out, "{:<30}{:<24}{spread:<26}{first:<9}{tokens:<18}{beside}", speed.text, speed.engine)?;
    }
    Ok(())
}

/// How much faster than the others of its vocabulary, round by round.
fn beside(speed: &Speed, speeds: &[Speed]) -> String {
    let others = match speed.engine {
        BUILT_IN => [CRATE_TIKTOKEN, PYTHON_TIKTOKEN],
        JSON => [CRATE_TOKENIZERS, PYTHON_TOKENIZERS],
        _ => return String::new(),
    };
    let others = speeds.iter().filter(|other| other.text == speed.text && others.contains(&other.engine));
    let told: Vec<String> = others
        .map(|other| {
            let mut ratios: Vec<u64> =
                other.nanos.iter().zip(&speed.nanos).map(|(other, own)| other * 100 / (*own).max(1)).collect();
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
