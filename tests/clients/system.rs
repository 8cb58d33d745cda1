//! The desktop's proxy by the desktops' own tools: set to the gate, and what was there comes back after every end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::gate::Gate;

/// A user of their own, with settings that lie in a folder.
struct User {
    folder: TempDir,
}

/// GNOME's settings in a file, without a session.
const BACKEND: (&str, &str) = ("GSETTINGS_BACKEND", "keyfile");

impl User {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn serve(&self) -> Gate {
        let configuration =
            json!({ "listen": { "proxy": "127.0.0.1:0", "admin": "127.0.0.1:0" }, "ledger": { "path": null } });
        let config = self.path(".config");
        Gate::surrounded(&self.folder, &configuration, &[BACKEND, ("XDG_CONFIG_HOME", config.to_str().unwrap())])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Output {
        let mut command = Command::new(program.as_ref());
        command.args(arguments).current_dir(self.folder.path()).env_clear().envs([BACKEND]);
        command.env("PATH", "/usr/bin:/bin").env("HOME", self.folder.path());
        command.env("XDG_CONFIG_HOME", self.path(".config")).env("XDG_CURRENT_DESKTOP", "GNOME");
        command.output().unwrap()
    }

    fn system(&self, arguments: &[&str]) -> Output {
        self.run(env!("CARGO_BIN_EXE_tollgate"), &[&["system"], arguments].concat())
    }

