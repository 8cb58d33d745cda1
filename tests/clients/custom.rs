//! Real servers as custom models, asked in both dialects by a program that knows only api.openai.com.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::gate::Gate;
use super::script::{folder, home};

#[test]
#[ignore = "needs the servers that setup.sh installs"]
fn the_documents_own_line_serves_a_chat_program_by_a_real_basaran() {
    // As it is written, where this machine lets a program listen there.
    let port = if TcpListener::bind("127.0.0.1:80").is_ok() { 80 } else { free() };
    let server = Server::start("basaran", port, "/v1/models");
    let line = match port {
        80 => json!({"name": "databricks/dolly-v2-3b", "endpointUrl": "http://127.0.0.1/v1/completions"}),
        _ => json!({"name": "databricks/dolly-v2-3b", "endpointUrl": server.url("/v1/completions")}),
    };
    let seen = asked("databricks/dolly-v2-3b", &line);
    for (told, _) in &seen {
        assert!(!told["text"].as_str().unwrap().is_empty() && told["finish"] == "length", "{told}");
    }
    // Its whole replies report, its streams never do; without a tokenizer that is a guess, and says so.
    let bases: Vec<&Value> = seen.iter().map(|(_, entry)| &entry["basis"]).collect();
    assert_eq!(bases, ["reported", "estimated", "reported", "estimated"]);

    let model = format!("file://{}/tiny/hub", home().display());
    let line = json!({"name": "tiny", "endpointUrl": server.url("/v1/completions"), "modelUrl": model});
    let seen = asked("tiny", &line);
    let bases: Vec<&Value> = seen.iter().map(|(_, entry)| &entry["basis"]).collect();
    assert_eq!(bases, ["reported", "counted", "reported", "counted"]);
    for pair in seen.chunks(2) {
        assert_eq!(pair[0].0["text"], pair[1].0["text"], "a stream says the same");
        assert_eq!(pair[0].0["tokens"][0], pair[1].0["tokens"][0], "our tokenizer counts the input as the server does");
    }
}

#[test]
#[ignore = "needs the servers that setup.sh installs"]
fn a_real_closedai_serves_both_dialects_though_it_reports_nothing() {
    let server = Server::start("closedai", free(), "/models");
    for path in ["/chat/completions", "/completions"] {
        let seen = asked("dummy", &json!({"name": "dummy", "endpointUrl": server.url(path)}));
        for (told, entry) in &seen {
            assert_eq!((&told["text"], &told["finish"]), (&seen[0].0["text"], &json!("stop")), "{path}: {told}");
            assert_eq!(entry["basis"], "estimated", "{path}: {entry}");
        }
    }
}

#[test]
#[ignore = "needs the servers that setup.sh installs"]
fn a_real_llama_cpp_python_serves_both_dialects_by_either_endpoint() {
    if !home().join("llama-cpp").is_dir() {
        eprintln!("llama-cpp-python is not installed (TOLLGATE_LLAMA_CPP=1 tests/clients/setup.sh compiles it)");
        return;
    }
    let server = Server::start("llama-cpp", free(), "/v1/models");
    let model = format!("file://{}/tiny/hub", home().display());
    for path in ["/v1/chat/completions", "/v1/completions"] {
        let line = json!({"name": "tiny", "endpointUrl": server.url(path), "modelUrl": model});
        let seen = asked("tiny", &line);
        for pair in seen.chunks(2) {
            assert_eq!(pair[0].0["text"], pair[1].0["text"], "{path}: a stream says the same");
            assert_eq!(pair[0].0["tokens"][0], pair[1].0["tokens"][0], "{path}");
            assert_eq!((&pair[0].1["basis"], &pair[1].1["basis"]), (&json!("reported"), &json!("counted")), "{path}");
        }
    }
}

/// What the program saw in each of its four calls, and what the books say of it.
fn asked(model: &str, line: &Value) -> Vec<(Value, Value)> {
    let folder_of_gate = TempDir::new().unwrap();
    let gate = Gate::configured(
        &folder_of_gate,
        &json!({"listen": {"proxy": "127.0.0.1:0", "admin": "127.0.0.1:0"}, "ledger": {"path": null}, "models": [line]}),
    );
    let output = Command::new(home().join("python-3/bin/python"))
        .arg(folder().join("servers/chat.py"))
        .arg(model)
        .env_clear()
        .env("HTTPS_PROXY", gate.proxy())
        .env("SSL_CERT_FILE", gate.certs().join("bundle.pem"))
        .env("OPENAI_API_KEY", "sk-client")
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    let told: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let begun = Instant::now();
    let entries = loop {
        let mut entries = gate.ask("/entries")["entries"].as_array().unwrap().clone();
        if entries.len() >= told.len() {
            entries.reverse();
            break entries;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the books lack a call: {entries:#?}");
    };
    assert_eq!((told.len(), entries.len()), (4, 4));
    for (told, entry) in told.iter().zip(&entries) {
        assert_eq!(entry["outcome"], "ok", "{entry}");
        assert_eq!(told["tokens"], json!([entry["usage"]["input"], entry["usage"]["output"]]), "told and booked");
    }
    told.into_iter().zip(entries).collect()
}

/// A running server; dropping it ends it.
struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    fn start(name: &str, port: u16, ready: &str) -> Self {
        let own = TempDir::new().unwrap();
        let log = own.path().join("server.log");
        let errors = std::fs::File::create(&log).unwrap();
        let child = Command::new("bash")
            .arg(folder().join("servers/serve.sh"))
            .args([name, &port.to_string()])
            .env("TOLLGATE_CLIENTS_HOME", home())
            .env("HOME", own.path())
            .current_dir(own.path())
            .stdin(Stdio::null())
            .stdout(errors.try_clone().unwrap())
            .stderr(errors)
            // Some servers have processes of their own, which must end with them.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut server = Self { child, port, _folder: own };
        let begun = Instant::now();
        while !server.answers(ready) {
            let log = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(server.child.try_wait().unwrap().is_none(), "{name} has ended:\n{}", log());
            assert!(begun.elapsed() < Duration::from_secs(120), "{name} does not answer:\n{}", log());
            // It tells nobody when it is ready.
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn answers(&self, path: &str) -> bool {
        use std::io::{Read, Write};
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        let mut answer = [0; 12];
        stream.write_all(request.as_bytes()).is_ok()
            && stream.read_exact(&mut answer).is_ok()
            && answer.ends_with(b"200")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        Command::new("kill").args(["-KILL", "--", &group]).status().unwrap();
        self.child.wait().unwrap();
    }
}

fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
