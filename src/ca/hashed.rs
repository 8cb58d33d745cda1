//! The name under which OpenSSL looks for a certificate in a folder.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Eight digits, to which a dot and a number are added (`openssl x509 -subject_hash`); `None` for what is no certificate, or
/// has a subject in letters that this does not know.
pub fn subject_hash(pem: &[u8]) -> Option<String> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let mut canonical = Vec::new();
    for names in certificate.subject().iter_rdn() {
        let mut set = Vec::new();
        for name in names.iter() {
            let text = name.as_str().ok()?;
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            let pair = [
                element(OID, name.attr_type().as_bytes())?,
                element(UTF8, words.join(" ").to_ascii_lowercase().as_bytes())?,
            ];
            set.extend(element(SEQUENCE, &pair.concat())?);
        }
        canonical.extend(element(SET, &set)?);
    }
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &canonical);
    let first: [u8; 4] = hash.as_ref().get(..4)?.try_into().ok()?;
    Some(format!("{:08x}", u32::from_le_bytes(first)))
}

/// One element in DER; subjects are short.
fn element(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(content.len()).ok()?;
    let mut bytes = if length < 128 { vec![tag, length] } else { vec![tag, 0x81, length] };
    bytes.extend(content);
    Some(bytes)
}

const OID: u8 = 6;
const UTF8: u8 = 12;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_authorities_have_the_hashes_that_openssl_gives_them() {
        for (name, hash) in KNOWN {
            let found = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().find(|der| {
                let (_, certificate) = X509Certificate::from_der(der).unwrap();
                certificate.subject().to_string().contains(name)
            });
            let pem = pem::encode(&pem::Pem::new("CERTIFICATE", found.unwrap().to_vec()));
            assert_eq!(subject_hash(pem.as_bytes()).as_deref(), Some(hash), "{name}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_hash() {
        for bad in [&b""[..], b"text", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(subject_hash(bad), None);
        }
    }

    /// As `openssl x509 -subject_hash` has them.
    const KNOWN: [(&str, &str); 4] = [
        ("CN=ISRG Root X1", "4042bcee"),
        ("CN=DigiCert Global Root G2", "607986c7"),
        ("CN=GTS Root R1", "1001acf7"),
        ("CN=Amazon Root CA 1", "ce5e74ef"),
    ];
}
