//! The login keychain of macOS, by `security`: trusted for TLS alone, and for the one intercepted host where there is one.

use std::path::PathBuf;

use crate::system::commands::CommandLine;
use crate::system::trust::certificate::{Certificate, certificates, sha1};
use crate::system::trust::hands::{Hands, Trouble};

/// The keychain of a user.
#[derive(Clone, Debug)]
pub struct Keychain {
    /// Its file.
    pub path: PathBuf,
    /// The only host that the certificate is trusted for. Of several, `security` takes none; the certificate itself is
    /// limited to them in any case.
    pub host: Option<String>,
}

impl Keychain {
    pub(super) fn holds(&self, certificate: &Certificate, hands: &Hands<'_>) -> Result<bool, Trouble> {
        Ok(!self.found(certificate, hands)?.is_empty())
    }

    pub(super) fn add(&self, file: &str, hands: &Hands<'_>) -> Result<(), Trouble> {
        let path = self.path.display().to_string();
        let mut words = vec!["add-trusted-cert", "-r", "trustRoot", "-p", "ssl"];
        words.extend(self.host.as_deref().map(|host| ["-s", host]).into_iter().flatten());
        words.extend(["-k", &path, file]);
        hands.act_attended(&CommandLine::new(TOOL, &words))
    }

    pub(super) fn remove(&self, certificate: &Certificate, hands: &Hands<'_>) -> Result<(), Trouble> {
        let path = self.path.display().to_string();
        for der in self.found(certificate, hands)? {
            // It was compared by SHA-256; all versions know this name.
            hands.act_attended(&CommandLine::new(TOOL, &["delete-certificate", "-t", "-Z", &sha1(&der), &path]))?;
        }
        Ok(())
    }

    fn found(&self, certificate: &Certificate, hands: &Hands<'_>) -> Result<Vec<Vec<u8>>, Trouble> {
        let path = self.path.display().to_string();
        let text = hands.ask(&CommandLine::new(TOOL, &["find-certificate", "-a", "-p", &path]))?;
        let found = certificates(text.as_bytes()).into_iter().filter(|der| certificate.is(der));
        Ok(found.map(|der| der.to_vec()).collect())
    }
}

const TOOL: &str = "security";
