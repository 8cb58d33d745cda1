//! Settings of the machine are what they were after every end of a gate, here with a stand-in for GNOME's tool.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::bench::process::{Home, Process};
use crate::bench::upstream::{Options, Upstream};

/// Keeps each value in a file, and knows the defaults of those that are asked for.
const GSETTINGS: &str = r#"#!/bin/sh
file="$HOME/settings/$2 $3"
case $1 in
    get) if [ -z "$GSETTINGS_BACKEND" ] && [ -e "$file" ]; then cat "$file"; elif [ "$3" = mode ]; then echo "'none'"; else echo "''"; fi ;;
    set) if [ -e "$HOME/deaf" ]; then echo "no session" >&2; else printf '%s\n' "$4" >"$file"; fi ;;
    reset) rm -f "$file" ;;
esac
"#;

fn furnished(upstream: &Upstream) -> Home {
    let home = Home::toward(upstream, "ledger: { path: null }");
    fs::create_dir(home.path("bin")).unwrap();
    fs::create_dir(home.path("settings")).unwrap();
    let tool = home.path("bin/gsettings");
    fs::write(&tool, GSETTINGS).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    home
}

async fn start(home: &Home) -> Process {
    let first = format!("PATH={}:$PATH; export PATH", home.path("bin").display());
    home.start_after(&first).await
}

fn system(home: &Home, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/bin:/bin", home.path("bin").display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("system").args(arguments).current_dir(home.path("")).env_clear();
    command.env("HOME", home.path("")).env("PATH", path).env("XDG_CURRENT_DESKTOP", "GNOME").output().unwrap()
}

/// What is set, by key.
fn settings(home: &Home) -> Vec<(String, String)> {
    let entries = fs::read_dir(home.path("settings")).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut all: Vec<_> = entries.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect();
    all.sort();
    all
}

fn set(home: &Home, key: &str, value: &str) {
    fs::write(home.path(&format!("settings/org.gnome.system.proxy {key}")), format!("{value}\n")).unwrap();
}

fn records(home: &Home) -> usize {
    fs::read_dir(home.path("data/changes")).map_or(0, Iterator::count)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_desktop_that_was_set_is_what_it_was_after_a_kill_and_a_stop() {
    let upstream = Upstream::start(Options::default());
    for own in [false, true] {
        let home = furnished(&upstream);
        if own {
            set(&home, "mode", "'auto'");
            set(&home, "autoconfig-url", "'http://wpad.corp.example/wpad.dat'");
        }
        let before = settings(&home);
        let gate = start(&home).await;
        let output = system(&home, &["on"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert_eq!(
            said(&output).contains("GNOME used the PAC http://wpad.corp.example/wpad.dat"),
            own,
            "{}",
            said(&output)
        );
        let ours = format!("'http://{}/proxy.pac'\n", gate.proxy);
        assert!(settings(&home).iter().any(|(_, value)| *value == ours), "{:?}", settings(&home));
        let first = records(&home);
        assert!(said(&system(&home, &["on"])).contains("already"));
        assert_eq!(records(&home), first);

        gate.kill().await;
        assert_ne!(settings(&home), before, "nobody was there to put it back");
        let gate = start(&home).await;
        assert_eq!((settings(&home), records(&home)), (before.clone(), 0));

        assert_eq!(system(&home, &["on"]).status.code(), Some(0));
        assert_ne!(settings(&home), before);
        gate.stop().await;
        assert_eq!((settings(&home), records(&home)), (before, 0));
    }
}

#[tokio::test]
async fn a_desktop_is_not_led_to_a_gate_that_is_gone() {
    let upstream = Upstream::start(Options::default());
    let home = furnished(&upstream);
    start(&home).await.kill().await;
    let output = system(&home, &["on"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("error: no gate runs with this configuration"), "{}", said(&output));
    assert!(said(&output).contains("hint: start one with `tollgate serve`"), "{}", said(&output));
    assert_eq!((settings(&home), records(&home)), (Vec::new(), 0));
}

#[tokio::test]
async fn a_desktop_that_takes_nothing_is_told_and_left_as_it_was() {
    let upstream = Upstream::start(Options::default());
    let home = furnished(&upstream);
    let gate = start(&home).await;
    fs::write(home.path("deaf"), "").unwrap();
    let output = system(&home, &["on"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("GNOME did not take the value of `autoconfig-url`: no session"),
        "{}",
        said(&output)
    );
    assert_eq!(settings(&home), []);
    fs::remove_file(home.path("deaf")).unwrap();

    assert_eq!(system(&home, &["on"]).status.code(), Some(0));
    set(&home, "mode", "'manual'");
    let status: Value = serde_json::from_slice(&system(&home, &["status", "--json"]).stdout).unwrap();
    assert_eq!(status["desktops"][0]["ours"], false, "{status}");
    let output = system(&home, &["off"]);
    assert!(said(&output).contains("but for what somebody has changed since: `mode` of GNOME"), "{}", said(&output));
    assert_eq!(settings(&home), [("org.gnome.system.proxy mode".to_owned(), "'manual'\n".to_owned())]);
    assert_eq!(records(&home), 0);
    gate.stop().await;
}
