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
    let mut skipped = Vec::new();
    let mut more = Vec::new();
    for path in inherited.iter().filter(|path| !is_ours(path, authority.dir())) {
        match read_certificates(path) {
            Ok(found) => more.extend(found),
            Err(cause) => skipped.push((path.clone(), cause)),
        }
    }
    let all = machine.iter().map(AsRef::as_ref).chain(more.iter().map(AsRef::as_ref)).chain([authority.root_der()]);
    let mut seen = HashSet::new();
    let text: String = all.filter(|der: &&[u8]| seen.insert(*der)).map(certificate_pem).collect();
    write_public(authority.dir(), BUNDLE, text.as_bytes())?;
    Ok(Bundle { path: authority.dir().join(BUNDLE), certificates: seen.len(), skipped })
}

/// An environment made by this program names our own files; what they hold is there anyway, or is out of date.
fn is_ours(path: &Path, dir: &Path) -> bool {
    match (fs::canonicalize(path), fs::canonicalize(dir)) {
        (Ok(path), Ok(dir)) => path.starts_with(dir),
        _ => path.starts_with(dir),
    }
}

fn read_certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    // One damaged certificate would make OpenSSL refuse the whole bundle.
    let found = CertificateDer::pem_slice_iter(&bytes).flatten().filter(|der| parse(der).is_some());
    Ok(found.collect())
}

/// Four times what all public roots take.
const LARGEST: u64 = 1 << 20;
