//! The certificates that a Linux system adds to its own: a folder for them, and a command that makes the bundle anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::system::commands::CommandLine;
use crate::system::trust::certificate::{Certificate, certificates};
use crate::system::trust::hands::{Hands, Trouble};

/// The store of one system.
#[derive(Clone, Debug)]
pub struct Anchors {
    /// Whose way it is.
    pub system: &'static str,
    /// Where added certificates lie.
    pub folder: PathBuf,
    extension: &'static str,
    /// What is made of them, and what programs read.
    bundle: PathBuf,
    update: CommandLine,
    /// The same, after something was taken away.
    refresh: CommandLine,
}

/// A kind of system.
struct Layout {
    system: &'static str,
    folder: &'static str,
    extension: &'static str,
    bundle: &'static str,
    update: &'static [&'static str],
    refresh: &'static [&'static str],
}

/// In the order in which they are looked for; SUSE's command has Debian's name, but other folders.
const LAYOUTS: [Layout; 4] = [
    Layout {
        system: "Fedora",
        folder: "etc/pki/ca-trust/source/anchors",
        extension: "pem",
        bundle: "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        update: &["update-ca-trust", "extract"],
        refresh: &["update-ca-trust", "extract"],
    },
    Layout {
        system: "SUSE",
        folder: "usr/share/pki/trust/anchors",
        extension: "pem",
        bundle: "var/lib/ca-certificates/ca-bundle.pem",
        update: &["update-ca-certificates"],
        refresh: &["update-ca-certificates"],
    },
    Layout {
        system: "Arch",
        folder: "etc/ca-certificates/trust-source/anchors",
        extension: "crt",
        bundle: "etc/ca-certificates/extracted/tls-ca-bundle.pem",
        update: &["trust", "extract-compat"],
        refresh: &["trust", "extract-compat"],
    },
    Layout {
        system: "Debian",
        folder: "usr/local/share/ca-certificates",
        extension: "crt",
        bundle: "etc/ssl/certs/ca-certificates.crt",
        update: &["update-ca-certificates"],
        // Else the links to what was taken away stay.
        refresh: &["update-ca-certificates", "--fresh"],
    },
];

impl Anchors {
    /// The store below `root` (`/`), if there is one that is known. In another root only Debian's command can work.
    pub fn find(root: &Path, hands: &Hands<'_>) -> Option<Self> {
        let is_here = |layout: &&Layout| {
            let program = layout.update.first().copied().unwrap_or_default();
            root.join(layout.folder).is_dir() && hands.has(program)
        };
        let layout = LAYOUTS.iter().find(is_here)?;
        let command = |words: &[&str]| {
            let (program, arguments) = words.split_first()?;
            let mut line = CommandLine::new(program, arguments);
            if root != Path::new("/") {
                line.arguments.extend(elsewhere(root));
            }
            Some(line)
        };
        Some(Self {
            system: layout.system,
            folder: root.join(layout.folder),
            extension: layout.extension,
            bundle: root.join(layout.bundle),
            update: command(layout.update)?,
            refresh: command(layout.refresh)?,
        })
    }

    /// Whether programs find it in the bundle.
    pub(super) fn holds(&self, certificate: &Certificate) -> Result<bool, Trouble> {
        match fs::read(&self.bundle) {
            Ok(text) => Ok(certificates(&text).iter().any(|der| certificate.is(der))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(unreadable(&self.bundle, &error)),
        }
    }

    /// The files that hold it.
    pub(super) fn files(&self, certificate: &Certificate) -> Result<Vec<PathBuf>, Trouble> {
        let entries = fs::read_dir(&self.folder).map_err(|error| unreadable(&self.folder, &error))?;
        let paths = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
        let holding = paths.filter(|path| {
            let text = fs::read(path).unwrap_or_default();
            certificates(&text).iter().any(|der| certificate.is(der))
        });
        Ok(holding.collect())
    }

    /// Copies it there and makes the bundle anew; what fails leaves nothing behind.
    pub(super) fn add(&self, certificate: &Certificate, file: &str, hands: &Hands<'_>) -> Result<(), Trouble> {
        let target = self.folder.join(format!("{}.{}", certificate.name(), self.extension));
        let shown = target.display().to_string();
        let is_new = self.files(certificate)?.is_empty();
        if is_new {
            let copied = hands.act_at(&self.folder, &CommandLine::new("install", &["-m", "0644", file, &shown]));
            copied.map_err(|trouble| trouble.and_then(&self.update))?;
        }
        let made = hands.act_at(&self.folder, &self.update).and_then(|()| {
            let fine = hands.is_dry() || self.holds(certificate)?;
            if fine { Ok(()) } else { Err(Trouble::said(format!("it is not in `{}`", self.bundle.display()))) }
        });
        made.inspect_err(|_| {
            if is_new {
                // The first trouble is the one to be told.
                let _ = hands.act_at(&self.folder, &CommandLine::new("rm", &["-f", "--", &shown]));
                let _ = hands.act_at(&self.folder, &self.refresh);
            }
        })
    }

    /// Removes the files that hold it and nothing else, and makes the bundle anew.
    pub(super) fn remove(&self, certificate: &Certificate, hands: &Hands<'_>) -> Result<(), Trouble> {
        for path in self.files(certificate)? {
            let shown = path.display().to_string();
            if certificates(&fs::read(&path).unwrap_or_default()).len() > 1 {
                return Err(Trouble::said(format!(
                    "`{shown}` holds other certificates too; take it out there by hand"
                )));
            }
            let removed = hands.act_at(&self.folder, &CommandLine::new("rm", &["-f", "--", &shown]));
            removed.map_err(|trouble| trouble.and_then(&self.refresh))?;
        }
        hands.act_at(&self.folder, &self.refresh)
    }
}

/// Debian's command for another root; its own option for that has wrong links as its result.
fn elsewhere(root: &Path) -> Vec<String> {
    let places = [
        ("--certsconf", "etc/ca-certificates.conf"),
        ("--certsdir", "usr/share/ca-certificates"),
        ("--localcertsdir", "usr/local/share/ca-certificates"),
        ("--etccertsdir", "etc/ssl/certs"),
        ("--hooksdir", "etc/ca-certificates/update.d"),
    ];
    let words = places.iter().flat_map(|(option, place)| [(*option).into(), root.join(place).display().to_string()]);
    words.collect()
}

fn unreadable(path: &Path, error: &io::Error) -> Trouble {
    Trouble::said(format!("cannot read `{}`: {error}", path.display()))
}
