//! Stores are read and changed by fingerprint alone, and by the commands that their systems have for it.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair};
use tempfile::TempDir;

use crate::system::commands::tests::Table;
use crate::system::trust::anchors::Anchors;
use crate::system::trust::certificate::{Certificate, sha1};
use crate::system::trust::hands::{Hands, Trouble};
use crate::system::trust::java::listed;
use crate::system::trust::keychain::Keychain;
use crate::system::trust::nss::{Nss, trusted};
use crate::system::trust::search::{Places, nss};
use crate::system::trust::windows::WindowsRoot;
use crate::system::trust::{Outcome, Store};

/// A certificate with this name, DER and PEM.
fn made(name: &str) -> (Vec<u8>, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&key).unwrap();
    (certificate.der().to_vec(), certificate.pem())
}

fn root() -> Table {
    Table::with(&["update-ca-certificates", "certutil", "apt-get"]).on("id -u", 0, "0\n")
}

#[test]
fn a_certificate_is_known_by_its_fingerprint_and_never_by_its_name() {
    let (ours, _) = made("Tollgate root a1b2c3");
    let (twin, _) = made("Tollgate root a1b2c3");
    let (public, _) = made("Public Root");
    let known = Certificate::of(&ours);
    assert!(known.is(&ours) && !known.is(&twin));
    for text in [known.fingerprint(), known.fingerprint().replace(':', "").to_lowercase()] {
        assert!(Certificate::by_fingerprint(&text).unwrap().is(&ours), "{text}");
    }
    // A fingerprint that somebody mistook takes no public root away.
    assert!(!Certificate::by_fingerprint(&Certificate::of(&public).fingerprint()).unwrap().is(&public));
    for bad in ["", "ab:cd", &"g".repeat(64), &"a".repeat(63), "Tollgate root a1b2c3"] {
        assert_eq!(Certificate::by_fingerprint(bad), None, "{bad}");
    }
}

#[test]
fn nicknames_of_databases_are_read_with_their_trust() {
    let listing = "\nCertificate Nickname                                         Trust Attributes\n                        \
                   \x20                                    SSL,S/MIME,JAR/XPI\n\ntollgate-0123                          \
                   \x20                      C,,  \nCorp Root (old) - X                                          CT,C,c\nan \
                   intermediate                                              ,,   \npeer                               \
                   \x20                         P,,  \n";
    assert_eq!(trusted(listing), ["tollgate-0123", "Corp Root (old) - X"]);
}

#[test]
fn aliases_of_keystores_are_found_by_what_they_hold() {
    let ((ours, pem), (_, other)) = (made("Tollgate root a"), made("Tollgate root a"));
    let entry = |alias: &str, pem: &str| {
        format!("Alias name: {alias}\nCreation date: Nov 25, 2026\nEntry type: trustedCertEntry\n\n{pem}\n\n*****\n\n")
    };
    let listing = format!(
        "Keystore type: JKS\nKeystore provider: SUN\n\nYour keystore contains 3 entries\n\n{}{}{}",
        entry("tollgate-1", &other),
        entry("debian:tollgate-2.pem", &pem),
        entry("by hand", &pem)
    );
    assert_eq!(listed(&listing, &Certificate::of(&ours)), ["debian:tollgate-2.pem", "by hand"]);
}

