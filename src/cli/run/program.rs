//! Whether a program is there, before anything is started for it.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The file that `program` names: a path, or a name in one of the folders of `path`.
///
/// # Errors
/// [`io::ErrorKind::NotFound`], or [`io::ErrorKind::PermissionDenied`] where it is there but cannot be run.
pub(super) fn look_up(program: &OsStr, path: Option<&OsStr>) -> io::Result<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return runnable(Path::new(program)).map(|()| program.into());
    }
    let mut refused = None;
    for folder in env::split_paths(path.unwrap_or(OsStr::new(DEFAULT_PATH))) {
        let file = folder.join(program);
        match runnable(&file) {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused = Some(error),
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| io::Error::from(rustix::io::Errno::NOENT)))
}

fn runnable(file: &Path) -> io::Result<()> {
    let found = fs::metadata(file)?;
    // The kernel has the last word, but without any of these bits it refuses everybody.
    if !found.is_file() || found.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::from(rustix::io::Errno::ACCESS));
    }
    Ok(())
}

/// Where the system looks if nothing is said.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_the_system_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        for place in [&first, &second] {
            fs::create_dir(place).unwrap();
            fs::write(place.join("tool"), "").unwrap();
        }
        let path = env::join_paths([&first, &second]).unwrap();
        let found = || look_up(OsStr::new("tool"), Some(&path));
        assert_eq!(found().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        fs::set_permissions(second.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(found().unwrap(), second.join("tool"), "one that cannot be run is passed over");
        for missing in ["no-such-tool", "", "./no-such-tool"] {
            let kind = look_up(OsStr::new(missing), Some(&path)).unwrap_err().kind();
            assert!(matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied), "{missing}: {kind}");
        }
        assert_eq!(look_up(first.as_os_str(), None).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
