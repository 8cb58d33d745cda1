//! The cache of the Hugging Face hub's tools on disk: read as they left it, written so that they can read it.
//!
//! `models--org--name/` holds `blobs/ETAG`, `snapshots/COMMIT/FILE` as links to them, `refs/REVISION` with a commit, and
//! `.no_exist/COMMIT/FILE` for files that are known not to be there.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::system::hugging_face::HubSettings;
use crate::tokens::hub::address::Repository;
use crate::tokens::hub::trouble::HubError;

/// One repository's folder in the cache.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// The right to write a blob, as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What the cache knows about a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// It is known that there is no such file.
    Absent,
    /// It is here, whole.
    Here(PathBuf),
    /// Nobody has asked for it yet.
    Unknown,
}

impl Cache {
    /// The folder of a repository. Mirrors that the environment does not name have folders apart, since nobody vouches
    /// that they hold the same under the same name.
    pub fn of(repository: &Repository, settings: &HubSettings) -> Self {
        let folder = format!("models--{}", repository.id.replace('/', "--"));
        if repository.is_usual {
            return Self { root: settings.cache.join(folder) };
        }
        let host: String = repository
            .endpoint
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
            .collect();
        Self { root: settings.cache.join("tollgate-mirrors").join(host).join(folder) }
    }

    /// What is known about a file in a revision.
    pub fn find(&self, revision: &str, file: &str) -> Found {
        let Some(commit) = self.commit(revision) else { return Found::Unknown };
        let here = self.root.join("snapshots").join(&commit).join(file);
        // A link whose blob is gone is no file.
        if here.is_file() {
            return Found::Here(here);
        }
        if self.root.join(".no_exist").join(&commit).join(file).exists() { Found::Absent } else { Found::Unknown }
    }

    /// Where the bytes of an etag belong.
    pub fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// Makes the folder of the blobs.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn prepare(&self) -> Result<(), HubError> {
        let blobs = self.root.join("blobs");
        fs::create_dir_all(&blobs).map_err(|cause| HubError::Cache { at: blobs, cause })
    }

    /// Takes the lock under which the hub's own tools write a blob; `None` while another program has it.
    ///
    /// # Errors
    /// The cache cannot be written, or its file system knows no locks.
    pub fn lock(&self, etag: &str) -> Result<Option<Lock>, HubError> {
        let Some((above, name)) = self.root.parent().zip(self.root.file_name()) else { return Ok(None) };
        let folder = above.join(".locks").join(name);
        let at = folder.join(format!("{etag}.lock"));
        let failed = |cause| HubError::Cache { at: at.clone(), cause };
        fs::create_dir_all(&folder).map_err(failed)?;
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&at).map_err(failed)?;
        match file.try_lock() {
            Ok(()) if is_still(&file, &at) => Ok(Some(Lock { _file: file })),
            // Whoever had it has removed it, and the next one may hold another file of that name.
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(cause)) => Err(failed(cause)),
        }
    }

    /// Shows a blob that is whole as a file of a commit, and gives the path of that.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn link(&self, (revision, commit): (&str, &str), file: &str, etag: &str) -> Result<PathBuf, HubError> {
        let at = self.root.join("snapshots").join(commit).join(file);
        let failed = |at: &Path, cause| HubError::Cache { at: at.to_owned(), cause };
        if let Some(folder) = at.parent() {
            fs::create_dir_all(folder).map_err(|cause| failed(folder, cause))?;
        }
        if !at.is_file() {
            let _ = fs::remove_file(&at);
            let depth = file.matches('/').count() + 2;
            let target = Path::new(&"../".repeat(depth)).join("blobs").join(etag);
            match symlink(&target, &at, &self.blob(etag)) {
                Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&at, cause)),
                _ => {}
            }
        }
        self.name(revision, commit)?;
        Ok(at)
    }

    /// Remembers that a commit has no such file.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn note_absent(&self, (revision, commit): (&str, &str), file: &str) -> Result<(), HubError> {
        let at = self.root.join(".no_exist").join(commit).join(file);
        let made = at.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&at, ""));
        made.map_err(|cause| HubError::Cache { at, cause })?;
        self.name(revision, commit)
    }

    /// The commit of a revision, as far as it is known.
    fn commit(&self, revision: &str) -> Option<String> {
        if is_hex(revision, 40) {
            return Some(revision.to_owned());
        }
        let at = self.root.join("refs").join(revision);
        let mut commit = String::new();
        // A commit is short, and a pipe in its place has no end.
        if at.is_file() {
            File::open(at).ok()?.take(256).read_to_string(&mut commit).ok()?;
        }
        Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    fn name(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if revision == commit || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let at = self.root.join("refs").join(revision);
        // Written apart and moved, so that nobody reads half of it.
        let apart = self.root.join("refs").join(format!(".{}.{}", revision.replace('/', "-"), std::process::id()));
        let folder = at.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.and_then(|()| fs::write(&apart, commit)).and_then(|()| fs::rename(&apart, &at));
        written.map_err(|cause| HubError::Cache { at, cause })
    }
}

