//! The program itself: how it starts, says why it does not, answers its commands, and stops without losing a stream.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use http::Method;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout};

use crate::bench::client::{Client, read};
use crate::bench::raw::guard;
use crate::bench::upstream::{Options, Upstream};

#[test]
fn a_port_in_use_is_told_and_nothing_is_started() {
    let folder = folder("{}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for (arguments, key, flag) in [
        (["--proxy", &at, "--admin", "127.0.0.1:0"], "listen.proxy", "--proxy"),
        (["--proxy", "127.0.0.1:0", "--admin", &at], "listen.admin", "--admin"),
    ] {
        let output = serve(&folder, &arguments);
        let told = assert_refused(&output, &format!("cannot listen on {at} (`{key}`)"));
        assert!(told.contains(&format!("hint: is another gate running? stop it, or choose another port with {flag}")));
        assert!(!folder.path().join("certs").exists());
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    for certs in ["certs", "file/certs"] {
        let folder = folder(&format!("{{ certs: \"{certs}\" }}"));
        fs::write(folder.path().join(certs.split('/').next().unwrap()), "not a folder").unwrap();
        let output = serve(&folder, &FREE);
        let told = assert_refused(&output, certs);
        assert!(told.contains("hint: "), "{told}");
    }
}

#[test]
fn a_key_that_others_can_read_is_told() {
    let folder = folder("{}");
    assert_done(&run(&folder, &["ca", "show"]));
    let key = folder.path().join("certs/issuer-key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let told = assert_refused(&serve(&folder, &FREE), "issuer-key.pem");
    assert!(told.contains("hint: ") && told.contains("600"), "{told}");
}

#[test]
fn another_list_of_intercepted_hosts_asks_for_a_new_authority() {
    let folder = folder("{}");
    assert_done(&run(&folder, &["ca", "show"]));
    configure(&folder, r#"{ intercept: ["api.openai.com", "api.example.com"] }"#);
    let told = assert_refused(&serve(&folder, &FREE), "api.example.com");
    assert!(told.contains("hint: run `tollgate ca renew`"), "{told}");
    let before = fs::read(folder.path().join("certs/ca.pem")).unwrap();
    let renewed = assert_done(&run(&folder, &["ca", "renew"]));
    assert!(renewed.contains("api.example.com"), "{renewed}");
    assert_ne!(fs::read(folder.path().join("certs/ca.pem")).unwrap(), before);
    assert_done(&run(&folder, &["ca", "show"]));
}

#[test]
fn an_address_that_others_can_reach_is_refused_without_users_or_a_token() {
    let folder = folder("{}");
    for arguments in [["--proxy", "0.0.0.0:0"], ["--admin", "192.0.2.1:8485"], ["--proxy", "[::]:8484"]] {
        let told = assert_refused(&serve(&folder, &arguments), "is reached from other machines");
        assert!(told.contains("hint: ") && told.contains("127.0.0.1"), "{told}");
    }
    configure(&folder, r#"{ listen: { proxy: "0.0.0.0:8484" } }"#);
    assert_refused(&serve(&folder, &[]), "is reached from other machines");
}

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_the_nearest_key() {
    let folder = folder("{\n  lisen: {},\n  workers: \"many\",\n  metering: { onDisconnect: \"drian\" },\n}\n");
    for command in [&["serve"][..], &["check"], &["ca", "show"], &["route", "gpt-4o"]] {
        let output = run(&folder, command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert_eq!(text(&output.stdout), "");
        let told = text(&output.stderr);
        let errors: Vec<&str> = told.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 3, "{told}");
        for (error, place) in errors.iter().zip([":2:3", ":3:12", ":4:29"]) {
            assert!(error.contains(place), "{error} is not at {place}");
        }
        assert!(told.contains("lisen") && told.contains("`listen`"), "{told}");
    }
    assert!(!folder.path().join("certs").exists());
}

#[test]
fn a_bad_model_line_is_told() {
    let folder = folder("{}");
    for (line, culprit) in [
        ("{name:\"m\"}", "endpointUrl"),
        ("{name:\"m\", endpointUrl:\"ftp://host/v1/completions\"}", "endpointUrl"),
        ("{name:\"m\", endpointUrl:", "--model"),
    ] {
        let told = assert_refused(&serve(&folder, &["--model", line]), culprit);
        assert!(told.contains("--model"), "{told}");
    }
}

#[test]
fn a_models_file_that_is_not_there_is_told_with_a_remedy() {
    let folder = folder("{ modelsFile: \"models.txt\" }");
    let told = assert_refused(&serve(&folder, &FREE), "`models.txt`, which cannot be read");
    assert!(told.contains("hint: make an empty file"), "{told}");
    fs::write(folder.path().join("models.txt"), "").unwrap();
    assert_done(&run(&folder, &["check"]));
}

#[test]
fn commands_answer_without_a_running_gate() {
    let folder = folder("{}");
    let checked = assert_done(&run(&folder, &["check"]));
    assert!(checked.contains("is fine") && checked.contains("api.openai.com"), "{checked}");
    assert!(!folder.path().join("certs").exists(), "`check` starts nothing");
    let document: serde_json::Value = serde_json::from_str(&assert_done(&run(&folder, &["check", "--json"]))).unwrap();
    assert!(document["config"].is_object());
    let routed = assert_done(&run(&folder, &["route", "gpt-4o"]));
    assert!(routed.contains("api.openai.com"), "{routed}");
    let version = assert_done(&run(&folder, &["--version"]));
    assert_eq!(version.trim(), concat!("tollgate ", env!("CARGO_PKG_VERSION")));

    let shown = assert_done(&run(&folder, &["ca", "show"]));
    assert!(shown.contains("certs/ca.pem") && shown.contains("root key     destroyed"), "{shown}");
    let exported = assert_done(&run(&folder, &["ca", "export"]));
    assert_eq!(exported, fs::read_to_string(folder.path().join("certs/ca.pem")).unwrap());
    assert_done(&run(&folder, &["ca", "export", "--der", "root.der"]));
    assert_eq!(fs::read(folder.path().join("root.der")).unwrap()[0], 0x30);
    let again = assert_done(&run(&folder, &["ca", "show", "--json"]));
    let document: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert!(shown.contains(document["fingerprint"].as_str().unwrap()), "one authority, made once");
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = folder("{}");
    for arguments in [&["srve"][..], &["serve", "--prxy", "x"], &["ca"], &["ca", "steal"], &["route"]] {
        let output = run(&folder, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("Usage:") || text(&output.stderr).contains("error:"), "{arguments:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}

#[tokio::test]
async fn a_stop_waits_for_an_open_stream_and_takes_nothing_new() {
    let upstream = Upstream::start(Options::default());
    let mut gate = Running::start(&upstream).await;
    let stream = gate.held_stream(&upstream).await;
    gate.signal("TERM");
    gate.until_closed().await;
    upstream.release_all();
    let answered = guard(read(stream)).await;
    assert!(answered.whole);
    assert!(answered.text().ends_with("data: [DONE]\n\n"), "{}", answered.text());
    assert_eq!(guard(gate.child.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let upstream = Upstream::start(Options::default());
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM")] {
        let mut gate = Running::start(&upstream).await;
        let stream = gate.held_stream(&upstream).await;
        gate.signal(first);
        gate.until_closed().await;
        gate.signal(second);
        // The upstream still holds its reply, so nothing but the signal can have ended it.
        assert_eq!(guard(gate.child.wait()).await.unwrap().code(), Some(0));
        assert!(!guard(read(stream)).await.whole);
        upstream.release_all();
    }
}

#[tokio::test]
async fn a_stop_with_nothing_open_is_immediate_and_clean() {
    let upstream = Upstream::start(Options::default());
    let mut gate = Running::start(&upstream).await;
    // A kept connection without a call is nothing to wait for.
    let mut client = gate.client().await;
    assert_eq!(client.get("/v1/models").await.status, 200);
    gate.signal("TERM");
    assert_eq!(guard(gate.child.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn the_program_says_where_it_listens_and_answers_there() {
    let upstream = Upstream::start(Options::default());
    let gate = Running::start(&upstream).await;
    let mut client = gate.client().await;
    assert_eq!(client.post("/v1/chat/completions", r#"{"model":"gpt-4o","messages":[]}"#).await.status, 200);
    let mut admin = TcpStream::connect(gate.admin).await.unwrap();
    let ask = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", gate.admin);
    tokio::io::AsyncWriteExt::write_all(&mut admin, ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    guard(admin.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_models_file_that_finds_no_room_stays_what_it_was() {
    let folder = folder(
        r#"{ listen: { proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }, admin: { token: "t0ken" }, modelsFile: "m.txt" }"#,
    );
    let line = "{name:'kept', endpointUrl:'http://127.0.0.1:9/v1/completions'}\n";
    fs::write(folder.path().join("m.txt"), line).unwrap();
    // Half a mebibyte or a whole one, as the shell counts it, is enough for all but the text that is posted. The signal
    // is ignored, so that writing fails as on a full disk.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 900; exec \"$0\" serve", env!("CARGO_BIN_EXE_tollgate")]);
    limited.current_dir(folder.path()).env_clear().env("HOME", folder.path()).env("PATH", "/usr/bin:/bin");
    let gate = Running::of(folder, limited.into()).await;
    let text = format!("{line}// {}\n", "x".repeat(1_000_000));
    let request = http::Request::post("/config/models")
        .header("host", gate.admin.to_string())
        .header("authorization", "Bearer t0ken")
        .body(Full::from(text))
        .unwrap();
    let refused = guard(Client::plain(gate.admin).await.send(request)).await;
    assert_eq!(refused.status, 500, "{}", refused.text());
    assert!(refused.text().contains("the models file cannot be written: File too large"), "{}", refused.text());
    let names: Vec<_> = fs::read_dir(gate.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().ends_with(".new")), "{names:?}");
    let left = fs::read_to_string(gate.folder.path().join("m.txt")).unwrap();
    assert!(left == line, "it holds {} bytes", left.len());
}

/// `tollgate serve` as a process of its own.
struct Running {
    child: Child,
    folder: TempDir,
    proxy: SocketAddr,
    admin: SocketAddr,
    _out: Lines<BufReader<ChildStdout>>,
}

impl Running {
    async fn start(upstream: &Upstream) -> Self {
        let at = upstream.address();
        let folder = folder(&format!(
            r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }},
                  upstream: {{ ca: "standin.pem", resolve: {{ "api.openai.com:443": "{at}" }} }} }}"#
        ));
        fs::write(folder.path().join("standin.pem"), upstream.ca_pem()).unwrap();
        let serve = command(&folder, &["serve"]);
        Self::of(folder, serve.into()).await
    }

    /// The gate that `command` starts.
    async fn of(folder: TempDir, mut command: tokio::process::Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let proxy = told(&mut out, "proxy    http://").await;
        let admin = told(&mut out, "admin    http://").await;
        Self { child, folder, proxy, admin, _out: out }
    }

    async fn client(&self) -> Client {
        let root = fs::read_to_string(self.folder.path().join("certs/ca.pem")).unwrap();
        Client::intercepted(self.proxy, "api.openai.com", &root, "http/1.1").await
    }

    /// A stream whose first piece has come and whose others the upstream holds back.
    async fn held_stream(&self, upstream: &Upstream) -> Response<Incoming> {
        upstream.hold();
        upstream.release(1);
        let mut client = self.client().await;
        let body = r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"count"}]}"#;
        let request = client.request(Method::POST, "/v1/chat/completions").body(Full::from(body)).unwrap();
        let mut stream = guard(client.begin(request)).await.unwrap();
        let first = guard(stream.frame()).await.unwrap().unwrap();
        assert!(!first.into_data().unwrap().is_empty());
        stream
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args([format!("-{name}"), id]).status().unwrap().success());
    }

    /// Waits until nobody accepts on the proxy's port: the signal has arrived.
    async fn until_closed(&self) {
        guard(async {
            while TcpStream::connect(self.proxy).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

async fn told(out: &mut Lines<BufReader<ChildStdout>>, label: &str) -> SocketAddr {
    let line = guard(out.next_line()).await.unwrap().unwrap_or_default();
    line.strip_prefix(label).and_then(|at| at.parse().ok()).unwrap_or_else(|| panic!("{line:?} is not {label}..."))
}

/// A folder of its own with this configuration.
fn folder(text: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    configure(&folder, text);
    folder
}

fn configure(folder: &TempDir, text: &str) {
    let config = folder.path().join("config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("tollgate.json5"), text).unwrap();
}

/// The program in that folder, knowing nothing of the machine's own settings.
fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_tollgate")));
    command.args(arguments).current_dir(folder.path()).env_clear().env("HOME", folder.path()).stdin(Stdio::null());
    command
}

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn serve(folder: &TempDir, arguments: &[&str]) -> Output {
    run(folder, &[&["serve"], arguments].concat())
}

fn assert_done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Exit code 2, one error that names the culprit, and nothing on standard output.
fn assert_refused(output: &Output, culprit: &str) -> String {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert_eq!(text(&output.stdout), "");
    let errors: Vec<&str> = told.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{told}");
    assert!(told.starts_with("error: ") && errors[0].contains(culprit), "{culprit} is not in: {told}");
    // What was said once is not said again as its own cause.
    let causes = told.lines().filter(|line| line.starts_with("  "));
    assert!(causes.into_iter().all(|cause| !errors[0].contains(cause.trim())), "{told}");
    told
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const FREE: [&str; 4] = ["--proxy", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
