//! Speed of counting beside OpenAI's tiktoken and Hugging Face's tokenizers, and memory of the tokenizers kept.
//!
//! `cargo bench --bench tokens`, or `cargo bench --bench tokens -- --quick` for a glance; see `benches/README.md`.

#[path = "tokens/engines.rs"]
mod engines;
#[path = "tokens/figures.rs"]
mod figures;
#[path = "tokens/installed.rs"]
mod installed;
#[path = "tokens/kept.rs"]
mod kept;
#[path = "tokens/texts.rs"]
mod texts;

use crate::installed::Installed;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, files @ ..] = words.as_slice()
        && first == kept::ARGUMENT
    {
        return kept::report(files);
    }
    let rounds = if words.iter().any(|word| word == "--quick") { 2 } else { 8 };
    let installed = Installed::find();
    let mut out = std::io::stdout();
    figures::heading(&mut out, rounds)?;
    let speeds = engines::measure(rounds, &installed)?;
    figures::speeds(&mut out, &speeds)?;
    figures::memory(&mut out, &kept::measure(&installed.files)?)?;
    for missing in installed.missing() {
        figures::note(&mut out, missing)?;
    }
    Ok(())
}
