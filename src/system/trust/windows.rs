//! The roots of this user on Windows: listed by PowerShell, changed by `certutil.exe`, which shows its own dialog.

use crate::system::commands::CommandLine;
use crate::system::trust::certificate::{Certificate, certificates, sha1};
use crate::system::trust::hands::{Hands, Trouble};

/// `Cert:\CurrentUser\Root`.
#[derive(Clone, Copy, Debug)]
pub struct WindowsRoot;

impl WindowsRoot {
    pub(super) fn holds(self, certificate: &Certificate, hands: &Hands<'_>) -> Result<bool, Trouble> {
        Ok(!found(certificate, hands)?.is_empty())
    }

    pub(super) fn add(self, file: &str, hands: &Hands<'_>) -> Result<(), Trouble> {
        hands.act_attended(&CommandLine::new(TOOL, &["-user", "-addstore", "Root", file]))
    }

    pub(super) fn remove(self, certificate: &Certificate, hands: &Hands<'_>) -> Result<(), Trouble> {
        for der in found(certificate, hands)? {
            // It was compared by SHA-256; the tool knows no other name.
            hands.act_attended(&CommandLine::new(TOOL, &["-user", "-delstore", "Root", &sha1(&der)]))?;
        }
        Ok(())
    }
}

fn found(certificate: &Certificate, hands: &Hands<'_>) -> Result<Vec<Vec<u8>>, Trouble> {
    let text =
        hands.ask(&CommandLine::new("powershell.exe", &["-NoProfile", "-NonInteractive", "-Command", LISTING]))?;
    let found = certificates(text.as_bytes()).into_iter().filter(|der| certificate.is(der));
    Ok(found.map(|der| der.to_vec()).collect())
}

const TOOL: &str = "certutil.exe";
const LISTING: &str = r"Get-ChildItem Cert:\CurrentUser\Root | ForEach-Object { '-----BEGIN CERTIFICATE-----'; [Convert]::ToBase64String($_.RawData, 'InsertLineBreaks'); '-----END CERTIFICATE-----' }";
