//! Firefox, whose calls cannot be seen from outside: only whether it would trust the gate is read.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::doctor::judge::Verdict;
use crate::system::commands::Machine;
use crate::system::trust::certificate::{Certificate, certificates};
use crate::system::trust::hands::Hands;
use crate::system::trust::search::{Places, nss};
use crate::system::trust::{Outcome, Store};

/// Reads the policies of this machine and the profiles of this user.
pub(super) fn read(program: &Path, root_file: &Path) -> Verdict {
    let root = fs::read(root_file).unwrap_or_default();
    let Some(certificate) = certificates(&root).first().map(|der| Certificate::of(der)) else {
        return Verdict::Unknown { why: "the gate's certificate cannot be read".into(), remedy: None };
    };
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    if policies(program).iter().any(|text| installs(text, &home, &certificate)) {
        return Verdict::Unknown {
            why: "trusts the gate by a policy of this machine (read, not called)".into(),
            remedy: None,
        };
    }
    // With dry hands nothing is written; what is there is told.
    let hands = Hands::new(&Machine, false, true);
    let places = Places { os: env::consts::OS, root: "/".into(), home, java: None, host: None };
    let found = nss(&places, &hands);
    let profiles = found.iter().filter(|store| store.kind() == "Firefox");
    verdict(&profiles.map(|store| outcome(store, &certificate, root_file, &hands)).collect::<Vec<_>>())
}

/// Whether a profile has the certificate; else why that cannot be told.
fn outcome(store: &Store, certificate: &Certificate, file: &Path, hands: &Hands<'_>) -> Result<bool, String> {
    match store.trust(certificate, &file.display().to_string(), hands) {
        Outcome::Already => Ok(true),
        Outcome::Failed(trouble) => Err(trouble.why),
        _ => Ok(false),
    }
}

fn verdict(profiles: &[Result<bool, String>]) -> Verdict {
    let remedy = || "tollgate ca trust --nss".to_owned();
    let all = profiles.len();
    if all == 0 {
        let why = "it has no profile of this user yet, in which its trust could be read".into();
        return Verdict::Unknown {
            why,
            remedy: Some("firefox --headless about:blank; tollgate ca trust --nss".into()),
        };
    }
    if let Some(why) = profiles.iter().find_map(|profile| profile.as_ref().err()) {
        return Verdict::Unknown { why: format!("its profiles cannot be read: {why}"), remedy: None };
    }
    match profiles.iter().filter(|profile| **profile == Ok(false)).count() {
        0 => Verdict::Unknown {
            why: format!("trusts the gate in {all} of {all} profiles (read, not called)"),
            remedy: None,
        },
        bare => Verdict::Fails {
            why: format!("{bare} of {all} profiles do not trust the gate's certificate"),
            remedy: remedy(),
        },
    }
}

/// The texts of the policies that this Firefox would read.
fn policies(program: &Path) -> Vec<String> {
    let beside = fs::canonicalize(program).ok().and_then(|file| Some(file.parent()?.join("distribution")));
    let folders = beside.into_iter().chain(["/etc/firefox/policies", "/etc/firefox-esr/policies"].map(PathBuf::from));
    folders.filter_map(|folder| fs::read_to_string(folder.join("policies.json")).ok()).collect()
}

/// Whether a policy installs the certificate (`policies.Certificates.Install`); names without a folder are looked for
/// where Firefox does.
fn installs(policy: &str, home: &Path, certificate: &Certificate) -> bool {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let files = policy["policies"]["Certificates"]["Install"].as_array().cloned().unwrap_or_default();
    let shared = ["/usr/lib/mozilla/certificates", "/usr/lib64/mozilla/certificates"].map(PathBuf::from);
    let folders = [home.join(".mozilla/certificates")].into_iter().chain(shared);
    let folders: Vec<PathBuf> = folders.collect();
    files.iter().filter_map(Value::as_str).any(|name| {
        // A path that begins at the root stays what it is.
        folders.iter().any(|folder| {
            let bytes = fs::read(folder.join(name)).unwrap_or_default();
            certificate.is(&bytes) || certificates(&bytes).iter().any(|der| certificate.is(der))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_only_said_to_trust_where_every_profile_does() {
        for (profiles, expected) in [
            (vec![], "no profile"),
            (vec![Ok(true), Ok(true)], "2 of 2 profiles (read, not called)"),
            (vec![Ok(true), Ok(false)], "1 of 2 profiles do not trust"),
            (vec![Ok(false), Err("`certutil` is not installed".into())], "cannot be read: `certutil`"),
        ] {
            let is_broken = profiles.contains(&Ok(false)) && profiles.iter().all(Result::is_ok);
            match verdict(&profiles) {
                Verdict::Fails { why, remedy } => {
                    assert!(is_broken && why.contains(expected) && remedy.contains("ca trust --nss"), "{why}");
                }
                Verdict::Unknown { why, .. } => assert!(!is_broken && why.contains(expected), "{why}"),
                Verdict::Works => panic!("it was not called"),
            }
        }
    }

    #[test]
    fn a_policy_counts_only_if_it_installs_this_very_certificate() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("gate.der"), b"ours").unwrap();
        fs::write(folder.path().join("other.der"), b"theirs").unwrap();
        let ours = Certificate::of(b"ours");
        let policy = |name: &str| {
            let path = folder.path().join(name).display().to_string();
            serde_json::json!({"policies": {"Certificates": {"Install": [path]}}}).to_string()
        };
        assert!(installs(&policy("gate.der"), Path::new("/nowhere"), &ours));
        for text in [policy("other.der"), policy("missing.der"), "{}".into(), "not JSON".into()] {
            assert!(!installs(&text, Path::new("/nowhere"), &ours), "{text}");
        }
    }
}
