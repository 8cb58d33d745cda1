//! `tollgate run`: a program finds a gate or gets one, its calls bear the label, and its end is its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::bench::client::Client;
use crate::bench::gate::TestGate;
use crate::bench::outer::{Proxy, Speaks};
use crate::bench::upstream::{Options, Upstream};

/// Says where the proxy is, and waits.
const HOLD: &str = "echo $HTTPS_PROXY; exec cat";

/// A home folder in which no gate has ever run.
struct Stage {
    folder: TempDir,
}

/// A program that runs as long as the test likes, and what it found in its environment.
struct Held {
    child: Child,
    proxy: String,
}

impl Stage {
    /// With a configuration of free ports, for which `api.openai.com` is the stand-in.
    fn toward(upstream: &Upstream) -> Self {
        let stage = Self { folder: TempDir::new().unwrap() };
        fs::write(stage.path("standin.pem"), upstream.ca_pem()).unwrap();
        let at = upstream.address();
        stage.configure(&format!(
            r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }},
                 upstream: {{ ca: "standin.pem", resolve: {{ "api.openai.com:443": "{at}" }} }} }}"#
        ));
        stage
    }

    fn configure(&self, text: &str) {
        fs::create_dir_all(self.path("config")).unwrap();
        fs::write(self.path("config/tollgate.json5"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tollgate(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        self.furnish(command.args(arguments));
        command
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        self.furnish(command.args(["-c", &script.replace("tollgate", env!("CARGO_BIN_EXE_tollgate"))]));
        command
    }

    fn furnish(&self, command: &mut Command) {
        let home = self.folder.path();
        command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap()).current_dir(home);
        command.stdin(Stdio::null());
    }

    /// Runs a program that waits until it is let go.
    fn hold(&self) -> Held {
        Self::hold_as(&mut self.tollgate(&["run", "--", "sh", "-c", HOLD]))
    }

    /// The same by a command that ends in [`HOLD`].
    fn hold_as(command: &mut Command) -> Held {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut proxy = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut proxy).unwrap();
        assert!(!proxy.is_empty(), "it did not start");
        let proxy = proxy.trim().trim_start_matches("http://");
        Held { child, proxy: proxy.rsplit('@').next().unwrap().to_owned() }
    }

    /// What the gate that runs says of itself.
    fn running(&self) -> Option<Value> {
        let gates = fs::read_dir(self.path(".local/state/tollgate/gates")).ok()?;
        let texts = gates.filter_map(|gate| fs::read(gate.unwrap().path().join("gate.json")).ok());
        texts.filter_map(|text| serde_json::from_slice(&text).ok()).next()
    }

    /// Waits until no gate runs.
    fn until_ended(&self, running: &Value) {
        let process = running["process"].to_string();
        until("the gate has ended", || !is_there(&process));
        assert_eq!(self.running(), None, "nothing is left of it");
    }
}

