//! The roots that this machine trusts, whatever the environment says.
//!
//! A user who points `SSL_CERT_FILE` at the gate's own certificate must not change whom the gate itself trusts, so the
//! stores are read from the places where systems keep them.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemError, PemObject};

/// Where the machine's roots were found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The store of the operating system.
    Machine,
    /// The list that was compiled in, because the machine has no store.
    BuiltIn,
}

/// The roots that this machine trusts.
#[derive(Clone, Debug)]
pub struct MachineRoots {
    /// The certificates, without repetition; never empty.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Where they come from.
    pub origin: Origin,
    /// What could not be read, each as a sentence for the log.
    pub problems: Vec<String>,
}

/// Reads the machine's roots. Takes some milliseconds; call it once.
pub fn machine_roots() -> MachineRoots {
    let found = platform::load();
    let problems = found.errors.iter().map(ToString::to_string).collect();
    gather(found.certs, problems)
}

/// What an upstream may be verified with: the machine's roots and `extra` (DER), without `own`, the gate's own root.
///
/// Leaving `own` out matters where the user made the whole machine trust it: whoever stole the key could
/// otherwise stand between the gate and OpenAI.
///
/// # Errors
/// An extra certificate that cannot be a root.
pub fn root_store(machine: &MachineRoots, extra: &[Vec<u8>], own: Option<&[u8]>) -> Result<RootCertStore, RootsError> {
    let is_own = |der: &[u8]| own == Some(der);
    let mut store = RootCertStore::empty();
    // A store of a real machine may hold a certificate that rustls cannot use; the others still count.
    store.add_parsable_certificates(machine.certificates.iter().filter(|der| !is_own(der)).cloned());
    for (index, der) in extra.iter().enumerate().filter(|(_, der)| !is_own(der)) {
        store.add(CertificateDer::from_slice(der)).map_err(|cause| RootsError::Extra { number: index + 1, cause })?;
    }
    Ok(store)
}

/// Reads the certificates (DER) of a PEM file; anything else in it is passed over.
///
/// # Errors
/// A file that cannot be read, has no certificate in it, or one that cannot be a root.
pub fn read_pem(path: &Path) -> Result<Vec<Vec<u8>>, RootsError> {
    let text = fs::read(path).map_err(|cause| RootsError::Read { path: path.into(), cause })?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|cause| RootsError::Pem { path: path.into(), cause })?;
    if certificates.is_empty() {
        return Err(RootsError::Empty { path: path.into() });
    }
    for (index, der) in certificates.iter().enumerate() {
        webpki::anchor_from_trusted_cert(der).map_err(|cause| RootsError::Certificate {
            path: path.into(),
            number: index + 1,
            cause,
        })?;
    }
    Ok(certificates.iter().map(|der| der.to_vec()).collect())
}

/// Why roots could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file is missing or closed to us.
    #[error("cannot read the certificates in `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The file is damaged.
    #[error("`{}` is not a PEM file", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: PemError,
    },
    /// The file has no certificate.
    #[error("there is no certificate in `{}`", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// One of the certificates in a file is damaged.
    #[error("certificate {number} in `{}` cannot be used as a root", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// Why.
        #[source]
        cause: webpki::Error,
    },
    /// One of the extra certificates is damaged.
    #[error("extra certificate {number} cannot be used as a root")]
    Extra {
        /// Which one, from 1.
        number: usize,
        /// Why.
        #[source]
        cause: rustls::Error,
    },
}

fn gather(found: Vec<CertificateDer<'static>>, problems: Vec<String>) -> MachineRoots {
    let mut seen = HashSet::new();
    let certificates: Vec<_> = found.into_iter().filter(|der| seen.insert(der.clone())).collect();
    if certificates.is_empty() {
        let certificates = webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec();
        return MachineRoots { certificates, origin: Origin::BuiltIn, problems };
    }
    MachineRoots { certificates, origin: Origin::Machine, problems }
}

#[cfg(all(unix, not(target_os = "macos")))]
mod platform {
    use std::path::Path;

    use rustls_native_certs::{CertificateResult, load_certs_from_paths};

    /// The first bundle that is there, and every folder: what OpenSSL would use with no variable set.
    pub(super) fn load() -> CertificateResult {
        let bundle = BUNDLES.iter().map(Path::new).find(|path| path.is_file());
        let mut found = load_certs_from_paths(bundle, None);
        for folder in FOLDERS.iter().map(Path::new).filter(|path| path.is_dir()) {
            let more = load_certs_from_paths(None, Some(folder));
            found.certs.extend(more.certs);
            found.errors.extend(more.errors);
        }
        found
    }

