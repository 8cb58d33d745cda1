//! `tollgate serve` as a process of its own, which can be killed, and started again in the same folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::admin::ask;
use super::raw::guard;
use super::upstream::Upstream;

/// A folder with a configuration.
pub struct Home {
    folder: TempDir,
}

/// A running gate; killed when it is dropped.
pub struct Process {
    child: Child,
    /// Where programs reach it.
    pub proxy: SocketAddr,
    /// Where its books are shown.
    pub admin: SocketAddr,
    /// What it said of its books when it began.
    pub books: String,
    _out: Lines<BufReader<ChildStdout>>,
}

impl Home {
    /// One for which `api.openai.com` is the stand-in, on free ports; `more` are further members.
    pub fn toward(upstream: &Upstream, more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let at = upstream.address();
        let text = format!(
            r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }},
                 upstream: {{ ca: "standin.pem", resolve: {{ "api.openai.com:443": "{at}" }} }}, {more} }}"#
        );
        std::fs::create_dir_all(folder.path().join("config")).unwrap();
        std::fs::write(folder.path().join("config/tollgate.json5"), text).unwrap();
        std::fs::write(folder.path().join("standin.pem"), upstream.ca_pem()).unwrap();
        Self { folder }
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.path("data/ledger.sqlite")
    }

    /// Starts a gate.
    pub async fn start(&self) -> Process {
        self.start_with(Command::new(Path::new(env!("CARGO_BIN_EXE_tollgate")))).await
    }

    /// Starts a gate under a shell that does `first`, such as to limit it.
    pub async fn start_after(&self, first: &str) -> Process {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{first}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_tollgate")]);
        self.start_with(shell).await
    }

    async fn start_with(&self, mut command: Command) -> Process {
        self.furnish(&mut command);
        self.start_as(&mut command).await
    }

    /// Starts the gate that `command` is.
    pub async fn start_as(&self, command: &mut Command) -> Process {
        let command = std::mem::replace(command, Command::new("true"));
        let mut command: tokio::process::Command = command.into();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let proxy = told(&mut out, "proxy    http://").await.parse().unwrap();
        let admin = told(&mut out, "admin    http://").await.parse().unwrap();
        let books = told(&mut out, "books    ").await;
        Process { child, proxy, admin, books, _out: out }
    }

    /// Starts a gate that takes over from `gate`.
    pub async fn follow(&self, gate: &Process) -> Process {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_tollgate")));
        self.furnish(&mut command);
        self.start_as(command.arg(format!("--take-over={}", gate.proxy))).await
    }

    /// Runs a gate that is expected not to take over from `gate`.
    pub fn cannot_follow(&self, gate: &Process) -> Output {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_tollgate")));
        self.furnish(&mut command);
        command.arg(format!("--take-over={}", gate.proxy)).output().unwrap()
    }

    /// Runs a gate that is expected not to start.
    pub fn refused(&self) -> Output {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_tollgate")));
        self.furnish(&mut command);
        command.output().unwrap()
    }

    fn furnish(&self, command: &mut Command) {
        let folder = self.folder.path();
        command.arg("serve").current_dir(folder).env_clear().env("HOME", folder).env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null());
    }
}

impl Process {
    /// Ends it as nothing can hinder, and waits until it is gone.
    pub async fn kill(mut self) {
        guard(self.child.kill()).await.unwrap();
    }

    /// Ends it as `kill` does by default, and waits until it is gone.
    pub async fn stop(mut self) {
        let id = self.id();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        assert_eq!(guard(self.child.wait()).await.unwrap().code(), Some(0));
    }

    /// Waits until it has ended by itself, as it should.
    pub async fn ended(mut self) {
        assert_eq!(guard(self.child.wait()).await.unwrap().code(), Some(0));
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([format!("-{name}"), self.id()]).status().unwrap().success());
    }

    /// Its number.
    pub fn id(&self) -> String {
        self.child.id().expect("it runs").to_string()
    }

    /// What it says of its journal.
    pub async fn journal(&self) -> Value {
        ask(self.admin, "/stats").await.json()["journal"].clone()
    }

    /// Waits until its journal is as `wanted`, and fails after thirty seconds.
    pub async fn until_journal(&self, wanted: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let journal = self.journal().await;
            if wanted(&journal) {
                return;
            }
            assert!(begun.elapsed().as_secs() < 30, "waited in vain: {journal}");
        }
    }
}

/// The rest of the next line that begins with `label`.
async fn told(out: &mut Lines<BufReader<ChildStdout>>, label: &str) -> String {
    guard(async {
        while let Some(line) = out.next_line().await.unwrap() {
            if let Some(rest) = line.strip_prefix(label) {
                return rest.to_owned();
            }
        }
        panic!("it never said `{label}`")
    })
    .await
}
