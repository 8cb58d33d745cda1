//! A configured key goes only to its own host, only for clients that have some key, and is shown to nobody.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tempfile::TempDir;
use tollgate::ledger::entry::Outcome;

use crate::bench::client::{Answered, Client, read};
use crate::bench::gate::TestGate;
use crate::bench::raw::Raw;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn without_a_credential_of_the_clients_own_no_key_is_spent() {
    let (origin, mirror) = (Upstream::start(Options::default()), plain());
    let gate = TestGate::start(&origin, &duplicate(&mirror, "sk-mirror-key"));
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let asks = [
        (Method::POST, "/v1/chat/completions", CHAT),
        (Method::POST, "/v1/files", "upload"),
        (Method::GET, "/v1/files", ""),
        (Method::GET, "/v1/models", ""),
        (Method::GET, "/v1/models/gpt-4o", ""),
        (Method::DELETE, "/v1/files/f-1", ""),
    ];
    let mut count = 0;
    for (method, path, body) in asks {
        for value in [None, Some(""), Some("Bearer"), Some("Bearer  ")] {
            let mut request = client.bare(method.clone(), path);
            if let Some(value) = value {
                request = request.header("authorization", value);
            }
            let answered = client.send(request.body(Full::from(body)).unwrap()).await;
            assert_eq!(answered.status, StatusCode::UNAUTHORIZED, "{path} {value:?}");
            assert_eq!(answered.headers["x-should-retry"], "false");
            let error = answered.json()["error"].clone();
            assert_eq!((&error["type"], &error["code"]), (&"invalid_request_error".into(), &"invalid_api_key".into()));
            count += 1;
        }
    }
    // The refusal of a large upload can be read too.
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "http/1.1").await;
    let upload = client.bare(Method::POST, "/v1/files").body(Full::from("x".repeat(4_000_000))).unwrap();
    assert_eq!(client.send(upload).await.status, StatusCode::UNAUTHORIZED);
    assert!(mirror.seen().is_empty() && origin.seen().is_empty());
    let entries = gate.wait_for_entries(count + 1).await;
    assert!(entries.iter().all(|entry| entry.outcome == Outcome::Refused && entry.status == 401));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_one_host_never_reaches_another() {
    let origin = Upstream::start(Options::default());
    let hosts = [plain(), plain(), plain()];
    let own = Upstream::start(Options { tls: false, ..Options::default() });
    let lines: String = hosts
        .iter()
        .enumerate()
        .map(|(at, host)| {
            let auth = if at == 1 { "api-key" } else { "bearer" };
            format!(
                r#"{{ name: "h{at}", url: "{}", apiKey: "sk-host-{at}", auth: "{auth}", models: ["m{at}-*"] }},"#,
                host.url()
            )
        })
        .collect();
    let gate = TestGate::start(
        &origin,
        &format!(
            r#"duplicates: [{lines}], models: [{{ name: "own", endpointUrl: "{}/v1/chat/completions", apiKey: "sk-own-key" }}]"#,
            own.url()
        ),
    );
    let (proxy, root) = (gate.proxy(), gate.root_pem());
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let root = root.clone();
            tokio::spawn(async move {
                let alpn = if caller % 2 == 0 { "h2" } else { "http/1.1" };
                let mut client = Client::intercepted(proxy, "api.openai.com", &root, alpn).await;
                for call in 0..25 {
                    let model = ["m0-a", "m1-a", "m2-a", "own", "gpt-4o"][(caller + call) % 5];
                    let answered = client.post("/v1/chat/completions", CHAT.replace("gpt-4o", model)).await;
                    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let places = [
        (&hosts[0], ("authorization", "Bearer sk-host-0"), "api-key"),
        (&hosts[1], ("api-key", "sk-host-1"), "authorization"),
        (&hosts[2], ("authorization", "Bearer sk-host-2"), "api-key"),
        (&own, ("authorization", "Bearer sk-own-key"), "api-key"),
        (&origin, ("authorization", "Bearer sk-client"), "api-key"),
    ];
    for (host, (name, value), other) in places {
        assert_eq!(host.seen().len(), 40);
        for seen in host.seen() {
            assert_eq!(seen.headers.get_all(name).iter().collect::<Vec<_>>(), [value]);
            assert!(!seen.headers.contains_key(other));
        }
        assert!(host.connections().0 <= 8, "connections are reused");
    }
}

#[tokio::test]
async fn what_a_client_says_behind_its_body_goes_to_nobody() {
    let (origin, mirror) = (Upstream::start(Options::default()), Upstream::start(Options::default()));
    let duplicate = format!(
        r#"duplicates: [{{ name: "mirror", url: "{}", apiKey: "sk-mirror-key", ca: "other.pem" }}]"#,
        mirror.url()
    );
    let gate = TestGate::trusting(&origin, &mirror, &duplicate);
    let mut client = Raw::open(gate.proxy()).await;
    let head = "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-client\r\n";
    let body = "Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n3\r\nabc\r\n0\r\n";
    client.send(format!("{head}{body}Authorization: Bearer sk-client\r\n\r\n")).await;
    client.answer().await.unwrap();
    let seen = &mirror.seen()[0];
    assert_eq!((&*seen.body, seen.whole), (&b"abc"[..], true));
    assert_eq!(seen.headers["authorization"], "Bearer sk-mirror-key");
    assert!(seen.trailers.is_empty(), "{:?}", seen.trailers);
}

#[tokio::test]
async fn a_key_that_the_upstream_shows_in_an_error_does_not_reach_the_client() {
    let (origin, mirror) = (Upstream::start(Options::default()), plain());
    let gate = TestGate::start(&origin, &duplicate(&mirror, "sk-mirror-key"));
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "http/1.1").await;
    let wanted = r#"{"error":{"message":"Incorrect API key provided: ***. Your key *** is not ***.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#;
    for fault in ["echo-key", "echo-key, status=500", "echo-key, status=404, chunked", "echo-key, gzip", "echo-key, br"]
    {
        for (method, path, body) in [
            (Method::POST, "/v1/chat/completions", CHAT),
            (Method::GET, "/v1/files", ""),
            (Method::GET, "/v1/models", ""),
        ] {
            mirror.fault_next(fault);
            let request = client.request(method, path).header("accept-encoding", "gzip, br, x-other");
            let answered = client.send(request.body(Full::from(body)).unwrap()).await;
            assert!(answered.status.as_u16() >= 400);
            assert_eq!(answered.text(), wanted, "{fault} {path}");
            assert_eq!(answered.headers["x-key-was"], "***");
            if let Some(length) = answered.headers.get("content-length") {
                assert_eq!(length, &wanted.len().to_string());
            }
        }
    }
    // A reply that breaks off while it is looked through breaks off for the client too.
    mirror.fault_next("echo-key, short-body");
    let broken = client.post("/v1/chat/completions", CHAT).await;
    assert!(!broken.whole && !broken.text().contains("sk-mirror-key"), "{}", broken.text());
    // What a client sent itself is its own.
    let gate = TestGate::start(&origin, "");
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "http/1.1").await;
    origin.fault_next("echo-key");
    assert!(client.post("/v1/chat/completions", CHAT).await.text().contains("sk-client"));
}

#[tokio::test]
async fn no_secret_is_ever_shown() {
    let (origin, mirror) = (Upstream::start(Options::default()), plain());
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("standin.pem"), origin.ca_pem()).unwrap();
    let config = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }},
             upstream: {{ ca: "standin.pem", resolve: {{ "api.openai.com:443": "{}" }} }},
             models: [{{ name: "own", endpointUrl: "{}/serve/chat/completions", apiKey: "canary-own-key" }},
                      {{ name: "gone", endpointUrl: "http://127.0.0.1:1/v1/chat/completions", apiKey: "canary-gone-key" }}],
             duplicates: [{{ name: "mirror", url: "{}", apiKey: "canary-mirror-key", models: ["m-*"] }}] }}"#,
        origin.address(),
        mirror.url(),
        mirror.url()
    );
    let program = Program::start(&folder, &config);
    for alpn in ["h2", "http/1.1"] {
        for model in ["own", "gone", "m-1", "gpt-4o"] {
            for fault in ["", "echo-key", "cut-head", "short-body"] {
                for stream in ["false", "true"] {
                    (if model == "gpt-4o" { &origin } else { &mirror }).fault_next(fault);
                    let (proxy, root) = (program.proxy, &program.root);
                    let mut client =
                        Client::intercepted_with(proxy, "api.openai.com", root, alpn, PROXY_PASSWORD).await;
                    let request = canary(&client, model, stream);
                    let Ok(response) = client.begin(request).await else { continue };
                    let answered = read(response).await;
                    // The origin got the client's own key, and the client may see that.
                    let own = model == "gpt-4o" && fault == "echo-key";
                    assert!(own || !shown(&answered).contains("canary"), "{model} {fault}: {}", shown(&answered));
                }
            }
        }
    }
    let mut admin = Client::plain(program.admin).await;
    for path in [
        "/stats?by=model,client,label",
        "/entries?limit=1000",
        "/entries?format=csv",
        "/entries?format=jsonl",
        "/budgets",
        "/config",
        "/models",
        "/metrics",
        "/",
    ] {
        let request = Request::get(path).header("host", program.admin.to_string());
        let answered = admin.send(request.body(Full::default()).unwrap()).await;
        assert!(!shown(&answered).contains("canary"), "{path}: {}", shown(&answered));
    }
    let log = program.stop();
    assert!(log.contains("call"), "the log was captured");
    let leak = log.lines().find(|line| line.contains("canary") || line.contains("bGFiZWw6"));
    assert_eq!(leak, None, "the log shows a secret");
}

