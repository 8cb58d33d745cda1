//! The house keeps its shape: imports run downwards, pure folders stay pure, and every file says what it is for.

use std::fs;
use std::path::{Path, PathBuf};

/// What each folder (or single file) may use beside itself; `net` and `telemetry` are open to all.
const DIRECTIONS: [(&str, &[&str]); 21] = [
    ("main", &["cli"]),
    ("cli", &["admin", "ca", "config", "dialect", "gate", "ledger", "policy", "system", "tokens", "units", "upstream"]),
    (
        "gate",
        &[
            "admin", "ca", "config", "dialect", "ingress", "ledger", "otlp", "policy", "session", "system", "tokens",
            "units", "upstream",
        ],
    ),
    ("ingress", &["ca", "exchange", "ledger", "policy", "session", "system", "tokens", "upstream"]),
    ("session", &["ca", "exchange", "ledger", "policy", "upstream"]),
    ("exchange", &["dialect", "ledger", "meter", "policy", "system", "tokens", "units", "upstream"]),
    ("tokens", &["dialect", "policy", "system", "units", "upstream"]),
    ("upstream", &["policy", "system"]),
    ("admin", &["ca", "ledger", "policy"]),
    ("otlp", &["dialect", "ledger", "policy", "units", "upstream"]),
    ("config", &["dialect", "policy", "units"]),
    ("ledger", &["dialect", "policy", "units"]),
    ("meter", &["dialect", "units"]),
    ("policy", &["dialect", "units"]),
    ("dialect", &["units"]),
    ("ca", &[]),
    ("system", &[]),
    ("units", &[]),
    ("net", &[]),
    ("telemetry", &[]),
    ("lib", &[]),
];

const OPEN_TO_ALL: [&str; 2] = ["net", "telemetry"];

const PURE: [&str; 4] = ["dialect", "policy", "meter", "units"];

/// What would make a pure folder depend on the moment or the machine.
const IMPURE: [&str; 6] = ["tokio", "hyper", "std::env", "std::fs", "SystemTime::now", "Instant::now"];

#[test]
fn imports_run_downwards_only() {
    let mut wrong = Vec::new();
    for file in sources() {
        let Some((_, allowed)) = DIRECTIONS.iter().find(|(folder, _)| *folder == file.folder) else {
            wrong.push(format!("{}: the folder has no line in the table", file.shown));
            continue;
        };
        for path in file.paths() {
            let to = path.split("::").next().unwrap_or_default();
            if to != file.folder && !OPEN_TO_ALL.contains(&to) && !allowed.contains(&to) {
                wrong.push(format!("{}: crate::{path}", file.shown));
            }
        }
    }
    assert!(wrong.is_empty(), "against the arrows:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_itself_has_no_way_back() {
    for (folder, allowed) in DIRECTIONS {
        for open in allowed {
            let (_, back) = DIRECTIONS.iter().find(|(other, _)| other == open).unwrap();
            assert!(!back.contains(&folder), "{folder} and {open} use each other");
        }
    }
}

#[test]
fn pure_folders_know_neither_time_nor_machine() {
    let mut wrong = Vec::new();
    for file in sources().into_iter().filter(|file| PURE.contains(&file.folder.as_str())) {
        for line in file.code.lines().filter(|line| !is_comment(line)) {
            wrong.extend(IMPURE.iter().filter(|word| names(line, word)).map(|word| format!("{}: {word}", file.shown)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_opens_with_a_sentence() {
    for file in sources() {
        let first = file.text.lines().next().unwrap_or_default();
        let sentence = first.strip_prefix("//! ").unwrap_or_default();
        // A first line may run on to the next, but it is never blank or a heading.
        assert!(sentence.len() > 10 && !sentence.starts_with('#'), "{}: {first:?}", file.shown);
    }
}

#[test]
fn nothing_is_exported_twice_and_no_child_asks_its_parent() {
    let mut wrong = Vec::new();
    for file in sources() {
        if file.code.lines().any(|line| line.trim_start().starts_with("pub use ")) {
            wrong.push(format!("{}: pub use", file.shown));
        }
        if file.is_parent() {
            continue;
        }
        // Names in a `mod.rs` begin with a capital or are functions; a path into a sibling goes through its module.
        let own = format!("{}::", file.folder);
        let siblings = modules_of(&file.folder);
        for path in file.paths() {
            let Some(rest) = path.strip_prefix(&own) else { continue };
            let next = rest.split("::").next().unwrap_or_default();
            if !siblings.iter().any(|sibling| sibling == next) {
                wrong.push(format!("{}: crate::{path} lies in its own mod.rs", file.shown));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One source file.
struct Source {
    /// Below `src`.
    shown: String,
    /// The first part of its path, without `.rs`.
    folder: String,
    text: String,
    /// The text without its tests.
    code: String,
}

impl Source {
    fn is_parent(&self) -> bool {
        self.shown.ends_with("mod.rs") || !self.shown.contains('/')
    }

    /// Every path below `crate::` that is named, groups taken apart.
    fn paths(&self) -> Vec<String> {
        let code: String = self.code.lines().filter(|line| !is_comment(line)).collect::<Vec<_>>().join("\n");
        let mut paths = Vec::new();
        for (at, word) in code.match_indices("crate::") {
            let rest = &code[at + word.len()..];
            let end = rest.find(|letter: char| !(letter.is_alphanumeric() || "_:".contains(letter)));
            let path = &rest[..end.unwrap_or(rest.len())];
            match path.strip_suffix("::") {
                None => paths.push(path.to_owned()),
                Some(stem) => {
                    let group = rest[path.len()..].trim_start_matches('{').split('}').next().unwrap_or_default();
                    let leaves = group.split(',').map(str::trim).filter(|leaf| !leaf.is_empty());
                    paths.extend(leaves.map(|leaf| match (stem, leaf) {
                        ("", leaf) => leaf.to_owned(),
                        (stem, "self") => stem.to_owned(),
                        (stem, leaf) => format!("{stem}::{leaf}"),
                    }));
                }
            }
        }
        // `super::super` and more would be a way around.
        assert!(!code.contains("super::super"), "{}", self.shown);
        paths
    }
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(source(&root, &path));
            }
        }
    }
    files.sort_by(|a, b| a.shown.cmp(&b.shown));
    // Tests may use whatever helps to tell the promise.
    files.retain(|file| !file.shown.ends_with("tests.rs") && !file.shown.contains("/tests/"));
    assert!(files.len() > 50, "the sources were not found");
    files
}

fn source(root: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let shown = path.strip_prefix(root).unwrap().display().to_string();
    let folder = shown.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
    let tests = text.match_indices("#[cfg(test)]\n").map(|(at, _)| at).find(|at| {
        let next = text[*at..].lines().nth(1).unwrap_or_default();
        next.ends_with("mod tests {")
    });
    let code = text[..tests.unwrap_or(text.len())].to_owned();
    Source { shown, folder, text, code }
}

/// The modules directly below a folder.
fn modules_of(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.map(|name| name.trim_end_matches(".rs").to_owned()).filter(|name| name != "mod").collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Whether `word` stands in the line as a path of its own.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part)
    })
}