impl Held {
    /// Lets it come to its end.
    fn release(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn is_there(process: &str) -> bool {
    Command::new("kill").args(["-0", process]).stderr(Stdio::null()).status().unwrap().success()
}

#[cfg(target_os = "linux")]
/// The session that a process belongs to: what a terminal's signals and its end reach.
fn session(process: &str) -> Option<String> {
    let told = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    told.rsplit_once(')').unwrap().1.split_whitespace().nth(3).map(str::to_owned)
}

fn until(what: &str, fact: impl Fn() -> bool) {
    let begun = Instant::now();
    while !fact() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

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
    let value = |name: &str| shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        assert_eq!(value(name), Some(&*format!("http://team%20a:x@{}", gate.proxy())), "{name}");
    }
    assert_eq!(value("no_proxy"), Some("example.com,localhost,127.0.0.1,::1"));
    assert_eq!(value("NODE_USE_ENV_PROXY"), Some("1"));
    let root = fs::read_to_string(gate.gate.authority().dir().join("ca.pem")).unwrap();
    assert_eq!(fs::read_to_string(value("NODE_EXTRA_CA_CERTS").unwrap()).unwrap(), root, "the root alone is added");
    let bundle = fs::read_to_string(value("SSL_CERT_FILE").unwrap()).unwrap();
    assert!(bundle.ends_with(&root) && bundle.len() > 10 * root.len(), "the bundle has the machine's too");
    assert!(told(&output).contains("warning: `/own/roots.pem` is trusted by your environment"), "{}", told(&output));
    let bare = String::from_utf8(run(&config, &["env"]).stdout).unwrap();
    assert!(bare.lines().any(|line| line == format!("HTTPS_PROXY=http://{}", gate.proxy())), "{bare}");
}

#[test]
fn what_the_user_trusts_is_trusted_further_and_each_run_has_files_of_its_own() {
    let (upstream, other) = (Upstream::start(Options::default()), Upstream::start(Options::default()));
    let stage = Stage::toward(&upstream);
    let holder = stage.hold();
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    fs::write(stage.path("corporate.pem"), format!("{key}{}", other.ca_pem())).unwrap();
    let trusted = |variable: &str, shown: &str| {
        let mut command = stage.tollgate(&["run", "--", "sh", "-c", &format!("cat \"${shown}\"")]);
        let output = command.env(variable, stage.path("corporate.pem")).output().unwrap();
        assert_eq!(told(&output).matches("warning").count(), 0, "{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let (corporate, root) = (other.ca_pem(), fs::read_to_string(stage.path("certs/ca.pem")).unwrap());
    for variable in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "PIP_CERT"] {
        let bundle = trusted(variable, "CURL_CA_BUNDLE");
        assert!(bundle.contains(corporate.trim()) && bundle.contains(root.trim()), "{variable}");
        assert!(!bundle.contains("PRIVATE"), "{variable}");
    }
    let added = trusted("NODE_EXTRA_CA_CERTS", "NODE_EXTRA_CA_CERTS");
    assert!(added.contains(corporate.trim()) && added.contains(root.trim()), "{added}");
    assert_eq!(trusted("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"), root, "only what adds is added to");
    let bare = stage.tollgate(&["run", "--", "sh", "-c", "cat $SSL_CERT_FILE"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&bare.stdout).contains(corporate.trim()), "another run has its own");
    holder.release();
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
    let closed = run(&config, &["--", config.to_str().unwrap()]);
    assert_eq!(closed.status.code(), Some(126), "{}", told(&closed));
}

#[test]
fn for_a_program_that_does_not_exist_no_gate_is_started() {
    let upstream = Upstream::start(Options::default());
    let stage = Stage::toward(&upstream);
    let missing = stage.tollgate(&["run", "--", "no-such-program-at-all"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(127));
    assert!(told(&missing).contains("error: cannot run `no-such-program-at-all`"), "{}", told(&missing));
    assert!(!stage.path("certs").exists() && !stage.path(".local").exists(), "nothing is left behind");
}

#[tokio::test]
async fn a_gate_is_started_for_a_program_and_ends_when_its_last_program_has_ended() {
    let upstream = Upstream::start(Options::default());
    let stage = Stage::toward(&upstream);
    let (first, second) = (stage.hold(), stage.hold());
    let running = stage.running().unwrap();
    assert_eq!(running["proxy"], first.proxy.as_str());
    assert_eq!(first.proxy, second.proxy, "there is one gate");
    #[cfg(target_os = "linux")]
    assert_ne!(session(&running["process"].to_string()), session("self"), "a signal of the terminal does not reach it");
    first.release();
    // Two seconds of grace, and it would be gone.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let root = fs::read_to_string(stage.path("certs/ca.pem")).unwrap();
    let mut client = Client::intercepted(second.proxy.parse().unwrap(), "api.openai.com", &root, "http/1.1").await;
    let answer = client.post("/v1/chat/completions", r#"{"model":"gpt-4o","messages":[]}"#).await;
    assert_eq!(answer.status, 200);
    drop(client);
    second.release();
    stage.until_ended(&running);
    let journal = stage.path("data/ledger.sqlite").display().to_string();
    let stats = stage.tollgate(&["stats", "--json", "--ledger", &journal]).output().unwrap();
    let stats: Value = serde_json::from_slice(&stats.stdout).unwrap_or_else(|_| panic!("{}", told(&stats)));
    assert_eq!(stats["totals"]["requests"], 1, "{stats}");
}

#[test]
fn a_pipe_behind_a_run_ends_with_the_program_and_not_with_the_gate() {
    let upstream = Upstream::start(Options::default());
    let stage = Stage::toward(&upstream);
    // Here a gate is started with the ends of the pipes open, also one that has no standard number; and the second
    // program keeps the gate.
    let begun = stage.path("begun");
    let script = "exec 7>&1 8>&2; tollgate run -- true | cat; tollgate run -- sh -c 'echo > begun; exec cat' <&9 7>&- 8>&- >/dev/null 2>&1 &";
    let (keep, ours) = std::os::unix::net::UnixStream::pair().unwrap();
    let keep: std::os::fd::OwnedFd = keep.into();
    let mut command = stage.shell(&format!("exec 9<&0 </dev/null; {script}"));
    let mut child = command.stdin(keep).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let (mut out, mut error) = (Vec::new(), Vec::new());
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut error).unwrap();
    child.wait().unwrap();
    // Both pipes have ended, and the gate is there still.
    until("the second program runs", || begun.exists());
    let running = stage.running().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&error)));
    assert!(is_there(&running["process"].to_string()));
    drop(ours);
    stage.until_ended(&running);
}