/// The real program, started as a user would.
struct Program {
    child: Child,
    /// Held so that the program can go on writing.
    _out: Lines<BufReader<ChildStdout>>,
    proxy: SocketAddr,
    admin: SocketAddr,
    root: String,
    log: std::path::PathBuf,
}

impl Program {
    fn start(folder: &TempDir, config: &str) -> Self {
        let file = folder.path().join("tollgate.json5");
        std::fs::write(&file, config).unwrap();
        let log = folder.path().join("log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["serve", "--config"])
            .arg(&file)
            .env("RUST_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = |name: &str| {
            let line = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].trim().to_owned()
        };
        let address = |url: String| url.strip_prefix("http://").unwrap().parse().unwrap();
        let (proxy, admin) = (address(told("proxy")), address(told("admin")));
        let root = std::fs::read_to_string(told("ca")).unwrap();
        Self { child, _out: lines, proxy, admin, root, log }
    }

    /// What it has logged.
    fn stop(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn canary(client: &Client, model: &str, stream: &str) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"model":"{model}","stream":{stream},"user":"canary-user","messages":[{{"role":"user","content":"canary-prompt"}}]}}"#
    );
    let request = client
        .bare(Method::POST, "/v1/chat/completions?secret=canary-query")
        .header("authorization", "Bearer canary-client-key")
        .header("api-key", "canary-api-key")
        .header("x-api-key", "canary-x-api-key")
        .header("sec-websocket-protocol", "realtime, openai-insecure-api-key.canary-protocol")
        .header("proxy-authorization", "Basic bGFiZWw6Y2FuYXJ5LXByb3h5")
        .header("cookie", "session=canary-cookie")
        .header("openai-organization", "canary-organization");
    request.body(Full::from(body)).unwrap()
}

fn shown(answered: &Answered) -> String {
    format!("{:?} {}", answered.headers, answered.text())
}

fn plain() -> Upstream {
    Upstream::start(Options { name: "mirror", tls: false, ..Options::default() })
}

fn duplicate(mirror: &Upstream, key: &str) -> String {
    format!(r#"duplicates: [{{ name: "mirror", url: "{}", apiKey: "{key}" }}]"#, mirror.url())
}

/// `label:canary-proxy`.
const PROXY_PASSWORD: &str = "Proxy-Authorization: Basic bGFiZWw6Y2FuYXJ5LXByb3h5\r\n";
const CHAT: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"one two three"}]}"#;
