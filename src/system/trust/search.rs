//! Finds the trust stores of this machine and this user.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::system::commands::Runner;
use crate::system::trust::Store;
use crate::system::trust::anchors::Anchors;
use crate::system::trust::hands::Hands;
use crate::system::trust::java::Java;
use crate::system::trust::keychain::Keychain;
use crate::system::trust::nss::{Nss, is_one};
use crate::system::trust::windows::WindowsRoot;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Places {
    /// As [`std::env::consts::OS`].
    pub os: &'static str,
    /// Where the system begins: `/`.
    pub root: PathBuf,
    /// The user's folder.
    pub home: PathBuf,
    /// `JAVA_HOME`.
    pub java: Option<PathBuf>,
    /// The host that a certificate is to be trusted for, where it is one.
    pub host: Option<String>,
}

/// The system's store: at most one.
pub fn system(places: &Places, hands: &Hands<'_>) -> Vec<Store> {
    match places.os {
        "macos" => {
            let path = places.home.join("Library/Keychains/login.keychain-db");
            vec![Store::Keychain(Keychain { path, host: places.host.clone() })]
        }
        "windows" => vec![Store::Windows(WindowsRoot)],
        _ => Anchors::find(&places.root, hands).map(Store::Anchors).into_iter().collect(),
    }
}

/// The databases of browsers; that of Chromium also where it has yet to be made.
pub fn nss(places: &Places, hands: &Hands<'_>) -> Vec<Store> {
    // There, `certutil` is another program.
    if places.os == "windows" {
        return Vec::new();
    }
    let store = |whose, folder: PathBuf, is_missing| Store::Nss(Nss { whose, folder, is_missing });
    let chromium = CHROMIUM.iter().flat_map(|pattern| matching(&places.home, pattern)).filter(|folder| is_one(folder));
    let mut stores: Vec<Store> = chromium.map(|folder| store("Chromium", folder, false)).collect();
    let runs_chromium = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge"];
    if stores.is_empty() && places.os != "macos" && runs_chromium.iter().any(|name| hands.has(name)) {
        stores.push(store("Chromium", places.home.join(".pki/nssdb"), true));
    }
    let firefox = FIREFOX.iter().flat_map(|pattern| matching(&places.home, pattern)).filter(|folder| is_one(folder));
    stores.extend(firefox.map(|folder| store("Firefox", folder, false)));
    stores
}

/// The files of roots of every Java that is found, each once.
pub fn java(places: &Places, runner: &dyn Runner) -> Vec<Store> {
    let on_path =
        runner.find("java").filter(|_| places.root == Path::new("/")).and_then(|java| java.canonicalize().ok());
    let of_path = on_path.and_then(|java| Some(java.parent()?.parent()?.to_owned()));
    let below_root = ["usr/lib/jvm/*", "usr/java/*", "opt/java/*", "Library/Java/JavaVirtualMachines/*/Contents/Home"];
    let below_home = [".sdkman/candidates/java/*", ".jdks/*", "Library/Java/JavaVirtualMachines/*/Contents/Home"];
    let homes = places.java.clone().into_iter().chain(of_path);
    let homes = homes.chain(below_root.iter().flat_map(|pattern| matching(&places.root, pattern)));
    let homes = homes.chain(below_home.iter().flat_map(|pattern| matching(&places.home, pattern)));
    let mut seen = BTreeSet::new();
    let found = homes.filter_map(|home| Java::at(&home)).filter(|java| seen.insert(java.cacerts.clone()));
    found.map(Store::Java).collect()
}

/// The folders below `base` that a pattern names, in which `*` stands for any one name; sorted.
fn matching(base: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![base.to_owned()];
    for name in pattern.split('/') {
        found = match name {
            "*" => found.iter().flat_map(|folder| children(folder)).collect(),
            name => found.into_iter().map(|folder| folder.join(name)).collect(),
        };
    }
    found.retain(|folder| folder.is_dir());
    found
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut children: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    children.sort();
    children
}

/// Of Chromium and what is made of it, also out of snaps and flatpaks.
const CHROMIUM: [&str; 6] = [
    ".pki/nssdb",
    ".local/share/pki/nssdb",
    "snap/*/current/.pki/nssdb",
    "snap/*/common/.pki/nssdb",
    ".var/app/*/.pki/nssdb",
    ".var/app/*/data/pki/nssdb",
];

/// The folders of profiles, in the places of all versions, snaps and flatpaks.
const FIREFOX: [&str; 7] = [
    ".mozilla/firefox/*",
    ".config/mozilla/firefox/*",
    "snap/firefox/common/.mozilla/firefox/*",
    "snap/firefox/common/.config/mozilla/firefox/*",
    ".var/app/org.mozilla.firefox/.mozilla/firefox/*",
    ".var/app/org.mozilla.firefox/config/mozilla/firefox/*",
    "Library/Application Support/Firefox/Profiles/*",
];
