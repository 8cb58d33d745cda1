//! NSS databases, by `certutil`: Chromium on Linux has one for each user, Firefox one for each profile.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::system::commands::CommandLine;
use crate::system::trust::certificate::{Certificate, certificates};
use crate::system::trust::hands::{Hands, Trouble};

/// One database.
#[derive(Clone, Debug)]
pub struct Nss {
    /// Whose it is.
    pub whose: &'static str,
    /// The folder that it lies in.
    pub folder: PathBuf,
    /// Whether it has yet to be made.
    pub is_missing: bool,
}

impl Nss {
    pub(super) fn holds(&self, certificate: &Certificate, hands: &Hands<'_>) -> Result<bool, Trouble> {
        Ok(!self.nicknames(certificate, hands)?.is_empty())
    }

    pub(super) fn add(&self, certificate: &Certificate, file: &str, hands: &Hands<'_>) -> Result<(), Trouble> {
        self.make(hands)?;
        let name = certificate.name();
        let line = self.line("-A", &["-t", "C,,", "-n", &name, "-i", file]);
        let has_password = |trouble: &Trouble| trouble.why.contains("could not authenticate");
        let mut added = hands.act(&line);
        if added.as_ref().is_err_and(has_password) {
            added = match hands.has_terminal() {
                true => hands.act_attended(&line),
                false => Err(Trouble::with("the database has a password", line.to_string())),
            };
        }
        if added.is_err() {
            // It may be in it without being trusted; and a database that was made for this alone goes with it.
            let _ = hands.act(&self.line("-D", &["-n", &name]));
            if self.is_missing {
                let _ = fs::remove_dir_all(&self.folder);
            }
        }
        added
    }

    pub(super) fn remove(&self, certificate: &Certificate, hands: &Hands<'_>) -> Result<(), Trouble> {
        for name in self.nicknames(certificate, hands)? {
            if self.certificates(&name, hands)?.len() > 1 {
                let why = format!("it shares the name `{name}` with another certificate, which would be removed too");
                return Err(Trouble::said(why));
            }
            hands.act(&self.line("-D", &["-n", &name]))?;
        }
        Ok(())
    }

    /// The names that it has there.
    fn nicknames(&self, certificate: &Certificate, hands: &Hands<'_>) -> Result<Vec<String>, Trouble> {
        if !hands.has(CERTUTIL) {
            return Err(Trouble::with("`certutil` is not installed", install(hands)));
        }
        if self.is_missing && !self.folder.join(FILE).exists() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for name in trusted(&hands.ask(&self.line("-L", &[]))?) {
            if self.certificates(&name, hands)?.iter().any(|der| certificate.is(der)) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn certificates(&self, name: &str, hands: &Hands<'_>) -> Result<Vec<Vec<u8>>, Trouble> {
        let text = hands.ask(&self.line("-L", &["-n", name, "-a"]))?;
        Ok(certificates(text.as_bytes()).into_iter().map(|der| der.to_vec()).collect())
    }

    fn make(&self, hands: &Hands<'_>) -> Result<(), Trouble> {
        if !self.is_missing {
            return Ok(());
        }
        if !hands.is_dry() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
            made.map_err(|error| Trouble::said(format!("cannot make `{}`: {error}", self.folder.display())))?;
        }
        hands.act(&self.line("-N", &["--empty-password"]))
    }

    fn line(&self, what: &str, more: &[&str]) -> CommandLine {
        let place = format!("sql:{}", self.folder.display());
        CommandLine::new(CERTUTIL, &[&[what, "-d", &place], more].concat())
    }
}

/// The names in `certutil -L` that are trusted to sign for servers; a profile may hold hundreds that are not.
pub(super) fn trusted(listing: &str) -> Vec<String> {
    let row = |line: &str| {
        let (name, flags) = line.trim_end().rsplit_once(' ')?;
        let name = name.trim_end();
        let is_trusted = flags.matches(',').count() == 2 && flags.split(',').next()?.contains(['C', 'T']);
        (is_trusted && !name.trim().is_empty() && !flags.starts_with("SSL")).then(|| name.to_owned())
    };
    listing.lines().filter_map(row).collect()
}

/// Whether a folder holds a database.
pub(super) fn is_one(folder: &Path) -> bool {
    folder.join(FILE).is_file()
}

/// How to come by the tool.
fn install(hands: &Hands<'_>) -> String {
    let ways = [
        ("apt-get", "sudo apt-get install libnss3-tools"),
        ("dnf", "sudo dnf install nss-tools"),
        ("zypper", "sudo zypper install mozilla-nss-tools"),
        ("pacman", "sudo pacman -S nss"),
        ("brew", "brew install nss"),
    ];
    let way = ways.into_iter().find(|(tool, _)| hands.has(tool));
    way.map_or("install the package of NSS's tools", |(_, way)| way).into()
}

const CERTUTIL: &str = "certutil";
const FILE: &str = "cert9.db";