    fn gnome(&self, arguments: &[&str]) -> String {
        let output = self.run("gsettings", arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn kde(&self, key: &str) -> String {
        let place = ["--file", "kioslaverc", "--group", "Proxy Settings", "--key", key, "--default", "none"];
        String::from_utf8(self.run("kreadconfig5", &place).stdout).unwrap().trim().to_owned()
    }

    fn set_kde(&self, key: &str, value: &str) {
        let place = ["--file", "kioslaverc", "--group", "Proxy Settings", "--key", key, "--", value];
        assert!(self.run("kwriteconfig5", &place).status.success());
    }

    /// Every proxy setting of both desktops.
    fn settings(&self) -> Vec<String> {
        let recursive = self.gnome(&["list-recursively", "org.gnome.system.proxy"]);
        let mut all: Vec<String> = recursive.lines().map(str::to_owned).collect();
        all.sort();
        let keys = ["ProxyType", "Proxy Config Script", "httpProxy", "httpsProxy", "NoProxyFor"];
        all.extend(keys.map(|key| format!("{key}={}", self.kde(key))));
        all
    }

    fn records(&self) -> usize {
        std::fs::read_dir(self.path("data/changes")).map_or(0, Iterator::count)
    }
}

fn good(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
#[ignore = "needs the desktops' tools that setup.sh installs"]
fn settings_of_desktops_are_what_they_were_after_every_end_of_the_gate() {
    for corporate in [false, true] {
        for way in [&["on"][..], &["on", "--proxy"]] {
            let user = User::new();
            if corporate {
                user.gnome(&["set", "org.gnome.system.proxy", "mode", "manual"]);
                user.gnome(&["set", "org.gnome.system.proxy.https", "host", "proxy.corp.example"]);
                user.gnome(&["set", "org.gnome.system.proxy.https", "port", "3128"]);
                user.gnome(&["set", "org.gnome.system.proxy", "ignore-hosts", "['10.0.0.0/8']"]);
                user.set_kde("ProxyType", "2");
                user.set_kde("Proxy Config Script", "http://wpad.corp.example/wpad.dat");
            }
            let before = user.settings();
            for end in ["off", "kill", "stop"] {
                let gate = user.serve();
                let output = user.system(way);
                good(&output);
                assert_eq!(said(&output).contains("`upstream.proxy`"), corporate, "{output:?}");
                assert_eq!(said(&output).contains("GNOME used the proxy proxy.corp.example:3128"), corporate);
                set_to(&user, &gate, way.len() == 1);
                match end {
                    "off" => drop(good(&user.system(&["off"]))),
                    // Nobody is there to put it back.
                    "kill" => {
                        drop(gate);
                        assert_ne!(user.settings(), before);
                        let next = user.serve();
                        assert_eq!(user.settings(), before, "{corporate} {way:?} {end}");
                        next.stop();
                    }
                    _ => gate.stop(),
                }
                assert_eq!(user.settings(), before, "{corporate} {way:?} {end}");
                assert_eq!(user.records(), 0);
            }
        }
    }
}

fn set_to(user: &User, gate: &Gate, by_pac: bool) {
    let at = gate.proxy().strip_prefix("http://").unwrap();
    let (host, port) = at.split_once(':').unwrap();
    let get = |schema: &str, key: &str| user.gnome(&["get", &format!("org.gnome.system.proxy{schema}"), key]);
    if by_pac {
        assert_eq!(get("", "mode"), "'auto'");
        assert_eq!(get("", "autoconfig-url"), format!("'http://{at}/proxy.pac'"));
        assert_eq!(user.kde("ProxyType"), "2");
        assert_eq!(user.kde("Proxy Config Script"), format!("http://{at}/proxy.pac"));
        let pac = user.run("curl", &["-sS", &format!("http://{at}/proxy.pac")]);
        assert!(good(&pac).contains("FindProxyForURL"), "{pac:?}");
    } else {
        assert_eq!(get("", "mode"), "'manual'");
        assert_eq!((get(".https", "host"), get(".https", "port")), (format!("'{host}'"), port.to_owned()));
        assert_eq!(user.kde("ProxyType"), "1");
        assert_eq!(user.kde("httpsProxy"), format!("http://{host} {port}"));
    }
}

#[test]
#[ignore = "needs the desktops' tools that setup.sh installs"]
fn settings_are_not_set_to_a_gate_that_is_not_there_or_to_no_desktop() {
    let user = User::new();
    let before = user.settings();
    drop(user.serve());
    let output = user.system(&["on"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).starts_with("error: no gate runs with this configuration"), "{output:?}");
    assert!(said(&output).contains("hint: start one with `tollgate serve`"), "{output:?}");
    assert_eq!((user.settings(), user.records()), (before, 0));

    let gate = user.serve();
    let alone = user.path("tollgate");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tollgate"), &alone).unwrap();
    let mut command = Command::new(&alone);
    command.args(["system", "on"]).current_dir(user.folder.path()).env_clear().env("PATH", user.folder.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("no desktop is here whose proxy can be set"), "{output:?}");
    assert!(said(&output).contains(&format!("{}/proxy.pac", gate.proxy())), "{output:?}");
    assert_eq!(user.records(), 0);
}

#[test]
#[ignore = "needs the desktops' tools that setup.sh installs"]
fn settings_that_are_set_twice_or_changed_meanwhile_lose_nothing() {
    let user = User::new();
    user.gnome(&["set", "org.gnome.system.proxy", "autoconfig-url", "http://wpad/x.dat"]);
    let before = user.settings();
    let gate = user.serve();
    good(&user.system(&["on"]));
    let again = good(&user.system(&["on"]));
    assert!(again.contains("GNOME uses") && again.contains("already"), "{again}");
    assert_eq!(user.records(), 2, "one for each desktop");
    let status: Value = serde_json::from_str(&good(&user.system(&["status", "--json"]))).unwrap();
    assert_eq!(status["desktops"][0]["ours"], true, "{status}");
    assert_eq!(status["gates"][0]["proxy"], gate.proxy().strip_prefix("http://").unwrap(), "{status}");
    // From one form to the other, and back: the first settings stay kept.
    good(&user.system(&["on", "--proxy"]));
    set_to(&user, &gate, false);
    good(&user.system(&["on"]));
    set_to(&user, &gate, true);

    user.gnome(&["set", "org.gnome.system.proxy", "mode", "manual"]);
    user.gnome(&["set", "org.gnome.system.proxy.http", "host", "mine.example"]);
    let off = good(&user.system(&["off"]));
    assert!(off.contains("but for what somebody has changed since: `mode` of GNOME"), "{off}");
    assert_eq!(user.gnome(&["get", "org.gnome.system.proxy", "mode"]), "'manual'");
    user.gnome(&["reset", "org.gnome.system.proxy", "mode"]);
    user.gnome(&["reset", "org.gnome.system.proxy.http", "host"]);
    assert_eq!((user.settings(), user.records()), (before, 0));
    assert!(good(&user.system(&["off"])).contains("nothing is set"));
    gate.stop();
}
