//! The models file, replaced as a whole while the gate runs.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::config::files::read_text;
use crate::config::mistake::Mistakes;
use crate::config::models::{LARGEST, Lines, Origins, source};
use crate::config::review::Review;
use crate::config::view;
use crate::policy::custom::CustomModel;

/// What the list of custom models is made of, kept so that the part in the models file can be replaced.
#[derive(Clone, Debug)]
pub struct ModelLines {
    origins: Origins,
    own: Vec<SocketAddr>,
}

/// What is in force after a replacement.
#[derive(Debug)]
pub struct Revised {
    /// Custom models by name.
    pub customs: HashMap<Arc<str>, Arc<CustomModel>>,
    /// `models` of the view, secrets as `***`.
    pub view: Value,
    /// What works, but perhaps not as meant, each with its place.
    pub warnings: Vec<String>,
    /// The file that was written.
    pub file: PathBuf,
}

/// Why nothing was replaced.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// What is wrong, in the order of the text.
    #[error("the lines have mistakes")]
    Mistakes(Mistakes),
    /// The configuration names no models file.
    #[error("the configuration names no models file")]
    NoFile,
    /// The file could not be written.
    #[error("cannot write `{}`", file.display())]
    Unsaved {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ModelLines {
    pub(super) fn new(origins: Origins, own: Vec<SocketAddr>) -> Self {
        Self { origins, own }
    }

    /// Reads `text` in the place of the models file, and saves it if it has no mistakes. Secrets are looked up now.
    ///
    /// It writes a file and waits for the disk. Two calls must not run at once.
    ///
    /// # Errors
    /// Mistakes in the text, or a file that cannot be written; then nothing has changed.
    pub fn revise(&self, text: &str) -> Result<Revised, Rejected> {
        let Some((name, path)) = &self.origins.file else { return Err(Rejected::NoFile) };
        let environment = |name: &str| env::var(name).ok();
        let review = Review::new(&environment);
        // Who may send lines may not read the machine's files and variables with them: only lines of the file look things up.
        let before = read_text(path, LARGEST).unwrap_or_default();
        let known = before.strip_prefix('\u{feff}').unwrap_or(&before).lines().map(str::trim).collect();
        let filed = Lines { review: &review, own: &self.own, known: Some(&known) }.of_text(source(name, path), text);
        let models = Origins { filed, ..self.origins.clone() }.merged(&review);
        let warnings = review.finish().map_err(Rejected::Mistakes)?;
        let file = save(path, text).map_err(|source| Rejected::Unsaved { file: path.clone(), source })?;
        Ok(Revised {
            customs: models.iter().map(|line| (Arc::clone(&line.model.name), Arc::clone(&line.model))).collect(),
            view: view::models(&models),
            warnings,
            file,
        })
    }
}

/// Replaces a file so that a reader sees the old text or the new one, also after a crash. A link is followed, and the
/// file keeps its mode; a new one is its owner's alone, since lines hold keys.
fn save(path: &Path, text: &str) -> io::Result<PathBuf> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        found => found?,
    };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidFilename.into());
    };
    let beside = folder.join(format!(".{}.{}.new", name.display(), std::process::id()));
    // What a crash has left under this name is nobody's.
    let _ = fs::remove_file(&beside);
    let written = write(&beside, fs::metadata(&path).ok(), text).and_then(|()| fs::rename(&beside, &path));
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    // The new text is in force either way; a system that cannot sync folders has no better promise to give.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(path)
}

fn write(path: &Path, like: Option<fs::Metadata>, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    if let Some(like) = like {
        file.set_permissions(like.permissions())?;
    }
    file.sync_all()
}
