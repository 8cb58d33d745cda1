//! The texts that are counted: the project's own prose and code, and made ones of many scripts.

use std::fs;
use std::path::Path;

/// One text, by a short name.
pub(crate) struct Text {
    /// What it is.
    pub(crate) name: &'static str,
    /// The text.
    pub(crate) text: String,
}

/// All of them; the same on every run.
pub(crate) fn all() -> anyhow::Result<Vec<Text>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    gather(&root.join("src"), &mut code)?;
    let prose = fs::read_to_string(root.join("README.md"))?;
    Ok(vec![
        Text { name: "English, 400 kB", text: shuffled(&prose, 400_000) },
        Text { name: "Rust, 400 kB", text: head(&code, 400_000).to_owned() },
        Text { name: "words of 14 scripts, 400 kB", text: scripts(400_000) },
        Text { name: "one letter, 100 kB", text: "a".repeat(100_000) },
        Text { name: "one run of 14 scripts, 30 kB", text: unbroken(30_000) },
    ])
}

fn gather(folder: &Path, code: &mut String) -> anyhow::Result<()> {
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            gather(&path, code)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            code.push_str(&fs::read_to_string(path)?);
        }
    }
    Ok(())
}

/// Words of a prose in another order, so that a cache of pieces meets each word often and no line twice.
fn shuffled(prose: &str, size: usize) -> String {
    let words: Vec<&str> = prose.split_whitespace().filter(|word| word.is_ascii()).collect();
    let mut draw = Draw(1);
    let mut text = String::with_capacity(size + 100);
    while text.len() < size {
        text.push_str(words[draw.below(words.len())]);
        text.push(if draw.below(12) == 0 { '\n' } else { ' ' });
    }
    text
}

fn scripts(size: usize) -> String {
    let mut draw = Draw(2);
    let mut text = String::with_capacity(size + 100);
    while text.len() < size {
        let script = SCRIPTS[draw.below(SCRIPTS.len())];
        for _ in 0..=draw.below(11) {
            text.extend(letter(&mut draw, script));
        }
        text.push_str([" ", " ", " ", ", ", ". ", "\n"][draw.below(6)]);
    }
    text
}

/// Every letter of another script than the one before.
fn unbroken(size: usize) -> String {
    let mut draw = Draw(3);
    let mut text = String::with_capacity(size + 4);
    while text.len() < size {
        let script = SCRIPTS[draw.below(SCRIPTS.len())];
        text.extend(letter(&mut draw, script));
    }
    text
}

fn letter(draw: &mut Draw, (first, last): (u32, u32)) -> Option<char> {
    char::from_u32(first + u32::try_from(draw.below((last - first + 1) as usize)).unwrap_or_default())
}

fn head(text: &str, size: usize) -> &str {
    let mut end = size.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Numbers that look drawn by lot, the same on every run (Knuth's multiplier).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % bound
    }
}

/// Ranges of letters: Latin twice, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, Hiragana, Han, Hangul, marks,
/// arrows, pictures.
const SCRIPTS: [(u32, u32); 14] = [
    (0x61, 0x7a),
    (0xc0, 0x17f),
    (0x391, 0x3a1),
    (0x400, 0x4ff),
    (0x5d0, 0x5ea),
    (0x620, 0x64a),
    (0x900, 0x939),
    (0xe01, 0xe3a),
    (0x3041, 0x3096),
    (0x4e00, 0x9fa5),
    (0xac00, 0xd7a3),
    (0x300, 0x36f),
    (0x2190, 0x21ff),
    (0x1f300, 0x1f64f),
];
