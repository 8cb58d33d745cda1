//! The trust stores of this machine: whether they hold a certificate, and how it gets in and out.
//!
//! A certificate is known by its SHA-256 alone: whatever a store calls it, what is taken out is the very one that was
//! put in.

pub mod anchors;
pub mod certificate;
pub mod hands;
pub mod java;
pub mod keychain;
pub mod nss;
pub mod search;
#[cfg(test)]
mod tests;
pub mod windows;

use std::path::PathBuf;

use crate::system::trust::anchors::Anchors;
use crate::system::trust::certificate::Certificate;
use crate::system::trust::hands::{Hands, Trouble};
use crate::system::trust::java::Java;
use crate::system::trust::keychain::Keychain;
use crate::system::trust::nss::Nss;
use crate::system::trust::windows::WindowsRoot;

/// A store that was found.
#[derive(Clone, Debug)]
pub enum Store {
    /// The certificates of a Linux system.
    Anchors(Anchors),
    /// A Java installation.
    Java(Java),
    /// The login keychain of macOS.
    Keychain(Keychain),
    /// A database of Chromium or a Firefox profile.
    Nss(Nss),
    /// The roots of this user on Windows.
    Windows(WindowsRoot),
}

/// What a store was found to be, or became.
#[derive(Debug)]
pub enum Outcome {
    /// It holds the certificate now.
    Trusted,
    /// It held it before.
    Already,
    /// It no longer holds it.
    Untrusted,
    /// It did not hold it.
    Absent,
    /// These commands would be run.
    Planned(Vec<String>),
    /// It is as it was.
    Failed(Trouble),
}

impl Store {
    /// What kind of store it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Anchors(anchors) => anchors.system,
            Self::Java(_) => "Java",
            Self::Keychain(_) => "macOS",
            Self::Nss(nss) => nss.whose,
            Self::Windows(_) => "Windows",
        }
    }

    /// Where it is.
    pub fn place(&self) -> PathBuf {
        match self {
            Self::Anchors(anchors) => anchors.folder.clone(),
            Self::Java(java) => java.cacerts.clone(),
            Self::Keychain(keychain) => keychain.path.clone(),
            Self::Nss(nss) => nss.folder.clone(),
            Self::Windows(_) => PathBuf::from(r"Cert:\CurrentUser\Root"),
        }
    }

    /// Makes it hold the certificate, and looks whether it does.
    pub fn trust(&self, certificate: &Certificate, file: &str, hands: &Hands<'_>) -> Outcome {
        let attempt = || {
            if self.holds(certificate, hands)? {
                return Ok(Outcome::Already);
            }
            match self {
                Self::Anchors(store) => store.add(certificate, file, hands)?,
                Self::Java(store) => store.add(certificate, file, hands)?,
                Self::Keychain(store) => store.add(file, hands)?,
                Self::Nss(store) => store.add(certificate, file, hands)?,
                Self::Windows(store) => store.add(file, hands)?,
            }
            if hands.is_dry() {
                return Ok(Outcome::Planned(hands.planned()));
            }
            if self.holds(certificate, hands)? {
                return Ok(Outcome::Trusted);
            }
            Err(Trouble::said("its tool reports success, but the certificate is not in it"))
        };
        attempt().unwrap_or_else(Outcome::Failed)
    }

    /// Takes the certificate out, and looks whether it is gone.
    pub fn untrust(&self, certificate: &Certificate, hands: &Hands<'_>) -> Outcome {
        let attempt = || {
            if !self.has_trace(certificate, hands)? {
                return Ok(Outcome::Absent);
            }
            match self {
                Self::Anchors(store) => store.remove(certificate, hands)?,
                Self::Java(store) => store.remove(certificate, hands)?,
                Self::Keychain(store) => store.remove(certificate, hands)?,
                Self::Nss(store) => store.remove(certificate, hands)?,
                Self::Windows(store) => store.remove(certificate, hands)?,
            }
            if hands.is_dry() {
                return Ok(Outcome::Planned(hands.planned()));
            }
            if self.has_trace(certificate, hands)? {
                return Err(Trouble::said("its tool reports success, but the certificate is still in it"));
            }
            Ok(Outcome::Untrusted)
        };
        attempt().unwrap_or_else(Outcome::Failed)
    }

    fn holds(&self, certificate: &Certificate, hands: &Hands<'_>) -> Result<bool, Trouble> {
        match self {
            Self::Anchors(store) => store.holds(certificate),
            Self::Java(store) => store.holds(certificate, hands),
            Self::Keychain(store) => store.holds(certificate, hands),
            Self::Nss(store) => store.holds(certificate, hands),
            Self::Windows(store) => store.holds(certificate, hands),
        }
    }

    /// Whether anything of it is there, also where it is not in force.
    fn has_trace(&self, certificate: &Certificate, hands: &Hands<'_>) -> Result<bool, Trouble> {
        match self {
            Self::Anchors(store) => Ok(store.holds(certificate)? || !store.files(certificate)?.is_empty()),
            other => other.holds(certificate, hands),
        }
    }
}
