//! The gate as a process that is started, asked to stop, and killed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::upstream::Upstream;

/// Where a gate lives: its configuration, certificates and books stay there from one process to the next.
pub struct Home {
    folder: tempfile::TempDir,
}

/// One process.
pub struct Process {
    child: Child,
    /// Where programs reach it.
    pub proxy: SocketAddr,
}

impl Home {
    /// A configuration that sends everything to the stand-in.
    pub fn new(upstream: &Upstream) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("config")).unwrap();
        std::fs::write(folder.path().join("config/standin.pem"), upstream.ca_pem()).unwrap();
        let home = Self { folder };
        std::fs::write(home.config(), configuration(upstream, home.folder.path()).to_string()).unwrap();
        home
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config/tollgate.json5")
    }

    /// The books' file.
    pub fn journal(&self) -> PathBuf {
        self.folder.path().join("data/ledger.sqlite")
    }

    /// The certificate that clients trust; there once a gate has started.
    pub fn root_pem(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("certs/ca.pem")).unwrap()
    }

    /// The last lines that the gates logged.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("gate.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Starts a gate and waits until it listens.
    pub fn start(&self) -> Process {
        let folder = self.folder.path();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("gate.log")).unwrap();
        let mut child = command(folder)
            .args(["serve", "--config"])
            .arg(self.config())
            .env("RUST_LOG", "tollgate=warn")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let proxy = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the gate did not start:\n{}", self.log()) };
            if let Some(at) = line.strip_prefix("proxy ").and_then(|at| at.trim().strip_prefix("http://")) {
                break at.trim_end_matches('/').parse().unwrap();
            }
        };
        // A full pipe would block the gate.
        std::thread::spawn(move || lines.for_each(drop));
        Process { child, proxy }
    }

    /// Runs another command of the program beside the gate, and gives what it prints.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = command(self.folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Process {
    /// Ends it without a warning.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it finish what is open.
    pub fn stop(mut self) {
        let signalled = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(signalled.success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only where a test has failed: both ends above have waited for it already.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.current_dir(folder).env("HOME", folder).env("HF_HUB_OFFLINE", "1").stdin(Stdio::null());
    for name in ["HTTPS_PROXY", "https_proxy", "TOLLGATE_CONFIG"] {
        command.env_remove(name);
    }
    command
}

fn configuration(upstream: &Upstream, folder: &Path) -> Value {
    let custom = |name: &str, path: &str| {
        json!({"name": name, "endpointUrl": format!("{}{path}", upstream.url()), "apiKey": "sk-custom",
            "tokenPricing": {"prompt": 0.001, "completion": 0.002}, "maxSequenceLength": 8192})
    };
    json!({
        "listen": {"proxy": "127.0.0.1:0", "admin": "127.0.0.1:0"},
        "models": [custom("databricks/dolly-v2-3b", "/v1/completions"), custom("local/chat", "/v1/chat/completions")],
        "ledger": {"path": folder.join("data/ledger.sqlite"), "keep": null},
        "upstream": {
            "ca": folder.join("config/standin.pem"),
            "resolve": {"api.openai.com:443": upstream.address().to_string()},
        },
        "certs": folder.join("certs"),
    })
}
