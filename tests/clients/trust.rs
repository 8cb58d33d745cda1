//! Trust stores by their systems' own tools: what trusts the authority after `ca trust`, and no longer after `ca untrust`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::gate::Gate;

/// A user whose gate intercepts one host, in a folder of their own.
struct User {
    folder: TempDir,
}

impl User {
    fn new() -> Self {
        let user = Self { folder: TempDir::new().unwrap() };
        fs::create_dir(user.path("config")).unwrap();
        fs::write(user.path("config/tollgate.json5"), "{ ledger: { path: null } }").unwrap();
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn shown(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn command(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program.as_ref());
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", self.folder.path());
        command
    }

    fn run(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Output {
        self.command(program, arguments).output().unwrap()
    }

    fn ca(&self, arguments: &[&str]) -> Output {
        self.run(env!("CARGO_BIN_EXE_tollgate"), &[&["ca"], arguments].concat())
    }

    /// The outcomes of a command that ends well.
    fn outcomes(&self, arguments: &[&str]) -> Vec<(String, String)> {
        let output = self.ca(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        shown["stores"].as_array().unwrap().iter().map(|row| (text(row, "store"), text(row, "outcome"))).collect()
    }

    fn fingerprint(&self) -> String {
        let shown: Value = serde_json::from_slice(&self.ca(&["show", "--json"]).stdout).unwrap();
        shown["fingerprint"].as_str().unwrap().to_owned()
    }

    /// A database of NSS with a certificate of somebody else.
    fn database(&self, folder: &str) -> String {
        fs::create_dir_all(self.path(folder)).unwrap();
        let place = format!("sql:{}", self.shown(folder));
        assert!(self.run("certutil", &["-N", "-d", &place, "--empty-password"]).status.success());
        self.certificate("corp.pem");
        let corp = self.shown("corp.pem");
        assert!(self.run("certutil", &["-A", "-d", &place, "-t", "C,,", "-n", "Corp", "-i", &corp]).status.success());
        place
    }

    /// A certificate of somebody else.
    fn certificate(&self, name: &str) {
        let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9"];
        let (key, out) = (self.shown("corp.key"), self.shown(name));
        let rest = ["-subj", "/CN=Tollgate root corp", "-keyout", &key, "-out", &out];
        assert!(self.run("openssl", &[&request[..], &rest].concat()).status.success());
    }
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(store, outcome)| ((*store).into(), (*outcome).into())).collect()
}

#[test]
#[ignore = "needs certutil, which setup.sh installs"]
fn browsers_trust_the_authority_and_no_longer() {
    let user = User::new();
    let firefox = user.database(".mozilla/firefox/ab.default");
    let flatpak = user.database(".var/app/org.mozilla.firefox/.mozilla/firefox/cd.default");
    let chromium = format!("sql:{}", user.shown(".pki/nssdb"));
    let stores = ["Chromium", "Firefox", "Firefox"];
    let all = |outcome: &'static str| pairs(&stores.map(|store| (store, outcome)));
    if user.run("sh", &["-c", "command -v chromium"]).status.success() {
        assert_eq!(user.outcomes(&["trust", "--nss", "--dry-run"]), all("would"));
        assert!(!user.path(".pki").exists());
    } else {
        user.database(".pki/nssdb");
    }
    assert_eq!(user.outcomes(&["trust", "--nss"]), all("trusted"));
    assert_eq!(user.outcomes(&["trust", "--nss"]), all("already"));
    let name = format!("tollgate-{}", user.fingerprint().replace(':', "").to_lowercase().split_at(16).0);
    for place in [&firefox, &flatpak, &chromium] {
        // As an authority for servers.
        let valid = user.run("certutil", &["-V", "-d", place, "-n", &name, "-u", "L"]);
        assert!(valid.status.success(), "{valid:?}");
    }
    // By fingerprint: another authority of the same name stays, and so does an earlier one until it is named.
    let old = user.fingerprint();
    let renewed = user.ca(&["renew"]);
    assert!(
        String::from_utf8_lossy(&renewed.stdout).contains(&format!("ca untrust --fingerprint {old}")),
        "{renewed:?}"
    );
    assert_eq!(user.outcomes(&["trust", "--nss"]), all("trusted"));
    assert_eq!(user.outcomes(&["untrust", "--nss", "--fingerprint", &old]), all("removed"));
    let new = user.fingerprint();
    assert_eq!(user.outcomes(&["untrust", "--nss", "--fingerprint", &old]), all("absent"));
    // The folder of the authority is gone, and what it trusts is still known.
    fs::remove_dir_all(user.path("certs")).unwrap();
    assert_ne!(old, new);
    let output = user.ca(&["untrust", "--nss", "--fingerprint", &new, "--json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(shown["stores"].as_array().unwrap().iter().all(|row| row["outcome"] == "removed"), "{shown}");
    for place in [&firefox, &flatpak] {
        let left = String::from_utf8(user.run("certutil", &["-L", "-d", place]).stdout).unwrap();
        assert!(left.contains("Corp") && !left.contains("tollgate-"), "{left}");
    }
}

#[test]
#[ignore = "needs certutil, which setup.sh installs"]
fn browsers_with_a_password_are_told_and_keep_nothing() {
    let user = User::new();
    let folder = user.path(".mozilla/firefox/ab.default");
    fs::create_dir_all(&folder).unwrap();
    fs::write(user.path("password"), "secret7\n").unwrap();
    let place = format!("sql:{}", folder.display());
    assert!(user.run("certutil", &["-N", "-d", &place, "-f", &user.shown("password")]).status.success());
    let chromium = user.database(".pki/nssdb");
    let output = user.ca(&["trust", "--nss"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("trusted  Chromium") && out.contains(": the database has a password"), "{out}");
    assert!(err.contains(&format!("hint: type `certutil -A -d {place} ")), "{err}");
    for (place, trusts) in [(&place, false), (&chromium, true)] {
        let listed = String::from_utf8(user.run("certutil", &["-L", "-d", place]).stdout).unwrap();
        assert_eq!(listed.contains("tollgate-"), trusts, "{listed}");
    }
}

#[test]
#[ignore = "needs a Java, which setup.sh installs"]
fn java_trusts_the_authority_and_no_longer() {
    let user = User::new();
    let home = java_home();
    let (jdk, security) = (user.path("root/usr/lib/jvm/copy"), "lib/security");
    fs::create_dir_all(jdk.join(security)).unwrap();
    fs::create_dir_all(jdk.join("bin")).unwrap();
    std::os::unix::fs::symlink(home.join("bin/keytool"), jdk.join("bin/keytool")).unwrap();
    // As on Debian: the file of the installation is a link.
    let cacerts = user.path("root/etc/cacerts");
    fs::create_dir_all(cacerts.parent().unwrap()).unwrap();
    fs::copy(home.join(security).join("cacerts"), &cacerts).unwrap();
    std::os::unix::fs::symlink(&cacerts, jdk.join(security).join("cacerts")).unwrap();
    let root = user.shown("root");
    let before = aliases(&user, &cacerts);
    assert_eq!(user.outcomes(&["trust", "--java", "--root", &root]), pairs(&[("Java", "trusted")]));
    assert_eq!(user.outcomes(&["trust", "--java", "--root", &root]), pairs(&[("Java", "already")]));
    assert_eq!(aliases(&user, &cacerts).len(), before.len() + 1);
    assert!(jdk.join(security).join("cacerts").is_symlink());
    // Java itself opens a connection that the gate answers, whatever it says.
    let closed = json!({ "api.openai.com:443": "127.0.0.1:1" });
    let configuration = json!({ "listen": { "proxy": "127.0.0.1:0", "admin": "127.0.0.1:0" },
        "upstream": { "resolve": closed }, "ledger": { "path": null } });
    let gate = Gate::configured(&user.folder, &configuration);
    assert_eq!(call(&user, &gate, &cacerts), "answered 502");
    assert_eq!(user.outcomes(&["untrust", "--java", "--root", &root]), pairs(&[("Java", "removed")]));
    assert_eq!(aliases(&user, &cacerts), before);
    assert!(call(&user, &gate, &cacerts).starts_with("refused"));
    drop(gate);

    // A password that somebody has set.
    let new = ["-storepasswd", "-storepass", "changeit", "-new", "secret7", "-keystore"];
    let file = cacerts.display().to_string();
    assert!(user.run("keytool", &[&new[..], &[&file]].concat()).status.success());
    let output = user.ca(&["trust", "--java", "--root", &root]);
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.starts_with("failed   Java") && shown.contains("password was incorrect"), "{shown}");
}

/// What Java gets through the gate when it trusts what is in this file.
fn call(user: &User, gate: &Gate, cacerts: &Path) -> String {
    const PROGRAM: &str = r#"
        public class Call {
            public static void main(String[] arguments) throws Exception {
                var url = new java.net.URL("https://api.openai.com/v1/models");
                try {
                    var call = (java.net.HttpURLConnection) url.openConnection();
                    System.out.println("answered " + call.getResponseCode());
                } catch (javax.net.ssl.SSLException refused) {
                    System.out.println("refused: " + refused.getMessage());
                }
            }
        }
    "#;
    fs::write(user.path("Call.java"), PROGRAM).unwrap();
    let (host, port) = gate.proxy().strip_prefix("http://").unwrap().split_once(':').unwrap();
    let property = |name: &str, value: &str| format!("-D{name}={value}");
    let trusted = property("javax.net.ssl.trustStore", &cacerts.display().to_string());
    let (host, port) = (property("https.proxyHost", host), property("https.proxyPort", port));
    let output = user.run("java", &[&trusted, &host, &port, &user.shown("Call.java")]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn aliases(user: &User, cacerts: &Path) -> Vec<String> {
    let file = cacerts.display().to_string();
    let output = user.run("keytool", &["-list", "-keystore", &file, "-storepass", "changeit"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<String> = text.lines().filter_map(|line| Some(line.split_once(", ")?.0.to_owned())).collect();
    names.sort();
    names
}

fn java_home() -> PathBuf {
    let java = Command::new("sh").args(["-c", "readlink -f \"$(command -v java)\""]).output().unwrap();
    let java = PathBuf::from(String::from_utf8(java.stdout).unwrap().trim());
    java.parent().unwrap().parent().unwrap().to_owned()
}

/// A root folder in which Debian's command works.
fn debian(user: &User) -> String {
    let root = user.path("root");
    let made = ["usr/share", "usr/local/share/ca-certificates", "etc/ssl/certs", "etc/ca-certificates/update.d"];
    for folder in made {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::os::unix::fs::symlink("/usr/share/ca-certificates", root.join("usr/share/ca-certificates")).unwrap();
    fs::copy("/etc/ca-certificates.conf", root.join("etc/ca-certificates.conf")).unwrap();
    root.display().to_string()
}

#[test]
#[ignore = "needs Debian's update-ca-certificates and openssl"]
fn debian_trusts_the_authority_and_no_longer() {
    let user = User::new();
    let root = debian(&user);
    user.certificate("root/usr/local/share/ca-certificates/corp.crt");
    assert_eq!(user.outcomes(&["trust", "--system", "--root", &root]), pairs(&[("Debian", "trusted")]));
    assert_eq!(user.outcomes(&["trust", "--system", "--root", &root]), pairs(&[("Debian", "already")]));
    let verified = || {
        let (folder, issuer) = (user.shown("root/etc/ssl/certs"), user.shown("issuer.pem"));
        user.run("openssl", &["verify", "-no-CAfile", "-no-CAstore", "-CApath", &folder, &issuer]).status.success()
    };
    // The folder of the authority goes, as the record is enough to take its certificate out again.
    fs::copy(user.path("certs/issuer.pem"), user.path("issuer.pem")).unwrap();
    fs::remove_dir_all(user.path("certs")).unwrap();
    assert!(verified());
    assert_eq!(user.outcomes(&["untrust", "--system", "--root", &root]), pairs(&[("Debian", "removed")]));
    assert!(!verified());
    let left = fs::read_dir(user.path("root/etc/ssl/certs")).unwrap();
    let left: Vec<String> = left.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert!(!left.iter().any(|name| name.starts_with("tollgate-")), "{left:?}");
    assert!(left.iter().any(|name| name == "corp.pem"), "another one of the same kind of name stays: {left:?}");
    assert!(!user.path("certs").exists(), "no new authority was made");
}

#[test]
#[ignore = "needs Debian's update-ca-certificates, openssl, and mount namespaces"]
fn the_places_of_this_system_are_the_right_ones_and_a_read_only_store_is_left_clean() {
    let user = User::new();
    // In a mount namespace of its own, with copies over what it changes.
    let script = r#"
        set -eu
        for place in /etc/ssl/certs /usr/local/share/ca-certificates; do
            copy=$HOME/copy$place; mkdir -p "$copy"; cp -a $place/. "$copy"; mount --bind "$copy" $place
        done
        count() { ls /etc/ssl/certs /usr/local/share/ca-certificates | sort | sha256sum; }
        before=$(count)
        "$1" ca trust --system
        curl -sS --max-time 5 --capath /etc/ssl/certs file:///dev/null
        openssl verify -CApath /etc/ssl/certs certs/issuer.pem
        openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt certs/issuer.pem
        python3 -c 'import ssl; c = ssl.create_default_context(); print(sum("Tollgate" in str(r) for r in c.get_ca_certs()), "in Python")'
        "$1" ca untrust --system
        [ "$before" = "$(count)" ]
        ! openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt certs/issuer.pem 2>/dev/null
        mount -o remount,bind,ro /usr/local/share/ca-certificates
        if "$1" ca trust --system; then exit 9; fi
        mount -o remount,bind,rw /usr/local/share/ca-certificates
        mount -o remount,bind,ro /etc/ssl/certs
        if "$1" ca trust --system; then exit 9; fi
        [ "$before" = "$(count)" ]
    "#;
    let arguments = ["-m", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_tollgate")];
    let output = user.run("unshare", &arguments);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("trusted  Debian    /usr/local/share/ca-certificates"), "{out}\n{err}");
    assert!(out.contains("1 in Python"), "{out}\n{err}");
    assert!(out.contains("Read-only file system"), "{out}\n{err}");
}
