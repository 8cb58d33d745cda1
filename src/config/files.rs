//! Files that the configuration names: bounded reading, and certificates.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::config::field::{Field, Fields, shown};
use crate::policy::target::ExtraRoots;

/// Further roots, and the path that the owner wrote.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    /// `ca` as written.
    pub(super) path: String,
    /// The certificates.
    pub(super) roots: Arc<ExtraRoots>,
}

impl Trust {
    /// Reads the PEM file that `ca` names; `None` where it names none.
    pub(super) fn read(fields: &Fields<'_>) -> Option<Self> {
        let field = fields.given("ca")?;
        let path = field.filled_text()?;
        if !field.may_look() {
            return None;
        }
        match certificates(&field, path) {
            Ok(certificates) => Some(Self { path: path.into(), roots: Arc::new(ExtraRoots { certificates }) }),
            Err(what) => {
                field.wrong(format!("names `{}`, {what}", shown(path)));
                None
            }
        }
    }
}

/// Reads a text file of at most `largest` bytes.
///
/// # Errors
/// What the system says; a file that is larger; a text that is not UTF-8.
pub(super) fn read_text(path: &Path, largest: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large from one that just fits.
    File::open(path)?.take(largest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {largest} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        io::Error::new(io::ErrorKind::InvalidData, format!("not UTF-8 at byte {at}"))
    })
}

fn certificates(field: &Field<'_>, path: &str) -> Result<Vec<Vec<u8>>, String> {
    let text = read_text(&field.resolve(path), LARGEST).map_err(|error| format!("which cannot be read: {error}"))?;
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let number = certificates.len() + 1;
        let certificate = certificate.map_err(|_| format!("whose certificate {number} is no PEM"))?;
        webpki::anchor_from_trusted_cert(&certificate)
            .map_err(|_| format!("whose certificate {number} cannot be used as a root"))?;
        certificates.push(certificate.to_vec());
    }
    if certificates.is_empty() {
        return Err("which holds no certificate".into());
    }
    Ok(certificates)
}

/// Bytes of a PEM file; the largest public bundles are a quarter of a mebibyte.
const LARGEST: u64 = 4 << 20;
