//! The roots of a Java installation, by its `keytool`.

use std::path::{Path, PathBuf};

use crate::system::commands::CommandLine;
use crate::system::trust::certificate::{Certificate, certificates};
use crate::system::trust::hands::{Hands, Trouble};

/// One file of roots; several installations may share it.
#[derive(Clone, Debug)]
pub struct Java {
    /// The file itself, behind all links.
    pub cacerts: PathBuf,
    /// The tool of an installation that reads it.
    pub keytool: PathBuf,
}

impl Java {
    /// That of the installation in `home`, if it is one.
    pub fn at(home: &Path) -> Option<Self> {
        let keytool =
            ["bin/keytool", "jre/bin/keytool"].map(|name| home.join(name)).into_iter().find(|at| at.is_file())?;
        let places = ["lib/security/cacerts", "jre/lib/security/cacerts"];
        let cacerts = places.iter().find_map(|place| home.join(place).canonicalize().ok())?;
        Some(Self { cacerts, keytool })
    }

    pub(super) fn holds(&self, certificate: &Certificate, hands: &Hands<'_>) -> Result<bool, Trouble> {
        Ok(!self.aliases(certificate, hands)?.is_empty())
    }

    pub(super) fn add(&self, certificate: &Certificate, file: &str, hands: &Hands<'_>) -> Result<(), Trouble> {
        let line = self.line(&["-importcert", "-noprompt", "-alias", &certificate.name(), "-file", file]);
        hands.act_at(&self.cacerts, &line)
    }

    pub(super) fn remove(&self, certificate: &Certificate, hands: &Hands<'_>) -> Result<(), Trouble> {
        for alias in self.aliases(certificate, hands)? {
            hands.act_at(&self.cacerts, &self.line(&["-delete", "-alias", &alias]))?;
        }
        Ok(())
    }

    /// The names that it has there.
    fn aliases(&self, certificate: &Certificate, hands: &Hands<'_>) -> Result<Vec<String>, Trouble> {
        let listing = hands.ask(&self.line(&["-list", "-rfc"]))?;
        Ok(listed(&listing, certificate))
    }

    fn line(&self, more: &[&str]) -> CommandLine {
        let (tool, cacerts) = (self.keytool.display().to_string(), self.cacerts.display().to_string());
        // The password that every installation comes with; the certificates are no secret.
        let place = ["-keystore", &cacerts, "-storepass", "changeit"];
        let language = ["-J-Duser.language=en"];
        CommandLine::new(&tool, &[&language[..], more, &place].concat())
    }
}

/// The aliases of a certificate in `keytool -list -rfc`.
pub(super) fn listed(listing: &str, certificate: &Certificate) -> Vec<String> {
    let mut aliases = Vec::new();
    for entry in listing.split("Alias name: ").skip(1) {
        let (alias, rest) = entry.split_once('\n').unwrap_or((entry, ""));
        if certificates(rest.as_bytes()).iter().any(|der| certificate.is(der)) {
            aliases.push(alias.trim_end().to_owned());
        }
    }
    aliases
}