/// Whether a commit, as told by a network, can be a folder's name.
pub fn is_commit(commit: &str) -> bool {
    (1..=64).contains(&commit.len()) && commit.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether an etag, as told by a network, can be a file's name.
pub fn is_etag(etag: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=128).contains(&etag.len()) && etag.bytes().all(fits)
}

/// Whether a text is so many hexadecimal digits.
pub fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(unix)]
fn is_still(file: &File, at: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |one: fs::Metadata, other: fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    file.metadata().and_then(|one| fs::metadata(at).map(|other| same(one, other))).unwrap_or(false)
}

/// A file that is open cannot be removed there.
#[cfg(not(unix))]
fn is_still(_file: &File, _at: &Path) -> bool {
    true
}

#[cfg(unix)]
fn symlink(target: &Path, at: &Path, _blob: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

/// Where links need rights that few have, the hub's tools copy too.
#[cfg(not(unix))]
fn symlink(_target: &Path, at: &Path, blob: &Path) -> io::Result<()> {
    fs::copy(blob, at).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(folder: &Path) -> Cache {
        Cache { root: folder.join("models--org--name") }
    }

    #[test]
    fn what_another_tool_has_left_is_found() {
        let folder = tempfile::TempDir::new().unwrap();
        let cache = cache(folder.path());
        let commit = "a".repeat(40);
        for (path, text) in [
            ("blobs/e1", "{}"),
            ("refs/main", &*commit),
            (&*format!(".no_exist/{commit}/chat_template.jinja"), ""),
            (&*format!("snapshots/{commit}/other.json"), "{}"),
        ] {
            let at = cache.root.join(path);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, text).unwrap();
        }
        let here = cache.root.join("snapshots").join(&commit);
        symlink(Path::new("../../blobs/e1"), &here.join("config.json"), &cache.blob("e1")).unwrap();
        symlink(Path::new("../../blobs/gone"), &here.join("tokenizer.json"), &cache.blob("gone")).unwrap();
        assert_eq!(cache.find("main", "config.json"), Found::Here(here.join("config.json")));
        assert_eq!(cache.find(&commit, "other.json"), Found::Here(here.join("other.json")));
        assert_eq!(cache.find("main", "chat_template.jinja"), Found::Absent);
        assert_eq!(cache.find("main", "tokenizer.json"), Found::Unknown, "its blob is gone");
        assert_eq!(cache.find("v2", "config.json"), Found::Unknown);
    }

    #[test]
    fn what_is_written_is_found_again_in_the_hubs_own_layout() {
        let folder = tempfile::TempDir::new().unwrap();
        let cache = cache(folder.path());
        cache.prepare().unwrap();
        fs::write(cache.blob("e1"), "{}").unwrap();
        let at = cache.link(("refs/pr/1", "abc"), "config.json", "e1").unwrap();
        assert_eq!(fs::read_to_string(&at).unwrap(), "{}");
        assert_eq!(fs::read_link(&at).unwrap(), Path::new("../../blobs/e1"));
        assert_eq!(fs::read_to_string(cache.root.join("refs/refs/pr/1")).unwrap(), "abc");
        assert_eq!(cache.find("refs/pr/1", "config.json"), Found::Here(at.clone()));
        assert_eq!(cache.link(("refs/pr/1", "abc"), "config.json", "e1").unwrap(), at, "again is no mistake");
        cache.note_absent(("main", "abc"), "tokenizer.json").unwrap();
        assert_eq!(cache.find("main", "tokenizer.json"), Found::Absent);
    }

    #[test]
    fn a_blob_is_written_by_one_at_a_time_under_the_lock_of_the_hubs_own_tools() {
        let folder = tempfile::TempDir::new().unwrap();
        let cache = cache(folder.path());
        let lock = cache.lock("e1").unwrap().unwrap();
        let at = folder.path().join(".locks/models--org--name/e1.lock");
        assert!(File::open(&at).unwrap().try_lock().is_err(), "theirs waits");
        assert!(cache.lock("e1").unwrap().is_none() && cache.lock("e2").unwrap().is_some());
        drop(lock);
        let theirs = File::open(&at).unwrap();
        theirs.lock().unwrap();
        assert!(cache.lock("e1").unwrap().is_none(), "ours too");
        fs::remove_file(&at).unwrap();
        assert!(cache.lock("e1").unwrap().is_some(), "a removed one locks nothing");
    }

    #[test]
    fn names_from_a_network_stay_names() {
        for bad in ["", "..", "a/b", "../../x", "a.b", &"a".repeat(200)] {
            assert!(!is_commit(bad) && !is_etag(bad), "{bad}");
        }
        assert!(is_commit(&"0f".repeat(20)) && is_etag("5f3a-gzip"));
    }
}
