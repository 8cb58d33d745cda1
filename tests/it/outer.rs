//! What leaves the gate passes the outer proxy: tunnels and calls alike, unless they are excepted.

use std::net::SocketAddr;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tollgate::config::load::{Sources, load};
use tollgate::ledger::entry::Outcome;

use crate::bench::admin::ask;
use crate::bench::client::{Client, connect};
use crate::bench::collector::Collector;
use crate::bench::gate::TestGate;
use crate::bench::outer::{Proxy, Speaks};
use crate::bench::raw::guard;
use crate::bench::socket::{Talk, Way};
use crate::bench::upstream::{Options, Upstream};

const CHAT: &str = "/v1/chat/completions";
const ASK: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;
/// `me:hidden-word` as it travels.
const BASIC: &str = "bWU6aGlkZGVuLXdvcmQ=";

/// A gate that trusts the stand-in, with these members of `upstream`, and others.
fn gate(upstream: &Upstream, members: &str, more: &str) -> TestGate {
    gate_in(TempDir::new().unwrap(), upstream, members, more)
}

fn gate_in(folder: TempDir, upstream: &Upstream, members: &str, more: &str) -> TestGate {
    std::fs::write(folder.path().join("standin.pem"), upstream.ca_pem()).unwrap();
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1,
             upstream: {{ ca: "standin.pem", {members} }}, {more} }}"#
    );
    TestGate::from_text(folder, &text)
}

/// Where the stand-in is, by the names that a proxy is asked for.
fn places(upstream: &Upstream) -> Vec<(&'static str, SocketAddr)> {
    ["api.openai.com:443", "mirror.example.com:443", "192.0.2.10:443", "192.0.2.11:443", "mirror.example.com:8080"]
        .into_iter()
        .map(|name| (name, upstream.address()))
        .collect()
}

async fn call(gate: &TestGate, alpn: &str) -> crate::bench::client::Answered {
    Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await.post(CHAT, ASK).await
}

