//! A folder that disappears with whoever made it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A folder below the system's temporary one; removed when it is dropped.
#[derive(Debug)]
pub(in crate::cli) struct Folder(PathBuf);

impl Folder {
    /// Makes a folder that no other process has, for its owner alone; `purpose` is a part of its name.
    pub(in crate::cli) fn make(purpose: &str) -> io::Result<Self> {
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let path = std::env::temp_dir().join(format!("tollgate-{purpose}-{:016x}", u64::from_ne_bytes(random)));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(in crate::cli) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it.
    pub(in crate::cli) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
