//! The file for programs whose trust setting replaces the machine's roots instead of adding to them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::ca::authority::Authority;
use crate::ca::chain::parse;
use crate::ca::error::CaError;
use crate::ca::store::{BUNDLE, certificate_pem, write_public};

/// A bundle as it was written.
#[derive(Debug)]
pub struct Bundle {
    /// The file: `bundle.pem` in the authority's folder.
    pub path: PathBuf,
    /// How many certificates are in it.
    pub certificates: usize,
    /// Files named by the user that could not be taken over, and why.
    pub skipped: Vec<(PathBuf, io::Error)>,
}

/// Certificates (DER) from several places, each once.
#[derive(Debug, Default)]
pub struct Collection {
    all: Vec<CertificateDer<'static>>,
    seen: HashSet<Vec<u8>>,
    /// Files that could not be taken over, or not wholly, and why.
    pub skipped: Vec<(PathBuf, io::Error)>,
}

impl Collection {
    /// Adds these.
    pub fn add<'a>(&mut self, certificates: impl IntoIterator<Item = &'a [u8]>) {
        for der in certificates {
            if self.seen.insert(der.to_vec()) {
                self.all.push(CertificateDer::from(der.to_vec()));
            }
        }
    }

    /// Adds the certificates of a PEM text that this program has made.
    pub fn add_text(&mut self, pem: &[u8]) {
        let found: Vec<_> = CertificateDer::pem_slice_iter(pem).flatten().filter(|der| parse(der).is_some()).collect();
        self.add(found.iter().map(AsRef::as_ref));
    }

    /// Adds the certificates of a PEM file, and nothing else that is in it; or those of a folder of such files.
    pub fn add_path(&mut self, path: &Path) {
        if path.is_dir() {
            return self.add_folder(path);
        }
        match read_certificates(path) {
            Ok((found, damaged)) => {
                self.add(found.iter().map(AsRef::as_ref));
                if damaged > 0 {
                    self.skip(path, &format!("damaged certificates: {damaged}"));
                }
            }
            Err(cause) => self.skipped.push((path.into(), cause)),
        }
    }

    /// Only what OpenSSL would look at in a folder: files, of which there may be others than certificates.
    fn add_folder(&mut self, folder: &Path) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(cause) => return self.skipped.push((folder.into(), cause)),
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(MOST_FILES + 1).collect();
        if paths.len() > MOST_FILES {
            return self.skip(folder, &format!("more than {MOST_FILES} files"));
        }
        // The system gives them in any order.
        paths.sort();
        for path in paths.iter().filter(|path| path.is_file()) {
            let found = read_certificates(path).map(|(found, _)| found).unwrap_or_default();
            self.add(found.iter().map(AsRef::as_ref));
        }
    }

    fn skip(&mut self, path: &Path, cause: &str) {
        self.skipped.push((path.into(), io::Error::new(io::ErrorKind::InvalidData, cause)));
    }

    /// Each of them (DER).
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.all.iter().map(AsRef::as_ref)
    }

    /// All of them as text.
    pub fn pem(&self) -> String {
        self.certificates().map(certificate_pem).collect()
    }
}

/// Writes `bundle.pem`: the machine's roots, the certificates of the files that the user's environment already names
/// (`inherited`), and the authority's root; each once, and nothing but certificates.
///
/// # Errors
/// A file that cannot be written.
pub fn write_bundle(
    authority: &Authority,
    machine: &[CertificateDer<'_>],
    inherited: &[PathBuf],
) -> Result<Bundle, CaError> {
    let mut all = Collection::default();
    all.add(machine.iter().map(AsRef::as_ref));
    for path in inherited.iter().filter(|path| !is_ours(path, authority.dir())) {
        all.add_path(path);
    }
    all.add([authority.root_der()]);
    write_public(authority.dir(), BUNDLE, all.pem().as_bytes())?;
    let certificates = all.certificates().len();
    Ok(Bundle { path: authority.dir().join(BUNDLE), certificates, skipped: all.skipped })
}

/// An environment made by this program names our own files; what they hold is there anyway, or is out of date.
fn is_ours(path: &Path, dir: &Path) -> bool {
    match (fs::canonicalize(path), fs::canonicalize(dir)) {
        (Ok(path), Ok(dir)) => path.starts_with(dir),
        _ => path.starts_with(dir),
    }
}

/// The certificates of a file, and how many others are damaged: one of those would make OpenSSL refuse a whole bundle.
fn read_certificates(path: &Path) -> io::Result<(Vec<CertificateDer<'static>>, usize)> {
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    let (mut found, mut damaged) = (Vec::new(), 0);
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        match certificate {
            Ok(der) if parse(&der).is_some() => found.push(der),
            _ => damaged += 1,
        }
    }
    Ok((found, damaged))
}

/// Four times what all public roots take.
const LARGEST: u64 = 1 << 20;

/// Ten times as many as a machine's own folder has.
const MOST_FILES: usize = 4096;
