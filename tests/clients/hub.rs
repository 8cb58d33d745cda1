//! One cache on disk for the gate and for Python's `huggingface_hub`, in both directions.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate::tokens::tokenizer::{Specials, Tokenizer};

use super::script::{folder, home};

#[test]
#[ignore = "needs the library that setup.sh installs"]
fn what_the_gate_downloads_is_read_by_huggingface_hub() {
    let (hub, cache) = (Hub::start(), TempDir::new().unwrap());
    assert_exact(&counted(&hub, &cache, false));
    assert_eq!(downloaded(&hub, &cache, true), sums());
}

#[test]
#[ignore = "needs the library that setup.sh installs"]
fn what_huggingface_hub_downloads_is_used_by_the_gate_without_a_network() {
    let (hub, cache) = (Hub::start(), TempDir::new().unwrap());
    assert_eq!(downloaded(&hub, &cache, false), sums());
    let counted = counted(&hub, &cache, true);
    assert_exact(&counted);
    assert_eq!(counted["missing"], Value::Null);
}

#[test]
#[ignore = "needs the library that setup.sh installs"]
fn both_at_once_leave_whole_files() {
    let (hub, cache) = (Hub::start(), TempDir::new().unwrap());
    let theirs = download(&hub, &cache, false).stdout(Stdio::piped()).spawn().unwrap();
    counted(&hub, &cache, false);
    assert!(theirs.wait_with_output().unwrap().status.success());
    assert_exact(&counted(&hub, &cache, true));
    assert_eq!(downloaded(&hub, &cache, true), sums());
}

fn assert_exact(count: &Value) {
    let ours = Tokenizer::read(&tiny().join("tokenizer.json")).unwrap().count(TEXT, Specials::Text);
    assert_eq!((&count["exact"], &count["tokens"]), (&json!(true), &json!(ours.tokens)), "{count}");
}

/// What `tollgate count` says of the text.
fn counted(hub: &Hub, cache: &TempDir, offline: bool) -> Value {
    let own = TempDir::new().unwrap();
    let config = own.path().join("tollgate.json5");
    let model = json!({"name": "org/name", "endpointUrl": "http://127.0.0.1:9/v1/completions"});
    std::fs::write(&config, json!({"models": [model]}).to_string()).unwrap();
    std::fs::write(own.path().join("text"), TEXT).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["count", "--json", "--model", "org/name", "--config"]).arg(&config).arg(own.path().join("text"));
    let output = surrounded(&mut command, hub, cache, offline).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["counts"][0].take()
}

fn download(hub: &Hub, cache: &TempDir, offline: bool) -> Command {
    let mut command = Command::new(home().join("templates/venv/bin/python"));
    command.arg(folder().join("hub/download.py")).args(FILES).stdin(Stdio::null());
    surrounded(&mut command, hub, cache, offline);
    command
}

/// Each file and the sum of its bytes, as the library gets them.
fn downloaded(hub: &Hub, cache: &TempDir, offline: bool) -> String {
    let output = download(hub, cache, offline).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn surrounded<'a>(command: &'a mut Command, hub: &Hub, cache: &TempDir, offline: bool) -> &'a mut Command {
    let endpoint = if offline { "http://127.0.0.1:9" } else { &hub.url };
    command.env_clear().env("HOME", cache.path()).env("HF_HOME", cache.path()).env("HF_ENDPOINT", endpoint);
    command.env("HF_HUB_OFFLINE", if offline { "1" } else { "0" }).env("HF_HUB_DISABLE_TELEMETRY", "1")
}

fn sums() -> String {
    let sum = |name: &&str| {
        let sum = digest(&SHA256, &std::fs::read(tiny().join(name)).unwrap());
        format!("{name} {}\n", sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    FILES.iter().map(sum).collect()
}

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hub/tiny")
}

/// A running hub; dropping it ends it.
struct Hub {
    child: Child,
    url: String,
}

impl Hub {
    fn start() -> Self {
        let mut child = Command::new("python3")
            .arg(folder().join("hub/serve.py"))
            .arg(tiny())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const FILES: [&str; 4] = ["config.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"];
const TEXT: &str = "One text, two readers: naïve café, 12 words.\n";
