//! `tollgate run`: a program finds the gate, its calls bear the label, and its end is its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::bench::gate::TestGate;
use crate::bench::upstream::{Options, Upstream};

/// A configuration with which the gate is found.
fn config(gate: &TestGate) -> (TempDir, PathBuf) {
    let certs = gate.gate.authority().dir().to_owned();
    configured(gate.proxy(), gate.admin(), &certs)
}

fn configured(proxy: SocketAddr, admin: SocketAddr, certs: &Path) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tollgate.json5");
    let text = format!(
        r#"{{ listen: {{ proxy: "{proxy}", admin: "{admin}" }}, certs: "{}", ledger: {{ path: null }} }}"#,
        certs.display()
    );
    fs::write(&file, text).unwrap();
    (folder, file)
}

fn run(config: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["run", "--config"])
        .arg(config)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("NO_PROXY", "example.com,.openai.com")
        .env("SSL_CERT_FILE", "/own/roots.pem")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_program_gets_an_environment_that_leads_it_through_the_gate() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let (_folder, config) = config(&gate);
    let output = run(&config, &["--label", "team a", "--", "env"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let shown = String::from_utf8(output.stdout.clone()).unwrap();
    let certs = gate.gate.authority().dir().display().to_string();
    let proxy = format!("http://team%20a:x@{}", gate.proxy());
    for (names, value) in [
        (&["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"][..], proxy),
        (&["NO_PROXY", "no_proxy"], "example.com,localhost,127.0.0.1,::1".into()),
        (&["SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"], format!("{certs}/bundle.pem")),
        (&["NODE_EXTRA_CA_CERTS", "DENO_CERT"], format!("{certs}/ca.pem")),
        (&["NODE_USE_ENV_PROXY"], "1".into()),
    ] {
        for name in names {
            assert!(shown.lines().any(|line| line == format!("{name}={value}")), "{name}={value}\n{shown}");
        }
    }
    assert!(told(&output).contains("warning: SSL_CERT_FILE named certificates of your own"), "{}", told(&output));
    let bare = String::from_utf8(run(&config, &["env"]).stdout).unwrap();
    assert!(bare.lines().any(|line| line == format!("HTTPS_PROXY=http://{}", gate.proxy())), "{bare}");
}

#[test]
fn the_end_of_a_program_is_passed_on() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let (_folder, config) = config(&gate);
    assert_eq!(run(&config, &["--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    // A shell sees the signal as its child's, and adds 128.
    let tollgate = env!("CARGO_BIN_EXE_tollgate");
    let script = format!("{tollgate} run --config {} -- sh -c 'kill -TERM $$'; echo $?", config.display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "143", "{}", told(&output));
    let missing = run(&config, &["--", "no-such-program-at-all"]);
    assert_eq!(missing.status.code(), Some(127));
    assert!(told(&missing).contains("error: cannot run `no-such-program-at-all`"), "{}", told(&missing));
    let closed = run(&config, &["--", config.to_str().unwrap()]);
    assert_eq!(closed.status.code(), Some(126), "{}", told(&closed));
}

#[test]
fn without_a_gate_nothing_is_run_and_the_reason_is_told() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let certs = gate.gate.authority().dir().to_owned();
    let (_one, nowhere) = configured(gate.proxy(), free, &certs);
    let output = run(&nowhere, &["--", "echo", "ran"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
    assert!(told(&output).contains(&format!("error: no gate is running at `{free}`")), "{}", told(&output));
    assert!(told(&output).contains("hint: start one with `tollgate serve`"), "{}", told(&output));

    let other = TestGate::start(&upstream, "");
    let (_two, strange) = configured(gate.proxy(), other.admin(), &certs);
    let output = run(&strange, &["--", "echo", "ran"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
    assert!(told(&output).contains("has another certificate than"), "{}", told(&output));

    let (_three, any) = configured("127.0.0.1:0".parse().unwrap(), gate.admin(), &certs);
    assert_eq!(run(&any, &["--", "echo", "ran"]).status.code(), Some(2));
    for arguments in [&["--label", "a:b", "--", "echo"][..], &["--label", "", "--", "echo"], &[]] {
        assert_eq!(run(&any, arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_calls_of_curl_bear_the_label_and_its_name() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let (_folder, config) = config(&gate);
    if Command::new("curl").arg("--version").output().is_err() {
        return;
    }
    let call = [
        "--label",
        "my team",
        "--",
        "curl",
        "-sS",
        "https://api.openai.com/v1/chat/completions",
        "-H",
        "authorization: Bearer sk-client",
        "-H",
        "content-type: application/json",
        "-d",
        r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#,
    ];
    let output = tokio::task::spawn_blocking(move || run(&config, &call)).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("chat.completion"));
    let entries = gate.wait_for_entries(1).await;
    let client = &entries[0].client;
    assert_eq!(client.label.as_deref(), Some("my team"));
    assert!(client.process.as_deref().is_none_or(|name| name == "curl"), "{client:?}");
    assert!(client.agent.as_deref().unwrap().starts_with("curl/"));
}
