//! The authority's files: how they get to disk whole, and how they are read back.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::ca::chain::{Chain, Flaw, hex, random};
use crate::ca::error::CaError;

/// The folder of an authority, held by this process as long as the value lives.
pub(super) struct Store {
    dir: PathBuf,
    _lock: File,
}

impl Store {
    /// Makes the folder if need be, and waits until no other process is writing to it.
    pub(super) fn claim(dir: &Path) -> Result<Self, CaError> {
        let failed = |cause| CaError::Folder { path: dir.into(), cause };
        make_private(dir).map_err(failed)?;
        let lock = OpenOptions::new().create(true).append(true).open(dir.join(LOCK)).map_err(failed)?;
        // Some network file systems have no locks; there, two first starts at once are up to the user.
        lock.lock()
            .or_else(|cause| if cause.kind() == io::ErrorKind::Unsupported { Ok(()) } else { Err(failed(cause)) })?;
        Ok(Self { dir: dir.into(), _lock: lock })
    }

    /// Whether an authority is here. Its root is written last, so without it nothing else counts.
    pub(super) fn is_empty(&self) -> bool {
        !self.dir.join(ROOT).exists()
    }

    /// Reads the authority back and checks that it is one.
    pub(super) fn read(&self) -> Result<Chain, CaError> {
        let [root_path, issuer_path, key_path] = [ROOT, ISSUER, KEY].map(|name| self.dir.join(name));
        let root = read_certificate(&root_path)?;
        let issuer = read_certificate(&issuer_path)?;
        let key = read_key(&key_path)?;
        Chain::read(root, issuer, key).map_err(|flaw| match flaw {
            Flaw::Root => CaError::Corrupt { path: root_path, wanted: "the certificate of an authority" },
            Flaw::Issuer => CaError::Corrupt { path: issuer_path, wanted: "a certificate" },
            Flaw::NotSigned => CaError::Strangers { path: root_path, other: issuer_path },
            Flaw::OtherKey => CaError::Strangers { path: issuer_path, other: key_path },
            Flaw::RootUnlimited => CaError::Unlimited { path: root_path },
            Flaw::IssuerUnlimited => CaError::Unlimited { path: issuer_path },
            Flaw::Signer(cause) => CaError::Mint { subject: issuer_path.display().to_string(), cause },
        })
    }

    /// Writes an authority in place of the one that is here.
    ///
    /// Everything that can fail for want of room comes before the old root goes; a crash after that leaves no
    /// root, which is as good as no authority.
    pub(super) fn write(&self, chain: &Chain) -> Result<(), CaError> {
        self.sweep();
        let key = Draft::write(&self.dir, KEY, chain.signer.key().serialize_pem().as_bytes(), PRIVATE)?;
        let issuer = Draft::write(&self.dir, ISSUER, certificate_pem(&chain.issuer).as_bytes(), PUBLIC)?;
        let root = Draft::write(&self.dir, ROOT, certificate_pem(&chain.root).as_bytes(), PUBLIC)?;
        let old = self.dir.join(ROOT);
        if old.exists() {
            fs::remove_file(&old)
                .and_then(|()| sync(&self.dir))
                .map_err(|cause| CaError::Write { path: old, cause })?;
        }
        key.publish()?;
        issuer.publish()?;
        root.publish()
    }

    /// Removes the drafts of a process that was killed while it wrote.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(DRAFT)) {
            // What stays is in nobody's way, and a key among it was never used.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes a file that anyone may read, whole or not at all.
pub(super) fn write_public(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), CaError> {
    Draft::write(dir, name, bytes, PUBLIC)?.publish()
}

/// Writes a file for its owner alone, whole or not at all.
pub(super) fn write_private(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), CaError> {
    Draft::write(dir, name, bytes, PRIVATE)?.publish()
}

/// A certificate as text.
pub(super) fn certificate_pem(der: &[u8]) -> String {
    pem::encode_config(&Pem::new("CERTIFICATE", der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

/// A file under another name, until it is complete on disk.
struct Draft {
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// The file has its mode from the first moment on; it is never wider.
    fn write(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<Self, CaError> {
        let path = dir.join(format!("{DRAFT}{}-{name}", hex(&random::<4>()?)));
        let draft = Self { path, target: dir.join(name) };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        set_mode(&mut options, mode);
        let written = options.open(&draft.path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|cause| CaError::Write { path: draft.target.clone(), cause })?;
        Ok(draft)
    }

    fn publish(self) -> Result<(), CaError> {
        let moved = fs::rename(&self.path, &self.target);
        let synced = moved.and_then(|()| self.target.parent().map_or(Ok(()), sync));
        synced.map_err(|cause| CaError::Write { path: self.target.clone(), cause })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&self.path);
    }
}

fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, CaError> {
    let bytes = fs::read(path).map_err(|cause| CaError::Read { path: path.into(), cause })?;
    CertificateDer::from_pem_slice(&bytes)
        .map_err(|_| CaError::Corrupt { path: path.into(), wanted: "a certificate in PEM form" })
}

fn read_key(path: &Path) -> Result<KeyPair, CaError> {
    let failed = |cause| CaError::Read { path: path.into(), cause };
    let mut file = File::open(path).map_err(failed)?;
    check_mode(&file, path)?;
    let mut text = String::new();
    let wanted = "a private key in PEM form";
    file.read_to_string(&mut text).map_err(|_| CaError::Corrupt { path: path.into(), wanted })?;
    KeyPair::from_pem(&text).map_err(|_| CaError::Corrupt { path: path.into(), wanted })
}

/// A key must be closed to others than its owner.
#[cfg(unix)]
pub(super) fn check_mode(file: &File, path: &Path) -> Result<(), CaError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|cause| CaError::Read { path: path.into(), cause })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(CaError::KeyMode { path: path.into(), mode }) }
}

#[cfg(not(unix))]
pub(super) fn check_mode(_file: &File, _path: &Path) -> Result<(), CaError> {
    // A file in a user's own folder is closed to other users there.
    Ok(())
}

#[cfg(unix)]
fn make_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn make_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(dir)
}

#[cfg(unix)]
fn set_mode(options: &mut OpenOptions, mode: u32) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(mode);
}

#[cfg(not(unix))]
fn set_mode(_options: &mut OpenOptions, _mode: u32) {}

/// Makes a rename last through a crash of the machine.
#[cfg(unix)]
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync(_dir: &Path) -> io::Result<()> {
    Ok(())
}

pub(super) const ROOT: &str = "ca.pem";
pub(super) const ISSUER: &str = "issuer.pem";
pub(super) const KEY: &str = "issuer-key.pem";
pub(super) const BUNDLE: &str = "bundle.pem";
const LOCK: &str = ".lock";
const DRAFT: &str = ".new-";
const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;
