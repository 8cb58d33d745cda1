//! Everything that can count, each on every text, in turn.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, anyhow};
use serde::Deserialize;
use tollgate::tokens::encoding::Encoding;
use tollgate::tokens::tokenizer::{Specials, Tokenizer};

use crate::installed::Installed;
use crate::texts::{self, Text};

/// What one engine needed for one text.
pub(crate) struct Speed {
    /// The text.
    pub(crate) text: &'static str,
    /// Its bytes.
    pub(crate) bytes: usize,
    /// With what it was counted.
    pub(crate) engine: &'static str,
    /// Tokens, and whether that is exact.
    pub(crate) tokens: (u64, bool),
    /// Nanoseconds of each round: after other texts, and once more at once, with whatever the first time has left in
    /// caches.
    pub(crate) nanos: Vec<[u64; 2]>,
}

/// Counts every text by every engine, so many times; fails where two of one vocabulary disagree.
pub(crate) fn measure(rounds: usize, installed: &Installed) -> anyhow::Result<Vec<Speed>> {
    let texts = texts::all()?;
    let folder = tempfile::tempdir()?;
    for (number, Text { text, .. }) in texts.iter().enumerate() {
        fs::write(folder.path().join(format!("{number}.txt")), text)?;
    }
    let engines = engines(installed.file())?;
    let mut speeds: Vec<Speed> = Vec::new();
    for round in 0..rounds {
        // The gate and the bare crate share their caches: each comes after all texts of the other, and is first as often.
        let turn = |at: usize| if round % 2 == 0 { at } else { engines.len() - 1 - at };
        for engine in (0..engines.len()).map(|at| &engines[turn(at)]) {
            for text in &texts {
                let (tokens, first) = timed(engine, &text.text)?;
                let (_, again) = timed(engine, &text.text)?;
                note(&mut speeds, text, (engine.name, tokens), [first, again]);
            }
        }
        if let Some((python, cache)) = &installed.python {
            for Said { engine, text, tokens, nanos } in by_python((python, cache), folder.path(), installed.file())? {
                let engine = if engine == "tiktoken" { PYTHON_TIKTOKEN } else { PYTHON_TOKENIZERS };
                note(&mut speeds, texts.get(text).context("an unknown text")?, (engine, (tokens, true)), nanos);
            }
        }
    }
    agree(&speeds)?;
    speeds.sort_by_key(|speed| texts.iter().position(|text| text.name == speed.text));
    Ok(speeds)
}

fn timed(engine: &Engine, text: &str) -> anyhow::Result<((u64, bool), u64)> {
    let begun = Instant::now();
    let tokens = (engine.count)(black_box(text))?;
    Ok((tokens, u64::try_from(begun.elapsed().as_nanos())?))
}

struct Engine {
    name: &'static str,
    count: Box<Count>,
}

/// Tokens of a text, and whether that is exact.
type Count = dyn Fn(&str) -> anyhow::Result<(u64, bool)>;

fn engines(file: Option<&Path>) -> anyhow::Result<Vec<Engine>> {
    let ours = Tokenizer::from(Encoding::O200k);
    let bare = tiktoken::get_encoding("o200k_base").context("no o200k_base")?;
    let mut engines = vec![
        Engine { name: BUILT_IN, count: Box::new(move |text| Ok(tally(&ours, text))) },
        Engine { name: CRATE_TIKTOKEN, count: Box::new(move |text| Ok((bare.count(text) as u64, true))) },
    ];
    if let Some(file) = file {
        let ours = Tokenizer::read(file)?;
        let mut bare = tokenizers::Tokenizer::from_file(file).map_err(|error| anyhow!("{error}"))?;
        bare.set_encode_special_tokens(true);
        engines.push(Engine { name: JSON, count: Box::new(move |text| Ok(tally(&ours, text))) });
        let count = move |text: &str| {
            let encoded = bare.encode_fast(text, false).map_err(|error| anyhow!("{error}"))?;
            Ok((encoded.len() as u64, true))
        };
        engines.push(Engine { name: CRATE_TOKENIZERS, count: Box::new(count) });
    }
    Ok(engines)
}

fn tally(tokenizer: &Tokenizer, text: &str) -> (u64, bool) {
    let tally = tokenizer.count(text, Specials::Text);
    (tally.tokens, tally.exact)
}

fn note(speeds: &mut Vec<Speed>, text: &Text, (engine, tokens): (&'static str, (u64, bool)), nanos: [u64; 2]) {
    match speeds.iter_mut().find(|speed| speed.text == text.name && speed.engine == engine) {
        Some(speed) => speed.nanos.push(nanos),
        None => {
            speeds.push(Speed { text: text.name, bytes: text.text.len(), engine, tokens, nanos: vec![nanos] });
        }
    }
}

#[derive(Deserialize)]
struct Said {
    engine: String,
    text: usize,
    tokens: u64,
    nanos: [u64; 2],
}

/// Python's own libraries; it takes the time itself, without its start and its loading.
fn by_python((python, cache): (&Path, &Path), texts: &Path, file: Option<&Path>) -> anyhow::Result<Vec<Said>> {
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/tokens/count.py"))
        .arg(texts)
        .args(file)
        .env("TIKTOKEN_CACHE_DIR", cache)
        .stdin(Stdio::null())
        .output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn agree(speeds: &[Speed]) -> anyhow::Result<()> {
    for group in [[BUILT_IN, CRATE_TIKTOKEN, PYTHON_TIKTOKEN], [JSON, CRATE_TOKENIZERS, PYTHON_TOKENIZERS]] {
        for one in speeds.iter().filter(|speed| speed.tokens.1 && group.contains(&speed.engine)) {
            let other = speeds
                .iter()
                .find(|other| other.tokens.1 && other.text == one.text && group.contains(&other.engine))
                .unwrap_or(one);
            anyhow::ensure!(
                one.tokens == other.tokens,
                "{}: {} tokens by {}, {} by {}",
                one.text,
                one.tokens.0,
                one.engine,
                other.tokens.0,
                other.engine
            );
        }
    }
    Ok(())
}

pub(crate) const BUILT_IN: &str = "gate, o200k_base";
pub(crate) const CRATE_TIKTOKEN: &str = "crate tiktoken, bare";
pub(crate) const PYTHON_TIKTOKEN: &str = "Python tiktoken";
pub(crate) const JSON: &str = "gate, tokenizer.json";
pub(crate) const CRATE_TOKENIZERS: &str = "crate tokenizers, bare";
pub(crate) const PYTHON_TOKENIZERS: &str = "Python tokenizers";
