//! The surface over real sockets: who gets in, and what it says.

mod books;

use std::collections::HashMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::surface::{Rejected, Reloader, Reviser, Unchanged};
use super::*;
use crate::ledger::Ledger;
use crate::ledger::tests::entry;
use crate::net::secret::Secret;
use crate::policy::custom::{CustomModel, ModelKey};
use crate::policy::routing::{Duplicate, DuplicateKind, Routing};
use crate::policy::target::{Credential, Destination, Scheme};
use crate::policy::{Live, Policy};

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

fn surface() -> Surface {
    Surface {
        ledger: Ledger::new(100),
        root: "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n".into(),
        config: Arc::new(ArcSwap::from_pointee(json!({ "listen": { "admin": "127.0.0.1:8485" } }))),
        policy: Live::new(Policy::default()),
        proxy: "127.0.0.1:8484".parse().unwrap(),
        ready: Arc::new(AtomicBool::new(true)),
        token: None,
        reviser: Reviser::new(|_| Err(Rejected::NoFile)),
        reloader: Reloader::new(|| Err(Unchanged::Nowhere)),
    }
}

async fn start(surface: Surface) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, surface, pending()));
    at
}

/// Sends a request head as it is, after `PORT` is filled in.
async fn send(at: SocketAddr, head: &str) -> Reply {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let head = head.replace("PORT", &at.port().to_string());
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    Reply { status: head[9..12].parse().unwrap(), head, body: bytes[end + 4..].to_vec() }
}