#[test]
fn runs_that_begin_at_once_share_one_gate() {
    let upstream = Upstream::start(Options::default());
    let stage = Stage::toward(&upstream);
    let held: Vec<Held> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..5).map(|_| scope.spawn(|| stage.hold())).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(
        held.iter().all(|one| one.proxy == held[0].proxy),
        "{:?}",
        held.iter().map(|one| &one.proxy).collect::<Vec<_>>()
    );
    let running = stage.running().unwrap();
    held.into_iter().for_each(Held::release);
    stage.until_ended(&running);
}

#[test]
fn a_killed_program_ends_its_gate_and_a_killed_gate_is_replaced() {
    let upstream = Upstream::start(Options::default());
    let stage = Stage::toward(&upstream);
    let mut first = stage.hold();
    let killed = stage.running().unwrap();
    let process = killed["process"].to_string();
    assert!(Command::new("kill").args(["-9", &process]).status().unwrap().success());
    until("the gate is gone", || !is_there(&process));
    let second = stage.hold();
    let running = stage.running().unwrap();
    assert_ne!(running["process"], killed["process"]);
    second.release();
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    stage.until_ended(&running);
}

#[test]
fn a_run_waits_for_a_gate_that_is_ending_and_starts_another() {
    let upstream = Upstream::start(Options::default());
    let stage = Stage::toward(&upstream);
    let held = stage.hold();
    let running = stage.running().unwrap();
    held.release();
    stage.until_ended(&running);
    // As the gate has it from when it decides to end until it has ended.
    let gates = fs::read_dir(stage.path(".local/state/tollgate/gates")).unwrap();
    let leases = gates.map(|gate| gate.unwrap().path().join("leases")).next().unwrap();
    let ending = fs::File::options().write(true).open(leases).unwrap();
    ending.lock().unwrap();
    let mut waiting = stage.tollgate(&["run", "--", "true"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(waiting.try_wait().unwrap().is_none() && stage.running().is_none(), "it did not wait");
    drop(ending);
    assert!(waiting.wait().unwrap().success());
    let running = stage.running().unwrap();
    stage.until_ended(&running);
}

#[test]
fn a_gate_that_somebody_started_himself_does_not_end_with_a_program() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let (_folder, config) = config(&gate);
    assert_eq!(run(&config, &["--", "true"]).status.code(), Some(0));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(run(&config, &["--", "true"]).status.code(), Some(0));
    assert!(std::net::TcpStream::connect(gate.proxy()).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_the_users_is_kept_for_the_gates_own_calls_and_a_run_in_a_run_makes_no_loop() {
    let upstream = Upstream::start(Options::default());
    // `me:hidden-word` as it travels.
    let speaks = Speaks::Http(Some("bWU6aGlkZGVuLXdvcmQ="));
    let outer = Proxy::start(speaks, &[("api.openai.com:443", upstream.address())]).await;
    let stage = Stage::toward(&upstream);
    stage.configure(r#"{ listen: { proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }, upstream: { ca: "standin.pem" } }"#);
    let url = format!("http://me:hidden-word@{}", outer.address());
    let inner = format!("exec {} run --label inner -- sh -c '{HOLD}'", env!("CARGO_BIN_EXE_tollgate"));
    let held = Stage::hold_as(stage.tollgate(&["run", "--", "sh", "-c", &inner]).env("HTTPS_PROXY", &url));
    let root = fs::read_to_string(stage.path("certs/ca.pem")).unwrap();
    let mut client = Client::intercepted(held.proxy.parse().unwrap(), "api.openai.com", &root, "http/1.1").await;
    assert_eq!(client.post("/v1/chat/completions", r#"{"model":"gpt-4o","messages":[]}"#).await.status, 200);
    drop(client);
    assert!(outer.seen().iter().any(|line| line.contains("api.openai.com:443")), "{:?}", outer.seen());
    let running = stage.running().unwrap();
    assert_eq!(running["outer"], format!("http://{}", outer.address()));
    let again = stage.tollgate(&["run", "--", "true"]).env("HTTPS_PROXY", &url).output().unwrap();
    assert_eq!(told(&again), "");
    let other =
        stage.tollgate(&["run", "--", "true"]).env("HTTPS_PROXY", "http://a:hidden-too@corp:1").output().unwrap();
    assert!(told(&other).contains("warning: the environment names the proxy `http://corp:1`"), "{}", told(&other));
    assert!(!told(&other).contains("hidden"));
    #[cfg(target_os = "linux")]
    assert!(!fs::read_to_string(format!("/proc/{}/cmdline", running["process"])).unwrap().contains("hidden"));
    held.release();
    stage.until_ended(&running);
}

#[test]
fn where_nothing_is_configured_and_the_ports_are_taken_free_ones_are_used_and_the_books_are_found() {
    let stage = Stage { folder: TempDir::new().unwrap() };
    // Whoever has them, this test or another program: they are taken.
    let _taken = [8484, 8485].map(|port| TcpListener::bind(("127.0.0.1", port)));
    let held = stage.hold();
    assert!(!held.proxy.ends_with(":8484"), "{}", held.proxy);
    let running = stage.running().unwrap();
    assert_ne!(running["admin"], "127.0.0.1:8485");
    let found = stage.tollgate(&["stats", "--json"]).output().unwrap();
    let stats: Value = serde_json::from_slice(&found.stdout).unwrap_or_else(|_| panic!("{}", told(&found)));
    let journal = stats["journal"]["path"].as_str().unwrap();
    assert!(Path::new(journal).starts_with(stage.folder.path()), "{journal}");
    held.release();
    stage.until_ended(&running);
}

#[test]
fn what_keeps_a_gate_from_starting_is_told_and_nothing_is_run() {
    let upstream = Upstream::start(Options::default());
    let stage = Stage::toward(&upstream);
    fs::write(stage.path("certs"), "not a folder").unwrap();
    let output = stage.tollgate(&["run", "--", "echo", "ran"]).output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]), "{}", told(&output));
    assert!(told(&output).starts_with("error: ") && told(&output).contains("certs"), "{}", told(&output));

    let gate = TestGate::start(&upstream, "");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let certs = gate.gate.authority().dir().to_owned();
    let (_one, taken) = configured(gate.proxy(), free, &certs);
    let output = run(&taken, &["--", "echo", "ran"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]));
    assert!(told(&output).contains(&format!("error: cannot listen on {}", gate.proxy())), "{}", told(&output));
    assert!(told(&output).contains("hint: is another gate running?"), "{}", told(&output));

    let other = TestGate::start(&upstream, "");
    let (_two, strange) = configured(gate.proxy(), other.admin(), &certs);
    let output = run(&strange, &["--", "echo", "ran"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
    assert!(told(&output).contains("has another certificate than"), "{}", told(&output));

    for arguments in [&["--label", "a:b", "--", "echo"][..], &["--label", "", "--", "echo"], &[]] {
        assert_eq!(run(&strange, arguments).status.code(), Some(2), "{arguments:?}");
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
