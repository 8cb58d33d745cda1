//! The gate as its users run it: the built program, a configuration file, and what it prints and answers.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::upstream::Upstream;

/// A running gate; dropping it ends it.
pub struct Gate {
    child: Child,
    folder: PathBuf,
    proxy: String,
    admin: String,
}

impl Gate {
    /// Starts the program with a configuration that sends everything to the stand-in.
    ///
    /// The folder keeps the certificates, so a later gate in it is trusted too.
    pub fn start(upstream: &Upstream, folder: &TempDir) -> Self {
        std::fs::create_dir_all(folder.path().join("config")).unwrap();
        std::fs::write(folder.path().join("config/standin.pem"), upstream.ca_pem()).unwrap();
        Self::configured(folder, &configuration(upstream, folder.path()))
    }

    /// Starts the program with this configuration.
    pub fn configured(folder: &TempDir, configuration: &Value) -> Self {
        Self::surrounded(folder, configuration, &[])
    }

    /// The same, with further variables in its environment.
    pub fn surrounded(folder: &TempDir, configuration: &Value, variables: &[(&str, &str)]) -> Self {
        let folder = folder.path().to_owned();
        std::fs::create_dir_all(folder.join("config")).unwrap();
        let config = folder.join("config/tollgate.json5");
        std::fs::write(&config, configuration.to_string()).unwrap();
        let errors = std::fs::File::create(folder.join("gate.log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["serve", "--config"])
            .arg(&config)
            .current_dir(&folder)
            .env("HOME", &folder)
            .env("HF_HUB_OFFLINE", "1")
            .env_remove("HTTPS_PROXY")
            .envs(variables.iter().copied())
            .env_remove("https_proxy")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        let mut find = |name: &str| loop {
            let at = said.iter().find_map(|line: &String| line.strip_prefix(name)?.trim().strip_prefix("http://"));
            if let Some(address) = at {
                return format!("http://{address}");
            }
            let Some(Ok(line)) = lines.next() else {
                let log = std::fs::read_to_string(folder.join("gate.log")).unwrap();
                panic!("the gate did not say where its {name} is: {said:?}\n{log}");
            };
            said.push(line);
        };
        let (proxy, admin) = (find("proxy "), find("admin "));
        // A full pipe would block the gate.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, folder, proxy, admin }
    }

    /// A gate that `tollgate run` has started, as long as the first program lives.
    pub fn for_runs(upstream: &Upstream, folder: &TempDir) -> Self {
        let root = folder.path().to_owned();
        std::fs::create_dir_all(root.join("config")).unwrap();
        std::fs::write(root.join("config/standin.pem"), upstream.ca_pem()).unwrap();
        let config = root.join("config/tollgate.json5");
        std::fs::write(&config, configuration(upstream, &root).to_string()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["run", "--config"])
            .arg(&config)
            .args(["--", "sh", "-c", "echo ready; exec cat"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", &root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let gates = std::fs::read_dir(root.join(".local/state/tollgate/gates")).unwrap();
        let file = gates.map(|gate| gate.unwrap().path().join("gate.json")).next().unwrap();
        let running: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let at = |name: &str| format!("http://{}", running[name].as_str().unwrap());
        Self { child, folder: root, proxy: at("proxy"), admin: at("admin") }
    }

    /// `http://127.0.0.1:PORT` of the proxy.
    pub fn proxy(&self) -> &str {
        &self.proxy
    }

    /// `http://127.0.0.1:PORT` of the admin surface.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Where its certificates are.
    pub fn certs(&self) -> PathBuf {
        self.folder.join("certs")
    }

    /// Ends it as `kill` does by default, and waits until it is gone.
    pub fn stop(mut self) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(told.success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }

    /// What the admin surface answers.
    pub fn ask(&self, path: &str) -> Value {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let host = self.admin.strip_prefix("http://").unwrap();
            let stream = TcpStream::connect(host).await.unwrap();
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let request = Request::get(path).header("host", host).body(Empty::<Bytes>::new()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            let status = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
            serde_json::from_slice(&body).unwrap()
        })
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.join("gate.log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the last lines of the gate's log:");
            last.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// A configuration that sends everything to the stand-in.
pub fn configuration(upstream: &Upstream, folder: &Path) -> Value {
    let (at, config) = (upstream.address().to_string(), folder.join("config"));
    let custom = |name: &str, path: &str, (prompt, completion): (f64, f64)| {
        json!({"name": name, "endpointUrl": format!("{}{path}", upstream.url()), "apiKey": "sk-custom",
            "tokenPricing": {"prompt": prompt, "completion": completion}, "maxSequenceLength": 2048})
    };
    json!({
        "listen": {"proxy": "127.0.0.1:0", "admin": "127.0.0.1:0"},
        "models": [
            custom("databricks/dolly-v2-3b", "/v1/completions", (0.0002, 0.0004)),
            custom("local/chat", "/v1/chat/completions", (0.001, 0.002)),
        ],
        "duplicates": [
            {"name": "mirror", "url": "https://mirror.example.com", "apiKey": "sk-mirror", "models": ["gpt-4.1*"]},
        ],
        "ledger": {"path": null},
        "upstream": {
            "ca": config.join("standin.pem"),
            "resolve": {"api.openai.com:443": at, "mirror.example.com:443": at},
        },
    })
}
