//! Files that are named by what they hold: written once, never changed, shared by all who need the same.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

/// The file in `folder` that holds `bytes`, named by `name` (`bundle.pem` becomes `bundle-0123456789abcdef.pem`);
/// written whole if it is not there yet. Anyone may read it who reaches the folder, which is made for its owner alone.
///
/// # Errors
/// A folder or a file that cannot be written.
pub fn keep(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let named = format!("{stem}-{}.{extension}", fingerprint(bytes));
    let path = folder.join(named.trim_end_matches('.'));
    // Somebody could have damaged it; reading is cheap.
    if fs::read(&path).is_ok_and(|found| found == bytes) {
        return Ok(path);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    replace(&path, bytes, 0o644)?;
    Ok(path)
}

/// Writes a file whole or not at all.
///
/// # Errors
/// What the system says; then a file that was there is as it was.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let draft = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// The first eight bytes of SHA-256, in hexadecimal.
pub fn fingerprint(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_have_one_file_and_a_damaged_one_is_made_good() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        let one = keep(&inner, "bundle.pem", b"one").unwrap();
        assert_eq!(one.file_name().unwrap(), "bundle-7692c3ad3540bb80.pem");
        let two = keep(&inner, "bundle.pem", b"two").unwrap();
        assert_ne!(one, two);
        fs::write(&one, "damaged").unwrap();
        assert_eq!(keep(&inner, "bundle.pem", b"one").unwrap(), one);
        assert_eq!(fs::read(&one).unwrap(), b"one");
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 2, "no draft is left");
    }
}