async fn fetch(at: SocketAddr, path: &str) -> Reply {
    send(at, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:PORT")).await
}

#[tokio::test]
async fn only_the_three_names_of_this_machine_get_in() {
    let at = start(surface()).await;
    for (status, host) in [
        (200, "127.0.0.1:PORT"),
        (200, "localhost:PORT"),
        (200, "[::1]:PORT"),
        (403, "evil.example"),
        (403, "evil.example:PORT"),
        (403, "localhost.evil:PORT"),
        (403, "evil.localhost:PORT"),
        (403, "127.0.0.1.nip.io:PORT"),
        (403, "localhost.:PORT"),
        (403, "LOCALHOST:PORT"),
        (403, "127.0.0.1"),
        (403, "localhost"),
        (403, "127.0.0.1:1"),
        (403, "2130706433:PORT"),
        (403, "127.1:PORT"),
        (403, "0x7f.0.0.1:PORT"),
        (403, "127.0.0.2:PORT"),
        (403, "0.0.0.0:PORT"),
        (403, "[::ffff:127.0.0.1]:PORT"),
        (403, "[0:0:0:0:0:0:0:1]:PORT"),
        (403, "user@localhost:PORT"),
        (403, "localhost:PORT,evil.example"),
        (403, "localhost:0PORT"),
        (403, ""),
    ] {
        for path in ["/stats", "/no-such-path"] {
            let expected = if status == 200 && path != "/stats" { 404 } else { status };
            let reply = send(at, &format!("GET {path} HTTP/1.1\r\nHost: {host}")).await;
            assert_eq!(reply.status, expected, "{path} {host:?}");
        }
    }
}

#[tokio::test]
async fn a_host_that_is_missing_or_doubled_or_contradicted_is_refused() {
    let at = start(surface()).await;
    assert_eq!(send(at, "GET /stats HTTP/1.0").await.status, 400);
    assert_eq!(send(at, "GET /stats HTTP/1.1").await.status, 400);
    let twice = "GET /stats HTTP/1.1\r\nHost: localhost:PORT\r\nHost: localhost:PORT";
    assert_eq!(send(at, twice).await.status, 400);
    let absolute = "GET http://evil.example/stats HTTP/1.1\r\nHost: localhost:PORT";
    assert_eq!(send(at, absolute).await.status, 403);
    let absolute = "GET http://localhost:PORT/stats HTTP/1.1\r\nHost: localhost:PORT";
    assert_eq!(send(at, absolute).await.status, 200);
}

#[tokio::test]
async fn other_sites_are_refused_and_no_answer_allows_them() {
    let at = start(surface()).await;
    for (status, header) in [
        (200, "Sec-Fetch-Site: same-origin"),
        (200, "Sec-Fetch-Site: none"),
        (200, "Origin: http://127.0.0.1:PORT"),
        (403, "Sec-Fetch-Site: cross-site"),
        (403, "Sec-Fetch-Site: same-site"),
        (403, "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site"),
        (403, "Origin: http://evil.example"),
        (403, "Origin: null"),
        (403, "Origin: https://127.0.0.1:PORT"),
        (403, "Origin: http://127.0.0.1:1"),
    ] {
        for path in ["/stats", "/", "/config"] {
            let reply = send(at, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n{header}")).await;
            assert_eq!(reply.status, status, "{path} {header}");
            assert!(!reply.head.contains("access-control"), "{}", reply.head);
            assert!(reply.head.contains("x-content-type-options: nosniff"), "{}", reply.head);
            assert!(reply.head.contains("cache-control: no-store"), "{}", reply.head);
        }
    }
}

#[tokio::test]
async fn nothing_but_reading_is_served() {
    let at = start(surface()).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"] {
        for path in ["/stats", "/config", "/"] {
            let reply = send(at, &format!("{method} {path} HTTP/1.1\r\nHost: localhost:PORT")).await;
            assert_eq!(reply.status, 405, "{method} {path}");
            assert!(reply.head.contains("allow: get, head"), "{}", reply.head);
        }
    }
    let reply = send(at, "HEAD /stats HTTP/1.1\r\nHost: localhost:PORT").await;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
}

#[tokio::test]
async fn a_bad_query_is_refused_with_the_name_of_its_parameter() {
    let at = start(surface()).await;
    for (path, parameter) in [
        ("/stats?since=yesterday", "since"),
        ("/stats?until=24", "until"),
        ("/stats?by=model,colour", "by"),
        ("/stats?sinse=24h", "sinse"),
        ("/stats?since=1h&since=2h", "since"),
        ("/entries?limit=0", "limit"),
        ("/entries?limit=-1", "limit"),
        ("/entries?limit=999999", "limit"),
        ("/entries?cursor=x", "cursor"),
        ("/entries?format=xml", "format"),
        ("/entries?limit=all", "limit"),
        ("/entries?format=csv&limit=0", "limit"),
        ("/entries?by=model", "by"),
        ("/entries?status=ok", "status"),
        ("/entries?outcome=fine", "outcome"),
        ("/entries?endpoint=/v2", "endpoint"),
        ("/entries?after=x", "after"),
        ("/entries?until=x", "until"),
        ("/stats?status=ok", "status"),
        ("/stats?day=today", "day"),
        ("/stats?hour=12", "hour"),
        ("/stats?endpoint=chat", "endpoint"),
        ("/stats/live?since=yesterday", "since"),
    ] {
        let reply = fetch(at, path).await;
        assert_eq!(reply.status, 400, "{path}");
        assert_eq!(reply.json()["error"]["param"], parameter, "{path}");
    }
    for path in [
        "/stats?since=24h&until=&by=model,route",
        "/entries?since=&limit=5&cursor=&model=&format=jsonl",
        "/entries?limit=all&format=csv",
    ] {
        assert_eq!(fetch(at, path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn the_books_are_shown_in_every_form() {
    let surface = surface();
    for n in 0..3 {
        surface.ledger.post(entry(&format!("=m{n}<script>"), "2026-11-22T12:00:00Z"));
    }
    let at = start(surface).await;
    let stats = fetch(at, "/stats?since=2026-11-22T00:00:00Z&by=model").await;
    assert!(!stats.text().contains('<'));
    let stats = stats.json();
    assert_eq!(stats["totals"]["requests"], 3);
    assert_eq!(stats["by"]["model"][0]["key"], "=m0<script>");

    let page = fetch(at, "/entries?limit=2").await.json();
    assert_eq!(page["entries"][0]["model"]["asked"], "=m2<script>");
    let next = page["next"].as_str().unwrap();
    let rest = fetch(at, &format!("/entries?limit=2&cursor={next}")).await.json();
    assert_eq!(rest["entries"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next"], Value::Null);

    let lines = fetch(at, "/entries?format=jsonl&limit=2").await;
    assert!(lines.head.contains(&format!("x-next-cursor: {}", next.to_ascii_lowercase())), "{}", lines.head);
    assert_eq!(lines.text().lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 2);

    let table = fetch(at, "/entries?format=csv").await.text();
    let rows: Vec<&str> = table.split("\r\n").collect();
    assert!(rows[0].starts_with("id,session,time,durationMs"));
    assert!(rows[1].contains(",\"'=m2<script>\","), "{}", rows[1]);
    assert!(rows[1].contains(",0.000147500000,"), "{}", rows[1]);
    assert_eq!(rows[1].split(',').count(), rows[0].split(',').count());
}

fn at(scheme: Scheme, authority: &str) -> Destination {
    let at = crate::net::host::HostPort::parse(authority, scheme.default_port()).unwrap();
    Destination { scheme, at, dialled: None, roots: None }
}

#[tokio::test]
async fn models_are_listed_without_any_secret() {
    let custom = CustomModel {
        api_key: ModelKey::Own(Secret::new("very-secret")),
        model_url: "https://user:very-secret@hub.example/m".into(),
        ..CustomModel::new(
            "databricks/dolly-v2-3b",
            at(Scheme::Http, "127.0.0.1"),
            "/v1/completions?key=very-secret".parse().unwrap(),
        )
    };
    let duplicate = Duplicate {
        name: "mirror".into(),
        destination: at(Scheme::Https, "api.example.com:8443"),
        base_path: "/openai".into(),
        kind: DuplicateKind::Exact,
        credential: Credential::Bearer(Secret::new("very-secret")),
        models: Some(vec!["gpt-4*".into()]),
        priority: 1,
        weight: 1,
    };
    let routing = Routing {
        customs: HashMap::from([(Arc::clone(&custom.name), Arc::new(custom))]),
        duplicates: vec![Arc::new(duplicate)],
    };
    let surface = surface();
    surface.policy.swap(Policy { routing, ..Policy::default() });
    let shown = fetch(start(surface).await, "/models").await;
    assert!(!shown.text().contains("very-secret"));
    let expected = json!({
        "models": [{
            "name": "databricks/dolly-v2-3b", "type": "completion", "typeFrom": "assumed", "key": "own",
            "contextLength": null, "normalize": true,
            "endpointUrl": "http://127.0.0.1/v1/completions?***", "priced": false,
        }],
        "duplicates": [{
            "name": "mirror", "kind": "exact", "url": "https://api.example.com:8443/openai", "models": ["gpt-4*"],
        }],
    });
    assert_eq!(shown.json(), expected);
}

#[tokio::test]
async fn the_state_of_the_gate_is_told() {
    let surface = surface();
    let ready = Arc::clone(&surface.ready);
    let at = start(surface).await;
    assert_eq!(fetch(at, "/healthz").await.text(), "ok\n");
    assert_eq!(fetch(at, "/readyz").await.status, 200);
    ready.store(false, std::sync::atomic::Ordering::Release);
    assert_eq!(fetch(at, "/readyz").await.status, 503);
    assert_eq!(fetch(at, "/config").await.json()["listen"]["admin"], "127.0.0.1:8485");
    assert!(fetch(at, "/ca.pem").await.text().starts_with("-----BEGIN CERTIFICATE-----"));
    let der = fetch(at, "/ca.crt").await;
    assert_eq!(der.body, [0, 1, 2]);
    assert!(der.head.contains("application/x-x509-ca-cert"));
    let index = fetch(at, "/").await.text();
    assert!(["/stats", "/entries", "/models", "/config", "/ca.pem"].iter().all(|path| index.contains(path)));
}

#[tokio::test]
async fn the_surface_stops_when_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(serve(listener, surface(), async move { drop(stopped.await) }));
    drop(stop);
    assert!(served.await.unwrap().is_ok());
}