#[tokio::test]
async fn calls_and_tunnels_pass_a_proxy_of_every_kind() {
    let resolve = r#"resolve: {"api.openai.com:443": "192.0.2.10:443", "mirror.example.com:443": "192.0.2.11:443"}"#;
    let by_name = ["api.openai.com:443", "mirror.example.com:443"];
    let by_address = ["192.0.2.10:443", "192.0.2.11:443"];
    for (speaks, url, members, asked) in [
        (Speaks::Http(None), "http://AT", "", by_name),
        (Speaks::Http(None), "AT", "", by_name),
        (Speaks::Http(Some(BASIC)), "http://me:hidden-word@AT", "", by_name),
        (Speaks::Https, "https://AT", "", by_name),
        (Speaks::Socks(None), "socks5h://AT", "", by_name),
        (Speaks::Socks(Some(("me", "hidden-word"))), "socks5h://me:hidden-word@AT", "", by_name),
        // The gate looks up; here the owner says what it finds.
        (Speaks::Socks(None), "socks5://AT", resolve, by_address),
        (Speaks::Http(None), "http://AT", resolve, by_address),
    ] {
        let upstream = Upstream::start(Options::default());
        let proxy = Proxy::start(speaks, &places(&upstream)).await;
        let url = url.replace("AT", &proxy.address().to_string());
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("proxy.pem"), proxy.ca_pem()).unwrap();
        let gate = gate_in(folder, &upstream, &format!(r#"proxy: {{ url: "{url}", ca: "proxy.pem" }}, {members}"#), "");

        let answered = guard(call(&gate, "h2")).await;
        assert_eq!(answered.status, 200, "{url}: {}", answered.text());
        let booked = gate.wait_for_entries(1).await;
        assert_eq!(booked[0].usage.unwrap().output, Some(upstream.bill()[0].output), "{url}");
        assert_eq!(booked[0].outcome, Outcome::Ok);

        // A tunnel: only the stand-in's own certificate is trusted.
        let mirror = Client::intercepted(gate.proxy(), "mirror.example.com", upstream.ca_pem(), "http/1.1");
        let mut mirror = guard(mirror).await;
        let answered = guard(mirror.post(CHAT, ASK)).await;
        assert_eq!(answered.status, 200, "{url}");
        assert!(!answered.headers.contains_key("x-tollgate-id"));
        assert_eq!(proxy.seen(), asked, "{url}");
        let shown = ask(gate.admin(), "/config").await;
        assert!(!shown.text().contains("hidden-word"), "{}", shown.text());
        let shown = shown.json()["upstream"]["proxy"]["url"].clone();
        assert!(shown.as_str().unwrap().ends_with(&format!("//{}", proxy.address())), "{shown}");
    }
}

#[tokio::test]
async fn a_kept_connection_is_used_again_and_needs_no_second_way() {
    let upstream = Upstream::start(Options::default());
    let proxy = Proxy::start(Speaks::Http(None), &places(&upstream)).await;
    let gate = gate(&upstream, &format!(r#"proxy: "http://{}""#, proxy.address()), "");
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    for _ in 0..5 {
        assert_eq!(guard(client.post(CHAT, ASK)).await.status, 200);
    }
    assert_eq!(proxy.seen(), ["api.openai.com:443"]);
}

#[tokio::test]
async fn duplicates_custom_models_plain_http_and_telemetry_pass_it_but_loopback_does_not() {
    let upstream = Upstream::start(Options::default());
    let plain = Upstream::start(Options { tls: false, ..Options::default() });
    let own = Upstream::start(Options { name: "custom", tls: false, cors: false, ..Options::default() });
    let collector = Collector::start();
    let places = [
        ("mirror.example.com:443", upstream.address()),
        ("model.example.com:80", own.address()),
        ("plain.example.com:8080", plain.address()),
        ("collector.example.com:4318", collector.address()),
    ];
    let proxy = Proxy::start(Speaks::Http(None), &places).await;
    let models = format!(
        r#"models: [{{ name: "far", apiKey: "sk-own-key", endpointUrl: "http://model.example.com/v1/completions" }},
                    {{ name: "near", apiKey: "sk-own-key", endpointUrl: "{}/v1/completions" }}],
           duplicates: [{{ name: "mirror", url: "https://mirror.example.com", apiKey: "sk-mirror-key" }}],
           telemetry: {{ otlp: {{ endpoint: "http://collector.example.com:4318", interval: "1s" }} }}"#,
        own.url()
    );
    let gate = gate(&upstream, &format!(r#"proxy: "http://{}""#, proxy.address()), &models);
    let completion = |model: &str| json!({"model": model, "prompt": "hi"}).to_string();
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "http/1.1").await;
    for body in [completion("far"), completion("near")] {
        assert_eq!(guard(client.post("/v1/completions", body)).await.status, 200);
    }
    assert_eq!(guard(client.post(CHAT, ASK)).await.status, 200);
    assert_eq!(own.seen().len(), 2);
    assert_eq!(upstream.seen()[0].headers["authorization"], "Bearer sk-mirror-key");

    let request = http::Request::get("http://plain.example.com:8080/v1/models")
        .header("host", "plain.example.com:8080")
        .header("authorization", "Bearer sk-client");
    let request = request.body(http_body_util::Full::default()).unwrap();
    assert_eq!(guard(Client::plain(gate.proxy()).await.send(request)).await.status, 200);
    assert_eq!(plain.seen().len(), 1);

    // The collector's thread tells when it has something; the proxy needs this one meanwhile.
    let waited = tokio::task::spawn_blocking(move || collector.wait(|received| !received.is_empty()));
    guard(waited).await.unwrap();
    let mut seen = proxy.seen();
    seen.sort();
    seen.dedup();
    let mut expected = places.map(|(name, _)| name);
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_is_excepted_is_dialled_by_the_gate_itself() {
    let upstream = Upstream::start(Options::default());
    let proxy = Proxy::start(Speaks::Http(None), &places(&upstream)).await;
    let members = format!(
        r#"connectTimeout: "100ms", resolve: {{"named.example.com:443": "192.0.2.77:443"}},
           proxy: {{ url: "http://{}", noProxy: ["invalid", "192.0.2.64/26", "mirror.example.com:8080"] }}"#,
        proxy.address()
    );
    let gate = gate(&upstream, &members, "");
    let hosts = ["no-such-host.invalid:443", "192.0.2.100:9", "named.example.com:443", "mirror.example.com:8080"];
    for host in hosts {
        let refusal = guard(connect(gate.proxy(), host)).await.unwrap_err();
        assert!(refusal.contains(host) && !refusal.contains("outer proxy"), "{host}: {refusal}");
    }
    assert_eq!(proxy.seen(), Vec::<String>::new());
    assert!(guard(connect(gate.proxy(), "mirror.example.com:443")).await.is_ok());
    assert_eq!(proxy.seen(), ["mirror.example.com:443"]);
}

#[tokio::test]
async fn a_proxy_that_opens_no_way_is_named_with_what_it_said_and_what_to_do() {
    let long = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 70_000]].concat();
    for (answer, said, retry) in [
        (
            b"HTTP/1.1 407 hidden-word\r\n\r\n".to_vec(),
            "407 Proxy Authentication Required; it does not accept the user",
            false,
        ),
        (b"HTTP/1.1 403 No\r\n\r\n".to_vec(), "403 Forbidden; let it pass CONNECT to port 443", false),
        (b"HTTP/1.1 502 No\r\n\r\n".to_vec(), "it answered 502 Bad Gateway", true),
        (b"SSH-2.0-hidden-word\r\n".to_vec(), "its answer is no HTTP", false),
        (long, "more than 64 KiB", false),
        (b"HTTP/1.1 200".to_vec(), "closed the connection before it answered", true),
        (b"".to_vec(), "closed the connection before it answered", true),
    ] {
        let upstream = Upstream::start(Options::default());
        let proxy = Proxy::start(Speaks::Says(answer), &[]).await;
        let at = proxy.address();
        let gate = gate(&upstream, &format!(r#"proxy: "http://me:hidden-word@{at}""#), "");
        let answered = guard(call(&gate, "h2")).await;
        let error = &answered.json()["error"];
        let message = error["message"].as_str().unwrap();
        assert_eq!((answered.status.as_u16(), &error["code"]), (502, &json!("outer_proxy")), "{said}");
        assert_eq!(answered.headers["x-should-retry"], if retry { "true" } else { "false" }, "{said}");
        let named = format!("`api.openai.com:443` could not be reached through the outer proxy `{at}`: ");
        assert!(message.starts_with(&named) && message.contains(said), "{message}");
        let booked = gate.wait_for_entries(1).await;
        assert_eq!((booked[0].outcome, booked[0].status), (Outcome::UpstreamError, 502));
        assert!(upstream.seen().is_empty());

        let refusal = guard(connect(gate.proxy(), "mirror.example.com:443")).await.unwrap_err();
        assert!(refusal.starts_with("HTTP/1.1 502 ") && refusal.contains(said), "{refusal}");
        for shown in [message.to_owned(), refusal, format!("{booked:?}")] {
            assert!(!shown.contains("hidden-word") && !shown.contains(BASIC), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_or_says_nothing_is_named() {
    let upstream = Upstream::start(Options::default());
    let hanging = Proxy::start(Speaks::Hangs, &[]).await;
    let at = hanging.address();
    for url in [format!("http://{at}"), format!("https://{at}"), format!("socks5h://{at}")] {
        let gate = gate(&upstream, &format!(r#"connectTimeout: "100ms", proxy: "{url}""#), "");
        let answered = guard(call(&gate, "http/1.1")).await;
        let error = &answered.json()["error"];
        assert_eq!((answered.status.as_u16(), &error["code"]), (504, &json!("upstream_timeout")), "{url}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("through the outer proxy `{at}` within 100ms")), "{message}");
        assert_eq!(gate.wait_for_entries(1).await[0].outcome, Outcome::Timeout);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = listener.local_addr().unwrap();
    drop(listener);
    let gate = gate(&upstream, &format!(r#"proxy: "http://{dead}""#), "");
    let answered = guard(call(&gate, "http/1.1")).await;
    assert_eq!((answered.status.as_u16(), &answered.headers["x-should-retry"]), (502, &"true".parse().unwrap()));
    assert!(answered.text().contains(&format!("outer proxy `{dead}`: it could not be reached")), "{}", answered.text());
}

#[tokio::test]
async fn a_proxy_over_tls_is_verified_and_its_own_roots_vouch_for_nobody_else() {
    let upstream = Upstream::start(Options::default());
    let proxy = Proxy::start(Speaks::Https, &places(&upstream)).await;
    let at = proxy.address();
    let untrusted = gate(&upstream, &format!(r#"proxy: "https://{at}""#), "");
    let text = guard(call(&untrusted, "h2")).await.text();
    assert!(text.contains("the TLS handshake with the proxy itself failed"), "{text}");
    assert!(text.contains("as `upstream.proxy.ca`"), "{text}");
    // The same root for the proxy alone: the stand-in is not vouched for by it.
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("proxy.pem"), proxy.ca_pem()).unwrap();
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1,
             upstream: {{ proxy: {{ url: "https://{at}", ca: "proxy.pem" }} }} }}"#
    );
    let gate = TestGate::from_text(folder, &text);
    let text = guard(call(&gate, "h2")).await.text();
    assert!(text.contains("if the outer proxy opens TLS, name the file of its authority as `upstream.ca`"), "{text}");
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn what_a_server_says_first_is_not_lost_in_the_proxys_answer() {
    let upstream = Upstream::start(Options::default());
    let answer = b"HTTP/1.1 200 Connection established\r\n\r\n220 ready\r\n".to_vec();
    let proxy = Proxy::start(Speaks::Says(answer), &[]).await;
    let gate = gate(&upstream, &format!(r#"proxy: "http://{}""#, proxy.address()), "");
    let mut stream = guard(connect(gate.proxy(), "mail.example.com:25")).await.unwrap();
    let mut banner = Vec::new();
    guard(stream.read_to_end(&mut banner)).await.unwrap();
    assert_eq!(banner, b"220 ready\r\n");
    assert_eq!(proxy.seen(), ["CONNECT mail.example.com:25 HTTP/1.1"]);
}

#[tokio::test]
async fn a_conversation_over_a_websocket_passes_it() {
    let upstream = Upstream::start(Options::default());
    let proxy = Proxy::start(Speaks::Https, &places(&upstream)).await;
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("proxy.pem"), proxy.ca_pem()).unwrap();
    let members = format!(r#"proxy: {{ url: "https://{}", ca: "proxy.pem" }}"#, proxy.address());
    let gate = gate_in(folder, &upstream, &members, "");
    let mut talk: Talk = Way::ALL[0].open(&gate, "/v1/realtime?model=gpt-realtime").await;
    talk.until("session.created").await;
    talk.send(&json!({"type": "response.create", "standin": {}})).await;
    talk.until("response.done").await;
    assert_eq!(gate.entries().len(), 1);
    assert_eq!(proxy.seen(), ["api.openai.com:443"]);
}

#[tokio::test]
async fn the_gate_is_not_its_own_outer_proxy_and_its_ports_stay_closed_behind_another() {
    let upstream = Upstream::start(Options::default());
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let folder = TempDir::new().unwrap();
    let text = |proxy: &str| {
        format!(
            r#"{{ listen: {{ proxy: "{free}", admin: "127.0.0.1:0" }}, workers: 1,
                 upstream: {{ proxy: "http://{proxy}" }} }}"#
        )
    };
    let file = folder.path().join("tollgate.json5");
    std::fs::write(&file, text(&free.to_string())).unwrap();
    let sources = Sources {
        file: Some(file),
        environment: &|_| None,
        working_directory: folder.path().to_owned(),
        proxy: None,
        admin: None,
        models: Vec::new(),
    };
    let refused = load(&sources).unwrap_err().to_string();
    assert!(refused.contains("upstream.proxy must not be an address on which the gate itself listens"), "{refused}");

    // Another address of this machine is seen through when it is dialled.
    let looped = TestGate::from_text(TempDir::new().unwrap(), &text(&format!("127.0.0.2:{}", free.port())));
    let refusal = guard(connect(looped.proxy(), "example.com:443")).await.unwrap_err();
    assert!(refusal.contains("that is the gate itself; change `upstream.proxy`"), "{refusal}");
    assert!(refusal.contains("x-should-retry: false"), "{refusal}");
    drop(looped);

    let proxy = Proxy::start(Speaks::Http(None), &[]).await;
    let gate = gate(&upstream, &format!(r#"proxy: "http://{}""#, proxy.address()), "");
    for host in ["localhost", "127.0.0.1", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]"] {
        let refusal = guard(connect(gate.proxy(), &format!("{host}:{}", gate.admin().port()))).await.unwrap_err();
        assert!(refusal.starts_with("HTTP/1.1 403 ") && refusal.contains("own_address"), "{refusal}");
    }
    assert!(proxy.seen().is_empty());
}
