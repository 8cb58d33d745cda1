//! `tollgate doctor` with the runtimes of this machine: what works is said to work, and what was broken is told why.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::gate::Gate;
use super::script::home;
use super::upstream::{Options, Upstream};

#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn every_runtime_that_works_is_said_to_work_and_nothing_is_booked() {
    let folder = machine();
    // A browser takes certificates out of its own database alone.
    let made = tollgate(&folder, &["ca", "show"], &[]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let untrusting = report(&folder, &["chromium"], &[]);
    let row = &untrusting["runtimes"][0];
    assert_eq!((&row["works"], &row["remedy"]), (&false.into(), &"tollgate ca trust --nss".into()), "{row}");
    let trusted = tollgate(&folder, &["ca", "trust", "--nss"], &[]);
    assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stderr));
    let mut seen = Vec::new();
    for environment in ["litellm", "python-3.13"] {
        let python = home().join(environment);
        let named = ["curl", "wget", "git", "python", "node", "java", "chromium"];
        let named = if environment == "litellm" { &named[..] } else { &named[3..4] };
        let report = report(&folder, named, &[("VIRTUAL_ENV", &python)]);
        assert_eq!(report["gate"]["runs"], false);
        for row in report["runtimes"].as_array().unwrap() {
            assert_eq!(row["works"], true, "{row:#}");
            assert!(row["version"].is_string() && row["why"].is_null(), "{row:#}");
            let library = row["library"].as_str().unwrap_or_default().split(' ').next().unwrap();
            seen.push(format!("{} {library}", row["runtime"].as_str().unwrap()).trim().to_owned());
            println!("{:<28} {} ms", seen[seen.len() - 1], row["milliseconds"]);
        }
    }
    for expected in [
        "curl",
        "wget",
        "git",
        "Python urllib",
        "Python httpx",
        "Python requests",
        "Python aiohttp",
        "Node https",
        "Node fetch",
        "Java HttpClient",
        "Java HttpURLConnection",
        "Chromium",
    ] {
        assert!(seen.iter().any(|seen| seen == expected), "{expected} is not among {seen:?}");
    }
}

#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn a_gate_that_runs_is_asked_and_its_books_and_its_upstream_hear_nothing_of_it() {
    let (upstream, folder) = (Upstream::start(Options::default()), TempDir::new().unwrap());
    let gate = Gate::for_runs(&upstream, &folder);
    let report = report(&folder, &["curl", "git"], &[]);
    let at = format!("http://{}", report["gate"]["proxy"].as_str().unwrap());
    assert_eq!((&report["gate"]["runs"], &*at), (&true.into(), gate.proxy()));
    assert_eq!((&report["runtimes"][0]["works"], &report["runtimes"][1]["works"]), (&true.into(), &true.into()));
    assert_eq!(gate.ask("/entries?limit=5")["entries"].as_array().map(Vec::len), Some(0));
    assert_eq!(upstream.connections().0, 0);
}

#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn what_is_broken_is_told_with_its_reason_and_ends_with_one() {
    let folder = machine();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let real = |name: &str| {
        let path = std::env::var("PATH").unwrap();
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()).unwrap()
    };
    for (name, script, why, remedy) in [
        (
            "curl",
            "unset CURL_CA_BUNDLE SSL_CERT_FILE; exec REAL \"$@\"",
            "does not trust",
            "tollgate ca trust --system",
        ),
        ("node", "unset NODE_OPTIONS; exec REAL \"$@\"", "nothing reached the gate", "tollgate run --isolate -- node"),
        ("wget", "unset https_proxy HTTPS_PROXY; exec REAL \"$@\"", "nothing reached the gate", "--isolate -- wget"),
        // As a page of some proxy that repeats what was asked for.
        ("curl", "case $1 in --version) echo curl 1.0;; *) echo \"$@\";; esac", "not by the gate", "--isolate -- curl"),
        (
            "git",
            "case $1 in --version) exec REAL \"$@\";; *) echo bad luck >&2; exit 9;; esac",
            "bad luck",
            "run -- git",
        ),
        ("git", "exit 7", "it does not run", ""),
    ] {
        write(&bin.join(name), &format!("#!/bin/sh\n{}\n", script.replace("REAL", &real(name).display().to_string())));
        let output = tollgate(&folder, &["doctor", "--json", name], &[]);
        assert_eq!(output.status.code(), Some(1), "{script}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        for row in report["runtimes"].as_array().unwrap() {
            assert_eq!(row["works"], false, "{script}: {row:#}");
            assert!(row["why"].as_str().unwrap().contains(why), "{script}: {row:#}");
            assert!(row["remedy"].as_str().unwrap_or_default().contains(remedy), "{script}: {row:#}");
        }
        let table = tollgate(&folder, &["doctor", name], &[]);
        let shown = String::from_utf8(table.stdout).unwrap();
        assert!(shown.contains("WHY NOT") && shown.contains(why) && shown.contains(remedy), "{shown}");
        assert_eq!(table.status.code(), Some(1));
        fs::remove_file(bin.join(name)).unwrap();
    }
    let unknown = tollgate(&folder, &["doctor", "cobol"], &[]);
    assert_eq!(unknown.status.code(), Some(2));
    // The probes leave nothing behind.
    let left: Vec<_> = fs::read_dir(folder.path().join("tmp")).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A home folder with a configuration.
fn machine() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["config", "tmp"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    // No ports that somebody else on this machine may have.
    let listen = r#"{ listen: { proxy: "127.0.0.1:0", admin: "127.0.0.1:0" } }"#;
    fs::write(folder.path().join("config/tollgate.json5"), listen).unwrap();
    folder
}

fn report(folder: &TempDir, named: &[&str], variables: &[(&str, &Path)]) -> Value {
    let output = tollgate(folder, &[&["doctor", "--json"], named].concat(), variables);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn tollgate(folder: &TempDir, arguments: &[&str], variables: &[(&str, &Path)]) -> Output {
    let own = folder.path().join("bin");
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([own].into_iter().chain(std::env::split_paths(&path))).unwrap();
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(arguments)
        .arg("--config")
        .arg(folder.path().join("config/tollgate.json5"))
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path().join("tmp"))
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}
