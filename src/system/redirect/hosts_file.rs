//! Changes the machine's hosts file: at once for every reader where that can be had, and with its mode and owner kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// The machine's own.
pub const HOSTS: &str = "/etc/hosts";

/// Why the file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// It cannot be read, or is no text.
    #[error("cannot read `{}`", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot change `{}`", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl HostsError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let Self::Write { file, source } = self else { return "it must be a text file that can be read".into() };
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => {
                "its file system is read-only; use rules of the kernel instead (without --hosts)".into()
            }
            // The kernel says EACCES where a mode forbids it, and EPERM where the file is immutable.
            io::ErrorKind::PermissionDenied if source.raw_os_error() == Some(NOT_PERMITTED) => {
                format!("is it immutable? see `lsattr {0}`, and `chattr -i {0}`", file.display())
            }
            io::ErrorKind::PermissionDenied => "it belongs to root; use sudo".into(),
            _ => "use rules of the kernel instead (without --hosts)".into(),
        }
    }
}

/// The text of the file; an absent one is empty.
///
/// # Errors
/// A file that cannot be read.
pub fn read(file: &Path) -> Result<String, HostsError> {
    let unreadable = |source| HostsError::Read { file: file.into(), source };
    let mut text = String::new();
    match File::open(file) {
        Ok(open) => open.take(LARGEST).read_to_string(&mut text).map_err(unreadable)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(unreadable(error)),
    };
    if text.len() as u64 == LARGEST {
        return Err(unreadable(io::Error::other("it is larger than 16 MB")));
    }
    Ok(text)
}

/// Replaces the text, so that every reader sees the old or the new one whole; in place where the file is mounted by
/// itself, as in containers, or has several names.
///
/// # Errors
/// A file that cannot be written.
pub fn write(file: &Path, text: &str) -> Result<(), HostsError> {
    let failed = |source| HostsError::Write { file: file.into(), source };
    // A link stays one; its target is what changes.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.into());
    // Only this tells an immutable or forbidden file, which a rename might go around.
    let mut open =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o644).open(&target).map_err(failed)?;
    let found = open.metadata().map_err(failed)?;
    if found.nlink() == 1 && beside(&target, &found, text).is_ok() {
        return Ok(());
    }
    let written = open.set_len(0).and_then(|()| open.write_all(text.as_bytes())).and_then(|()| open.sync_all());
    written.map_err(failed)
}

fn beside(target: &Path, found: &fs::Metadata, text: &str) -> io::Result<()> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".tollgate-{}", std::process::id()));
    let path = target.with_file_name(name);
    let outcome = fill(&path, found, text).and_then(|()| fs::rename(&path, target));
    if outcome.is_err() {
        let _ = fs::remove_file(&path);
    }
    outcome
}

fn fill(path: &Path, found: &fs::Metadata, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    fchown(&file, Some(found.uid()), Some(found.gid()))?;
    file.set_permissions(fs::Permissions::from_mode(found.mode() & 0o7777))?;
    file.sync_all()
}

const LARGEST: u64 = 16 << 20;
/// `EPERM`.
const NOT_PERMITTED: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_and_links_stay_and_nothing_is_left_beside() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real"), folder.path().join("hosts"));
        fs::write(&file, "old\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, "new\n").unwrap();
        assert_eq!(read(&link).unwrap(), "new\n");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_with_a_second_name_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("hosts"), folder.path().join("other"));
        fs::write(&file, "a much longer old text\n").unwrap();
        fs::hard_link(&file, &other).unwrap();
        write(&file, "new\n").unwrap();
        assert_eq!(fs::read_to_string(other).unwrap(), "new\n");
    }

    #[test]
    fn what_cannot_be_changed_is_said_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(folder.path(), "x").unwrap_err();
        assert!(error.to_string().starts_with("cannot change `"), "{error}");
        assert!(error.hint().contains("without --hosts"));
        let denied = |code| HostsError::Write { file: "/h".into(), source: io::Error::from_raw_os_error(code) }.hint();
        assert!(denied(1).contains("chattr -i /h"));
        assert!(denied(13).contains("sudo"));
        assert!(denied(30).contains("read-only"));
        fs::write(folder.path().join("binary"), [0xff, 0xfe]).unwrap();
        assert!(read(&folder.path().join("binary")).is_err());
        assert_eq!(read(&folder.path().join("absent")).unwrap(), "");
    }
}