#[test]
fn each_linux_is_known_by_its_folder_and_has_its_command() {
    for (folder, program, system, update) in [
        ("etc/pki/ca-trust/source/anchors", "update-ca-trust", "Fedora", "update-ca-trust extract"),
        ("usr/share/pki/trust/anchors", "update-ca-certificates", "SUSE", "update-ca-certificates"),
        ("etc/ca-certificates/trust-source/anchors", "trust", "Arch", "trust extract-compat"),
        ("usr/local/share/ca-certificates", "update-ca-certificates", "Debian", "update-ca-certificates"),
    ] {
        let base = TempDir::new().unwrap();
        fs::create_dir_all(base.path().join(folder)).unwrap();
        let (der, pem) = made("Tollgate root a");
        let certificate = Certificate::of(&der);
        let file = base.path().join("ca.pem");
        fs::write(&file, pem).unwrap();
        let programs: &[&'static str] = &[program];
        let runner = Table::with(programs).on("id -u", 0, "1000\n");
        let hands = Hands::new(&runner, false, true);
        let anchors = Anchors::find(base.path(), &hands).unwrap();
        assert_eq!(anchors.system, system);
        let store = Store::Anchors(anchors);
        let Outcome::Planned(commands) = store.trust(&certificate, "/certs/ca.pem", &hands) else { panic!("{system}") };
        assert!(commands[0].starts_with("install -m 0644 /certs/ca.pem "), "{commands:?}");
        assert!(commands[0].contains(&format!("{folder}/{}.", certificate.name())), "{commands:?}");
        assert!(commands[1].starts_with(update), "{commands:?}");
        assert_eq!(commands.len(), 2);
        let other = Table::default();
        assert!(Anchors::find(base.path(), &Hands::new(&other, false, true)).is_none(), "{system} without its command");
    }
}

#[test]
fn what_failed_halfway_is_taken_away_again() {
    let base = TempDir::new().unwrap();
    let folder = base.path().join("usr/local/share/ca-certificates");
    fs::create_dir_all(&folder).unwrap();
    let (der, _) = made("Tollgate root a");
    let certificate = Certificate::of(&der);
    let runner = root();
    let hands = Hands::new(&runner, false, false);
    let store = Store::Anchors(Anchors::find(base.path(), &hands).unwrap());
    // Its command says that all is well, but there is no bundle.
    let Outcome::Failed(trouble) = store.trust(&certificate, "/certs/ca.pem", &hands) else {
        panic!("it did not fail")
    };
    assert!(trouble.why.contains("it is not in `"), "{trouble:?}");
    let ran = runner.ran.borrow();
    let target = folder.join(format!("{}.crt", certificate.name()));
    assert_eq!(ran[1], format!("install -m 0644 /certs/ca.pem {}", target.display()));
    assert_eq!(ran[3], format!("rm -f -- {}", target.display()));
    assert!(ran[4].starts_with("update-ca-certificates --fresh"), "{ran:?}");
}

#[test]
fn a_file_with_other_certificates_is_left_to_its_owner() {
    let base = TempDir::new().unwrap();
    let folder = base.path().join("usr/local/share/ca-certificates");
    fs::create_dir_all(&folder).unwrap();
    let ((der, pem), (_, other)) = (made("Tollgate root a"), made("Corp"));
    fs::write(folder.join("corp.crt"), format!("{other}{pem}")).unwrap();
    let runner = root();
    let hands = Hands::new(&runner, false, false);
    let store = Store::Anchors(Anchors::find(base.path(), &hands).unwrap());
    let Outcome::Failed(trouble) = store.untrust(&Certificate::of(&der), &hands) else { panic!("it was removed") };
    assert!(trouble.why.contains("holds other certificates too"), "{trouble:?}");
    assert_eq!(runner.ran.borrow().len(), 1, "only `id`");
}

#[test]
fn what_needs_root_is_asked_for_one_by_one_or_told() {
    let place = Path::new("/no/such/folder");
    let line = crate::system::commands::CommandLine::new("rm", &["-f", "--", "x y"]);
    for (programs, has_terminal, ran) in [
        (&["sudo", "pkexec"][..], true, Some("sudo rm -f -- 'x y'")),
        (&["doas"], true, Some("doas rm -f -- 'x y'")),
        (&["sudo"], false, None),
        (&[], true, None),
    ] {
        let runner = Table::with(programs).on("id -u", 0, "1000\n");
        let done = Hands::new(&runner, has_terminal, false).act_at(place, &line);
        assert_eq!(runner.ran.borrow().get(1).map(String::as_str), ran, "{programs:?}");
        if ran.is_none() {
            let told = Trouble::with("only root may write `/no/such/folder`", "sudo rm -f -- 'x y'");
            assert_eq!(done, Err(told), "{programs:?}");
        }
    }
}

#[test]
fn databases_are_found_in_every_place_that_browsers_have() {
    let home = TempDir::new().unwrap();
    let places = Places { os: "linux", root: "/".into(), home: home.path().into(), java: None, host: None };
    let none = Table::default();
    assert!(nss(&places, &Hands::new(&none, false, false)).is_empty());
    let chromium = Table::with(&["chromium"]);
    let missing = nss(&places, &Hands::new(&chromium, false, false));
    assert!(matches!(&missing[..], [Store::Nss(Nss { is_missing: true, .. })]), "{missing:?}");
    let made = [
        ".pki/nssdb",
        "snap/chromium/current/.pki/nssdb",
        ".var/app/org.chromium.Chromium/.pki/nssdb",
        ".mozilla/firefox/ab.default",
        ".config/mozilla/firefox/cd.default",
        "snap/firefox/common/.mozilla/firefox/ef.default",
        ".var/app/org.mozilla.firefox/.mozilla/firefox/gh.default",
    ];
    for folder in made {
        fs::create_dir_all(home.path().join(folder)).unwrap();
        fs::write(home.path().join(folder).join("cert9.db"), "").unwrap();
    }
    fs::create_dir_all(home.path().join(".mozilla/firefox/Crash Reports")).unwrap();
    let found = nss(&places, &Hands::new(&chromium, false, false));
    let found: Vec<PathBuf> = found.iter().map(Store::place).collect();
    assert_eq!(found, made.map(|folder| home.path().join(folder)));
}

#[test]
fn without_its_tool_a_database_says_how_to_come_by_it() {
    let store = Store::Nss(Nss { whose: "Firefox", folder: "/home/x".into(), is_missing: false });
    let runner = Table::with(&["apt-get"]);
    let hands = Hands::new(&runner, false, false);
    let Outcome::Failed(trouble) = store.trust(&Certificate::of(b"x"), "/ca.pem", &hands) else { panic!("no tool") };
    assert_eq!(trouble, Trouble::with("`certutil` is not installed", "sudo apt-get install libnss3-tools"));
}

#[test]
fn macos_trusts_it_for_tls_to_one_host_and_removes_it_by_its_hash() {
    let ((der, pem), (_, other)) = (made("Tollgate root a"), made("Tollgate root a"));
    let certificate = Certificate::of(&der);
    let list = "security find-certificate -a -p /k.db";
    let keychain =
        |host: Option<&str>| Store::Keychain(Keychain { path: "/k.db".into(), host: host.map(str::to_owned) });
    for (host, limit) in [(Some("api.openai.com"), " -s api.openai.com"), (None, "")] {
        let runner = Table::default().on(list, 0, &other);
        let hands = Hands::new(&runner, false, true);
        let Outcome::Planned(commands) = keychain(host).trust(&certificate, "/ca.pem", &hands) else {
            panic!("{host:?}")
        };
        assert_eq!(commands, [format!("security add-trusted-cert -r trustRoot -p ssl{limit} -k /k.db /ca.pem")]);
        assert!(matches!(keychain(host).untrust(&certificate, &hands), Outcome::Absent));
    }
    let runner = Table::default().on(list, 0, &format!("{other}{pem}"));
    let hands = Hands::new(&runner, false, true);
    assert!(matches!(keychain(None).trust(&certificate, "/ca.pem", &hands), Outcome::Already));
    let Outcome::Planned(commands) = keychain(None).untrust(&certificate, &hands) else { panic!("it is there") };
    assert_eq!(commands, [format!("security delete-certificate -t -Z {} /k.db", sha1(&der))]);
}

#[test]
fn windows_takes_it_for_this_user_alone_and_removes_it_by_its_hash() {
    let (der, pem) = made("Tollgate root a");
    let certificate = Certificate::of(&der);
    let runner = Table::default();
    let hands = Hands::new(&runner, false, true);
    let Outcome::Planned(commands) = Store::Windows(WindowsRoot).trust(&certificate, "ca.pem", &hands) else {
        panic!()
    };
    assert_eq!(commands, ["certutil.exe -user -addstore Root ca.pem"]);
    let listing = runner.ran.borrow().last().cloned().unwrap();
    let runner = Table::default().on(&listing, 0, &pem.replace('\n', "\r\n"));
    let hands = Hands::new(&runner, false, true);
    let Outcome::Planned(commands) = Store::Windows(WindowsRoot).untrust(&certificate, &hands) else { panic!() };
    assert_eq!(commands, [format!("certutil.exe -user -delstore Root {}", sha1(&der))]);
}
