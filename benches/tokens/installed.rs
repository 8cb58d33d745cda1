//! What `tests/clients/setup.sh` has installed: published tokenizers, and Python with both libraries.

use std::path::{Path, PathBuf};

/// What there is of it.
pub(crate) struct Installed {
    /// Files `tokenizer.json` of published models, by name.
    pub(crate) files: Vec<PathBuf>,
    /// A Python that has `tiktoken` and `tokenizers`, and the folder where tiktoken finds its files.
    pub(crate) python: Option<(PathBuf, PathBuf)>,
}

impl Installed {
    /// Looks where the set-up of the tests puts things.
    pub(crate) fn find() -> Self {
        let home = std::env::var_os("TOLLGATE_CLIENTS_HOME")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients"), PathBuf::from);
        let mut files: Vec<PathBuf> = ["templates/tokenizers", "templates/tokenizers/more"]
            .iter()
            .filter_map(|folder| std::fs::read_dir(home.join(folder)).ok())
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .collect();
        files.sort_by_key(|path| path.file_name().map(std::ffi::OsStr::to_owned));
        let (python, cache) = (home.join("templates/venv/bin/python"), home.join("tiktoken"));
        let python = (python.exists() && cache.join(".made").exists()).then_some((python, cache));
        Self { files, python }
    }

    /// The tokenizer that the speed is measured with.
    pub(crate) fn file(&self) -> Option<&Path> {
        let named = |name: &str| self.files.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
        named("qwen3").or_else(|| self.files.first()).map(PathBuf::as_path)
    }

    /// What is missing in the tables for want of something.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if self.files.len() < 10 {
            missing.push("fewer than ten published tokenizers: tests/clients/setup.sh brings them in");
        }
        if self.python.is_none() {
            missing.push("no Python with tiktoken and tokenizers: tests/clients/setup.sh installs it");
        }
        missing
    }
}