    const BUNDLES: &[&str] = &[
        // Debian, Ubuntu, Gentoo, Arch.
        "/etc/ssl/certs/ca-certificates.crt",
        // Fedora, Red Hat 7 and later.
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        // Red Hat 6.
        "/etc/pki/tls/certs/ca-bundle.crt",
        // openSUSE.
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/tls/cacert.pem",
        // Alpine, OpenBSD.
        "/etc/ssl/cert.pem",
        // FreeBSD, DragonFly.
        "/usr/local/etc/ssl/cert.pem",
        "/usr/local/share/certs/ca-root-nss.crt",
        // NetBSD.
        "/etc/openssl/certs/ca-certificates.crt",
        // illumos, Solaris.
        "/etc/certs/ca-certificates.crt",
        "/etc/ssl/cacert.pem",
        // Entware.
        "/opt/etc/ssl/certs/ca-certificates.crt",
        // Termux.
        "/data/data/com.termux/files/usr/etc/tls/cert.pem",
    ];

    const FOLDERS: &[&str] = &["/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/openssl/certs", "/etc/certs/CA"];
}

#[cfg(any(windows, target_os = "macos"))]
mod platform {
    use std::path::Path;

    use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};

    /// The keychain or the Windows store. The loader would obey the variables, so with one of them set it is not
    /// asked: the bundle that macOS brings along is read, and Windows gets the built-in list.
    pub(super) fn load() -> CertificateResult {
        let steered = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
        if !steered {
            return load_native_certs();
        }
        let bundle = Path::new("/etc/ssl/cert.pem");
        load_certs_from_paths(bundle.is_file().then_some(bundle), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_store_gets_the_built_in_roots() {
        let roots = gather(Vec::new(), vec!["nothing".into()]);
        assert_eq!(roots.origin, Origin::BuiltIn);
        assert!(roots.certificates.len() > 50);
        let store = root_store(&roots, &[], None).unwrap();
        assert_eq!(store.len(), roots.certificates.len());
    }

    #[test]
    fn repeated_roots_count_once() {
        let one = webpki_root_certs::TLS_SERVER_ROOT_CERTS[0].clone();
        let roots = gather(vec![one.clone(), one], Vec::new());
        assert_eq!((roots.certificates.len(), roots.origin), (1, Origin::Machine));
    }

    #[test]
    fn the_own_root_is_never_trusted_upstream() {
        let all = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
        let machine = gather(all[..3].to_vec(), Vec::new());
        let own = all[1].to_vec();
        let extra = [own.clone(), all[3].to_vec()];
        assert_eq!(root_store(&machine, &extra, Some(&own)).unwrap().len(), 3);
        assert_eq!(root_store(&machine, &extra, None).unwrap().len(), 5);
    }

    /// The variables of a process cannot be changed safely inside it, so the test runs itself again with them set.
    #[test]
    fn the_environment_changes_nothing() {
        const INSIDE: &str = "TOLLGATE_TEST_ROOTS_INSIDE";
        if let Ok(expected) = std::env::var(INSIDE) {
            assert_eq!(machine_roots().certificates.len().to_string(), expected);
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("only.pem");
        fs::write(
            &file,
            pem::encode(&pem::Pem::new("CERTIFICATE", webpki_root_certs::TLS_SERVER_ROOT_CERTS[0].to_vec())),
        )
        .unwrap();
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "system::roots::tests::the_environment_changes_nothing"])
            .env(INSIDE, machine_roots().certificates.len().to_string())
            .env("SSL_CERT_FILE", &file)
            .env("SSL_CERT_DIR", folder.path())
            .status()
            .unwrap();
        assert!(status.success());
    }

    #[test]
    fn a_bad_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("extra.pem");
        let said = |path: &Path| read_pem(path).unwrap_err().to_string();
        assert_eq!(said(&path), format!("cannot read the certificates in `{}`", path.display()));
        fs::write(&path, "no certificate").unwrap();
        assert_eq!(said(&path), format!("there is no certificate in `{}`", path.display()));
        fs::write(&path, pem::encode(&pem::Pem::new("CERTIFICATE", vec![1, 2, 3]))).unwrap();
        assert_eq!(said(&path), format!("certificate 1 in `{}` cannot be used as a root", path.display()));
        fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
        assert_eq!(said(&path), format!("`{}` is not a PEM file", path.display()));
    }

    #[test]
    fn a_file_of_roots_is_read_and_its_keys_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("extra.pem");
        let roots = &webpki_root_certs::TLS_SERVER_ROOT_CERTS[..2];
        let mut text = pem::encode(&pem::Pem::new("PRIVATE KEY", vec![7; 40]));
        for root in roots {
            text.push_str(&pem::encode(&pem::Pem::new("CERTIFICATE", root.to_vec())));
        }
        fs::write(&path, text).unwrap();
        assert_eq!(read_pem(&path).unwrap(), roots.iter().map(|root| root.to_vec()).collect::<Vec<_>>());
    }
}
