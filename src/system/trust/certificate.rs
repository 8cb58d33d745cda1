//! A certificate by its fingerprint.

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// The certificate that stores are to hold, or no longer.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// SHA-256, lower-case hexadecimal.
    sha256: String,
    /// Whether somebody knows it to be ours. Else it has to say so itself: a mistyped fingerprint must not take a public
    /// root away.
    is_known: bool,
}

impl Certificate {
    /// One that is ours.
    pub fn of(der: &[u8]) -> Self {
        Self { sha256: sha256(der), is_known: true }
    }

    /// One that is said to be ours, by its SHA-256: 64 hexadecimal digits, with or without colons. `None` for anything
    /// else.
    pub fn by_fingerprint(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|letter| *letter != ':').collect();
        let is_one = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then(|| Self { sha256: digits.to_ascii_lowercase(), is_known: false })
    }

    /// Whether this is it.
    pub fn is(&self, der: &[u8]) -> bool {
        sha256(der) == self.sha256 && (self.is_known || says_so(der))
    }

    /// What it is called in stores that want a name, such as `tollgate-0123456789abcdef`.
    pub fn name(&self) -> String {
        format!("tollgate-{}", &self.sha256[..16])
    }

    /// SHA-256 as `tollgate ca show` prints it.
    pub fn fingerprint(&self) -> String {
        let digits = self.sha256.to_ascii_uppercase();
        let pairs: Vec<&str> = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]).collect();
        pairs.join(":")
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }
}

impl Eq for Certificate {}

/// SHA-1, which some tools name certificates by; upper-case hexadecimal.
pub(super) fn sha1(der: &[u8]) -> String {
    let sum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    sum.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The certificates (DER) in a text, whatever else is in it.
pub fn certificates(text: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text).flatten().collect()
}

fn sha256(der: &[u8]) -> String {
    let sum = digest::digest(&digest::SHA256, der);
    sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn says_so(der: &[u8]) -> bool {
    let Ok((_, read)) = X509Certificate::from_der(der) else { return false };
    let mut names = read.subject().iter_common_name();
    names.any(|name| name.as_str().is_ok_and(|name| name.starts_with("Tollgate root ")))
}
