//! Where the configuration is found, and where what it names begins.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::files::read_text;
use crate::config::load::Sources;
use crate::config::mistake::ConfigError;

/// The file in force and the folders that belong to it.
#[derive(Debug)]
pub(super) struct Home {
    /// The file, where there is one.
    pub(super) file: Option<Found>,
    /// Relative paths of what the gate reads begin here.
    pub(super) reads: PathBuf,
    /// `certs` and `data`, and relative paths of what the gate writes, begin here.
    pub(super) writes: PathBuf,
    /// Where it is kept what was changed on this machine.
    pub(super) state: PathBuf,
}

/// A configuration file.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it is.
    pub(super) path: PathBuf,
    /// How messages call it.
    pub(super) shown: String,
    /// What stands in it.
    pub(super) text: String,
}

impl Home {
    /// Finds the file: the one that was asked for, `./config/tollgate.json5`, or the one in the XDG folders.
    ///
    /// # Errors
    /// A file that was asked for and is missing; any that exists and cannot be read.
    pub(super) fn find(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let here = &sources.working_directory;
        if let Some(asked) = asked(sources) {
            let path = here.join(&asked);
            let text = read_text(&path, LARGEST).map_err(|source| unreadable(&asked, source))?;
            // A pipe has no folder of its own.
            let folder = if path.is_file() { folder_of(&path) } else { here.clone() };
            return Ok(Self {
                file: Some(Found { path, shown: asked.display().to_string(), text }),
                reads: folder.clone(),
                state: folder.join(DATA),
                writes: folder,
            });
        }
        let local = here.join(LOCAL);
        if let Some(text) = read_if_there(&local)? {
            let file = Some(Found { path: local, shown: LOCAL.into(), text });
            return Ok(Self { file, reads: here.clone(), writes: here.clone(), state: here.join(DATA) });
        }
        let data = xdg(sources, "XDG_DATA_HOME", ".local/share").unwrap_or_else(|| here.clone());
        let state = xdg(sources, "XDG_STATE_HOME", ".local/state").unwrap_or_else(|| here.join(DATA));
        if let Some(folder) = xdg(sources, "XDG_CONFIG_HOME", ".config") {
            let path = folder.join("tollgate.json5");
            if let Some(text) = read_if_there(&path)? {
                let shown = path.display().to_string();
                return Ok(Self { file: Some(Found { path, shown, text }), reads: folder, writes: data, state });
            }
        }
        let is_local = here.join("config").is_dir() || here.join("certs").is_dir();
        let (writes, state) = if is_local { (here.clone(), here.join(DATA)) } else { (data, state) };
        Ok(Self { file: None, reads: here.clone(), writes, state })
    }
}

/// `--config`, else `$TOLLGATE_CONFIG`.
fn asked(sources: &Sources<'_>) -> Option<PathBuf> {
    let from_environment = || (sources.environment)("TOLLGATE_CONFIG").filter(|path| !path.is_empty());
    sources.file.clone().or_else(|| from_environment().map(PathBuf::from))
}

/// The folder that a file asked for is at home in: beside a folder `config`, else the file's own.
fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(path);
    let root = folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == "config"));
    root.unwrap_or(folder).into()
}

fn read_if_there(path: &Path) -> Result<Option<String>, ConfigError> {
    match read_text(path, LARGEST) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(unreadable(path, source)),
    }
}

fn unreadable(path: &Path, source: io::Error) -> ConfigError {
    ConfigError::Unreadable { file: path.into(), source }
}

/// A folder of ours below an XDG base; relative bases are to be ignored.
fn xdg(sources: &Sources<'_>, name: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| (sources.environment)(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(name).or_else(|| Some(absolute("HOME")?.join(below_home)))?;
    Some(base.join("tollgate"))
}

/// The file of a checkout or an unpacked release.
const LOCAL: &str = "config/tollgate.json5";

/// The folder beside a configuration that has the books.
const DATA: &str = "data";

/// Bytes of a file; the parser has the tighter bound, and says where.
const LARGEST: u64 = 16 << 20;
